//! GRU4Rec (Hidasi et al., arXiv 1511.06939): a session read item by item.
//!
//! `h_t = GRU(drop(e_t), h_{t−1})`, `hidden_t = W h_t + b`, e the item vectors. The layer back to the
//! items' width and the loss of every step of whole sequences are RecBole's; the paper scores with a
//! matrix of its own and trains on parallel sessions. RecBole's GRU has no biases, PyTorch's has.

use serde::{Deserialize, Serialize};

use super::gru::{self, Gru, Steps};
use super::layers::{Dropout, Linear};
use super::layout::{Layout, check_sizes};
use super::network::Network;
use super::packed::Packed;
use crate::error::Result;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gru4RecConfig {
    /// Width of items and of what they are multiplied with.
    pub dim: usize,
    /// Width of the GRU's states.
    pub hidden: usize,
    pub n_layers: usize,
    /// Items of a history that are read, the last ones.
    pub max_len: usize,
}

impl Default for Gru4RecConfig {
    fn default() -> Self {
        Self {
            dim: 64,
            hidden: 128,
            n_layers: 1,
            max_len: 50,
        }
    }
}

pub struct Gru4Rec {
    pub config: Gru4RecConfig,
    layout: Layout,
    layers: Vec<Gru>,
    dense: Linear,
}

impl Gru4Rec {
    pub(super) const NAME: &'static str = "gru4rec";

    /// # Errors
    /// A size of 0 or above 65,536.
    pub fn new(config: Gru4RecConfig) -> Result<Self> {
        let c = &config;
        let sizes = [
            ("dim", c.dim),
            ("hidden", c.hidden),
            ("n_layers", c.n_layers),
            ("max_len", c.max_len),
        ];
        check_sizes(Self::NAME, &sizes)?;
        let mut layout = Layout::default();
        let layers = (0..c.n_layers).map(|i| {
            let d_in = if i == 0 { c.dim } else { c.hidden };
            Gru::new(&mut layout, &format!("gru.{i}"), d_in, c.hidden)
        });
        Ok(Self {
            layers: layers.collect(),
            dense: Linear::new(&mut layout, "dense", c.hidden, c.dim, true),
            layout,
            config,
        })
    }
}

/// All step by step.
#[derive(Default)]
pub struct Activations {
    steps: Steps,
    /// What goes into the first layer; what comes out of it all, and its gradient.
    x: Vec<f32>,
    y: Vec<f32>,
    layers: Vec<gru::Activations>,
    dx: Vec<f32>,
}

impl Network for Gru4Rec {
    type Activations = Activations;

    fn name(&self) -> &str {
        Self::NAME
    }

    fn dim(&self) -> usize {
        self.config.dim
    }

    fn max_len(&self) -> usize {
        self.config.max_len
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn forward(
        &self,
        params: &[f32],
        batch: &Packed,
        dropout: Dropout,
        x: &mut Vec<f32>,
        a: &mut Activations,
    ) {
        let d = self.config.dim;
        dropout.apply(x, 0, 0);
        a.steps.plan(batch);
        a.steps.gather(&mut a.x, x, d);
        a.layers.resize_with(self.layers.len(), Default::default);
        let mut xs = &a.x;
        for (layer, a_layer) in self.layers.iter().zip(&mut a.layers) {
            layer.forward(params, &a.steps, xs, a_layer);
            xs = &a_layer.hs;
        }
        self.dense.forward(params, &mut a.y, xs);
        a.steps.scatter(x, &a.y, d);
    }

    fn backward(
        &self,
        params: &[f32],
        grads: &mut [f32],
        _: &Packed,
        dropout: Dropout,
        dx: &mut Vec<f32>,
        a: &mut Activations,
    ) {
        let d = self.config.dim;
        a.steps.gather(&mut a.y, dx, d);
        let hs = &a.layers[self.layers.len() - 1].hs;
        self.dense.backward(params, grads, &mut a.dx, 0.0, &a.y, hs);
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let (below, above) = a.layers.split_at_mut(i);
            let xs = below.last().map_or(&a.x, |layer| &layer.hs);
            layer.backward(params, grads, &a.steps, &mut a.dx, xs, &mut above[0]);
        }
        a.steps.scatter(dx, &a.dx, d);
        dropout.apply(dx, 0, 0);
    }
}
