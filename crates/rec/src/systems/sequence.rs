//! Sequence models as systems: one flat table of the network's keys and the trainer's.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::hold_out::{HoldOutConfig, fit_held_out, known_keys, take};
use super::{Fitting, Recipe, Settings, Watch, as_settings};
use crate::baselines::{HeldOut, Scorer};
use crate::error::Result;
use crate::sequence::{Network, SequenceScorer, TrainConfig, fit};

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
    let tables = [
        as_settings(&TrainConfig::default()),
        as_settings(&HoldOutConfig::default()),
        as_settings(&C::default()),
    ];
    known_keys(settings, &tables)?;
    let mut rest = settings.clone();
    let train: TrainConfig = take(&mut rest, seed)?;
    let hold_out = take(&mut rest, seed)?;
    train.check()?;
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

impl<C, N> Recipe for SequenceRecipe<C, N>
where
    C: Clone + Serialize,
    N: Network + 'static,
{
    fn fit(&self, from: &Fitting, watch: Watch) -> Result<Box<dyn Scorer>> {
        let fit = |held_out: &HeldOut, epochs: Option<usize>| {
            let network = (self.build)(self.network.clone(), from.entities.n())?;
            let train = TrainConfig {
                max_epochs: epochs.unwrap_or(self.train.max_epochs),
                ..self.train.clone()
            };
            let HeldOut {
                data, exclude_seen, ..
            } = *held_out;
            fit(network, data, &train, exclude_seen, from.n_threads, watch)
        };
        let model = fit_held_out(from, &self.hold_out, self.train.seed, fit)?;
        Ok(Box::new(SequenceScorer::new(from.entities.clone(), model)))
    }

    fn settings(&self) -> Settings {
        let mut all = as_settings(&self.network);
        all.extend(as_settings(&self.train));
        all.extend(as_settings(&self.hold_out));
        all
    }
}
