//! Click-through models on a table of features: logistic regression and DCN-v2. In: rows of (user, candidate) with
//! labels. Out: the probability that a row's label is 1.
//!
//! ```text
//! x_0      = standardised features, and 1 where one is missing                 inputs
//! x_{l+1}  = x_0 ⊙ (W_l x_l + b_l) + x_l                                       cross layers
//! h        = relu(V_m … relu(V_1 x + c_1) … + c_m)                             deep layers
//! p        = σ(w · [x_L, h] + c)      x = x_0: parallel;  σ(w · h + c), x = x_L: stacked
//! loss     = −mean [ y ln p + (1 − y) ln (1 − p) ] + l2 / 2 Σ W²
//! ```
//!
//! Logistic regression is the model without cross and deep layers. Adam; of the users a share is held out, and the epoch
//! with their best log-loss is kept.
//!
//! Source: DCN-v2, Wang et al., WWW 2021 (arXiv 2008.13535), equations 1 to 4. What differs: all inputs are numbers, so
//! that nothing is embedded, and W_l has full rank, without a mixture of experts.
//!
//! ```
//! use std::ops::ControlFlow;
//! use hkfr_rec::ctr::{Ctr, CtrConfig, Rows};
//!
//! // Four users of two rows; the label is 1 where the first feature is above 0, the second says nothing.
//! let values = [1.0, 7.0, -1.0, 7.0].repeat(4);
//! let rows = Rows { n_features: 2, values: &values, labels: &[1, 0].repeat(4), users: &[0, 0, 1, 1, 2, 2, 3, 3] };
//! let config = CtrConfig { learning_rate: 0.1, max_epochs: 50, held_out: 0.0, ..CtrConfig::logistic() };
//! let ctr = Ctr::fit(&rows, &[0, 1], &config, &|_| ControlFlow::Continue(())).unwrap();
//! let p = ctr.predict(&[2.0, 7.0, -2.0, 7.0]);
//! assert!(p[0] > 0.9 && p[1] < 0.1);
//! ```

mod fit;
mod inputs;
mod network;

use serde::{Deserialize, Serialize};

pub use fit::Epoch;
use inputs::Inputs;
use network::Network;

use crate::error::{Error, Result, at_least, at_most};

/// Where the deep layers read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Structure {
    /// The inputs, beside the cross layers.
    Parallel,
    /// What the cross layers give.
    Stacked,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CtrConfig {
    pub cross_layers: usize,
    /// Widths of the deep layers.
    pub deep: Vec<usize>,
    pub structure: Structure,
    pub learning_rate: f32,
    /// Of all weights, not of biases.
    pub l2: f32,
    /// Rows a step.
    pub batch: usize,
    pub max_epochs: usize,
    /// Epochs without a better log-loss of the held-out users after which training ends.
    pub patience: usize,
    /// Share of the users that is held out; 0: all epochs are made, and the last is kept.
    pub held_out: f32,
    pub seed: u64,
}

impl Default for CtrConfig {
    fn default() -> Self {
        Self::dcn()
    }
}

impl CtrConfig {
    /// DCN-v2: two cross layers beside two deep ones.
    pub fn dcn() -> Self {
        Self {
            cross_layers: 2,
            deep: vec![64, 32],
            structure: Structure::Parallel,
            learning_rate: 1e-3,
            l2: 1e-5,
            batch: 1024,
            max_epochs: 30,
            patience: 3,
            held_out: 0.1,
            seed: 1,
        }
    }

    /// Logistic regression.
    pub fn logistic() -> Self {
        Self {
            cross_layers: 0,
            deep: Vec::new(),
            learning_rate: 3e-3,
            ..Self::dcn()
        }
    }

    /// # Errors
    /// A value out of its range.
    pub fn check(&self) -> Result<()> {
        at_least("learning_rate", self.learning_rate, 1e-9)?;
        at_least("l2", self.l2, 0.0)?;
        at_least("batch", self.batch as f32, 1.0)?;
        at_least("max_epochs", self.max_epochs as f32, 1.0)?;
        at_least("held_out", self.held_out, 0.0)?;
        at_most("held_out", self.held_out, 0.9)?;
        if self.deep.contains(&0) {
            return Err(Error::Config("deep: a layer must have a width".into()));
        }
        if self.structure == Structure::Stacked && self.deep.is_empty() && self.cross_layers > 0 {
            return Err(Error::Config(
                "structure = \"stacked\": there is no deep layer to stack; use \"parallel\"".into(),
            ));
        }
        Ok(())
    }
}

/// Rows to learn from.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    pub n_features: usize,
    /// (rows, n_features), missing = NaN.
    pub values: &'a [f32],
    /// 0 or 1.
    pub labels: &'a [u8],
    /// Whose row it is, as a number.
    pub users: &'a [u32],
}

impl Rows<'_> {
    fn check(&self, columns: &[usize]) -> Result<()> {
        let n = self.labels.len();
        if n == 0 {
            return Err(Error::Config("no rows to learn from".into()));
        }
        if self.values.len() != n * self.n_features || self.users.len() != n {
            return Err(Error::Config(format!(
                "{n} labels, {} users and {} values of {} features do not fit",
                self.users.len(),
                self.values.len(),
                self.n_features
            )));
        }
        if let Some(column) = columns.iter().find(|&&c| c >= self.n_features) {
            return Err(Error::Config(format!(
                "column {column}: rows have {} features",
                self.n_features
            )));
        }
        Ok(())
    }
}

/// A fitted model.
#[derive(Debug, Clone, PartialEq)]
pub struct Ctr {
    inputs: Inputs,
    network: Network,
    /// That was kept, counted from 1.
    epoch: usize,
}

impl Ctr {
    /// Rows that are scored at once.
    const BATCH: usize = 4096;

    /// Epochs of the parameters that were kept.
    pub fn epoch(&self) -> usize {
        self.epoch
    }

    /// Inputs of the network: features that vary, and indicators of missing ones.
    pub fn n_inputs(&self) -> usize {
        self.inputs.width()
    }

    /// The probability of each row of `values` (rows, n_features), in the columns of the table it was fitted to.
    ///
    /// # Panics
    /// If `values` is no whole number of rows.
    pub fn predict(&self, values: &[f32]) -> Vec<f64> {
        let n_features = self.inputs.n_features();
        assert!(values.len().is_multiple_of(n_features), "ragged rows");
        let mut p = Vec::with_capacity(values.len() / n_features);
        let mut state = network::State::default();
        for values in values.chunks(Self::BATCH * n_features) {
            let n = values.len() / n_features;
            state.begin(n, self.inputs.width());
            let inputs = state.inputs_mut().chunks_exact_mut(self.inputs.width());
            for (row, x) in values.chunks_exact(n_features).zip(inputs) {
                self.inputs.write(row, x);
            }
            self.network.forward(&mut state);
            p.extend(state.logits().iter().map(|&z| network::sigmoid(z)));
        }
        p
    }
}
