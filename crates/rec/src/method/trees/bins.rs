//! Values → bins. A bin holds about as many rows as any other; a value that many rows share has one of its own.
//!
//! Bin 0 is of missing values. Bin b ≥ 1 is of values x with `edges[b − 2] < x ≤ edges[b − 1]`, open at both ends
//! of the range. Edges lie halfway between two values that occur.

use hkfr_lm::Pool;

use super::lists::Lists;

/// Rows that the edges are chosen from, at most: the 64-quantiles of so many are exact to some 0.1 %.
const SAMPLE: usize = 200_000;

/// A feature of the training rows.
pub(super) struct Column {
    /// Upper edges of all bins of values but the last.
    pub edges: Vec<f32>,
    /// By training row.
    pub bins: Vec<u8>,
}

impl Column {
    /// Bins, the one of missing values included.
    pub fn n_bins(&self) -> usize {
        self.edges.len() + 2
    }

    /// Is no row apart from another?
    pub fn is_constant(&self) -> bool {
        self.bins.windows(2).all(|pair| pair[0] == pair[1])
    }

    /// The largest value of a bin; the last one has every number.
    pub fn edge(&self, bin: u8) -> f32 {
        let edge = self.edges.get(usize::from(bin) - 1);
        edge.copied().unwrap_or(f32::MAX)
    }

    fn new(feature: usize, lists: &Lists, source: &[u32], n_bins: usize) -> Self {
        let value = |&row: &u32| lists.rows[row as usize * lists.n_features + feature];
        let step = source.len().div_ceil(SAMPLE).max(1);
        let sample = source.iter().step_by(step).map(value).collect();
        let edges = edges(sample, n_bins);
        let bins = source.iter().map(|row| bin(&edges, value(row))).collect();
        Self { edges, bins }
    }
}

/// The features of the rows `source`, one each.
pub(super) fn columns(
    lists: &Lists,
    source: &[u32],
    n_bins: usize,
    pool: &mut Pool,
) -> Vec<Column> {
    let mut columns: Vec<Option<Column>> = (0..lists.n_features).map(|_| None).collect();
    pool.each(
        columns.iter_mut().enumerate().collect(),
        |(feature, out)| {
            *out = Some(Column::new(feature, lists, source, n_bins));
        },
    );
    columns.into_iter().flatten().collect()
}

fn bin(edges: &[f32], x: f32) -> u8 {
    if x.is_nan() {
        0
    } else {
        1 + edges.partition_point(|&edge| edge < x) as u8
    }
}

/// Edges between at most `n_bins` bins of equal mass, ascending.
fn edges(mut values: Vec<f32>, n_bins: usize) -> Vec<f32> {
    values.retain(|x| !x.is_nan());
    values.sort_unstable_by(f32::total_cmp);
    let distinct: Vec<(f32, usize)> = values
        .chunk_by(|a, b| a == b)
        .map(|same| (same[0], same.len()))
        .collect();
    let pairs = distinct.windows(2).map(|pair| (pair[0], pair[1]));
    if distinct.len() <= n_bins {
        return pairs
            .map(|((low, _), (high, _))| between(low, high))
            .collect();
    }
    // A frequent value has a bin of its own; the others share those that are left.
    let frequent = |n: usize| n * n_bins >= values.len();
    let (mut rest, mut bins_left) = (values.len(), n_bins);
    for &(_, n) in distinct.iter().filter(|&&(_, n)| frequent(n)) {
        rest -= n;
        bins_left -= 1;
    }
    let (mut edges, mut mass) = (Vec::new(), 0);
    for ((low, n), (high, n_next)) in pairs {
        mass += n;
        let mean = rest as f64 / bins_left.max(1) as f64;
        let full = mass as f64 >= mean || (frequent(n_next) && mass as f64 >= mean / 2.0);
        if edges.len() + 1 < n_bins && (frequent(n) || full) {
            edges.push(between(low, high));
            if !frequent(n) {
                rest -= mass;
                bins_left = bins_left.saturating_sub(1);
            }
            mass = 0;
        }
    }
    edges
}

/// A number at least `low` and below `high`, halfway if there is one.
fn between(low: f32, high: f32) -> f32 {
    let middle = low / 2.0 + high / 2.0;
    if middle >= low && middle < high {
        middle
    } else {
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_have_a_bin_each() {
        assert_eq!(edges(vec![3.0, 1.0, f32::NAN, 1.0, 2.0], 3), [1.5, 2.5]);
        assert!(edges(vec![7.0; 9], 3).is_empty());
        assert!(edges(vec![f32::NAN], 3).is_empty());
    }

    #[test]
    fn many_values_have_bins_of_equal_mass() {
        let found = edges((0..1000u16).map(f32::from).collect(), 4);
        assert_eq!(found, [249.5, 499.5, 749.5]);
    }

    #[test]
    fn a_frequent_value_has_a_bin_of_its_own() {
        let mut values = vec![0.0; 900];
        values.extend((1..=100u8).map(f32::from));
        values.extend((1..=100u8).map(|x| -f32::from(x)));
        let found = edges(values, 5);
        assert!(found.contains(&-0.5) && found.contains(&0.5), "{found:?}");
    }

    #[test]
    fn a_value_is_at_most_the_edge_of_its_bin() {
        let edges = [1.5, 2.5];
        let found = [f32::NAN, -9.0, 1.5, 1.6, 2.5, 2.6].map(|x| bin(&edges, x));
        assert_eq!(found, [0, 1, 1, 2, 2, 3]);
    }

    #[test]
    fn an_edge_parts_neighbouring_numbers() {
        let high = 1.0f32.next_up();
        assert_eq!(between(1.0, high), 1.0);
        assert_eq!(between(-f32::MAX, f32::MAX), 0.0);
        let tiny = f32::from_bits(1);
        assert_eq!(between(0.0, tiny), 0.0);
        assert_eq!(between(-tiny, 0.0), -tiny);
    }
}
