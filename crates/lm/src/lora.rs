//! Low-rank adaptation (Hu et al., arXiv 2106.09685): `y = W x + (α/r) B A x` on the projections
//! of [`LoraConfig::targets`]; rank-stabilised (Kalajdzievski, arXiv 2312.03732) with `α/√r`.
//!
//! All parameters lie in one vector, so that the optimiser, the checkpoint and a gradient are one
//! slice each. A is (r, d_in), B is (d_out, r); B starts at zero, so an untrained adapter changes nothing.

use std::ops::Range;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::config::LlamaConfig;
use crate::dropout::Dropout;
use crate::error::{Error, Result};
use crate::kernels::{View, ViewMut, linear, matmul};
use crate::targets::{Target, Targets};

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoraConfig {
    /// r: columns of B.
    pub rank: usize,
    /// α: the update is scaled by α / r.
    pub alpha: f32,
    /// By α / √r instead.
    pub rslora: bool,
    /// The projections that are adapted, in every layer.
    pub targets: Targets,
    /// Probability, below 1, that an element of x is left out of `A x` while training.
    pub dropout: f32,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self {
            rank: 8,
            alpha: 16.0,
            rslora: false,
            targets: Targets::ATTENTION,
            dropout: 0.0,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Lora {
    pub config: LoraConfig,
    /// For each layer and target: A, then B.
    pub params: Vec<f32>,
    shapes: [(usize, usize); 7],
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
            for target in config.targets.iter() {
                let (d_in, d_out) = lora.shape(target);
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

    /// # Errors
    /// If the adapter is of another geometry than the model.
    pub(crate) fn check_fits(&self, model: &LlamaConfig) -> Result<()> {
        let mut targets = self.config.targets.iter();
        if let Some(target) = targets.find(|&t| self.shape(t) != t.shape(model)) {
            let ((a, b), (c, d)) = (target.shape(model), self.shape(target));
            return Err(Error::Shape {
                name: target.module().into(),
                expected: vec![b, a],
                found: vec![d, c],
            });
        }
        if self.n_layers != model.n_layers {
            return Err(Error::Config(format!(
                "an adapter of {} layers does not fit a model of {}",
                self.n_layers, model.n_layers
            )));
        }
        Ok(())
    }

    /// (d_in, d_out).
    pub(crate) fn shape(&self, target: Target) -> (usize, usize) {
        self.shapes[target as usize]
    }

    pub(crate) fn scale(&self) -> f32 {
        let r = self.config.rank as f32;
        self.config.alpha / if self.config.rslora { r.sqrt() } else { r }
    }

    /// Where A and B of a projection lie in [`Lora::params`].
    ///
    /// # Panics
    /// If the projection is not among the adapter's targets.
    pub fn ranges(&self, layer: usize, target: Target) -> (Range<usize>, Range<usize>) {
        assert!(
            self.config.targets.contains(target),
            "{target:?} is not among the adapter's targets"
        );
        let r = self.config.rank;
        let size = |t: Target| r * (self.shape(t).0 + self.shape(t).1);
        let targets = self.config.targets;
        let start = layer * targets.iter().map(size).sum::<usize>()
            + targets
                .iter()
                .take_while(|&t| t != target)
                .map(size)
                .sum::<usize>();
        let (d_in, d_out) = self.shape(target);
        (
            start..start + r * d_in,
            start + r * d_in..start + r * (d_in + d_out),
        )
    }

    /// Adds the update to `ys` (n, d_out) if the projection is a target, and leaves `A x` in the
    /// target's `xas` (n, r) for [`Lora::back`].
    pub(crate) fn forward(
        &self,
        layer: usize,
        target: Target,
        ys: &mut [f32],
        xs: &[f32],
        xas: &mut [Vec<f32>; 7],
        n: usize,
        dropout: &mut Dropout,
    ) {
        if !self.config.targets.contains(target) {
            return;
        }
        let (d_in, d_out) = self.shape(target);
        let (a, b) = self.ranges(layer, target);
        let r = self.config.rank;
        let xas = &mut xas[target as usize];
        xas.resize(n * r, 0.0);
        let xs = self.masked(layer, target, &xs[..n * d_in], dropout);
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

    /// Adds the gradients of A and B to `grads` (laid out as `params`) and that of the input to
    /// `dxs`, if the projection is a target.
    pub(crate) fn back(
        &self,
        layer: usize,
        target: Target,
        grads: &mut [f32],
        dxs: &mut [f32],
        dys: &[f32],
        xs: &[f32],
        xas: &[Vec<f32>; 7],
        dxas: &mut Vec<f32>,
        n: usize,
        dropout: &mut Dropout,
    ) {
        if !self.config.targets.contains(target) {
            return;
        }
        let (d_in, d_out) = self.shape(target);
        let (a, b) = self.ranges(layer, target);
        let r = self.config.rank;
        dxas.resize(n * r, 0.0);
        let dys = View::new(dys, n, d_out, d_out);
        matmul(
            ViewMut::new(&mut grads[b.clone()], d_out, r, r),
            1.0,
            self.scale(),
            dys.t(),
            View::new(&xas[target as usize], n, r, r),
        );
        matmul(
            ViewMut::new(dxas, n, r, r),
            0.0,
            self.scale(),
            dys,
            View::new(&self.params[b], d_out, r, r),
        );
        let dxas = View::new(dxas, n, r, r);
        let xs = self.masked(layer, target, &xs[..n * d_in], dropout);
        matmul(
            ViewMut::new(&mut grads[a.clone()], r, d_in, d_in),
            1.0,
            1.0,
            dxas.t(),
            View::new(xs, n, d_in, d_in),
        );
        let a = View::new(&self.params[a], r, d_in, d_in);
        match dropout.mask(self.config.dropout, layer, target) {
            None => matmul(ViewMut::new(dxs, n, d_in, d_in), 1.0, 1.0, dxas, a),
            Some(mask) => {
                let through = &mut dropout.buffer[..n * d_in];
                matmul(ViewMut::new(through, n, d_in, d_in), 0.0, 1.0, dxas, a);
                mask.apply(through);
                dxs.iter_mut().zip(through).for_each(|(d, t)| *d += *t);
            }
        }
    }

    /// `xs`, or what dropout leaves of it.
    fn masked<'a>(
        &self,
        layer: usize,
        target: Target,
        xs: &'a [f32],
        dropout: &'a mut Dropout,
    ) -> &'a [f32] {
        let Some(mask) = dropout.mask(self.config.dropout, layer, target) else {
            return xs;
        };
        dropout.buffer.clear();
        dropout.buffer.extend_from_slice(xs);
        mask.apply(&mut dropout.buffer);
        &dropout.buffer
    }
}
