//! BERT4Rec (Sun et al., arXiv 1904.06690): items that were masked are told from both sides.
//!
//! `h = encoder(LN(e + p))`, `score_j = LN(gelu(W h + b)) · e_j`, e the item vectors, p the positions.
//! The LayerNorm of the output is that of the authors' code and of RecBole. Two things differ:
//! an item has no output bias, and positions count from the end, as in all [`Transformer`]s.
//!
//! Training (section 3.6, the Cloze task) replaces items by the mask token and asks for them, each with
//! probability `mask_prob`, at least one, several times a step. That is not what is asked in the end, so that
//! some maskings have only the last item, of what was chosen last, masked, and nothing of its order beside it. A
//! history is asked with a mask behind it.

use hkfr_lm::{gelu, gelu_back};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::block::TransformerConfig;
use super::layers::{Dropout, Linear, Norm, copy, zeros};
use super::layout::{Layout, check_sizes};
use super::network::Network;
use super::orders::{Orders, one_of};
use super::packed::{Packed, Target};
use super::post_norm::{self, PostNormBlock};
use super::transformer::{self, Transformer};
use crate::error::{Error, Result};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bert4RecConfig {
    /// Items of the catalogue; the mask is the row behind them.
    pub n_items: usize,
    /// Share of the items of a training sequence that are masked. The paper has 0.6 on Beauty.
    pub mask_prob: f32,
    /// Share of the maskings whose only mask is the last item.
    pub last_only_prob: f32,
    /// How often a sequence is masked anew in a step (`dupe_factor` of the authors' code): a masking asks for
    /// few of its items, where SASRec asks for all.
    pub maskings: usize,
    pub encoder: TransformerConfig,
}

impl Bert4RecConfig {
    pub fn new(n_items: usize) -> Self {
        Self {
            n_items,
            mask_prob: 0.4,
            last_only_prob: 0.1,
            maskings: 4,
            encoder: TransformerConfig {
                feed_forward: 4,
                ..TransformerConfig::default()
            },
        }
    }
}

pub struct Bert4Rec {
    pub config: Bert4RecConfig,
    /// Its layout holds the parameters of the output too.
    encoder: Transformer<PostNormBlock>,
    projection: Linear,
    norm: Norm,
}

impl Bert4Rec {
    /// # Errors
    /// A probability that is none, or what [`Transformer::new`] refuses.
    pub fn new(config: Bert4RecConfig) -> Result<Self> {
        for (key, p) in [
            ("mask_prob", config.mask_prob),
            ("last_only_prob", config.last_only_prob),
        ] {
            if !(0.0..=1.0).contains(&p) {
                return Err(Error::Config(format!("bert4rec {key} = {p}: from 0 to 1")));
            }
        }
        check_sizes("bert4rec", &[("maskings", config.maskings)])?;
        if u32::try_from(config.n_items).is_err() {
            let n = config.n_items;
            return Err(Error::Config(format!("bert4rec n_items = {n}: too many")));
        }
        let d = config.encoder.dim;
        // The mask has a position of its own.
        let mut encoder = Transformer::new(TransformerConfig {
            max_len: config.encoder.max_len.saturating_add(1),
            ..config.encoder.clone()
        })?;
        let layout = &mut encoder.layout;
        Ok(Self {
            projection: Linear::new(layout, "output.projection", d, d, true),
            norm: Norm::new(layout, "output.norm", d),
            config,
            encoder,
        })
    }

    fn mask(&self) -> u32 {
        self.config.n_items as u32
    }
}

#[derive(Default)]
pub struct Activations {
    encoder: transformer::Activations<post_norm::Activations>,
    hidden: Vec<f32>,
    /// Before and after GELU.
    raw: Vec<f32>,
    act: Vec<f32>,
    dact: Vec<f32>,
}

impl Network for Bert4Rec {
    type Activations = Activations;

    fn name(&self) -> &str {
        self.encoder.name()
    }

    fn dim(&self) -> usize {
        self.encoder.dim()
    }

    fn max_len(&self) -> usize {
        self.config.encoder.max_len
    }

    fn layout(&self) -> &Layout {
        self.encoder.layout()
    }

    fn n_special(&self) -> usize {
        1
    }

    fn n_items(&self) -> Option<usize> {
        Some(self.config.n_items)
    }

    fn pack_training(&self, batch: &mut Packed, sequence: &Orders, rng: &mut ChaCha8Rng) {
        if sequence.n() < 2 {
            batch.push(&[]);
            return;
        }
        for _ in 0..self.config.maskings {
            let first = batch.len() as u32;
            if rng.random::<f32>() < self.config.last_only_prob {
                let mut before = sequence.clone();
                let last = before.pop().expect("two orders");
                let (row, item) = (first + before.items().len() as u32, one_of(&last, rng));
                batch.targets.push(Target { row, item });
                self.pack_history(batch, before.items());
                continue;
            }
            let mut tokens = sequence.items().to_vec();
            let mut masked = vec![false; tokens.len()];
            masked.fill_with(|| rng.random::<f32>() < self.config.mask_prob);
            if !masked.contains(&true) {
                masked[rng.random_range(0..tokens.len())] = true;
            }
            let masked = (first..).zip(tokens.iter_mut().zip(masked));
            for (row, (token, _)) in masked.filter(|t| t.1.1) {
                batch.targets.push(Target { row, item: *token });
                *token = self.mask();
            }
            batch.push(&tokens);
        }
    }

    fn pack_history(&self, batch: &mut Packed, history: &[u32]) {
        if history.is_empty() {
            batch.push(&[]);
        } else {
            batch.push(&[history, &[self.mask()]].concat());
        }
    }

    fn forward(
        &self,
        params: &[f32],
        batch: &Packed,
        dropout: Dropout,
        x: &mut Vec<f32>,
        a: &mut Activations,
    ) {
        self.encoder
            .forward(params, batch, dropout, x, &mut a.encoder);
        copy(&mut a.hidden, x);
        self.projection.forward(params, &mut a.raw, &a.hidden);
        copy(&mut a.act, &a.raw);
        gelu(&mut a.act);
        self.norm.forward(params, x, &a.act);
    }

    fn backward(
        &self,
        params: &[f32],
        grads: &mut [f32],
        batch: &Packed,
        dropout: Dropout,
        dx: &mut Vec<f32>,
        a: &mut Activations,
    ) {
        zeros(&mut a.dact, dx.len());
        self.norm.backward(params, grads, &mut a.dact, dx, &a.act);
        gelu_back(&mut a.dact, &a.raw);
        self.projection
            .backward(params, grads, dx, 0.0, &a.dact, &a.hidden);
        self.encoder
            .backward(params, grads, batch, dropout, dx, &mut a.encoder);
    }
}
