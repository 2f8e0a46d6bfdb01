//! The block of SASRec (Kang & McAuley, arXiv 1808.09781, section III) as the PyTorch ports have it:
//!
//! `q = LN(x)`, `y = q + attention(q, x, x)`, `f = LN(y)`, `x ← f + drop(W₂ drop(act(W₁ f + b₁)) + b₂)`.

use super::attention::{self, Attention, Sees};
use super::block::{Block, TransformerConfig};
use super::feed_forward::{self, FeedForward};
use super::layers::{Norm, Pass, add, copy, zeros};
use super::layout::Layout;

const OUT: u8 = 2;

pub struct SasRecBlock {
    norm1: Norm,
    attention: Attention,
    norm2: Norm,
    feed_forward: FeedForward,
}

#[derive(Default)]
pub struct Activations {
    x: Vec<f32>,
    q: Vec<f32>,
    attention: attention::Activations,
    y: Vec<f32>,
    f: Vec<f32>,
    feed_forward: feed_forward::Activations,
    dout: Vec<f32>,
    df: Vec<f32>,
    dy: Vec<f32>,
}

impl Block for SasRecBlock {
    type Activations = Activations;
    const NAME: &'static str = "sasrec";
    const FINAL_NORM: bool = true;

    fn new(layout: &mut Layout, name: &str, c: &TransformerConfig) -> Self {
        let widths = (c.dim, c.dim * c.feed_forward);
        let at = |module: &str| format!("{name}.{module}");
        Self {
            norm1: Norm::new(layout, &at("attention_norm"), c.dim),
            attention: Attention::new(layout, &at("attention"), c.dim, c.n_heads, Sees::Past),
            norm2: Norm::new(layout, &at("feed_forward_norm"), c.dim),
            feed_forward: FeedForward::new(layout, name, widths, c.activation, true),
        }
    }

    fn forward(&self, pass: Pass, x: &mut Vec<f32>, a: &mut Activations) {
        copy(&mut a.x, x);
        self.norm1.forward(pass.params, &mut a.q, x);
        self.attention
            .forward(pass, &mut a.y, &a.q, &a.x, &mut a.attention);
        add(&mut a.y, &a.q);
        self.norm2.forward(pass.params, &mut a.f, &a.y);
        self.feed_forward
            .forward(pass, x, &a.f, &mut a.feed_forward);
        pass.drop(x, OUT);
        add(x, &a.f);
    }

    fn backward(&self, pass: Pass, grads: &mut [f32], dx: &mut Vec<f32>, a: &mut Activations) {
        let params = pass.params;
        copy(&mut a.dout, dx);
        pass.drop(&mut a.dout, OUT);
        copy(&mut a.df, dx);
        let inner = &mut a.feed_forward;
        self.feed_forward
            .backward(pass, grads, &mut a.df, &a.dout, &a.f, inner);
        zeros(&mut a.dy, dx.len());
        self.norm2.backward(params, grads, &mut a.dy, &a.df, &a.y);

        // y = q + attention(q, x, x): dy is also the first part of dq.
        let attn = &mut a.attention;
        self.attention.backward(pass, grads, &a.dy, attn);
        self.attention
            .back_to_queries(pass, grads, &mut a.dy, &a.q, attn);
        dx.fill(0.0);
        self.attention.back_to_keys(pass, grads, dx, &a.x, attn);
        self.norm1.backward(params, grads, dx, &a.dy, &a.x);
    }
}
