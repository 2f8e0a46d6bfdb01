//! The lists to learn from, and those of them that a gradient comes from: lists with two different labels.

use std::ops::Range;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::lambda;
use crate::error::{Error, Result};

/// The largest label: its gain, 2³⁰ − 1, is still far from the end of single precision.
const MAX_LABEL: u8 = 30;

/// Lists of rows, one after another: the candidates of a user, and which of them were chosen.
#[derive(Debug, Clone, Copy)]
pub struct Lists<'a> {
    /// Features a row, at least 1.
    pub n_features: usize,
    /// (rows, n_features), row-major. NaN is a missing value; infinite values are refused.
    pub rows: &'a [f32],
    /// By row: 0 was not chosen, 1 was; up to 30 for grades.
    pub labels: &'a [u8],
    /// Rows of each list, in order.
    pub sizes: &'a [u32],
}

impl Lists<'_> {
    /// # Errors
    /// [`Error::Config`] with both numbers where two lengths do not fit, and with the row of a value that is no input.
    pub fn check(&self) -> Result<()> {
        let (n_rows, width) = (self.labels.len(), self.n_features);
        let fail = |reason| Err(Error::Config(reason));
        if width == 0 || width > usize::from(u16::MAX) {
            return fail(format!("{width} features: must be 1 to {}", u16::MAX));
        }
        if n_rows > u32::MAX as usize {
            return fail(format!("{n_rows} rows: must be at most {}", u32::MAX));
        }
        if n_rows.checked_mul(width) != Some(self.rows.len()) {
            let n = self.rows.len();
            return fail(format!(
                "{n} values for {n_rows} labels: must be {width} a label, one of each feature"
            ));
        }
        let sum: u64 = self.sizes.iter().map(|&n| u64::from(n)).sum();
        if sum != n_rows as u64 {
            return fail(format!(
                "the sizes of the lists add up to {sum}, but there are {n_rows} rows"
            ));
        }
        if let Some(at) = self.labels.iter().position(|&l| l > MAX_LABEL) {
            let label = self.labels[at];
            return fail(format!(
                "row {at}: label {label}, must be at most {MAX_LABEL}"
            ));
        }
        if let Some(at) = self.rows.iter().position(|x| x.is_infinite()) {
            let (row, feature) = (at / width, at % width);
            return fail(format!(
                "row {row}, feature {feature}: infinite; a missing value is NaN"
            ));
        }
        Ok(())
    }
}

/// The lists with two different labels, packed: rows are renumbered from 0, list by list.
pub(super) struct TrainingLists {
    /// By row: its number in [`Lists`].
    pub source: Vec<u32>,
    pub labels: Vec<u8>,
    pub lists: Vec<List>,
}

#[derive(Debug, Clone)]
pub(super) struct List {
    pub rows: Range<usize>,
    /// 1 / the best DCG@truncation.
    pub inverse_max_dcg: f64,
}

impl TrainingLists {
    /// The rows of a list are shuffled: equal scores are ordered by number, and the caller's order may tell what was chosen.
    ///
    /// # Errors
    /// No list has two different labels.
    pub fn new(
        lists: &Lists,
        truncation: usize,
        discounts: &[f64],
        rng: &mut ChaCha8Rng,
    ) -> Result<Self> {
        let (mut source, mut labels, mut kept) = (Vec::new(), Vec::new(), Vec::new());
        let mut first = 0;
        for &size in lists.sizes {
            let of_list = &lists.labels[first..first + size as usize];
            if of_list.iter().any(|&l| l != of_list[0]) {
                let start = source.len();
                source.extend((first as u32..).take(of_list.len()));
                source[start..].shuffle(rng);
                labels.extend(source[start..].iter().map(|&r| lists.labels[r as usize]));
                kept.push(List {
                    rows: start..source.len(),
                    inverse_max_dcg: 1.0 / lambda::max_dcg(of_list, truncation, discounts),
                });
            }
            first += size as usize;
        }
        if kept.is_empty() {
            let n = lists.sizes.len();
            return Err(Error::Config(format!(
                "none of {n} lists has two different labels: there is nothing to learn from"
            )));
        }
        Ok(Self {
            source,
            labels,
            lists: kept,
        })
    }
}
