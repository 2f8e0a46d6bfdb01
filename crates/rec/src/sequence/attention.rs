//! Multi-head attention over packed sequences: `softmax(q kᵀ / √d_h) v`, a block for each.
//!
//! A row sees its own sequence, all of it or up to itself; what lies between sequences is never
//! computed. Keys have no bias: it adds the same to all scores of a row, which softmax ignores.

use std::ops::Range;

use hkfr_lm::{View, ViewMut, matmul, softmax, softmax_back};

use super::layers::{Linear, Pass, copy};
use super::layout::{Init, Layout};
use super::packed::Packed;

/// The module of the dropout on probabilities.
const PROBABILITIES: u8 = 0;

/// The rows of its sequence that a row attends to.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Sees {
    /// Those before it and itself: causal.
    Past,
    /// All: bidirectional.
    All,
}

impl Sees {
    /// How many of the `n` columns of row `i`.
    fn columns(self, i: usize, n: usize) -> usize {
        match self {
            Self::Past => i + 1,
            Self::All => n,
        }
    }
}

pub(super) struct Attention {
    sees: Sees,
    q: Linear,
    k: Linear,
    v: Linear,
    out: Linear,
    d: usize,
    n_heads: usize,
}

/// What backward needs of forward, and the gradients that [`Attention::backward`] leaves.
#[derive(Default)]
pub(super) struct Activations {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    /// By sequence and head: (length, length).
    probabilities: Vec<f32>,
    dropped: Vec<f32>,
    context: Vec<f32>,
    dq: Vec<f32>,
    dk: Vec<f32>,
    dv: Vec<f32>,
    dcontext: Vec<f32>,
    dscores: Vec<f32>,
}

impl Attention {
    pub fn new(layout: &mut Layout, name: &str, d: usize, n_heads: usize, sees: Sees) -> Self {
        // As PyTorch's: queries, keys and values begin as one matrix (3 d, d).
        let init = Init::xavier(d, 3 * d);
        let mut linear = |module: &str, bias, init| {
            Linear::with(layout, &format!("{name}.{module}"), d, d, bias, init)
        };
        Self {
            sees,
            q: linear("q_proj", true, init),
            k: linear("k_proj", false, init),
            v: linear("v_proj", true, init),
            out: linear("o_proj", true, Init::xavier(d, d)),
            d,
            n_heads,
        }
    }

    /// Calls `f(first element of the rows and columns, length, where the scores lie)` for each
    /// sequence and head.
    fn blocks(&self, batch: &Packed, mut f: impl FnMut(usize, usize, Range<usize>)) {
        let mut at = 0;
        for rows in batch.sequences() {
            let n = rows.len();
            for head in 0..self.n_heads {
                let scores = at..at + n * n;
                at = scores.end;
                if n > 0 {
                    f(rows.start * self.d + head * self.head_dim(), n, scores);
                }
            }
        }
    }

    fn head_dim(&self) -> usize {
        self.d / self.n_heads
    }

