//! What is generated, and why it ended.

use serde::{Deserialize, Serialize};

/// Why an output ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// A stop token.
    Stop,
    /// A stop string.
    StopString,
    /// The token budget. With a constraint the output is complete nevertheless: the budget excluded
    /// tokens on the way that the constraint alone would have allowed.
    Length,
    /// The callback asked for it.
    Cancelled,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// All tokens that were generated, the stop token included.
    pub tokens: Vec<u32>,
    /// Their text, without the stop token and from the stop string on.
    pub text: String,
    /// `ln p(token | all before)` under the model itself, before penalty, temperature and constraint.
    pub log_probs: Vec<f32>,
    pub finish: Finish,
}

/// One token of one request, as it is generated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step<'a> {
    /// Index of the request.
    pub request: usize,
    pub token: u32,
    pub log_prob: f32,
    /// Text that is certain now: whole characters that cannot become part of a stop string.
    pub text: &'a str,
}
