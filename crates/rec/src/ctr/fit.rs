//! Training: rows in random order → batches → Adam; the epoch that is best on held-out users is kept.

use std::ops::ControlFlow;

use hkfr_lm::{AdamStep, adam};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::inputs::Inputs;
use super::network::{Network, State};
use super::{Ctr, CtrConfig, Rows};
use crate::error::{Error, Result};
use crate::scores::mix;

/// Decay of Adam's moments.
const BETAS: (f32, f32) = (0.9, 0.999);

/// What is said after each epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epoch {
    /// From 1.
    pub number: usize,
    /// Mean log-loss of what was learnt from, during the epoch.
    pub learnt: f64,
    /// Mean log-loss of the held-out users; `None`: nobody is held out.
    pub held_out: Option<f64>,
}

impl Ctr {
    /// `columns`: those of the rows that are read. The same rows, columns and config give the same model to the bit.
    ///
    /// # Errors
    /// [`Error::Config`] for settings out of range and lengths that do not fit; [`Error::Interrupted`] if `watch` says so.
    pub fn fit(
        rows: &Rows,
        columns: &[usize],
        config: &CtrConfig,
        watch: &dyn Fn(Epoch) -> ControlFlow<()>,
    ) -> Result<Self> {
        config.check()?;
        rows.check(columns)?;
        let is_held_out = |&row: &u32| {
            let user = u64::from(rows.users[row as usize]);
            let share = (mix(user ^ mix(config.seed)) >> 40) as f32 / (1u64 << 24) as f32;
            share < config.held_out
        };
        let all = 0..rows.labels.len() as u32;
        let (held_out, mut learnt): (Vec<u32>, Vec<u32>) = all.partition(is_held_out);
        if learnt.is_empty() {
            return Err(Error::Config(
                "all users are held out; lower held_out, or give more users".into(),
            ));
        }
        let inputs = Inputs::fit(rows, columns, &learnt);
        if inputs.width() == 0 {
            return Err(Error::Config(
                "no column varies, so nothing can be learnt from them".into(),
            ));
        }
        let positive = learnt.iter().filter(|&&r| rows.labels[r as usize] > 0);
        let base = positive.count() as f64 / learnt.len() as f64;
        let mut network = Network::new(inputs.width(), config, base);
        let (mut m, mut v) = (
            vec![0.0; network.params.len()],
            vec![0.0; network.params.len()],
        );
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
        rng.set_stream(1);
        let mut batch = Batch::default();
        let mut grads = Vec::new();
        let mut step = 0;
        let mut best = (f64::INFINITY, 0, Vec::new());
        for number in 1..=config.max_epochs {
            learnt.shuffle(&mut rng);
            let mut sum = 0.0;
            for chosen in learnt.chunks(config.batch) {
                step += 1;
                batch.gather(rows, &inputs, chosen);
                network.forward(&mut batch.state);
                sum += Network::loss(&batch.state, &batch.labels);
                network.backward(&batch.state, &batch.labels, config.l2, &mut grads);
                let rate = AdamStep::new(config.learning_rate, BETAS, step);
                adam(&mut network.params, &mut m, &mut v, &grads, rate);
            }
            let of_held_out = (!held_out.is_empty()).then(|| {
                let losses = held_out.chunks(Self::BATCH).map(|chosen| {
                    batch.gather(rows, &inputs, chosen);
                    network.forward(&mut batch.state);
                    Network::loss(&batch.state, &batch.labels)
                });
                losses.sum::<f64>() / held_out.len() as f64
            });
            let epoch = Epoch {
                number,
                learnt: sum / learnt.len() as f64,
                held_out: of_held_out,
            };
            if watch(epoch).is_break() {
                return Err(Error::Interrupted);
            }
            // Without held-out users the last epoch is the best.
            let loss = of_held_out.unwrap_or(-(number as f64));
            if loss < best.0 {
                best = (loss, number, network.params.clone());
            }
            if number - best.1 > config.patience {
                break;
            }
        }
        let (_, epoch, params) = best;
        if epoch == 0 || params.iter().any(|p| !p.is_finite()) {
            return Err(Error::Config(
                "the parameters are no longer finite; lower learning_rate".into(),
            ));
        }
        network.params = params;
        Ok(Self {
            inputs,
            network,
            epoch,
        })
    }
}

#[derive(Default)]
struct Batch {
    state: State,
    labels: Vec<u8>,
}

impl Batch {
    fn gather(&mut self, rows: &Rows, inputs: &Inputs, chosen: &[u32]) {
        self.labels.clear();
        let labels = chosen.iter().map(|&r| rows.labels[r as usize]);
        self.labels.extend(labels);
        self.state.begin(chosen.len(), inputs.width());
        let xs = self.state.inputs_mut().chunks_exact_mut(inputs.width());
        for (&row, x) in chosen.iter().zip(xs) {
            let values = &rows.values[row as usize * rows.n_features..][..rows.n_features];
            inputs.write(values, x);
        }
    }
}
