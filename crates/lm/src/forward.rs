//! The decoder, forward: tokens of a [`TokenTree`] → hidden states → log-probabilities.
//!
//! A [`Session`] keeps keys and values, so that branches can be appended to a tree and only their
//! rows are computed. Buffers are reused: fresh memory costs page faults on every step.

use crate::attention::{self, Scratch};
use crate::kernels::{linear, log_sum_exp, rms_norm, swiglu};
use crate::lora::{Lora, Target};
use crate::model::Llama;
use crate::tree::TokenTree;

/// What a layer computed on the way; training keeps one a layer, inference one in all.
#[derive(Default)]
pub(crate) struct Activations {
    pub x_in: Vec<f32>,
    pub x_norm: Vec<f32>,
    pub q: Vec<f32>,
    pub attn: Vec<f32>,
    pub x_mid: Vec<f32>,
    pub x_norm2: Vec<f32>,
    pub gate: Vec<f32>,
    pub up: Vec<f32>,
    /// `A x` by target.
    pub xa: [Vec<f32>; 4],
}

impl Activations {
    fn resize(&mut self, n: usize, d: usize, f: usize, r: usize) {
        for v in [
            &mut self.x_in,
            &mut self.x_norm,
            &mut self.q,
            &mut self.attn,
            &mut self.x_mid,
            &mut self.x_norm2,
        ] {
            v.resize(n * d, 0.0);
        }
        self.gate.resize(n * f, 0.0);
        self.up.resize(n * f, 0.0);
        self.xa.iter_mut().for_each(|v| v.resize(n * r, 0.0));
    }
}

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
        let (d, f, kv) = (c.hidden_size, c.intermediate_size, c.kv_size());
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
        let r = lora.map_or(0, |l| l.config.rank);
        self.acts
            .resize_with(if keep { c.n_layers } else { 1 }, Activations::default);
        self.kv.resize_with(c.n_layers, Default::default);
        self.act.resize(n * f, 0.0);
        self.x.resize(n * d, 0.0);
        for (x, &row) in self.x.chunks_exact_mut(d).zip(&self.rows) {
            x.copy_from_slice(model.embedding(tree.tokens()[row]));
        }
        for (l, w) in model.layers.iter().enumerate() {
            let a = &mut self.acts[if keep { l } else { 0 }];
            a.resize(n, d, f, r);
            let (ks, vs) = &mut self.kv[l];
            ks.resize((first + n) * kv, 0.0);
            vs.resize((first + n) * kv, 0.0);
            let (k, v) = (&mut ks[first * kv..], &mut vs[first * kv..]);

            a.x_in.copy_from_slice(&self.x);
            rms_norm(&mut a.x_norm, &a.x_in, &w.input_layernorm, c.rms_norm_eps);
            linear(&mut a.q, 0.0, &a.x_norm, &w.q_proj, n, d, d);
            linear(k, 0.0, &a.x_norm, &w.k_proj, n, d, kv);
            linear(v, 0.0, &a.x_norm, &w.v_proj, n, d, kv);
            if let Some(lora) = lora {
                lora.forward(l, Target::Q, &mut a.q, &a.x_norm, &mut a.xa[0], n);
                lora.forward(l, Target::K, k, &a.x_norm, &mut a.xa[1], n);
                lora.forward(l, Target::V, v, &a.x_norm, &mut a.xa[2], n);
            }
            model.rope.rotate(&mut a.q, d, positions, 1.0);
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
            );
            a.x_mid.copy_from_slice(&a.x_in);
            linear(&mut a.x_mid, 1.0, &a.attn, &w.o_proj, n, d, d);
            if let Some(lora) = lora {
                lora.forward(l, Target::O, &mut a.x_mid, &a.attn, &mut a.xa[3], n);
            }
            rms_norm(
                &mut a.x_norm2,
                &a.x_mid,
                &w.post_attention_layernorm,
                c.rms_norm_eps,
            );
            linear(&mut a.gate, 0.0, &a.x_norm2, &w.gate_proj, n, d, f);
            linear(&mut a.up, 0.0, &a.x_norm2, &w.up_proj, n, d, f);
            swiglu(&mut self.act, &a.gate, &a.up);
            self.x.copy_from_slice(&a.x_mid);
            linear(&mut self.x, 1.0, &self.act, &w.down_proj, n, f, d);
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
        linear(
            &mut self.logits,
            0.0,
            &normed,
            &model.embed_tokens,
            rows.len(),
            c.hidden_size,
            c.vocab_size,
        );
        self.normed = normed;
        &mut self.logits
    }

    /// `ln p(token | everything before and at row)` for each (row, token).
    pub fn log_probs(&mut self, model: &Llama, asked: &[(usize, u32)]) -> Vec<f32> {
        let rows: Vec<usize> = asked.iter().map(|a| a.0).collect();
        let v = model.config.vocab_size;
        let logits = self.logits(model, &rows);
        logits
            .chunks_exact(v)
            .zip(asked)
            .map(|(l, &(_, token))| l[token as usize] - log_sum_exp(l))
            .collect()
    }
}
