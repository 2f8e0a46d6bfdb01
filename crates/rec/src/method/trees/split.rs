//! The best split of a leaf: the feature, the edge and the side of missing values that gain most.
//!
//! A leaf of the sums G, H has the value `−G / (H + l2)` and so lowers the loss by half of `G² / (H + l2)`. The gain
//! of a split is what its two leaves have of the latter beyond the leaf that is split (Chen & Guestrin 2016, eq. 7).

use super::TreesConfig;
use super::histogram::{Layout, Sums};

/// Least sum of second derivatives in a leaf.
const MIN_H: f64 = 1e-3;

#[derive(Debug, Clone)]
pub(super) struct Split {
    /// Place of the feature among those of the tree.
    pub slot: usize,
    /// Last bin that goes left; bins start at 1, 0 is of missing values.
    pub bin: u8,
    pub missing_right: bool,
    pub gain: f64,
    pub left: Sums,
    pub right: Sums,
}

impl Split {
    pub fn goes_right(&self, bin: u8) -> bool {
        if bin == 0 {
            self.missing_right
        } else {
            bin > self.bin
        }
    }
}

/// Bounds of a leaf.
pub(super) struct Limits {
    min_rows: f64,
    l2: f64,
}

impl Limits {
    pub fn new(config: &TreesConfig) -> Self {
        Self {
            min_rows: config.min_rows as f64,
            l2: f64::from(config.l2),
        }
    }

    /// Are there rows enough for two leaves?
    pub fn may_split(&self, n_rows: usize) -> bool {
        n_rows as f64 >= 2.0 * self.min_rows
    }

    /// Of a leaf, before the learning rate.
    pub fn value(&self, sums: Sums) -> f64 {
        -sums.g / (sums.h + self.l2)
    }

    fn score(&self, sums: Sums) -> f64 {
        sums.g * sums.g / (sums.h + self.l2)
    }

    fn allow(&self, sums: Sums) -> bool {
        sums.n >= self.min_rows && sums.h >= MIN_H
    }

    /// The split with the largest gain, the first of equal ones; none if none gains anything.
    pub fn best(&self, layout: &Layout, histogram: &[Sums], all: Sums) -> Option<Split> {
        let (mut best, mut least) = (None, 0.0);
        let before = self.score(all);
        for (slot, span) in layout.starts.windows(2).enumerate() {
            let (missing, bins) = histogram[span[0]..span[1]]
                .split_first()
                .expect("a bin of missing values");
            let has_missing = missing.n > 0.0;
            let mut below = Sums::default();
            for (bin, sums) in (1u8..=255).zip(bins) {
                below = below.plus(*sums);
                let last = bin as usize == bins.len();
                // Where nothing is missing, a missing value goes to the larger side.
                let sides = [
                    (has_missing || below.n < all.n - below.n, below),
                    (false, below.plus(*missing)),
                ];
                let n_sides = if has_missing && !last { 2 } else { 1 };
                for &(missing_right, left) in &sides[..n_sides] {
                    let right = all.less(left);
                    if !self.allow(left) || !self.allow(right) {
                        continue;
                    }
                    let gain = self.score(left) + self.score(right) - before;
                    if gain > least {
                        least = gain;
                        best = Some(Split {
                            slot,
                            bin,
                            missing_right,
                            gain,
                            left,
                            right,
                        });
                    }
                }
            }
        }
        best
    }
}
