//! Causal grouped-query attention over a [`TokenTree`]: `softmax(q kᵀ / √d) v`, segment by segment.
//!
//! In: queries (n, hidden) for the rows from `first_row` on; keys and values (rows, kv) for all rows.
//! Heads h·g … h·g+g−1 share key-value head h. Probabilities are recomputed backward, not stored.

use std::ops::Range;

use crate::kernels::{View, ViewMut, matmul, softmax};
use crate::model::LlamaConfig;
use crate::tree::TokenTree;

/// Scratch of one worker: scores and their gradient for one head of one segment.
#[derive(Default)]
pub(crate) struct Scratch {
    scores: Vec<f32>,
    grads: Vec<f32>,
}

/// One head of one segment: where its rows and columns lie.
struct Block<'a> {
    context: &'a [Range<usize>],
    n_rows: usize,
    n_cols: usize,
    /// First query row, counted from `first_row`.
    q_row: usize,
}

fn blocks(tree: &TokenTree, first_row: usize, mut f: impl FnMut(Block)) {
    for segment in 0..tree.n_segments() {
        let rows = tree.rows(segment);
        if rows.start < first_row {
            continue;
        }
        let context = tree.context(segment);
        let n_cols = context.iter().map(Range::len).sum();
        f(Block {
            context: &context,
            n_rows: rows.len(),
            n_cols,
            q_row: rows.start - first_row,
        });
    }
}

/// `scores = softmax(scale q kᵀ)`, the future of the own segment masked.
fn probabilities(
    scores: &mut Vec<f32>,
    b: &Block,
    q: View,
    ks: &[f32],
    kv: usize,
    head_dim: usize,
) {
    scores.resize(b.n_rows * b.n_cols, 0.0);
    let mut col = 0;
    for range in b.context {
        let k = View::new(&ks[range.start * kv..], range.len(), head_dim, kv);
        let dst = ViewMut::new(&mut scores[col..], b.n_rows, range.len(), b.n_cols);
        matmul(dst, 0.0, 1.0 / (head_dim as f32).sqrt(), q, k.t());
        col += range.len();
    }
    let seen = b.n_cols - b.n_rows;
    for (i, row) in scores.chunks_exact_mut(b.n_cols).enumerate() {
        let (past, future) = row.split_at_mut(seen + i + 1);
        softmax(past);
        future.fill(0.0);
    }
}

pub(crate) fn forward(
    out: &mut [f32],
    qs: &[f32],
    ks: &[f32],
    vs: &[f32],
    tree: &TokenTree,
    first_row: usize,
    config: &LlamaConfig,
    scratch: &mut Scratch,
) {
    let (d, hd, kv) = (config.hidden_size, config.head_dim(), config.kv_size());
    let group = config.n_heads / config.n_kv_heads;
    blocks(tree, first_row, |b| {
        for h in 0..config.n_heads {
            let (at, off) = (b.q_row * d + h * hd, h / group * hd);
            probabilities(
                &mut scratch.scores,
                &b,
                View::new(&qs[at..], b.n_rows, hd, d),
                &ks[off..],
                kv,
                hd,
            );
            let mut col = 0;
            for range in b.context {
                let v = View::new(&vs[range.start * kv + off..], range.len(), hd, kv);
                let p = View::new(&scratch.scores[col..], b.n_rows, range.len(), b.n_cols);
                matmul(
                    ViewMut::new(&mut out[at..], b.n_rows, hd, d),
                    if col == 0 { 0.0 } else { 1.0 },
                    1.0,
                    p,
                    v,
                );
                col += range.len();
            }
        }
    });
}

/// Gradients of [`forward`] over a whole tree: `dqs`, `dks`, `dvs` are added to and must begin at zero.
pub(crate) fn backward(
    (dqs, dks, dvs): (&mut [f32], &mut [f32], &mut [f32]),
    douts: &[f32],
    qs: &[f32],
    ks: &[f32],
    vs: &[f32],
    tree: &TokenTree,
    config: &LlamaConfig,
    scratch: &mut Scratch,
) {
    let (d, hd, kv) = (config.hidden_size, config.head_dim(), config.kv_size());
    let group = config.n_heads / config.n_kv_heads;
    let scale = 1.0 / (hd as f32).sqrt();
    blocks(tree, 0, |b| {
        for h in 0..config.n_heads {
            let (at, off) = (b.q_row * d + h * hd, h / group * hd);
            let q = View::new(&qs[at..], b.n_rows, hd, d);
            let dout = View::new(&douts[at..], b.n_rows, hd, d);
            probabilities(&mut scratch.scores, &b, q, &ks[off..], kv, hd);
            scratch.grads.resize(b.n_rows * b.n_cols, 0.0);
            let mut col = 0;
            for range in b.context {
                let (n, row) = (range.len(), range.start * kv + off);
                let p = View::new(&scratch.scores[col..], b.n_rows, n, b.n_cols);
                matmul(
                    ViewMut::new(&mut dvs[row..], n, hd, kv),
                    1.0,
                    1.0,
                    p.t(),
                    dout,
                );
                let dp = ViewMut::new(&mut scratch.grads[col..], b.n_rows, n, b.n_cols);
                matmul(dp, 0.0, 1.0, dout, View::new(&vs[row..], n, hd, kv).t());
                col += n;
            }
            // d softmax: ds = p (dp − Σ p dp); masked columns have p = 0.
            for (dp, p) in scratch
                .grads
                .chunks_exact_mut(b.n_cols)
                .zip(scratch.scores.chunks_exact(b.n_cols))
            {
                let dot: f32 = dp.iter().zip(p).map(|(a, b)| a * b).sum();
                dp.iter_mut()
                    .zip(p)
                    .for_each(|(dp, p)| *dp = p * (*dp - dot));
            }
            let mut col = 0;
            for range in b.context {
                let (n, row) = (range.len(), range.start * kv + off);
                let ds = View::new(&scratch.grads[col..], b.n_rows, n, b.n_cols);
                matmul(
                    ViewMut::new(&mut dqs[at..], b.n_rows, hd, d),
                    1.0,
                    scale,
                    ds,
                    View::new(&ks[row..], n, hd, kv),
                );
                matmul(
                    ViewMut::new(&mut dks[row..], n, hd, kv),
                    1.0,
                    scale,
                    ds.t(),
                    q,
                );
                col += n;
            }
        }
    });
}
