//! What learns by comparing pairs as systems.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::hold_out::{Stopped, Training};
use super::{Fitting, Recipe, Settings, Watch};
use crate::baselines::{Choices, Pairwise, PairwiseConfig, PairwiseScorer, Scorer};
use crate::error::Result;

/// A model of these settings, about to learn from choices; the last argument is the seed.
type Build<C, T> = fn(&Choices, &C, u64) -> T;

struct PairwiseRecipe<C, T> {
    settings: Stopped<C, PairwiseConfig>,
    build: Build<C, T>,
}

/// # Errors
/// An unknown key; a value of the wrong type or out of its range.
pub(super) fn read<C, T>(
    settings: &Settings,
    seed: u64,
    check: fn(&C) -> Result<()>,
    build: Build<C, T>,
) -> Result<Box<dyn Recipe>>
where
    C: Default + Serialize + DeserializeOwned + 'static,
    T: Pairwise + 'static,
{
    let settings: Stopped<C, PairwiseConfig> = Stopped::read(settings, seed)?;
    check(&settings.model)?;
    Ok(Box::new(PairwiseRecipe { settings, build }))
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

impl<C: Serialize, T: Pairwise + 'static> Recipe for PairwiseRecipe<C, T> {
    fn fit(&self, from: &Fitting, watch: Watch) -> Result<Box<dyn Scorer>> {
        let model = self.settings.fit(from, |held_out, train| {
            let build = |choices: &_| (self.build)(choices, &self.settings.model, train.seed);
            PairwiseScorer::<T>::fit(from.entities, held_out, train, from.n_threads, watch, build)
        })?;
        Ok(Box::new(model))
    }

    fn settings(&self) -> Settings {
        self.settings.settings()
    }

    /// 1: stopped by choices ranked as they are served.
    fn version(&self) -> u32 {
        1
    }
}
