//! One optimiser step: sequences → packed micro-batches → loss → gradients → Adam.
//!
//! `loss = Σ ℓ(target) / n`, n the targets of the batch. The sequences of a batch are dealt to lanes by
//! length; a lane is one micro-batch, packed and computed by one thread, and draws its own negatives,
//! so that a batch sees many while each product stays small. Lanes are added in their order: threads
//! only decide who computes a lane, and a seed gives the same bytes on any number of them.
//!
//! A lane's gradient of the item vectors is a list of rows; with [`ItemFeatures`] the vectors are sums, and their
//! gradients go on to what they are summed of. Adam is dense, as in the references: a row
//! without a gradient still moves by its momentum. Adding and updating pass over the table once.

use std::sync::Arc;

use hkfr_lm::{AdamStep, Pool, adam};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::described::Described;
use super::features::ItemFeatures;
use super::item_table::ItemTable;
use super::layers::{Dropout, add};
use super::layout::Init;
use super::loss::{Head, Loss};
use super::model::SequenceModel;
use super::moments::{Moments, chunks};
use super::negatives::{Negatives, Sampling};
use super::network::Network;
use super::orders::{Orders, Targets};
use super::packed::Packed;
use crate::error::{Error, Result};
use crate::scores::mix;

/// Numbers that a thread updates at a time: small enough for the first-level cache.
const CHUNK: usize = 2048;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    pub loss: Loss,
    pub targets: Targets,
    /// Sequences a step.
    pub batch_size: usize,
    /// Sequences that a thread computes together; they share their negatives.
    pub micro_batch: usize,
    pub learning_rate: f32,
    /// Decay of Adam's moments.
    pub betas: (f32, f32),
    /// Share of activations and of attention that is dropped.
    pub dropout: f32,
    /// Share of the elements of each item vector that is dropped in a step, wherever it occurs.
    pub item_dropout: f32,
    pub max_epochs: usize,
    /// Steps between two validations, at least: whole epochs, which few users make short.
    pub validate_steps: usize,
    /// Stop after so many validations without a better NDCG@10.
    pub patience: usize,
    pub seed: u64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            // Few negatives cost accuracy: they are shared by a micro-batch.
            loss: Loss::SampledSoftmax {
                n_negatives: 2048,
                sampling: Sampling::Uniform,
                log_q: false,
            },
            targets: Targets::NextChoice,
            batch_size: 128,
            micro_batch: 32,
            learning_rate: 1e-3,
            betas: (0.9, 0.98),
            dropout: 0.2,
            item_dropout: 0.2,
            max_epochs: 2000,
            validate_steps: 50,
            patience: 20,
            seed: 1,
        }
    }
}

impl TrainConfig {
    /// # Errors
    /// A value out of its range.
    pub fn check(&self) -> Result<()> {
        let (n_negatives, power) = match self.loss {
            Loss::SampledSoftmax {
                n_negatives,
                sampling: Sampling::Popularity { power },
                ..
            } => (n_negatives, power),
            Loss::SampledSoftmax { n_negatives, .. } => (n_negatives, 1.0),
            _ => (1, 1.0),
        };
        for (key, ok) in [
            ("batch_size", self.batch_size > 0),
            ("max_epochs", self.max_epochs > 0),
            ("micro_batch", self.micro_batch > 0),
            ("learning_rate", self.learning_rate > 0.0),
            ("dropout", (0.0..1.0).contains(&self.dropout)),
            ("item_dropout", (0.0..1.0).contains(&self.item_dropout)),
            ("n_negatives", n_negatives > 0),
            // What was never chosen would be drawn for ever.
            ("power", power >= 0.0),
            (
                "betas",
                [self.betas.0, self.betas.1]
                    .iter()
                    .all(|b| (0.0..1.0).contains(b)),
            ),
        ] {
            if !ok {
                return Err(Error::Config(format!("{key} is out of its range")));
            }
        }
        Ok(())
    }
}

/// A micro-batch, its buffers and its gradients.
struct Lane<N: Network> {
    batch: Packed,
    activations: N::Activations,
    head: Head,
    /// Token vectors, hidden states, and the gradients of both.
    x: Vec<f32>,
    grads: Vec<f32>,
    loss: f64,
}

impl<N: Network> Lane<N> {
    /// Rows of the item table and their gradients.
    fn item_grads(&self) -> [(&[u32], &[f32]); 3] {
        [
            (&self.batch.tokens, &self.x),
            (&self.head.targets, &self.head.dtargets),
            (&self.head.candidates, &self.head.dcandidates),
        ]
    }
}

pub struct Trainer<N: Network> {
    pub model: SequenceModel<N>,
    /// What the model's item vectors are summed of, if items have features.
    pub described: Option<Described>,
    pub(super) config: TrainConfig,
    negatives: Negatives,
    pool: Pool,
    lanes: Vec<Lane<N>>,
    params: Moments,
    items: Moments,
    /// Gradient of the item table; only rows stamped with this step are of this step.
    item_grads: Vec<f32>,
    stamps: Vec<u64>,
    /// Steps made.
    step: u64,
}

