//! Histograms of a leaf: by bin of a feature, the sums of gradients and second derivatives and the number of rows.
//!
//! Rows are added in single precision within a chunk and the chunks in double, in the order of the rows: the sums are
//! the same on any number of threads, for threads share the features, not the rows. Of two siblings only the smaller
//! is added up; the other is the parent less the sibling.

use hkfr_lm::Pool;

use super::bins::Column;

/// Rows added in single precision: the error stays near 1e-6 of the sum.
const CHUNK: usize = 8192;

/// Features added in one pass over the rows, so that additions to the same bin do not wait for each other.
const LANES: usize = 4;

/// Gradients, second derivatives and rows.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sums {
    pub g: f64,
    pub h: f64,
    pub n: f64,
}

impl Sums {
    pub fn less(self, other: Self) -> Self {
        Self {
            g: self.g - other.g,
            h: self.h - other.h,
            n: self.n - other.n,
        }
    }

    pub fn plus(self, other: Self) -> Self {
        Self {
            g: self.g + other.g,
            h: self.h + other.h,
            n: self.n + other.n,
        }
    }
}

/// The features of a tree and where each has its bins in a histogram.
pub(super) struct Layout<'a> {
    /// (feature, column), ascending.
    pub features: Vec<(usize, &'a Column)>,
    /// By feature of the tree: its first bin; and the number of all.
    pub starts: Vec<usize>,
}

impl<'a> Layout<'a> {
    pub fn new(features: Vec<(usize, &'a Column)>) -> Self {
        let mut starts = vec![0];
        for (_, column) in &features {
            starts.push(starts[starts.len() - 1] + column.n_bins());
        }
        Self { features, starts }
    }

    /// Adds up `rows`, whose gradients are `gradients`, both in one order.
    pub fn add_up(&self, rows: &[u32], gradients: &[[f32; 4]], pool: &mut Pool) -> Vec<Sums> {
        let mut histogram = vec![Sums::default(); self.starts[self.features.len()]];
        let mut rest = histogram.as_mut_slice();
        let mut parts = Vec::new();
        for features in self.features.chunks(LANES) {
            let n = features.iter().map(|(_, column)| column.n_bins()).sum();
            let (out, others) = rest.split_at_mut(n);
            parts.push((features, out));
            rest = others;
        }
        pool.each(parts, |(features, out)| {
            add_up(features, rows, gradients, out)
        });
        histogram
    }
}

/// The histograms of up to [`LANES`] features, one after another.
fn add_up(features: &[(usize, &Column)], rows: &[u32], gradients: &[[f32; 4]], out: &mut [Sums]) {
    let mut bins = [[[0f32; 4]; 256]; LANES];
    for (rows, gradients) in rows.chunks(CHUNK).zip(gradients.chunks(CHUNK)) {
        match features {
            [a, b, c, d] => {
                let [h0, h1, h2, h3] = &mut bins;
                let columns = [a, b, c, d].map(|(_, column)| column.bins.as_slice());
                for (&row, gradient) in rows.iter().zip(gradients) {
                    let row = row as usize;
                    add(&mut h0[columns[0][row] as usize], gradient);
                    add(&mut h1[columns[1][row] as usize], gradient);
                    add(&mut h2[columns[2][row] as usize], gradient);
                    add(&mut h3[columns[3][row] as usize], gradient);
                }
            }
            few => {
                for ((_, column), bins) in few.iter().zip(&mut bins) {
                    for (&row, gradient) in rows.iter().zip(gradients) {
                        add(&mut bins[column.bins[row as usize] as usize], gradient);
                    }
                }
            }
        }
        let mut out = out.iter_mut();
        for ((_, column), bins) in features.iter().zip(&mut bins) {
            for (from, to) in bins[..column.n_bins()].iter_mut().zip(&mut out) {
                let [g, h, n, _] = std::mem::take(from).map(f64::from);
                *to = to.plus(Sums { g, h, n });
            }
        }
    }
}

#[inline(always)]
fn add(bin: &mut [f32; 4], gradient: &[f32; 4]) {
    for (sum, x) in bin.iter_mut().zip(gradient) {
        *sum += x;
    }
}
