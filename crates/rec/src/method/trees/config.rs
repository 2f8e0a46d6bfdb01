//! Settings of the trees.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, at_least, at_most};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TreesConfig {
    /// Trees, one a round. More fit the training lists better; choose the number on held-out lists.
    pub rounds: usize,
    /// Factor on the values of every tree, above 0 and at most 1. Half of it needs about twice the rounds.
    pub learning_rate: f32,
    /// Leaves of a tree, 2 to 4,096. More let more features interact, and overfit sooner.
    pub leaves: usize,
    /// Training rows that a leaf has at least. Larger is smoother.
    pub min_rows: usize,
    /// L2 regularisation of a leaf's value, in units of the sum of second derivatives.
    pub l2: f32,
    /// Share of the features that a tree may use, drawn for each tree; above 0, at most 1.
    pub feature_share: f32,
    /// Share of the lists that a tree is fitted to, drawn for each tree; above 0, at most 1.
    pub list_share: f32,
    /// K of the NDCG@K that is optimised: a pair counts if one of the two is among the first K. About
    /// twice the length that is shown.
    pub truncation: usize,
    /// Bins of a feature's values, 2 to 255, besides one of missing values. Time and memory grow with
    /// it a little; fine differences between values are lost with few.
    pub bins: usize,
    /// Of the draws of lists and features, and of the order of equal scores while training.
    pub seed: u64,
}

impl Default for TreesConfig {
    fn default() -> Self {
        Self {
            rounds: 100,
            learning_rate: 0.1,
            leaves: 15,
            min_rows: 500,
            l2: 5.0,
            feature_share: 0.7,
            list_share: 0.8,
            truncation: 20,
            bins: 63,
            seed: 1,
        }
    }
}

impl TreesConfig {
    /// # Errors
    /// [`crate::Error::Config`] with the key, its value and the range.
    pub fn check(&self) -> Result<()> {
        at_least("rounds", self.rounds as f32, 1.0)?;
        at_least("leaves", self.leaves as f32, 2.0)?;
        at_most("leaves", self.leaves as f32, 4096.0)?;
        at_least("min_rows", self.min_rows as f32, 1.0)?;
        at_least("l2", self.l2, 0.0)?;
        at_least("truncation", self.truncation as f32, 1.0)?;
        at_least("bins", self.bins as f32, 2.0)?;
        at_most("bins", self.bins as f32, 255.0)?;
        let shares = [
            ("learning_rate", self.learning_rate),
            ("feature_share", self.feature_share),
            ("list_share", self.list_share),
        ];
        for (key, value) in shares {
            if !(value > 0.0 && value <= 1.0) {
                return Err(Error::Config(format!(
                    "{key} = {value}: must be above 0 and at most 1"
                )));
            }
        }
        Ok(())
    }
}
