//! The decoder, backward: gradients of a loss on final hidden states with respect to the LoRA
//! parameters. The base weights are frozen; their gradients are never formed.

use crate::attention;
use crate::forward::Session;
use crate::kernels::{rms_norm_back, swiglu, swiglu_back};
use crate::lora::Lora;
use crate::model::Llama;
use crate::targets::Target;
use crate::tree::TokenTree;

/// Gradient buffers of one worker, by what they are the gradient of.
#[derive(Default)]
pub(crate) struct Gradients {
    x: Vec<f32>,
    x_norm: Vec<f32>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    /// Of queries or keys before the norm of their heads.
    raw: Vec<f32>,
    /// Of what a block gives, before the norm of its result.
    branch: Vec<f32>,
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
    let (d, f, q, kv) = (c.hidden_size, c.intermediate_size, c.q_size(), c.kv_size());
    let (n, eps) = (tree.len(), c.rms_norm_eps);
    let Session {
        acts,
        kv: cache,
        x,
        act,
        scratch,
        dropout: drop,
        pool,
        ..
    } = session;
    let zeroed = |v: &mut Vec<f32>, len: usize| {
        v.clear();
        v.resize(len, 0.0);
    };
    zeroed(&mut g.x, n * d);
    for (&row, dh) in rows.iter().zip(dhidden.chunks_exact(d)) {
        let at = row * d..(row + 1) * d;
        rms_norm_back(&mut g.x[at.clone()], dh, &x[at], &model.norm, eps);
    }
    g.x_norm.resize(n * d, 0.0);
    g.attn.resize(n * q, 0.0);
    for v in [&mut g.gate, &mut g.up, &mut g.act] {
        v.resize(n * f, 0.0);
    }
    let transposed = &model.transposed().layers;
    for (l, w) in model.layers.iter().enumerate().rev() {
        let back = &transposed[l];
        let a = &acts[l];
        let (ks, vs) = &cache[l];
        // Feed-forward: x_out = x_mid + norm(down(silu(gate) up)).
        let norm = w.post_mlp_layernorm.as_ref();
        let dout = before_norm(&mut g.branch, &g.x, &a.mlp_out, norm, eps);
        back[Target::Down as usize].multiply(pool, &mut g.act, 0.0, dout);
        if lora.config.targets.contains(Target::Down) {
            swiglu(act, &a.gate, &a.up);
        }
        lora.back(
            l,
            Target::Down,
            grads,
            &mut g.act,
            dout,
            act,
            &a.xa,
            &mut g.xa,
            n,
            drop,
        );
        swiglu_back(&mut g.gate, &mut g.up, &g.act, &a.gate, &a.up);
        back[Target::Gate as usize].multiply(pool, &mut g.x_norm, 0.0, &g.gate);
        back[Target::Up as usize].multiply(pool, &mut g.x_norm, 1.0, &g.up);
        for (target, dys) in [(Target::Gate, &g.gate), (Target::Up, &g.up)] {
            lora.back(
                l,
                target,
                grads,
                &mut g.x_norm,
                dys,
                &a.x_norm2,
                &a.xa,
                &mut g.xa,
                n,
                drop,
            );
        }
        rms_norm_back(
            &mut g.x,
            &g.x_norm,
            &a.x_mid,
            &w.post_attention_layernorm,
            eps,
        );
        // Attention: x_mid = x_in + norm(o(attention(q, k, v))).
        let norm = w.post_self_attn_layernorm.as_ref();
        let dout = before_norm(&mut g.branch, &g.x, &a.attn_out, norm, eps);
        back[Target::O as usize].multiply(pool, &mut g.attn, 0.0, dout);
        lora.back(
            l,
            Target::O,
            grads,
            &mut g.attn,
            dout,
            &a.attn,
            &a.xa,
            &mut g.xa,
            n,
            drop,
        );
        zeroed(&mut g.q, n * q);
        zeroed(&mut g.k, n * kv);
        zeroed(&mut g.v, n * kv);
        let dqkv = (&mut g.q[..], &mut g.k[..], &mut g.v[..]);
        attention::backward(dqkv, &g.attn, &a.q, ks, vs, tree, c, scratch);
        model.rope.rotate(&mut g.q, q, tree.positions(), -1.0);
        model.rope.rotate(&mut g.k, kv, tree.positions(), -1.0);
        for (grad, raw, norm) in [
            (&mut g.q, &a.q_raw, &w.q_norm),
            (&mut g.k, &a.k_raw, &w.k_norm),
        ] {
            if let Some(norm) = norm {
                before_norm(&mut g.raw, grad, raw, Some(norm), eps);
                std::mem::swap(grad, &mut g.raw);
            }
        }
        back[Target::Q as usize].multiply(pool, &mut g.x_norm, 0.0, &g.q);
        back[Target::K as usize].multiply(pool, &mut g.x_norm, 1.0, &g.k);
        back[Target::V as usize].multiply(pool, &mut g.x_norm, 1.0, &g.v);
        for (target, dys) in [(Target::Q, &g.q), (Target::K, &g.k), (Target::V, &g.v)] {
            lora.back(
                l,
                target,
                grads,
                &mut g.x_norm,
                dys,
                &a.x_norm,
                &a.xa,
                &mut g.xa,
                n,
                drop,
            );
        }
        rms_norm_back(&mut g.x, &g.x_norm, &a.x_in, &w.input_layernorm, eps);
    }
}

/// The gradient of what went into a norm from that of its result; without a norm it is the same.
fn before_norm<'a>(
    buffer: &'a mut Vec<f32>,
    dys: &'a [f32],
    xs: &[f32],
    norm: Option<&Vec<f32>>,
    eps: f32,
) -> &'a [f32] {
    let Some(g) = norm else { return dys };
    buffer.clear();
    buffer.resize(dys.len(), 0.0);
    rms_norm_back(buffer, dys, xs, g, eps);
    buffer
}
