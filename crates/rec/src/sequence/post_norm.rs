//! The block of BERT4Rec (Sun et al., arXiv 1904.06690, section 3.3), BERT's: each row sees the whole
//! sequence, and a LayerNorm follows each branch.
//!
//! `y = LN(x + drop(attention(x, x, x)))`, `x ← LN(y + drop(W₂ gelu(W₁ y + b₁) + b₂))`.

use super::attention::{self, Attention, Sees};
use super::block::{Activation, Block, TransformerConfig};
use super::feed_forward::{self, FeedForward};
use super::layers::{Norm, Pass, add, copy, zeros};
use super::layout::Layout;

const ATTENTION_OUT: u8 = 2;
const FEED_FORWARD_OUT: u8 = 3;

pub struct PostNormBlock {
    attention: Attention,
    norm1: Norm,
    feed_forward: FeedForward,
    norm2: Norm,
}

#[derive(Default)]
pub struct Activations {
    x: Vec<f32>,
    attention: attention::Activations,
    /// The sums that the norms read.
    sum1: Vec<f32>,
    y: Vec<f32>,
    feed_forward: feed_forward::Activations,
    sum2: Vec<f32>,
    /// Gradients of a branch and of `y`.
    dbranch: Vec<f32>,
    dy: Vec<f32>,
}

impl Block for PostNormBlock {
    type Activations = Activations;
    const NAME: &'static str = "bert4rec";
    const FIRST_NORM: bool = true;
    const FINAL_NORM: bool = false;

    fn new(layout: &mut Layout, name: &str, c: &TransformerConfig) -> Self {
        let widths = (c.dim, c.dim * c.feed_forward);
        let at = |module: &str| format!("{name}.{module}");
        Self {
            attention: Attention::new(layout, &at("attention"), c.dim, c.n_heads, Sees::All),
            norm1: Norm::new(layout, &at("attention_norm"), c.dim),
            feed_forward: FeedForward::new(layout, name, widths, Activation::Gelu, false),
            norm2: Norm::new(layout, &at("feed_forward_norm"), c.dim),
        }
    }

    fn forward(&self, pass: Pass, x: &mut Vec<f32>, a: &mut Activations) {
        copy(&mut a.x, x);
        self.attention
            .forward(pass, &mut a.sum1, &a.x, &a.x, &mut a.attention);
        pass.drop(&mut a.sum1, ATTENTION_OUT);
        add(&mut a.sum1, x);
        self.norm1.forward(pass.params, &mut a.y, &a.sum1);

        self.feed_forward
            .forward(pass, &mut a.sum2, &a.y, &mut a.feed_forward);
        pass.drop(&mut a.sum2, FEED_FORWARD_OUT);
        add(&mut a.sum2, &a.y);
        self.norm2.forward(pass.params, x, &a.sum2);
    }

    fn backward(&self, pass: Pass, grads: &mut [f32], dx: &mut Vec<f32>, a: &mut Activations) {
        let (params, n) = (pass.params, dx.len());
        zeros(&mut a.dy, n);
        self.norm2.backward(params, grads, &mut a.dy, dx, &a.sum2);
        copy(&mut a.dbranch, &a.dy);
        pass.drop(&mut a.dbranch, FEED_FORWARD_OUT);
        let inner = &mut a.feed_forward;
        self.feed_forward
            .backward(pass, grads, &mut a.dy, &a.dbranch, &a.y, inner);

        zeros(dx, n);
        self.norm1.backward(params, grads, dx, &a.dy, &a.sum1);
        copy(&mut a.dbranch, dx);
        pass.drop(&mut a.dbranch, ATTENTION_OUT);
        let attn = &mut a.attention;
        self.attention.backward(pass, grads, &a.dbranch, attn);
        self.attention.back_to_queries(pass, grads, dx, &a.x, attn);
        self.attention.back_to_keys(pass, grads, dx, &a.x, attn);
    }
}
