//! A layer of a transformer over items, and the sizes of the whole.

use serde::{Deserialize, Serialize};

use super::layers::Pass;
use super::layout::Layout;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransformerConfig {
    /// Width of items and hidden states; a multiple of `n_heads`.
    pub dim: usize,
    pub n_layers: usize,
    pub n_heads: usize,
    /// Items of a history that are read, the last ones.
    pub max_len: usize,
    /// Width of the feed-forward layer, in multiples of `dim`. SASRec has 1, eSASRec and BERT4Rec 4.
    pub feed_forward: usize,
    /// Of SASRec's feed-forward layer; eSASRec has SwiGLU, BERT4Rec GELU.
    pub activation: Activation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    Relu,
    Gelu,
}

impl Default for TransformerConfig {
    fn default() -> Self {
        Self {
            dim: 64,
            n_layers: 2,
            n_heads: 1,
            max_len: 50,
            feed_forward: 1,
            activation: Activation::Relu,
        }
    }
}

/// One layer.
pub trait Block: Send + Sync {
    type Activations: Default + Send + Sync;
    const NAME: &'static str;
    /// Whether a LayerNorm goes before the first block.
    const FIRST_NORM: bool = false;
    /// Whether a LayerNorm follows the last block.
    const FINAL_NORM: bool;

    fn new(layout: &mut Layout, name: &str, config: &TransformerConfig) -> Self;

    /// `x` (rows, dim) in and out.
    fn forward(&self, pass: Pass, x: &mut Vec<f32>, activations: &mut Self::Activations);

    /// `dx` from the gradient of what came out to that of what went in; adds to `grads`.
    fn backward(
        &self,
        pass: Pass,
        grads: &mut [f32],
        dx: &mut Vec<f32>,
        activations: &mut Self::Activations,
    );
}
