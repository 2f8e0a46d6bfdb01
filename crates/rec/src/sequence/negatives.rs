//! Which items a target is compared with, and how likely each was to be drawn.

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::packed::Target;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// Every item alike.
    Uniform,
    /// In proportion to (count in training)^power, 0.75 in word2vec (arXiv 1310.4546).
    Popularity { power: f32 },
    /// The targets of the same micro-batch, however many: in proportion to their counts.
    InBatch,
}

/// Draws item positions with replacement.
pub(super) struct Negatives {
    sampling: Sampling,
    n_items: usize,
    /// Running sums of the weights of the items, if they differ.
    cumulative: Vec<f64>,
    /// ln of the probability of each item.
    pub log_q: Vec<f32>,
}

impl Negatives {
    /// `counts` by item, of the training sequences.
    pub fn new(sampling: Sampling, counts: &[u32]) -> Self {
        let weight = |count: u32| match sampling {
            Sampling::Uniform => 1.0,
            Sampling::Popularity { power } => f64::from(count).powf(f64::from(power)),
            Sampling::InBatch => f64::from(count),
        };
        let cumulative: Vec<f64> = counts
            .iter()
            .scan(0.0, |sum, &count| {
                *sum += weight(count);
                Some(*sum)
            })
            .collect();
        let total = cumulative.last().copied().unwrap_or_default();
        // An item that is never drawn is a target at most, outside the training sequences.
        let q = |count| (weight(count) / total).max(f64::from(f32::MIN_POSITIVE));
        Self {
            sampling,
            n_items: counts.len(),
            log_q: counts.iter().map(|&c| q(c).ln() as f32).collect(),
            cumulative,
        }
    }

    /// Fills `out` with `n` items, or with the `targets` of the micro-batch.
    pub fn draw(&self, out: &mut Vec<u32>, n: usize, targets: &[u32], rng: &mut impl Rng) {
        out.clear();
        match self.sampling {
            Sampling::Uniform => {
                out.extend((0..n).map(|_| rng.random_range(0..self.n_items as u32)));
            }
            Sampling::Popularity { .. } => {
                let total = self.cumulative.last().copied().unwrap_or_default();
                out.extend((0..n).map(|_| {
                    let u = rng.random::<f64>() * total;
                    let item = self.cumulative.partition_point(|&sum| sum <= u);
                    item.min(self.n_items - 1) as u32
                }));
            }
            Sampling::InBatch => out.extend_from_slice(targets),
        }
    }

    /// One uniform item for each target that is neither among the tokens of its sequence nor another target of it;
    /// after 100 draws any.
    pub fn draw_unseen<'a>(
        &self,
        out: &mut Vec<u32>,
        sequences: impl Iterator<Item = (&'a [u32], &'a [Target])>,
        rng: &mut impl Rng,
    ) {
        out.clear();
        out.extend(sequences.map(|(tokens, targets)| {
            let mut draw = || rng.random_range(0..self.n_items as u32);
            let mut item = draw();
            for _ in 0..100 {
                if !tokens.contains(&item) && targets.iter().all(|t| t.item != item) {
                    break;
                }
                item = draw();
            }
            item
        }));
    }
}
