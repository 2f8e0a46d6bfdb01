//! Sequence models as systems.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::features::FeatureConfig;
use super::hold_out::{Stopped, Training};
use super::{Fitting, Recipe, Settings, Watch};
use crate::baselines::{HeldOut, Scorer};
use crate::error::Result;
use crate::sequence::{Saved, SequenceScorer, TrainConfig, Trainer, train};

struct SequenceRecipe<C, N> {
    settings: Stopped<Described<C>, TrainConfig>,
    build: Build<C, N>,
}

/// A network's settings and those of what it reads of the catalogue, one flat table.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Described<C> {
    #[serde(flatten)]
    network: C,
    #[serde(flatten)]
    features: FeatureConfig,
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
    N: Saved + 'static,
{
    let settings: Stopped<Described<C>, TrainConfig> = Stopped::read(settings, seed)?;
    // Refuses what no data could make right.
    build(settings.model.network.clone(), 1)?;
    settings.model.features.check()?;
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
    C: Clone + Default + Serialize + DeserializeOwned,
    N: Saved + 'static,
{
    fn fit(&self, from: &Fitting, watch: Watch) -> Result<Box<dyn Scorer>> {
        let Described { network, features } = &self.settings.model;
        let features = features.read(|| from.texts(), self.settings.train.seed)?;
        let model = self.settings.fit(from, |held_out: &HeldOut, config| {
            let network = (self.build)(network.clone(), from.entities.n())?;
            let HeldOut {
                data, exclude_seen, ..
            } = *held_out;
            let (n, config) = (data.n_items, config.clone());
            let mut trainer = Trainer::new(network, n, &data.train, config, from.n_threads)?;
            if let Some(features) = &features {
                trainer = trainer.with_features(features.clone())?;
            }
            train(trainer, data, exclude_seen, watch)
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
