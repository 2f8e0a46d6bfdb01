//! Epochs, and stopping where validation stops improving.

use std::ops::ControlFlow;

use super::model::SequenceModel;
use super::network::Network;
use super::orders::{Orders, Targets};
use super::trainer::{TrainConfig, Trainer};
use crate::error::Result;
use crate::scores::mix;
use crate::validation::{Best, Progress, Query, tell};

/// Item positions below `n_items`: what is learnt from, and asked when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sequences {
    pub n_items: usize,
    pub train: Vec<Orders>,
    pub validation: Vec<Query>,
    pub test: Vec<Query>,
}

impl Sequences {
    /// Leave one out: each sequence's last item is the test target, the one before it the
    /// validation target, the rest is learnt from. One of fewer than three items is only learnt from.
    pub fn leave_one_out(n_items: usize, sequences: Vec<Vec<u32>>) -> Self {
        let mut all = Self {
            n_items,
            ..Self::default()
        };
        for mut sequence in sequences {
            if let [.., _, validation, test] = sequence[..] {
                let mut hold_out = |queries: &mut Vec<Query>, target| {
                    sequence.pop();
                    let history = sequence.clone();
                    queries.push(Query { history, target });
                };
                hold_out(&mut all.test, test);
                hold_out(&mut all.validation, validation);
            }
            all.train.push(sequence.into());
        }
        all
    }

    /// The last order of each of `users` (ascending) is held out, if there are two, and one of its items, by the
    /// user's place, is the validation target: a list is asked what the next order holds. The rest is learnt from.
    pub fn hold_out_last(n_items: usize, mut train: Vec<Orders>, users: &[usize]) -> Self {
        let mut validation = Vec::with_capacity(users.len());
        for &user in users {
            let orders = &mut train[user];
            if orders.n() < 2 {
                continue;
            }
            let last = orders.pop().unwrap_or_default();
            let target = last[(mix(user as u64) % last.len() as u64) as usize];
            let history = orders.items().to_vec();
            validation.push(Query { history, target });
        }
        Self {
            n_items,
            train,
            validation,
            test: Vec::new(),
        }
    }
}

/// [`train`] of a new model. The same seed gives the same model on any number of threads.
///
/// # Errors
/// A setting out of its range; an item that is not below `n_items`; [`crate::Error::Interrupted`] if
/// `on_progress` says so.
pub fn fit<N: Network>(
    network: N,
    data: &Sequences,
    config: &TrainConfig,
    exclude_seen: bool,
    n_threads: usize,
    on_progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<(SequenceModel<N>, usize)> {
    let trainer = Trainer::new(
        network,
        data.n_items,
        &data.train,
        config.clone(),
        n_threads,
    )?;
    train(trainer, data, exclude_seen, on_progress)
}

/// The model of the epoch with the best validation NDCG@10, and that epoch; without validation
/// queries, of the last one. `trainer` is of the same sequences.
///
/// # Errors
/// [`crate::Error::Interrupted`] if `on_progress` says so.
pub fn train<N: Network>(
    mut trainer: Trainer<N>,
    data: &Sequences,
    exclude_seen: bool,
    on_progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<(SequenceModel<N>, usize)> {
    let config = trainer.config.clone();
    let teaches = |&u: &usize| match config.targets {
        Targets::NextOrder => data.train[u].n() > 1,
        Targets::NextChoice => data.train[u].items().len() > 1,
    };
    let mut users: Vec<usize> = (0..data.train.len()).filter(teaches).collect();
    let mut best = Best::new(config.patience);
    let mut steps = 0;
    for epoch in 1..=config.max_epochs {
        let key = mix(config.seed ^ mix(epoch as u64));
        users.sort_unstable_by_key(|&u| mix(key ^ u as u64));
        let mut loss = 0.0;
        for batch in users.chunks(config.batch_size) {
            let batch: Vec<&Orders> = batch.iter().map(|&u| &data.train[u]).collect();
            loss += trainer.step(&batch);
        }
        let n_steps = users.len().div_ceil(config.batch_size).max(1);
        let loss = loss / n_steps as f64;
        tell(
            on_progress,
            Progress::Trained {
                epoch,
                max_epochs: config.max_epochs,
                loss,
            },
        )?;
        steps += n_steps;
        let due = steps >= config.validate_steps || epoch == config.max_epochs;
        if data.validation.is_empty() || !due {
            continue;
        }
        steps = 0;
        let (model, pool) = trainer.pool();
        let accuracy = model.accuracy(&data.validation, exclude_seen, pool);
        let weights = || (model.params.clone(), model.items.clone());
        let at = (epoch, config.max_epochs);
        if !best.offer(at, accuracy, weights, on_progress)? {
            break;
        }
    }
    let mut model = trainer.model;
    let mut epochs = config.max_epochs;
    if let Some((weights, epoch)) = best.take() {
        (model.params, model.items) = weights;
        epochs = epoch;
    }
    Ok((model, epochs))
}
