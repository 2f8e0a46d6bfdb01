//! The block of SASRec (Kang & McAuley, arXiv 1808.09781, section III) as the PyTorch ports have it:
//!
//! `q = LN(x)`, `y = q + attention(q, x, x)`, `f = LN(y)`, `x ← f + drop(W₂ drop(act(W₁ f + b₁)) + b₂)`.

use hkfr_lm::{gelu, gelu_back, relu, relu_back};

use super::attention::{self, Attention};
use super::layers::{Dropout, Linear, Norm, add, copy, zeros};
use super::layout::Layout;
use super::packed::Packed;
use super::transformer::{Activation, Block, TransformerConfig};

const FEED_FORWARD: u8 = 1;
const OUT: u8 = 2;

pub struct SasRecBlock {
    norm1: Norm,
    attention: Attention,
    norm2: Norm,
    up: Linear,
    down: Linear,
    activation: Activation,
}

#[derive(Default)]
pub struct Activations {
    x: Vec<f32>,
    q: Vec<f32>,
    attention: attention::Activations,
    y: Vec<f32>,
    f: Vec<f32>,
    /// Before and after the activation.
    raw: Vec<f32>,
    act: Vec<f32>,
    dropped: Vec<f32>,
    dout: Vec<f32>,
    dact: Vec<f32>,
    df: Vec<f32>,
    dy: Vec<f32>,
}

impl Block for SasRecBlock {
    type Activations = Activations;
    const NAME: &'static str = "sasrec";
    const FINAL_NORM: bool = true;

    fn new(layout: &mut Layout, name: &str, c: &TransformerConfig) -> Self {
        let (d, f) = (c.dim, c.dim * c.feed_forward);
        let at = |module: &str| format!("{name}.{module}");
        Self {
            norm1: Norm::new(layout, &at("attention_norm"), d),
            attention: Attention::new(layout, &at("attention"), d, c.n_heads),
            norm2: Norm::new(layout, &at("feed_forward_norm"), d),
            up: Linear::new(layout, &at("up_proj"), d, f, true),
            down: Linear::new(layout, &at("down_proj"), f, d, true),
            activation: c.activation,
        }
    }

    fn forward(
        &self,
        params: &[f32],
        batch: &Packed,
        at: (Dropout, usize),
        x: &mut Vec<f32>,
        a: &mut Activations,
    ) {
        let (dropout, layer) = at;
        copy(&mut a.x, x);
        self.norm1.forward(params, &mut a.q, x);
        let attn = &mut a.attention;
        self.attention
            .forward(params, batch, at, &mut a.y, &a.q, &a.x, attn);
        add(&mut a.y, &a.q);
        self.norm2.forward(params, &mut a.f, &a.y);
        self.up.forward(params, &mut a.raw, &a.f);
        copy(&mut a.act, &a.raw);
        match self.activation {
            Activation::Relu => relu(&mut a.act),
            Activation::Gelu => gelu(&mut a.act),
        }
        copy(&mut a.dropped, &a.act);
        dropout.apply(&mut a.dropped, layer, FEED_FORWARD);
        self.down.forward(params, x, &a.dropped);
        dropout.apply(x, layer, OUT);
        add(x, &a.f);
    }

    fn backward(
        &self,
        params: &[f32],
        grads: &mut [f32],
        batch: &Packed,
        at: (Dropout, usize),
        dx: &mut Vec<f32>,
        a: &mut Activations,
    ) {
        let (dropout, layer) = at;
        copy(&mut a.dout, dx);
        dropout.apply(&mut a.dout, layer, OUT);
        self.down
            .backward(params, grads, &mut a.dact, 0.0, &a.dout, &a.dropped);
        dropout.apply(&mut a.dact, layer, FEED_FORWARD);
        match self.activation {
            Activation::Relu => relu_back(&mut a.dact, &a.act),
            Activation::Gelu => gelu_back(&mut a.dact, &a.raw),
        }
        copy(&mut a.df, dx);
        self.up
            .backward(params, grads, &mut a.df, 1.0, &a.dact, &a.f);
        zeros(&mut a.dy, dx.len());
        self.norm2.backward(params, grads, &mut a.dy, &a.df, &a.y);

        // y = q + attention(q, x, x): dy is also the first part of dq.
        self.attention
            .backward(params, grads, batch, at, &a.dy, &mut a.attention);
        self.attention
            .back_to_queries(params, grads, &mut a.dy, &a.q, &a.attention);
        dx.fill(0.0);
        self.attention
            .back_to_keys(params, grads, dx, &a.x, &a.attention);
        self.norm1.backward(params, grads, dx, &a.dy, &a.x);
    }
}
