//! Percentile bootstrap over cases: intervals of means and of paired differences.
//!
//! In: a [`Matrix`] of one row a case and one column a system × metric. A resample draws n rows
//! with replacement and takes the means of all columns, so that every system sees the same
//! resampled cases; the difference of two columns within a resample is the paired difference.
//! Out: per column the means of all resamples, from which intervals are read.
//!
//! Resample b has the generator ChaCha8(seed) on stream b: the result depends on neither the
//! number of threads nor the number of columns.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// `n_rows × n_cols` values, row by row.
#[derive(Clone, Debug)]
pub struct Matrix {
    n_cols: usize,
    data: Vec<f64>,
}

/// A two-sided interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    pub lo: f64,
    pub hi: f64,
}

impl Interval {
    /// Half the width: the number after a ±.
    pub fn half(self) -> f64 {
        (self.hi - self.lo) / 2.0
    }
}

impl Matrix {
    /// A matrix from rows of equal length `n_cols`.
    ///
    /// # Panics
    /// If `data` is not a whole number of rows.
    pub fn new(n_cols: usize, data: Vec<f64>) -> Self {
        assert!(
            n_cols > 0 && data.len().is_multiple_of(n_cols),
            "ragged matrix"
        );
        Self { n_cols, data }
    }

    pub fn n_rows(&self) -> usize {
        self.data.len() / self.n_cols
    }

    pub fn n_cols(&self) -> usize {
        self.n_cols
    }

    pub(crate) fn row(&self, i: usize) -> &[f64] {
        &self.data[i * self.n_cols..(i + 1) * self.n_cols]
    }

    fn means_of(&self, rows: impl Iterator<Item = usize>) -> Vec<f64> {
        let mut sums = vec![0.0; self.n_cols];
        for i in rows {
            for (sum, x) in sums.iter_mut().zip(self.row(i)) {
                *sum += x;
            }
        }
        let n = self.n_rows().max(1) as f64;
        sums.iter_mut().for_each(|s| *s /= n);
        sums
    }

    /// The mean of each column.
    pub fn means(&self) -> Vec<f64> {
        self.means_of(0..self.n_rows())
    }

    /// `[column][resample]`: the means of `resamples` resamples of the rows.
    pub fn resampled_means(&self, resamples: usize, seed: u64) -> Vec<Vec<f64>> {
        let n = self.n_rows() as u32;
        let by_resample: Vec<Vec<f64>> = (0..resamples as u64)
            .into_par_iter()
            .map(|b| {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                rng.set_stream(b);
                self.means_of((0..n).map(|_| rng.random_range(0..n) as usize))
            })
            .collect();
        (0..self.n_cols)
            .map(|c| by_resample.iter().map(|means| means[c]).collect())
            .collect()
    }
}

/// The central `confidence` share (e.g. 0.95) of the samples, by linearly interpolated quantiles.
pub fn percentile_interval(samples: &[f64], confidence: f64) -> Interval {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let tail = (1.0 - confidence) / 2.0;
    Interval {
        lo: quantile(&sorted, tail),
        hi: quantile(&sorted, 1.0 - tail),
    }
}

/// The `q` quantile of rising `sorted`; NaN if it is empty.
pub(crate) fn quantile(sorted: &[f64], q: f64) -> f64 {
    if sorted.is_empty() {
        return f64::NAN;
    }
    let at = q.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

/// Interval of the mean of one column of values.
pub fn mean_interval(values: &[f64], confidence: f64, resamples: usize, seed: u64) -> Interval {
    let means = Matrix::new(1, values.to_vec()).resampled_means(resamples, seed);
    percentile_interval(&means[0], confidence)
}

/// Interval of mean(a) − mean(b) from the means of the same resamples.
pub fn paired_interval(a: &[f64], b: &[f64], confidence: f64) -> Interval {
    let differences: Vec<f64> = a.iter().zip(b).map(|(x, y)| x - y).collect();
    percentile_interval(&differences, confidence)
}
