//! What a system needs to stop in time: the last order of each user, held out of what it may learn from.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Fitting, Settings, as_settings};
use crate::baselines::{HeldOut, RepeatPolicy};
use crate::error::{Error, Result};
use crate::scores::mix;
use crate::sequence::{Orders, Sequences, training_orders};

/// How a system uses the histories that it may learn from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HoldOutConfig {
    /// Users whose last order is held out to stop by, a sample by `seed` if there are more.
    pub validation_users: usize,
    /// Learn a second time, from everything, for as many epochs as were best: the last orders
    /// count too, as they do for what needs no stopping, for twice the time. An epoch is then longer by what they
    /// add. Published tables do not.
    pub refit: bool,
}

impl Default for HoldOutConfig {
    fn default() -> Self {
        Self {
            validation_users: 50_000,
            refit: true,
        }
    }
}

/// A model by `fit`, which is told what to learn from and, the second time, for how many epochs; it says
/// how many were best.
fn fit_held_out<M>(
    from: &Fitting,
    config: &HoldOutConfig,
    seed: u64,
    mut fit: impl FnMut(&HeldOut, Option<usize>) -> Result<(M, usize)>,
) -> Result<M> {
    let sequences = training_orders(from.ds, from.split, from.entities);
    let n_items = from.entities.n();
    let mut fit = |data: &Sequences, users: &[usize], epochs| {
        let exclude_seen = from.repeats == RepeatPolicy::Exclude;
        let held_out = HeldOut {
            data,
            users,
            exclude_seen,
        };
        fit(&held_out, epochs)
    };
    let users = sampled(&sequences, config.validation_users, seed);
    let refit = config.refit.then(|| sequences.clone());
    let data = Sequences::hold_out_last(n_items, sequences, &users);
    let (mut model, epochs) = fit(&data, &users, None)?;
    if let Some(sequences) = refit.filter(|_| !users.is_empty()) {
        drop(model);
        let data = Sequences::hold_out_last(n_items, sequences, &[]);
        (model, _) = fit(&data, &[], Some(epochs))?;
    }
    Ok(model)
}

/// At most `n` of the users who have an order to hold out and one to predict it from, ascending.
fn sampled(sequences: &[Orders], n: usize, seed: u64) -> Vec<usize> {
    let mut users: Vec<usize> = (0..sequences.len())
        .filter(|&u| sequences[u].n() > 1)
        .collect();
    if n < users.len() {
        users.sort_unstable_by_key(|&u| mix(mix(seed) ^ u as u64));
        users.truncate(n);
        users.sort_unstable();
    }
    users
}

/// How something is trained, epoch by epoch.
pub(super) trait Training: Clone + Default + Serialize + DeserializeOwned {
    fn seed(&self) -> u64;
    /// The most epochs.
    fn max_epochs(&mut self) -> &mut usize;
    fn check(&self) -> Result<()>;
}

/// The settings of what is trained until its held-out choices are found best: the model's keys, the
/// training's and those of the hold-out, one flat table to users.
pub(super) struct Stopped<C, T> {
    pub model: C,
    pub train: T,
    pub hold_out: HoldOutConfig,
}

impl<C: Default + Serialize + DeserializeOwned, T: Training> Stopped<C, T> {
    /// # Errors
    /// An unknown key; a value of the wrong type, or one that no training can have.
    pub fn read(settings: &Settings, seed: u64) -> Result<Self> {
        let tables = [
            as_settings(&C::default()),
            as_settings(&T::default()),
            as_settings(&HoldOutConfig::default()),
        ];
        known_keys(settings, &tables)?;
        let mut rest = settings.clone();
        let train: T = take(&mut rest, seed)?;
        let hold_out = take(&mut rest, seed)?;
        train.check()?;
        let model = super::read(&rest, seed)?;
        Ok(Self {
            model,
            train,
            hold_out,
        })
    }
}

impl<C: Serialize, T: Training> Stopped<C, T> {
    pub fn settings(&self) -> Settings {
        let mut all = as_settings(&self.model);
        all.extend(as_settings(&self.train));
        all.extend(as_settings(&self.hold_out));
        all
    }

    /// [`fit_held_out`] by `fit`, which is told how to train.
    pub fn fit<M>(
        &self,
        from: &Fitting,
        mut fit: impl FnMut(&HeldOut, &T) -> Result<(M, usize)>,
    ) -> Result<M> {
        fit_held_out(
            from,
            &self.hold_out,
            self.train.seed(),
            |held_out, epochs| {
                let mut train = self.train.clone();
                if let Some(epochs) = epochs {
                    *train.max_epochs() = epochs;
                }
                fit(held_out, &train)
            },
        )
    }
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

/// # Errors
/// A key that is in none of the `tables`.
fn known_keys(settings: &Settings, tables: &[Settings]) -> Result<()> {
    let known = |key: &&String| tables.iter().any(|t| t.contains_key(*key));
    let Some(key) = settings.keys().find(|key| !known(key)) else {
        return Ok(());
    };
    let all = tables.iter().flat_map(|t| t.keys());
    let all: Vec<String> = all.map(|k| format!("`{k}`")).collect();
    Err(Error::Config(format!(
        "unknown field `{key}`, expected one of {}",
        all.join(", ")
    )))
}