    fn view<'a>(&self, xs: &'a [f32], first: usize, n: usize) -> View<'a> {
        View::new(&xs[first..], n, self.head_dim(), self.d)
    }

    fn view_mut<'a>(&self, xs: &'a mut [f32], first: usize, n: usize) -> ViewMut<'a> {
        ViewMut::new(&mut xs[first..], n, self.head_dim(), self.d)
    }

    fn scale(&self) -> f32 {
        1.0 / (self.head_dim() as f32).sqrt()
    }

    /// Queries from `q_in`, keys and values from `kv_in`, all (rows, d).
    pub fn forward(
        &self,
        pass: Pass,
        out: &mut Vec<f32>,
        q_in: &[f32],
        kv_in: &[f32],
        a: &mut Activations,
    ) {
        let Pass { params, batch, .. } = pass;
        self.q.forward(params, &mut a.q, q_in);
        self.k.forward(params, &mut a.k, kv_in);
        self.v.forward(params, &mut a.v, kv_in);
        let squares: usize = batch.sequences().map(|rows| rows.len().pow(2)).sum();
        a.probabilities.resize(self.n_heads * squares, 0.0);
        self.blocks(batch, |first, n, scores| {
            let p = &mut a.probabilities[scores];
            matmul(
                ViewMut::new(p, n, n, n),
                0.0,
                self.scale(),
                self.view(&a.q, first, n),
                self.view(&a.k, first, n).t(),
            );
            for (i, row) in p.chunks_exact_mut(n).enumerate() {
                let (seen, unseen) = row.split_at_mut(self.sees.columns(i, n));
                softmax(seen);
                unseen.fill(0.0);
            }
        });
        copy(&mut a.dropped, &a.probabilities);
        pass.drop(&mut a.dropped, PROBABILITIES);
        a.context.resize(q_in.len(), 0.0);
        self.blocks(batch, |first, n, scores| {
            matmul(
                self.view_mut(&mut a.context, first, n),
                0.0,
                1.0,
                View::new(&a.dropped[scores], n, n, n),
                self.view(&a.v, first, n),
            );
        });
        self.out.forward(params, out, &a.context);
    }

    /// From `dout` to what [`Self::back_to_queries`] and [`Self::back_to_keys`] go on from.
    pub fn backward(&self, pass: Pass, grads: &mut [f32], dout: &[f32], a: &mut Activations) {
        let Pass { params, batch, .. } = pass;
        self.out
            .backward(params, grads, &mut a.dcontext, 0.0, dout, &a.context);
        for v in [&mut a.dq, &mut a.dk, &mut a.dv] {
            v.resize(dout.len(), 0.0);
        }
        a.dscores.resize(a.probabilities.len(), 0.0);
        self.blocks(batch, |first, n, scores| {
            let dcontext = self.view(&a.dcontext, first, n);
            matmul(
                self.view_mut(&mut a.dv, first, n),
                0.0,
                1.0,
                View::new(&a.dropped[scores.clone()], n, n, n).t(),
                dcontext,
            );
            matmul(
                ViewMut::new(&mut a.dscores[scores], n, n, n),
                0.0,
                1.0,
                dcontext,
                self.view(&a.v, first, n).t(),
            );
        });
        pass.drop(&mut a.dscores, PROBABILITIES);
        self.blocks(batch, |first, n, scores| {
            let p = a.probabilities[scores.clone()].chunks_exact(n);
            let ds = &mut a.dscores[scores];
            for (i, (ds, p)) in ds.chunks_exact_mut(n).zip(p).enumerate() {
                let columns = self.sees.columns(i, n);
                let (seen, unseen) = ds.split_at_mut(columns);
                softmax_back(seen, &p[..columns]);
                unseen.fill(0.0);
            }
            let ds = View::new(ds, n, n, n);
            let dq = self.view_mut(&mut a.dq, first, n);
            matmul(dq, 0.0, self.scale(), ds, self.view(&a.k, first, n));
            let dk = self.view_mut(&mut a.dk, first, n);
            matmul(dk, 0.0, self.scale(), ds.t(), self.view(&a.q, first, n));
        });
    }

    /// Adds the gradient of `q_in` to `dxs`.
    pub fn back_to_queries(
        &self,
        pass: Pass,
        grads: &mut [f32],
        dxs: &mut Vec<f32>,
        q_in: &[f32],
        a: &Activations,
    ) {
        self.q.backward(pass.params, grads, dxs, 1.0, &a.dq, q_in);
    }

    /// Adds the gradient of `kv_in` to `dxs`.
    pub fn back_to_keys(
        &self,
        pass: Pass,
        grads: &mut [f32],
        dxs: &mut Vec<f32>,
        kv_in: &[f32],
        a: &Activations,
    ) {
        let params = pass.params;
        self.k.backward(params, grads, dxs, 1.0, &a.dk, kv_in);
        self.v.backward(params, grads, dxs, 1.0, &a.dv, kv_in);
    }
}
