//! Decoding with rounded weights: for few rows at a time, reading the weights is what takes the time,
//! and 4 or 8 bits of each are read faster than 32 ([`QuantMatrix`]).
//!
//! A [`Session`](crate::Session) that has a [`Decoder`] uses it for passes of at most [`MAX_ROWS`]
//! rows; longer passes, such as a prompt's, and LoRA
//! stay in `f32`.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::kernels::{BLOCK, Bits, Matrix, Pool, QuantInput, QuantMatrix, quant_linear};
use crate::model::Llama;
use crate::targets::Target;

/// Beyond so many rows the arithmetic takes longer than reading `f32` weights.
pub const MAX_ROWS: usize = 32;

/// All matrices of a model, rounded.
pub struct QuantModel {
    /// By layer, in the order of [`Target::ALL`].
    layers: Vec<[QuantMatrix; 7]>,
    output: QuantMatrix,
}

impl QuantModel {
    /// # Errors
    /// If a width of the model is not a multiple of 32.
    pub fn new(model: &Llama, bits: Bits) -> Result<Self> {
        let c = &model.config;
        for width in [c.hidden_size, c.q_size(), c.intermediate_size] {
            if !width.is_multiple_of(BLOCK) {
                return Err(Error::Config(format!(
                    "rows of {width} weights do not divide into blocks of {BLOCK}: decode in f32"
                )));
            }
        }
        let matrix = |w: &Matrix| QuantMatrix::new(&w.to_rows(), w.d_in(), bits);
        Ok(Self {
            layers: model
                .layers
                .iter()
                .map(|l| l.projections.each_ref().map(matrix))
                .collect(),
            output: matrix(&model.output),
        })
    }

    /// Bytes in memory.
    pub fn size(&self) -> usize {
        let layers = self.layers.iter().flatten().map(QuantMatrix::size);
        layers.sum::<usize>() + self.output.size()
    }
}

/// Rounded weights, and the inputs as they are rounded.
pub struct Decoder {
    weights: Arc<QuantModel>,
    input: QuantInput,
}

impl Decoder {
    pub fn new(weights: Arc<QuantModel>) -> Self {
        Self {
            weights,
            input: QuantInput::default(),
        }
    }

    /// `ys = keep·ys + xs Wᵀ` of a layer's projection.
    pub(crate) fn project(
        &mut self,
        pool: &mut Pool,
        layer: usize,
        t: Target,
        ys: &mut [f32],
        keep: f32,
        xs: &[f32],
        d_in: usize,
    ) {
        self.input.round(xs, d_in);
        let w = &self.weights.layers[layer][t as usize];
        quant_linear(pool, ys, keep, &self.input, w);
    }

    /// Logits of final hidden states.
    pub(crate) fn output(
        &mut self,
        pool: &mut Pool,
        logits: &mut [f32],
        hidden: &[f32],
        d_in: usize,
    ) {
        self.input.round(hidden, d_in);
        quant_linear(pool, logits, 0.0, &self.input, &self.weights.output);
    }
}
