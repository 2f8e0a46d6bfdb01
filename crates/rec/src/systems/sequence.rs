//! Sequence models as systems: one flat table of the network's keys and the trainer's.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Fitting, Recipe, Settings, Watch, as_settings};
use crate::baselines::{RepeatPolicy, Scorer};
use crate::error::{Error, Result};
use crate::scores::mix;
use crate::sequence::{Network, SequenceScorer, Sequences, TrainConfig, fit, training_sequences};

/// How a sequence model uses the histories that it may learn from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HoldOutConfig {
    /// Users whose last choice is held out to stop by, a sample by `seed` if there are more.
    pub validation_users: usize,
    /// Learn a second time, from everything, for as many epochs as were best: the last choices
    /// count too, for twice the time. Published tables do not.
    pub refit: bool,
}

impl Default for HoldOutConfig {
    fn default() -> Self {
        Self {
            validation_users: 50_000,
            refit: false,
        }
    }
}

struct SequenceRecipe<C, N> {
    network: C,
    train: TrainConfig,
    hold_out: HoldOutConfig,
    build: Build<C, N>,
}

/// A network of these settings for so many items.
type Build<C, N> = fn(C, usize) -> Result<N>;

/// # Errors
/// An unknown key; a value of the wrong type or out of its range.
pub(super) fn read<C, N>(
    settings: &Settings,
    seed: u64,
    build: Build<C, N>,
) -> Result<Box<dyn Recipe>>
where
    C: Clone + Default + Serialize + DeserializeOwned + 'static,
    N: Network + 'static,
{
    let mut rest = settings.clone();
    let train: TrainConfig = take(&mut rest, seed)?;
    let hold_out = take(&mut rest, seed)?;
    train.check()?;
    let known = as_settings(&C::default());
    if let Some(key) = rest.keys().find(|k| !known.contains_key(*k)) {
        let all: Vec<String> = [as_settings(&train), as_settings(&hold_out), known]
            .iter()
            .flat_map(|s| s.keys().map(|k| format!("`{k}`")))
            .collect();
        return Err(Error::Config(format!(
            "unknown field `{key}`, expected one of {}",
            all.join(", ")
        )));
    }
    let network: C = super::read(&rest, seed)?;
    // Refuses what no data could make right.
    build(network.clone(), 1)?;
    Ok(Box::new(SequenceRecipe {
        network,
        train,
        hold_out,
        build,
    }))
}

/// Takes the keys of `C` out of `settings`.
fn take<C: Default + Serialize + DeserializeOwned>(
    settings: &mut Settings,
    seed: u64,
) -> Result<C> {
    let keys = as_settings(&C::default());
    let (own, rest) = std::mem::take(settings)
        .into_iter()
        .partition(|(key, _)| keys.contains_key(key));
    *settings = rest;
    super::read(&own, seed)
}

impl<C, N> Recipe for SequenceRecipe<C, N>
where
    C: Clone + Serialize,
    N: Network + 'static,
{
    fn fit(&self, from: &Fitting, watch: Watch) -> Result<Box<dyn Scorer>> {
        let sequences = training_sequences(from.ds, from.split, from.entities);
        let n_items = from.entities.n();
        let exclude_seen = from.repeats == RepeatPolicy::Exclude;
        let mut fit = |train: &TrainConfig, data: &Sequences| {
            let network = (self.build)(self.network.clone(), n_items)?;
            fit(network, data, train, exclude_seen, from.n_threads, watch)
        };
        let users = sampled(&sequences, self.hold_out.validation_users, self.train.seed);
        let refit = self.hold_out.refit.then(|| sequences.clone());
        let data = Sequences::hold_out_last(n_items, sequences, &users);
        let (mut model, epochs) = fit(&self.train, &data)?;
        if let Some(sequences) = refit.filter(|_| !users.is_empty()) {
            drop(model);
            let train = TrainConfig {
                max_epochs: epochs,
                ..self.train.clone()
            };
            let data = Sequences::hold_out_last(n_items, sequences, &[]);
            (model, _) = fit(&train, &data)?;
        }
        Ok(Box::new(SequenceScorer::new(from.entities.clone(), model)))
    }

    fn settings(&self) -> Settings {
        let mut all = as_settings(&self.network);
        all.extend(as_settings(&self.train));
        all.extend(as_settings(&self.hold_out));
        all
    }
}

/// At most `n` of the users who have a choice to hold out and one to predict it from, ascending.
fn sampled(sequences: &[Vec<u32>], n: usize, seed: u64) -> Vec<usize> {
    let mut users: Vec<usize> = (0..sequences.len())
        .filter(|&u| sequences[u].len() > 1)
        .collect();
    if n < users.len() {
        users.sort_unstable_by_key(|&u| mix(mix(seed) ^ u as u64));
        users.truncate(n);
        users.sort_unstable();
    }
    users
}
