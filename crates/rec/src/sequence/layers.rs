//! What the blocks are made of: linear maps, LayerNorm, dropout. Forward, and backward by hand.
//!
//! `grads` is laid out as `params` and added to.

use std::ops::Range;

use hkfr_lm::{View, ViewMut, add_rows, dropout, layer_norm, layer_norm_back, linear_back, matmul};

use super::layout::{Init, Layout};
use super::packed::Packed;
use crate::scores::mix;

/// `y = W x + b`: W (d_out, d_in).
pub(super) struct Linear {
    w: Range<usize>,
    b: Option<Range<usize>>,
    d_in: usize,
    d_out: usize,
}

impl Linear {
    pub fn new(layout: &mut Layout, name: &str, d_in: usize, d_out: usize, bias: bool) -> Self {
        Self::with(layout, name, d_in, d_out, bias, Init::xavier(d_in, d_out))
    }

    pub fn with(
        layout: &mut Layout,
        name: &str,
        d_in: usize,
        d_out: usize,
        bias: bool,
        init: Init,
    ) -> Self {
        let b = bias.then(|| format!("{name}.bias"));
        Self::named(layout, format!("{name}.weight"), b, d_in, d_out, init)
    }

    /// W and b under these names.
    pub fn named(
        layout: &mut Layout,
        w: String,
        b: Option<String>,
        d_in: usize,
        d_out: usize,
        init: Init,
    ) -> Self {
        Self {
            w: layout.push(w, &[d_out, d_in], init),
            b: b.map(|name| layout.push(name, &[d_out], Init::Constant(0.0))),
            d_in,
            d_out,
        }
    }

    /// xs (n, d_in) → ys (n, d_out).
    pub fn forward(&self, params: &[f32], ys: &mut Vec<f32>, xs: &[f32]) {
        let n = xs.len() / self.d_in;
        ys.resize(n * self.d_out, 0.0);
        self.biases(params, ys);
        self.products(params, ys, xs);
    }

    /// The first half of forward: every row of `ys` is b, if there is one.
    pub fn biases(&self, params: &[f32], ys: &mut [f32]) {
        if let Some(b) = &self.b {
            let b = &params[b.clone()];
            ys.chunks_exact_mut(self.d_out)
                .for_each(|y| y.copy_from_slice(b));
        }
    }

    /// The second half: W x, added to the biases.
    pub fn products(&self, params: &[f32], ys: &mut [f32], xs: &[f32]) {
        let n = xs.len() / self.d_in;
        matmul(
            ViewMut::new(ys, n, self.d_out, self.d_out),
            if self.b.is_some() { 1.0 } else { 0.0 },
            1.0,
            View::new(xs, n, self.d_in, self.d_in),
            View::new(&params[self.w.clone()], self.d_out, self.d_in, self.d_in).t(),
        );
    }

    /// `dxs = keep·dxs + dys W`; the gradients of W and b are added.
    pub fn backward(
        &self,
        params: &[f32],
        grads: &mut [f32],
        dxs: &mut Vec<f32>,
        keep: f32,
        dys: &[f32],
        xs: &[f32],
    ) {
        dxs.resize(xs.len(), 0.0);
        self.back_inputs(params, dxs, keep, dys);
        self.back_params(grads, dys, xs);
    }

    /// The half of backward that gives `dxs`.
    pub fn back_inputs(&self, params: &[f32], dxs: &mut [f32], keep: f32, dys: &[f32]) {
        let (n, w) = (dys.len() / self.d_out, &params[self.w.clone()]);
        linear_back(dxs, keep, dys, w, n, self.d_in, self.d_out);
    }

    /// The half that gives the gradients of W and b.
    pub fn back_params(&self, grads: &mut [f32], dys: &[f32], xs: &[f32]) {
        let n = xs.len() / self.d_in;
        matmul(
            ViewMut::new(&mut grads[self.w.clone()], self.d_out, self.d_in, self.d_in),
            1.0,
            1.0,
            View::new(dys, n, self.d_out, self.d_out).t(),
            View::new(xs, n, self.d_in, self.d_in),
        );
        if let Some(b) = &self.b {
            add_rows(&mut grads[b.clone()], dys);
        }
    }
}

/// LayerNorm (arXiv 1607.06450).
pub(super) struct Norm {
    g: Range<usize>,
    b: Range<usize>,
}

const EPS: f32 = 1e-5;

impl Norm {
    pub fn new(layout: &mut Layout, name: &str, d: usize) -> Self {
        Self {
            g: layout.push(format!("{name}.weight"), &[d], Init::Constant(1.0)),
            b: layout.push(format!("{name}.bias"), &[d], Init::Constant(0.0)),
        }
    }

    pub fn forward(&self, params: &[f32], ys: &mut Vec<f32>, xs: &[f32]) {
        copy(ys, xs);
        layer_norm(ys, &params[self.g.clone()], &params[self.b.clone()], EPS);
    }

    /// Adds to `dxs`, and the gradients of g and b.
    pub fn backward(
        &self,
        params: &[f32],
        grads: &mut [f32],
        dxs: &mut [f32],
        dys: &[f32],
        xs: &[f32],
    ) {
        // g and b lie side by side.
        let (dg, db) = grads[self.g.start..self.b.end].split_at_mut(self.g.len());
        layer_norm_back(dxs, dg, db, dys, xs, &params[self.g.clone()], EPS);
    }
}

/// Dropout at a rate, its masks drawn from a key; without a key nothing is dropped.
#[derive(Debug, Clone, Copy)]
pub struct Dropout {
    pub rate: f32,
    pub key: Option<u64>,
}

impl Dropout {
    /// Masks with the key of a module; the same call masks the gradient.
    pub(super) fn apply(self, xs: &mut [f32], layer: usize, module: u8) {
        if let Some(key) = self.key.filter(|_| self.rate > 0.0) {
            let module = (layer as u64) << 8 | u64::from(module);
            dropout(xs, mix(key ^ mix(module)), self.rate);
        }
    }
}

/// What one layer's forward and its backward share.
#[derive(Clone, Copy)]
pub struct Pass<'a> {
    pub params: &'a [f32],
    pub batch: &'a Packed,
    pub dropout: Dropout,
    pub layer: usize,
}

impl Pass<'_> {
    /// This pass's dropout of a module of the layer.
    pub(super) fn drop(self, xs: &mut [f32], module: u8) {
        self.dropout.apply(xs, self.layer, module);
    }
}

pub(super) fn copy(to: &mut Vec<f32>, from: &[f32]) {
    to.clear();
    to.extend_from_slice(from);
}

pub(super) fn zeros(v: &mut Vec<f32>, len: usize) {
    v.clear();
    v.resize(len, 0.0);
}

pub(super) fn add(to: &mut [f32], xs: &[f32]) {
    to.iter_mut().zip(xs).for_each(|(t, x)| *t += x);
}