impl<N: Network> Trainer<N> {
    ///
    /// # Errors
    /// A setting out of its range; an item that is not below `n_items`; a network that was built for
    /// another number of items.
    pub fn new(
        network: N,
        n_items: usize,
        train: &[Orders],
        config: TrainConfig,
        n_threads: usize,
    ) -> Result<Self> {
        config.check()?;
        if let Some(n) = network.n_items().filter(|&n| n != n_items) {
            let name = network.name();
            return Err(Error::Config(format!(
                "{name} was built for {n} items, the data have {n_items}"
            )));
        }
        let mut counts = vec![0; n_items];
        for &item in train.iter().flat_map(Orders::items) {
            match counts.get_mut(item as usize) {
                Some(count) => *count += 1,
                None => {
                    return Err(Error::Config(format!(
                        "a training sequence holds item {item} of {n_items}"
                    )));
                }
            }
        }
        let sampling = match config.loss {
            Loss::SampledSoftmax { sampling, .. } => sampling,
            _ => Sampling::Uniform,
        };
        let (d, rows) = (network.dim(), n_items + network.n_special());
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
        let params = network.layout().init(&mut rng);
        let mut items = vec![0.0; rows * d];
        Init::xavier(rows, d).fill(&mut items, &mut rng);
        Ok(Self {
            params: Moments::new(params.len()),
            items: Moments::new(items.len()),
            item_grads: vec![0.0; items.len()],
            stamps: vec![0; rows],
            negatives: Negatives::new(sampling, &counts),
            described: None,
            model: SequenceModel {
                network,
                n_items,
                params,
                items,
                counts,
            },
            pool: Pool::new(n_threads),
            lanes: Vec::new(),
            config,
            step: 0,
        })
    }

    /// Item vectors that are summed of the items' features and of a vector of their own. An item that is in no
    /// training sequence has none of its own: what it says of itself counts.
    ///
    /// # Errors
    /// Features of another number of items.
    pub fn with_features(mut self, features: Arc<ItemFeatures>) -> Result<Self> {
        let counts = &self.model.counts;
        if features.n_items() != counts.len() {
            return Err(Error::Config(format!(
                "features of {} items, the data have {}",
                features.n_items(),
                counts.len()
            )));
        }
        let d = self.model.network.dim();
        let mut own = self.model.items.clone();
        for (row, _) in own.chunks_exact_mut(d).zip(counts).filter(|x| *x.1 == 0) {
            row.fill(0.0);
        }
        let described = Described::new(features, own, d, self.config.seed);
        described.rows(&mut self.model.items, &mut self.pool);
        self.described = Some(described);
        Ok(self)
    }

    pub fn pool(&mut self) -> (&SequenceModel<N>, &mut Pool) {
        (&self.model, &mut self.pool)
    }

    /// Mean loss of a batch; leaves the gradients in the lanes.
    fn backward(&mut self, batch: &[&Orders]) -> f64 {
        let (model, config, negatives) = (&self.model, &self.config, &self.negatives);
        let network = &model.network;
        let key = mix(mix(config.seed) ^ self.step);
        let n_lanes = batch.len().div_ceil(config.micro_batch);
        self.lanes.truncate(n_lanes);
        self.lanes.resize_with(n_lanes, || Lane {
            batch: Packed::default(),
            activations: N::Activations::default(),
            head: Head::default(),
            x: Vec::new(),
            grads: Vec::new(),
            loss: 0.0,
        });
        let mut n_targets = 0;
        let most = network.max_len() + 1;
        for (lane, share) in self.lanes.iter_mut().zip(deal(batch, most, n_lanes)) {
            lane.batch.clear();
            for i in share {
                let mut rng = ChaCha8Rng::seed_from_u64(mix(key ^ i as u64));
                let mut window = batch[i].window(most, &mut rng);
                if config.targets == Targets::NextChoice {
                    window = window.one_by_one();
                }
                network.pack_training(&mut lane.batch, &window, &mut rng);
            }
            n_targets += lane.batch.targets.len();
        }
        let weight = 1.0 / n_targets.max(1) as f32;
        let items = ItemTable {
            rows: &model.items,
            d: network.dim(),
            dropout: Dropout {
                rate: config.item_dropout,
                key: Some(mix(key)),
            },
        };
        let parts = self.lanes.iter_mut().zip(0u64..).collect();
        self.pool
            .each(parts, |(lane, number): (&mut Lane<N>, u64)| {
                let key = mix(key ^ ((number + 1) << 32));
                let dropout = Dropout {
                    rate: config.dropout,
                    key: Some(key),
                };
                let Lane {
                    batch,
                    activations,
                    head,
                    x,
                    grads,
                    loss,
                } = lane;
                items.gather(x, batch.tokens.iter().copied());
                network.forward(&model.params, batch, dropout, x, activations);
                let mut rng = ChaCha8Rng::seed_from_u64(key);
                *loss = head.loss(config.loss, items, batch, negatives, weight, x, &mut rng);
                grads.clear();
                grads.resize(model.params.len(), 0.0);
                network.backward(&model.params, grads, batch, dropout, x, activations);
                items.mask(x, batch.tokens.iter().copied());
            });
        self.lanes.iter().map(|lane| lane.loss).sum::<f64>() / n_targets.max(1) as f64
    }

