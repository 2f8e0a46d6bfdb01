//! Where the weights of a model come from.

use crate::error::Result;

/// A source of tensors by their Hugging Face names.
pub(crate) trait Weights {
    /// A tensor as `f32`, checked against `shape`.
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>>;
}
