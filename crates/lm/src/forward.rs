//! The decoder, forward: tokens of a [`TokenTree`] → hidden states → log-probabilities.
//!
//! A [`Session`] keeps keys and values, so that branches can be appended to a tree and only their
//! rows are computed. Buffers are reused: fresh memory costs page faults on every step.

use crate::attention::{self, Scratch};
use crate::config::LlamaConfig;
use crate::decoder::{Decoder, MAX_ROWS};
use crate::dropout::Dropout;
use crate::kernels::{Pool, log_sum_exp, rms_norm, swiglu};
use crate::lora::Lora;
use crate::model::Llama;
use crate::targets::Target;
use crate::tree::TokenTree;

/// What a layer computed on the way; training keeps one a layer, inference one in all.
#[derive(Default)]
pub(crate) struct Activations {
    pub x_in: Vec<f32>,
    pub x_norm: Vec<f32>,
    /// Queries and keys before their norms; empty in an architecture without them.
    pub q_raw: Vec<f32>,
    pub k_raw: Vec<f32>,
    pub q: Vec<f32>,
    pub attn: Vec<f32>,
    /// What attention and feed-forward give before the norms of their results; empty in an
    /// architecture without them.
    pub attn_out: Vec<f32>,
    pub mlp_out: Vec<f32>,
    pub x_mid: Vec<f32>,
    pub x_norm2: Vec<f32>,
    pub gate: Vec<f32>,
    pub up: Vec<f32>,
    /// `A x` by target.
    pub xa: [Vec<f32>; 7],
}

impl Activations {
    fn resize(&mut self, n: usize, c: &LlamaConfig) {
        let (d, f, q) = (c.hidden_size, c.intermediate_size, c.q_size());
        for v in [
            &mut self.x_in,
            &mut self.x_norm,
            &mut self.x_mid,
            &mut self.x_norm2,
        ] {
            v.resize(n * d, 0.0);
        }
        for v in [&mut self.q, &mut self.attn] {
            v.resize(n * q, 0.0);
        }
        for v in [&mut self.gate, &mut self.up] {
            v.resize(n * f, 0.0);
        }
        if c.architecture.qk_norm {
            self.q_raw.resize(n * q, 0.0);
            self.k_raw.resize(n * c.kv_size(), 0.0);
        }
        if c.architecture.post_norms {
            self.attn_out.resize(n * d, 0.0);
            self.mlp_out.resize(n * d, 0.0);
        }
    }
}

/// Lays a bias under a product; returns what the product then keeps of it.
fn begin(ys: &mut [f32], bias: Option<&Vec<f32>>) -> f32 {
    let Some(bias) = bias else { return 0.0 };
    ys.chunks_exact_mut(bias.len())
        .for_each(|y| y.copy_from_slice(bias));
    1.0
}

/// RMSNorm of each head in place; what came in stays in `raw`.
fn norm_heads(xs: &mut [f32], raw: &mut [f32], g: Option<&Vec<f32>>, eps: f32) {
    if let Some(g) = g {
        raw.copy_from_slice(xs);
        rms_norm(xs, raw, g, eps);
    }
}

fn add(xs: &mut [f32], ys: &[f32]) {
    xs.iter_mut().zip(ys).for_each(|(x, y)| *x += y);
}

/// Rows whose logits are computed together: those of all would not fit any cache.
const LOGIT_ROWS: usize = 64;

/// Buffers of one worker.
#[derive(Default)]
pub struct Session {
    pub(crate) acts: Vec<Activations>,
    /// Keys (after RoPE) and values by layer, all rows of the tree.
    pub(crate) kv: Vec<(Vec<f32>, Vec<f32>)>,
    /// The residual stream after the last layer, rows computed last.
    pub(crate) x: Vec<f32>,
    pub(crate) act: Vec<f32>,
    pub(crate) scratch: Scratch,
    /// The threads that share a pass; one, unless it is replaced.
    pub pool: Pool,
    /// Rounded weights for passes of few rows; `None`: everything in `f32`.
    pub decoder: Option<Decoder>,
    /// Active only while a trainer runs it.
    pub(crate) dropout: Dropout,
    branch: Vec<f32>,
    /// Tokens of the tree that were computed, and the rows of those computed last, ascending.
    n_tokens: usize,
    rows: Vec<usize>,
    normed: Vec<f32>,
    logits: Vec<f32>,
}

impl Session {
    /// Computes the whole tree anew.
    pub fn prefill(&mut self, model: &Llama, lora: Option<&Lora>, tree: &TokenTree) {
        self.restart();
        self.run(model, lora, tree, false);
    }

