//! LambdaMART: a listwise ranker of gradient-boosted trees (Burges, MSR-TR-2010-82), grown from histograms as in
//! LightGBM (Ke et al., NeurIPS 2017).
//!
//! A row x has the score `s(x) = Σ_t v_t(x)`: tree t sends it to a leaf by tests `x_f ≤ threshold`, a missing value to
//! the side learnt for it. Tree t is fitted to the gradients g and second derivatives h that [`lambdas`] gives for the
//! scores of the trees before it; a leaf has `v = −η Σg / (Σh + l2)`, and the split is taken that gains most of
//! `(Σg)² / (Σh + l2)`. Only the order of the scores within a list has a meaning.
//!
//! In: [`Lists`] of candidates with their features and which were chosen. Out: [`Trees`], the same to the bit on
//! any number of threads.
//!
//! ```
//! use std::ops::ControlFlow;
//! use hkfr_rec::method::trees::{Lists, Trees, TreesConfig};
//!
//! // 40 lists of 3: of two features the second decides, and where it is missing nothing was chosen.
//! let rows = [5.0, 0.1, 5.0, 0.9, 5.0, f32::NAN, 6.0, 0.1, 6.0, 0.9, 6.0, f32::NAN].repeat(20);
//! let labels = [0, 1, 0].repeat(40);
//! let lists = Lists { n_features: 2, rows: &rows, labels: &labels, sizes: &[3; 40] };
//! let config = TreesConfig { rounds: 20, min_rows: 5, l2: 0.0, feature_share: 1.0, ..TreesConfig::default() };
//! let trees = Trees::fit(&lists, &config, 1, &mut |_| ControlFlow::Continue(())).unwrap();
//!
//! let mut scores = [0.0; 3];
//! trees.score(&[7.0, 0.2, 7.0, 0.8, 7.0, f32::NAN], &mut scores);
//! assert!(scores[1] > scores[0] && scores[1] > scores[2]);
//! ```

mod bins;
mod boost;
mod config;
mod grow;
mod histogram;
pub(super) mod lambda;
mod lists;
mod split;
mod tree;

use std::ops::{ControlFlow, Range};

use serde::{Deserialize, Serialize};

pub use config::TreesConfig;
pub use lambda::lambdas;
pub use lists::Lists;

use crate::error::Result;
use tree::Tree;

/// A fitted ranker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub struct Trees {
    n_features: usize,
    trees: Vec<Tree>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    n_features: usize,
    trees: Vec<Tree>,
}

impl TryFrom<Saved> for Trees {
    type Error = String;

    fn try_from(saved: Saved) -> std::result::Result<Self, String> {
        let Saved {
            n_features,
            mut trees,
        } = saved;
        for (round, tree) in trees.iter_mut().enumerate() {
            tree.pack(n_features)
                .map_err(|reason| format!("tree {round}: {reason}"))?;
        }
        Ok(Self { n_features, trees })
    }
}

impl Trees {
    /// Lists whose labels are all equal have no gradient and are left out. `watch` is given the number of trees after each.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for settings out of range, lists whose lengths do not fit, and lists that no tree can be
    /// fitted to; [`crate::Error::Interrupted`] if `watch` says so.
    pub fn fit(
        lists: &Lists,
        config: &TreesConfig,
        n_threads: usize,
        watch: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Self> {
        Self::fit_from(
            lists,
            &vec![0.0; lists.labels.len()],
            config,
            n_threads,
            watch,
        )
    }

    /// Trees that improve on scores that the rows have already (`base`, a score a row): they are added to those.
    ///
    /// # Errors
    /// As [`Self::fit`].
    ///
    /// # Panics
    /// If `base` has another length than the labels.
    pub fn fit_from(
        lists: &Lists,
        base: &[f32],
        config: &TreesConfig,
        n_threads: usize,
        watch: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Self> {
        assert_eq!(base.len(), lists.labels.len(), "a score a row");
        config.check()?;
        lists.check()?;
        let trees = boost::fit(lists, base, config, n_threads, watch)?;
        let n_features = lists.n_features;
        Ok(Self { n_features, trees })
    }

    /// Features a row has.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// Trees.
    pub fn n_rounds(&self) -> usize {
        self.trees.len()
    }

    /// Writes the scores of `rows` (out.len(), n_features), row-major, NaN = missing. Larger is better.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn score(&self, rows: &[f32], out: &mut [f32]) {
        out.fill(0.0);
        self.add_rounds(0..self.trees.len(), rows, out);
    }

    /// Adds what the trees of `rounds` say of `rows` (out.len(), n_features): from zeros and round after round, `out`
    /// has the scores after each number of rounds, and after all of them those of [`Self::score`].
    ///
    /// # Panics
    /// If the lengths do not fit, or there are fewer rounds.
    pub fn add_rounds(&self, rounds: Range<usize>, rows: &[f32], out: &mut [f32]) {
        let n_features = self.n_features;
        assert_eq!(
            rows.len(),
            out.len() * n_features,
            "values of rows to score"
        );
        for tree in &self.trees[rounds] {
            tree.add(n_features, rows, out);
        }
    }

    /// Keeps the first `rounds` trees.
    pub fn truncate(&mut self, rounds: usize) {
        self.trees.truncate(rounds);
    }

    /// By feature: the sum of the gains of its splits. A feature that is never used has 0.
    pub fn gains(&self) -> Vec<f64> {
        let mut gains = vec![0.0; self.n_features];
        for (feature, gain) in self.trees.iter().flat_map(Tree::gains) {
            gains[feature] += gain;
        }
        gains
    }
}
