//! What learns by comparing pairs as systems.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::hold_out::{Stopped, Training};
use super::{Fitting, Recipe, Settings, Watch};
use crate::baselines::{HeldOut, PairwiseConfig, Scorer};
use crate::error::Result;

/// A model of the best epoch, and that epoch.
pub(super) type FitFn<C> =
    fn(&Fitting, &HeldOut, &C, &PairwiseConfig, Watch) -> Result<(Box<dyn Scorer>, usize)>;

struct PairwiseRecipe<C> {
    settings: Stopped<C, PairwiseConfig>,
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
    let settings: Stopped<C, PairwiseConfig> = Stopped::read(settings, seed)?;
    check(&settings.model)?;
    Ok(Box::new(PairwiseRecipe { settings, fit }))
}

impl Training for PairwiseConfig {
    fn seed(&self) -> u64 {
        self.seed
    }

    fn max_epochs(&mut self) -> &mut usize {
        &mut self.max_epochs
    }

    fn check(&self) -> Result<()> {
        Self::check(self)
    }
}

impl<C: Serialize> Recipe for PairwiseRecipe<C> {
    fn fit(&self, from: &Fitting, watch: Watch) -> Result<Box<dyn Scorer>> {
        self.settings.fit(from, |held_out, train| {
            (self.fit)(from, held_out, &self.settings.model, train, watch)
        })
    }

    fn settings(&self) -> Settings {
        self.settings.settings()
    }
}
