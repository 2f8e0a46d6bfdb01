//! The block of eSASRec (arXiv 2508.06450), LiGR's (arXiv 2502.03417): before each branch a LayerNorm,
//! behind it a gate on what goes in.
//!
//! `x ← x + σ(G₁ x) · drop(attention(LN(x)))`, `x ← x + σ(G₂ x) · drop(W₂ drop(silu(W₁ f) · W₃ f))`, `f = LN(x)`.

use hkfr_lm::{sigmoid_gate, sigmoid_gate_back, swiglu, swiglu_back};

use super::attention::{self, Attention, Sees};
use super::block::{Block, TransformerConfig};
use super::layers::{Linear, Norm, Pass, copy, zeros};
use super::layout::Layout;

const FEED_FORWARD: u8 = 1;
const ATTENTION_OUT: u8 = 2;
const FEED_FORWARD_OUT: u8 = 3;

pub struct LigrBlock {
    norm1: Norm,
    attention: Attention,
    gate1: Linear,
    norm2: Norm,
    gate_proj: Linear,
    up: Linear,
    down: Linear,
    gate2: Linear,
}

#[derive(Default)]
pub struct Activations {
    x: Vec<f32>,
    normed: Vec<f32>,
    attention: attention::Activations,
    /// What the attention gives, dropped, and its gate.
    attention_out: Vec<f32>,
    gate1: Vec<f32>,
    x_mid: Vec<f32>,
    f: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    act: Vec<f32>,
    out: Vec<f32>,
    gate2: Vec<f32>,
    dout: Vec<f32>,
    dlogits: Vec<f32>,
    dact: Vec<f32>,
    dgate: Vec<f32>,
    dup: Vec<f32>,
    dnormed: Vec<f32>,
}

impl Block for LigrBlock {
    type Activations = Activations;
    const NAME: &'static str = "esasrec";
    const FINAL_NORM: bool = false;

    fn new(layout: &mut Layout, name: &str, c: &TransformerConfig) -> Self {
        let (d, f) = (c.dim, c.dim * c.feed_forward);
        let at = |module: &str| format!("{name}.{module}");
        Self {
            norm1: Norm::new(layout, &at("attention_norm"), d),
            attention: Attention::new(layout, &at("attention"), d, c.n_heads, Sees::Past),
            gate1: Linear::new(layout, &at("attention_gate"), d, d, true),
            norm2: Norm::new(layout, &at("feed_forward_norm"), d),
            gate_proj: Linear::new(layout, &at("gate_proj"), d, f, false),
            up: Linear::new(layout, &at("up_proj"), d, f, false),
            down: Linear::new(layout, &at("down_proj"), f, d, false),
            gate2: Linear::new(layout, &at("feed_forward_gate"), d, d, true),
        }
    }

    fn forward(&self, pass: Pass, x: &mut Vec<f32>, a: &mut Activations) {
        let params = pass.params;
        copy(&mut a.x, x);
        self.norm1.forward(params, &mut a.normed, x);
        let (out, attn) = (&mut a.attention_out, &mut a.attention);
        self.attention
            .forward(pass, out, &a.normed, &a.normed, attn);
        pass.drop(out, ATTENTION_OUT);
        self.gate1.forward(params, &mut a.gate1, x);
        sigmoid_gate(x, &mut a.gate1, out);

        copy(&mut a.x_mid, x);
        self.norm2.forward(params, &mut a.f, x);
        self.gate_proj.forward(params, &mut a.gate, &a.f);
        self.up.forward(params, &mut a.up, &a.f);
        a.act.resize(a.gate.len(), 0.0);
        swiglu(&mut a.act, &a.gate, &a.up);
        pass.drop(&mut a.act, FEED_FORWARD);
        self.down.forward(params, &mut a.out, &a.act);
        pass.drop(&mut a.out, FEED_FORWARD_OUT);
        self.gate2.forward(params, &mut a.gate2, x);
        sigmoid_gate(x, &mut a.gate2, &a.out);
    }

    fn backward(&self, pass: Pass, grads: &mut [f32], dx: &mut Vec<f32>, a: &mut Activations) {
        let params = pass.params;
        let n = dx.len();
        for v in [&mut a.dout, &mut a.dlogits] {
            v.resize(n, 0.0);
        }
        sigmoid_gate_back(&mut a.dlogits, &mut a.dout, dx, &a.gate2, &a.out);
        self.gate2
            .backward(params, grads, dx, 1.0, &a.dlogits, &a.x_mid);
        pass.drop(&mut a.dout, FEED_FORWARD_OUT);
        self.down
            .backward(params, grads, &mut a.dact, 0.0, &a.dout, &a.act);
        pass.drop(&mut a.dact, FEED_FORWARD);
        for v in [&mut a.dgate, &mut a.dup] {
            v.resize(a.gate.len(), 0.0);
        }
        swiglu_back(&mut a.dgate, &mut a.dup, &a.dact, &a.gate, &a.up);
        self.gate_proj
            .backward(params, grads, &mut a.dnormed, 0.0, &a.dgate, &a.f);
        self.up
            .backward(params, grads, &mut a.dnormed, 1.0, &a.dup, &a.f);
        self.norm2.backward(params, grads, dx, &a.dnormed, &a.x_mid);

        sigmoid_gate_back(&mut a.dlogits, &mut a.dout, dx, &a.gate1, &a.attention_out);
        self.gate1
            .backward(params, grads, dx, 1.0, &a.dlogits, &a.x);
        pass.drop(&mut a.dout, ATTENTION_OUT);
        self.attention
            .backward(pass, grads, &a.dout, &mut a.attention);
        zeros(&mut a.dnormed, n);
        let (dnormed, attn) = (&mut a.dnormed, &a.attention);
        self.attention
            .back_to_queries(pass, grads, dnormed, &a.normed, attn);
        self.attention
            .back_to_keys(pass, grads, dnormed, &a.normed, attn);
        self.norm1.backward(params, grads, dx, dnormed, &a.x);
    }
}