    /// Mean loss and its gradients with respect to the network's parameters and the item table. The
    /// dropout and the negatives are those of the next [`step`](Self::step).
    pub fn gradient(&mut self, batch: &[&Orders]) -> (f64, Vec<f32>, Vec<f32>) {
        let loss = self.backward(batch);
        let d = self.model.network.dim();
        let mut params = vec![0.0; self.model.params.len()];
        let mut items = vec![0.0; self.model.items.len()];
        for lane in &self.lanes {
            add(&mut params, &lane.grads);
            for (ids, rows) in lane.item_grads() {
                for (&id, row) in ids.iter().zip(rows.chunks_exact(d)) {
                    add(&mut items[id as usize * d..][..d], row);
                }
            }
        }
        (loss, params, items)
    }

    /// Learns from a batch; returns its mean loss before the step.
    pub fn step(&mut self, batch: &[&Orders]) -> f64 {
        let loss = self.backward(batch);
        self.step += 1;
        let (step, lanes) = (self.step, &self.lanes);
        let rate = AdamStep::new(self.config.learning_rate, self.config.betas, step);

        let parts = chunks(CHUNK, &mut self.model.params, &mut self.params);
        self.pool.each(parts.collect(), |(first, p, m, v)| {
            let mut grads = [0.0; CHUNK];
            let grads = &mut grads[..p.len()];
            for lane in lanes {
                add(grads, &lane.grads[first..first + p.len()]);
            }
            adam(p, m, v, grads, rate);
        });

        // A part a thread: each has to look through all lists.
        let d = self.model.network.dim();
        let rows = self.stamps.len().div_ceil(self.pool.size()).max(1);
        let grads = self.item_grads.chunks_mut(rows * d);
        let grads = grads.zip(self.stamps.chunks_mut(rows));
        let (is_described, counts) = (self.described.is_some(), &self.model.counts);
        let has_own = |row| !is_described || counts.get(row) != Some(&0);
        let table = match &mut self.described {
            Some(described) => &mut described.own,
            None => &mut self.model.items,
        };
        let parts = chunks(rows * d, table, &mut self.items).zip(grads);
        let zeros = vec![0.0; d];
        self.pool
            .each(parts.collect(), |((first, p, m, v), (grads, stamps))| {
                let first = first / d;
                for (ids, rows) in lanes.iter().flat_map(Lane::item_grads) {
                    for (&id, row) in ids.iter().zip(rows.chunks_exact(d)) {
                        let Some(stamp) = (id as usize)
                            .checked_sub(first)
                            .and_then(|i| stamps.get_mut(i))
                        else {
                            continue;
                        };
                        let sum = &mut grads[(id as usize - first) * d..][..d];
                        if *stamp == step {
                            add(sum, row);
                        } else {
                            *stamp = step;
                            sum.copy_from_slice(row);
                        }
                    }
                }
                let moments = m.chunks_exact_mut(d).zip(v.chunks_exact_mut(d));
                let rows = p.chunks_exact_mut(d).zip(moments);
                let grads = grads.chunks_exact(d).zip(stamps);
                for ((row, (p, (m, v))), (grad, stamp)) in (first..).zip(rows).zip(grads) {
                    if has_own(row) {
                        adam(p, m, v, if *stamp == step { grad } else { &zeros }, rate);
                    }
                }
            });
        if let Some(described) = &mut self.described {
            let stamps = &self.stamps;
            described.step(&self.item_grads, |row| stamps[row] == step, rate);
            described.rows(&mut self.model.items, &mut self.pool);
        }
        loss
    }
}

/// Longest first, `most` items being read at most, each to the lane with the fewest items so far; the heaviest
/// lanes come first.
fn deal(batch: &[&Orders], most: usize, n: usize) -> Vec<Vec<usize>> {
    let len = |i: usize| batch[i].items().len().min(most);
    let mut order: Vec<usize> = (0..batch.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(len(i)), i));
    let mut shares = vec![(0, Vec::new()); n];
    for i in order {
        if let Some(share) = shares.iter_mut().min_by_key(|s| s.0) {
            share.0 += len(i);
            share.1.push(i);
        }
    }
    shares.sort_by_key(|s| std::cmp::Reverse(s.0));
    shares.into_iter().map(|s| s.1).collect()
}
