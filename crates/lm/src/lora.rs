//! Low-rank adaptation (Hu et al., arXiv 2106.09685): `y = W x + (α/r) B A x` on q, k, v and o.
//!
//! All parameters lie in one vector, so that the optimiser, the checkpoint and a gradient are one
//! slice each. A is (r, d_in), B is (d_out, r); B starts at zero, so an untrained adapter changes nothing.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::kernels::{View, ViewMut, linear, matmul};
use crate::model::LlamaConfig;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LoraConfig {
    /// r: columns of B.
    pub rank: usize,
    /// α: the update is scaled by α / r.
    pub alpha: f32,
}

/// The projections that are adapted, in the order in which their parameters lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Q,
    K,
    V,
    O,
}

impl Target {
    pub const ALL: [Self; 4] = [Self::Q, Self::K, Self::V, Self::O];

    /// Hugging Face module name.
    pub fn module(self) -> &'static str {
        match self {
            Self::Q => "q_proj",
            Self::K => "k_proj",
            Self::V => "v_proj",
            Self::O => "o_proj",
        }
    }

    /// (d_in, d_out).
    pub fn shape(self, c: &LlamaConfig) -> (usize, usize) {
        match self {
            Self::Q | Self::O => (c.hidden_size, c.hidden_size),
            Self::K | Self::V => (c.hidden_size, c.kv_size()),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Lora {
    pub config: LoraConfig,
    /// For each layer and target: A, then B.
    pub params: Vec<f32>,
    shapes: [(usize, usize); 4],
    n_layers: usize,
}

impl Lora {
    /// A uniform in ±√(3/d_in)·(1/√3) (Kaiming with a = √5, as `peft` does), B zero.
    pub fn new(config: LoraConfig, model: &LlamaConfig, seed: u64) -> Self {
        let shapes = Target::ALL.map(|t| t.shape(model));
        let mut lora = Self {
            config,
            params: Vec::new(),
            shapes,
            n_layers: model.n_layers,
        };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for _ in 0..model.n_layers {
            for (d_in, d_out) in shapes {
                let bound = 1.0 / (d_in as f32).sqrt();
                lora.params
                    .extend((0..config.rank * d_in).map(|_| rng.random_range(-bound..bound)));
                lora.params
                    .extend(std::iter::repeat_n(0.0, d_out * config.rank));
            }
        }
        lora
    }

    pub fn n_layers(&self) -> usize {
        self.n_layers
    }

    pub(crate) fn scale(&self) -> f32 {
        self.config.alpha / self.config.rank as f32
    }

    /// Where A and B of a projection lie in [`Lora::params`].
    pub fn ranges(
        &self,
        layer: usize,
        target: Target,
    ) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
        let r = self.config.rank;
        let size = |(d_in, d_out): (usize, usize)| r * (d_in + d_out);
        let t = target as usize;
        let start = layer * self.shapes.into_iter().map(size).sum::<usize>()
            + self.shapes[..t].iter().copied().map(size).sum::<usize>();
        let (d_in, d_out) = self.shapes[t];
        (
            start..start + r * d_in,
            start + r * d_in..start + r * (d_in + d_out),
        )
    }

    /// Adds the update to `ys` (n, d_out) and leaves `A x` in `xas` (n, r) for [`Lora::back`].
    pub(crate) fn forward(
        &self,
        layer: usize,
        target: Target,
        ys: &mut [f32],
        xs: &[f32],
        xas: &mut [f32],
        n: usize,
    ) {
        let (d_in, d_out) = self.shapes[target as usize];
        let (a, b) = self.ranges(layer, target);
        let r = self.config.rank;
        linear(xas, 0.0, xs, &self.params[a], n, d_in, r);
        let b = View::new(&self.params[b], d_out, r, r);
        matmul(
            ViewMut::new(ys, n, d_out, d_out),
            1.0,
            self.scale(),
            View::new(xas, n, r, r),
            b.t(),
        );
    }

    /// Adds the gradients of A and B to `grads` (laid out as `params`) and that of the input to `dxs`.
    pub(crate) fn back(
        &self,
        layer: usize,
        target: Target,
        grads: &mut [f32],
        dxs: &mut [f32],
        dys: &[f32],
        xs: &[f32],
        xas: &[f32],
        dxas: &mut [f32],
        n: usize,
    ) {
        let (d_in, d_out) = self.shapes[target as usize];
        let (a, b) = self.ranges(layer, target);
        let r = self.config.rank;
        let dys = View::new(dys, n, d_out, d_out);
        matmul(
            ViewMut::new(&mut grads[b.clone()], d_out, r, r),
            1.0,
            self.scale(),
            dys.t(),
            View::new(xas, n, r, r),
        );
        matmul(
            ViewMut::new(dxas, n, r, r),
            0.0,
            self.scale(),
            dys,
            View::new(&self.params[b], d_out, r, r),
        );
        let dxas = View::new(dxas, n, r, r);
        matmul(
            ViewMut::new(&mut grads[a.clone()], r, d_in, d_in),
            1.0,
            1.0,
            dxas.t(),
            View::new(xs, n, d_in, d_in),
        );
        matmul(
            ViewMut::new(dxs, n, d_in, d_in),
            1.0,
            1.0,
            dxas,
            View::new(&self.params[a], r, d_in, d_in),
        );
    }
}
