//! Sequence models as systems.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::hold_out::{Stopped, Training};
use super::{Fitting, Recipe, Settings, Watch};
use crate::baselines::{HeldOut, Scorer};
use crate::error::Result;
use crate::sequence::{Network, SequenceScorer, TrainConfig, fit};

struct SequenceRecipe<C, N> {
    settings: Stopped<C, TrainConfig>,
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
    let settings: Stopped<C, TrainConfig> = Stopped::read(settings, seed)?;
    // Refuses what no data could make right.
    build(settings.model.clone(), 1)?;
    Ok(Box::new(SequenceRecipe { settings, build }))
}

impl Training for TrainConfig {
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

impl<C, N> Recipe for SequenceRecipe<C, N>
where
    C: Clone + Serialize,
    N: Network + 'static,
{
    fn fit(&self, from: &Fitting, watch: Watch) -> Result<Box<dyn Scorer>> {
        let model = self.settings.fit(from, |held_out: &HeldOut, train| {
            let network = (self.build)(self.settings.model.clone(), from.entities.n())?;
            let HeldOut {
                data, exclude_seen, ..
            } = *held_out;
            fit(network, data, train, exclude_seen, from.n_threads, watch)
        })?;
        Ok(Box::new(SequenceScorer::new(from.entities.clone(), model)))
    }

    fn settings(&self) -> Settings {
        self.settings.settings()
    }

    /// 2: the items of one time are read in an order by the user's id.
    fn version(&self) -> u32 {
        2
    }
}
