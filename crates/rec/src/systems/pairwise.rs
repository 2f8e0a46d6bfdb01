//! What learns by comparing pairs as systems: one flat table of the model's keys and the trainer's.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::hold_out::{HoldOutConfig, fit_held_out, known_keys, take};
use super::{Fitting, Recipe, Settings, Watch, as_settings};
use crate::baselines::{HeldOut, PairwiseConfig, Scorer};
use crate::error::Result;

/// A model of the best epoch, and that epoch.
pub(super) type FitFn<C> =
    fn(&Fitting, &HeldOut, &C, &PairwiseConfig, Watch) -> Result<(Box<dyn Scorer>, usize)>;

struct PairwiseRecipe<C> {
    model: C,
    train: PairwiseConfig,
    hold_out: HoldOutConfig,
    fit: FitFn<C>,
}

/// # Errors
/// An unknown key; a value of the wrong type or out of its range.
pub(super) fn read<C>(
    settings: &Settings,
    seed: u64,
    check: fn(&C) -> Result<()>,
    fit: FitFn<C>,
) -> Result<Box<dyn Recipe>>
where
    C: Default + Serialize + DeserializeOwned + 'static,
{
    let tables = [
        as_settings(&C::default()),
        as_settings(&PairwiseConfig::default()),
        as_settings(&HoldOutConfig::default()),
    ];
    known_keys(settings, &tables)?;
    let mut rest = settings.clone();
    let train: PairwiseConfig = take(&mut rest, seed)?;
    let hold_out = take(&mut rest, seed)?;
    let model = super::read(&rest, seed)?;
    train.check()?;
    check(&model)?;
    Ok(Box::new(PairwiseRecipe {
        model,
        train,
        hold_out,
        fit,
    }))
}

impl<C: Serialize> Recipe for PairwiseRecipe<C> {
    fn fit(&self, from: &Fitting, watch: Watch) -> Result<Box<dyn Scorer>> {
        fit_held_out(from, &self.hold_out, self.train.seed, |held_out, epochs| {
            let train = PairwiseConfig {
                max_epochs: epochs.unwrap_or(self.train.max_epochs),
                ..self.train.clone()
            };
            (self.fit)(from, held_out, &self.model, &train, watch)
        })
    }

    fn settings(&self) -> Settings {
        let mut all = as_settings(&self.model);
        all.extend(as_settings(&self.train));
        all.extend(as_settings(&self.hold_out));
        all
    }
}
