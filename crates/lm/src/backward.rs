//! The decoder, backward: gradients of a loss on final hidden states with respect to the LoRA
//! parameters. The base weights are frozen; their gradients are never formed.

use crate::attention;
use crate::forward::Session;
use crate::kernels::{linear_back, rms_norm_back, swiglu_back};
use crate::lora::{Lora, Target};
use crate::model::Llama;
use crate::tree::TokenTree;

/// Gradient buffers of one worker, by what they are the gradient of.
#[derive(Default)]
pub(crate) struct Gradients {
    x: Vec<f32>,
    x_norm: Vec<f32>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    attn: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    act: Vec<f32>,
    xa: Vec<f32>,
}

/// Adds to `grads` (laid out as `lora.params`) the gradient of a loss whose gradient with respect
/// to the final hidden states of `rows` is `dhidden` (rows, hidden). The session must have run this
/// tree with activations kept.
pub(crate) fn backward(
    model: &Llama,
    lora: &Lora,
    tree: &TokenTree,
    session: &mut Session,
    g: &mut Gradients,
    rows: &[usize],
    dhidden: &[f32],
    grads: &mut [f32],
) {
    let c = &model.config;
    let (d, f, kv, n, eps) = (
        c.hidden_size,
        c.intermediate_size,
        c.kv_size(),
        tree.len(),
        c.rms_norm_eps,
    );
    let zeroed = |v: &mut Vec<f32>, len: usize| {
        v.clear();
        v.resize(len, 0.0);
    };
    zeroed(&mut g.x, n * d);
    for (&row, dh) in rows.iter().zip(dhidden.chunks_exact(d)) {
        let at = row * d..(row + 1) * d;
        rms_norm_back(&mut g.x[at.clone()], dh, &session.x[at], &model.norm, eps);
    }
    g.xa.resize(n * lora.config.rank, 0.0);
    g.x_norm.resize(n * d, 0.0);
    g.attn.resize(n * d, 0.0);
    for v in [&mut g.gate, &mut g.up, &mut g.act] {
        v.resize(n * f, 0.0);
    }
    for (l, w) in model.layers.iter().enumerate().rev() {
        let a = &session.acts[l];
        let (ks, vs) = &session.kv[l];
        // Feed-forward: x_out = x_mid + down(silu(gate) up).
        linear_back(&mut g.act, 0.0, &g.x, &w.down_proj, n, f, d);
        swiglu_back(&mut g.gate, &mut g.up, &g.act, &a.gate, &a.up);
        linear_back(&mut g.x_norm, 0.0, &g.gate, &w.gate_proj, n, d, f);
        linear_back(&mut g.x_norm, 1.0, &g.up, &w.up_proj, n, d, f);
        rms_norm_back(
            &mut g.x,
            &g.x_norm,
            &a.x_mid,
            &w.post_attention_layernorm,
            eps,
        );
        // Attention: x_mid = x_in + o(attention(q, k, v)).
        linear_back(&mut g.attn, 0.0, &g.x, &w.o_proj, n, d, d);
        lora.back(
            l,
            Target::O,
            grads,
            &mut g.attn,
            &g.x,
            &a.attn,
            &a.xa[3],
            &mut g.xa,
            n,
        );
        zeroed(&mut g.q, n * d);
        zeroed(&mut g.k, n * kv);
        zeroed(&mut g.v, n * kv);
        let dqkv = (&mut g.q[..], &mut g.k[..], &mut g.v[..]);
        attention::backward(dqkv, &g.attn, &a.q, ks, vs, tree, c, &mut session.scratch);
        model.rope.rotate(&mut g.q, d, tree.positions(), -1.0);
        model.rope.rotate(&mut g.k, kv, tree.positions(), -1.0);
        linear_back(&mut g.x_norm, 0.0, &g.q, &w.q_proj, n, d, d);
        linear_back(&mut g.x_norm, 1.0, &g.k, &w.k_proj, n, d, kv);
        linear_back(&mut g.x_norm, 1.0, &g.v, &w.v_proj, n, d, kv);
        for (target, dys, xa) in [
            (Target::Q, &g.q, 0),
            (Target::K, &g.k, 1),
            (Target::V, &g.v, 2),
        ] {
            lora.back(
                l,
                target,
                grads,
                &mut g.x_norm,
                dys,
                &a.x_norm,
                &a.xa[xa],
                &mut g.xa,
                n,
            );
        }
        rms_norm_back(&mut g.x, &g.x_norm, &a.x_in, &w.input_layernorm, eps);
    }
}