    pub(crate) fn restart(&mut self) {
        self.n_tokens = 0;
    }

    /// After [`TokenTree::truncate`]: what is left in the tree stays computed, the rest is forgotten.
    pub fn rewind(&mut self, tree: &TokenTree) {
        self.n_tokens = self.n_tokens.min(tree.n_tokens());
    }

    /// Computes the rows that were appended to the tree since the last call.
    pub fn extend(&mut self, model: &Llama, lora: Option<&Lora>, tree: &TokenTree) {
        self.run(model, lora, tree, false);
    }

    pub(crate) fn run(&mut self, model: &Llama, lora: Option<&Lora>, tree: &TokenTree, keep: bool) {
        let c = &model.config;
        let (d, f, q, kv) = (c.hidden_size, c.intermediate_size, c.q_size(), c.kv_size());
        let eps = c.rms_norm_eps;
        self.rows = tree.rows_since(self.n_tokens);
        self.n_tokens = tree.n_tokens();
        let n = self.rows.len();
        let positions: Vec<u32> = self.rows.iter().map(|&r| tree.positions()[r]).collect();
        let positions = &positions[..];
        // Rows at the end of the tree are computed in their place. Those of segments that grew lie
        // apart: they are computed behind all others, then moved.
        let in_place = n > 0 && self.rows[0] + n == tree.len();
        let first = if in_place { self.rows[0] } else { tree.len() };
        assert!(
            positions.iter().all(|&p| (p as usize) < c.max_positions),
            "a sequence is longer than the model's {} positions",
            c.max_positions
        );
        self.acts
            .resize_with(if keep { c.n_layers } else { 1 }, Activations::default);
        self.kv.resize_with(c.n_layers, Default::default);
        self.act.resize(n * f, 0.0);
        self.x.resize(n * d, 0.0);
        for (x, &row) in self.x.chunks_exact_mut(d).zip(&self.rows) {
            x.copy_from_slice(model.embedding(tree.tokens()[row]));
        }
        let few = !keep && n <= MAX_ROWS;
        let mut decoder = self.decoder.as_mut().filter(|_| few);
        for (l, w) in model.layers.iter().enumerate() {
            let a = &mut self.acts[if keep { l } else { 0 }];
            a.resize(n, c);
            let (ks, vs) = &mut self.kv[l];
            ks.resize((first + n) * kv, 0.0);
            vs.resize((first + n) * kv, 0.0);
            let (k, v) = (&mut ks[first * kv..], &mut vs[first * kv..]);
            let drop = &mut self.dropout;
            let xa = &mut a.xa;

            a.x_in.copy_from_slice(&self.x);
            rms_norm(&mut a.x_norm, &a.x_in, &w.input_layernorm, eps);
            let mut project =
                |pool: &mut Pool, t: Target, ys: &mut [f32], keep: f32, xs: &[f32]| {
                    match &mut decoder {
                        Some(decoder) => decoder.project(pool, l, t, ys, keep, xs, t.shape(c).0),
                        None => w.projection(t).multiply(pool, ys, keep, xs),
                    }
                };
            let kept = begin(&mut a.q, w.q_bias.as_ref());
            project(&mut self.pool, Target::Q, &mut a.q, kept, &a.x_norm);
            let kept = begin(k, w.k_bias.as_ref());
            project(&mut self.pool, Target::K, k, kept, &a.x_norm);
            let kept = begin(v, w.v_bias.as_ref());
            project(&mut self.pool, Target::V, v, kept, &a.x_norm);
            if let Some(lora) = lora {
                lora.forward(l, Target::Q, &mut a.q, &a.x_norm, xa, n, drop);
                lora.forward(l, Target::K, k, &a.x_norm, xa, n, drop);
                lora.forward(l, Target::V, v, &a.x_norm, xa, n, drop);
            }
            norm_heads(&mut a.q, &mut a.q_raw, w.q_norm.as_ref(), eps);
            norm_heads(k, &mut a.k_raw, w.k_norm.as_ref(), eps);
            model.rope.rotate(&mut a.q, q, positions, 1.0);
            model.rope.rotate(k, kv, positions, 1.0);
            if !in_place {
                for (i, &row) in self.rows.iter().enumerate() {
                    let from = (first + i) * kv..(first + i + 1) * kv;
                    ks.copy_within(from.clone(), row * kv);
                    vs.copy_within(from, row * kv);
                }
            }
            attention::forward(
                &mut a.attn,
                &a.q,
                ks,
                vs,
                tree,
                &self.rows,
                c,
                &mut self.scratch,
                &mut self.pool,
            );

            // Where nothing stands between a block and the residual stream, it adds to it directly.
            a.x_mid.copy_from_slice(&a.x_in);
            let (out, keep) = match w.post_self_attn_layernorm {
                None => (&mut a.x_mid, 1.0),
                Some(_) => (&mut a.attn_out, 0.0),
            };
            project(&mut self.pool, Target::O, out, keep, &a.attn);
            if let Some(lora) = lora {
                lora.forward(l, Target::O, out, &a.attn, xa, n, drop);
            }
            if let Some(g) = &w.post_self_attn_layernorm {
                self.branch.resize(n * d, 0.0);
                rms_norm(&mut self.branch, &a.attn_out, g, eps);
                add(&mut a.x_mid, &self.branch);
            }

            rms_norm(&mut a.x_norm2, &a.x_mid, &w.post_attention_layernorm, eps);
            project(&mut self.pool, Target::Gate, &mut a.gate, 0.0, &a.x_norm2);
            project(&mut self.pool, Target::Up, &mut a.up, 0.0, &a.x_norm2);
            if let Some(lora) = lora {
                lora.forward(l, Target::Gate, &mut a.gate, &a.x_norm2, xa, n, drop);
                lora.forward(l, Target::Up, &mut a.up, &a.x_norm2, xa, n, drop);
            }
            swiglu(&mut self.act, &a.gate, &a.up);
            self.x.copy_from_slice(&a.x_mid);
            let (out, keep) = match w.post_mlp_layernorm {
                None => (&mut self.x, 1.0),
                Some(_) => (&mut a.mlp_out, 0.0),
            };
            project(&mut self.pool, Target::Down, out, keep, &self.act);
            if let Some(lora) = lora {
                lora.forward(l, Target::Down, out, &self.act, xa, n, drop);
            }
            if let Some(g) = &w.post_mlp_layernorm {
                self.branch.resize(n * d, 0.0);
                rms_norm(&mut self.branch, &a.mlp_out, g, eps);
                add(&mut self.x, &self.branch);
            }
        }
    }

