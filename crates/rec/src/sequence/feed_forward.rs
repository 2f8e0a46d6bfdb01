//! The feed-forward layer of a transformer: `W₂ drop(act(W₁ x + b₁)) + b₂`.

use hkfr_lm::{gelu, gelu_back, relu, relu_back};

use super::block::Activation;
use super::layers::{Linear, Pass, copy};
use super::layout::Layout;

/// The module of the dropout inside.
const INSIDE: u8 = 1;

pub(super) struct FeedForward {
    up: Linear,
    down: Linear,
    activation: Activation,
    /// Whether what the activation gives is dropped too.
    drops: bool,
}

#[derive(Default)]
pub(super) struct Activations {
    /// Before and after the activation.
    raw: Vec<f32>,
    act: Vec<f32>,
    dropped: Vec<f32>,
    dact: Vec<f32>,
}

impl FeedForward {
    /// Parameters `up_proj` and `down_proj`; of width `d`, inside `f`.
    pub fn new(
        layout: &mut Layout,
        name: &str,
        (d, f): (usize, usize),
        activation: Activation,
        drops: bool,
    ) -> Self {
        Self {
            up: Linear::new(layout, &format!("{name}.up_proj"), d, f, true),
            down: Linear::new(layout, &format!("{name}.down_proj"), f, d, true),
            activation,
            drops,
        }
    }

    /// xs (n, d) → ys (n, d).
    pub fn forward(&self, pass: Pass, ys: &mut Vec<f32>, xs: &[f32], a: &mut Activations) {
        self.up.forward(pass.params, &mut a.raw, xs);
        copy(&mut a.act, &a.raw);
        match self.activation {
            Activation::Relu => relu(&mut a.act),
            Activation::Gelu => gelu(&mut a.act),
        }
        if self.drops {
            copy(&mut a.dropped, &a.act);
            pass.drop(&mut a.dropped, INSIDE);
        }
        self.down.forward(pass.params, ys, self.read(a));
    }

    /// Adds to `dxs`.
    pub fn backward(
        &self,
        pass: Pass,
        grads: &mut [f32],
        dxs: &mut Vec<f32>,
        dys: &[f32],
        xs: &[f32],
        a: &mut Activations,
    ) {
        let mut dact = std::mem::take(&mut a.dact);
        let params = pass.params;
        self.down
            .backward(params, grads, &mut dact, 0.0, dys, self.read(a));
        if self.drops {
            pass.drop(&mut dact, INSIDE);
        }
        match self.activation {
            Activation::Relu => relu_back(&mut dact, &a.act),
            Activation::Gelu => gelu_back(&mut dact, &a.raw),
        }
        self.up.backward(params, grads, dxs, 1.0, &dact, xs);
        a.dact = dact;
    }

    /// What `down` reads.
    fn read<'a>(&self, a: &'a Activations) -> &'a [f32] {
        if self.drops { &a.dropped } else { &a.act }
    }
}