    /// Final hidden states (after the last norm) of `rows`, (rows, hidden): what predicts the next token.
    ///
    /// # Panics
    /// If a row was not computed by the last call.
    pub fn hidden(&self, model: &Llama, rows: &[usize], out: &mut Vec<f32>) {
        let d = model.config.hidden_size;
        out.resize(rows.len() * d, 0.0);
        for (out, &row) in out.chunks_exact_mut(d).zip(rows) {
            let at = self.rows.binary_search(&row).unwrap_or_else(|_| {
                panic!("row {row} was not computed by the last call");
            }) * d;
            rms_norm(
                out,
                &self.x[at..at + d],
                &model.norm,
                model.config.rms_norm_eps,
            );
        }
    }

    /// Logits of the next token after each of `rows`, (rows, vocabulary), valid until the next call.
    pub fn logits(&mut self, model: &Llama, rows: &[usize]) -> &mut [f32] {
        let mut normed = std::mem::take(&mut self.normed);
        self.hidden(model, rows, &mut normed);
        let c = &model.config;
        self.logits.resize(rows.len() * c.vocab_size, 0.0);
        let few = rows.len() <= MAX_ROWS;
        match self.decoder.as_mut().filter(|_| few) {
            Some(decoder) => {
                decoder.output(&mut self.pool, &mut self.logits, &normed, c.hidden_size)
            }
            None => model
                .output
                .multiply(&mut self.pool, &mut self.logits, 0.0, &normed),
        }
        self.normed = normed;
        &mut self.logits
    }

    /// `ln p(token | everything before and at row)` for each (row, token).
    pub fn log_probs(&mut self, model: &Llama, asked: &[(usize, u32)]) -> Vec<f32> {
        let mut order: Vec<usize> = (0..asked.len()).collect();
        order.sort_by_key(|&i| asked[i].0);
        let by_row: Vec<&[usize]> = order.chunk_by(|&a, &b| asked[a].0 == asked[b].0).collect();
        let mut log_probs = vec![0.0; asked.len()];
        for part in by_row.chunks(LOGIT_ROWS) {
            let rows: Vec<usize> = part.iter().map(|of_row| asked[of_row[0]].0).collect();
            let logits = self.logits(model, &rows);
            for (logits, of_row) in logits.chunks_exact(model.config.vocab_size).zip(part) {
                let norm = log_sum_exp(logits);
                for &i in *of_row {
                    log_probs[i] = logits[asked[i].1 as usize] - norm;
                }
            }
        }
        log_probs
    }
}
