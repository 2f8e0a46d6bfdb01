//! Settings of the baselines. Every key has a default; a misspelt key is an error.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BaselineConfig {
    /// Recent popularity: days after which a choice counts half. Shorter follows the season.
    pub recent_half_life_days: f32,
    /// Own frequency: days after which one's own choice counts half.
    pub own_half_life_days: f32,
    /// Own frequency: what the most popular entity gets on top, in choices. Orders what the user
    /// never chose; large values drown the user's own choices.
    pub own_prior: f32,
    /// ItemKNN: neighbours kept of each entity.
    pub knn_neighbours: usize,
    /// ItemKNN: added to the denominator of the cosine; damps similarities that rest on few users.
    pub knn_shrinkage: f32,
    /// ItemKNN: an entity is its own neighbour with similarity 1, so that repeats rank high.
    pub knn_include_self: bool,
    /// EASE: L2 regularisation, at least 50 (single precision). Larger is nearer to popularity.
    pub ease_lambda: f32,
    /// EASE: only the so many most popular entities are modelled (memory and time grow with the
    /// square and the cube); the rest rank below them.
    pub ease_max_entities: usize,
}

impl Default for BaselineConfig {
    fn default() -> Self {
        Self {
            recent_half_life_days: 14.0,
            own_half_life_days: 90.0,
            own_prior: 0.1,
            knn_neighbours: 100,
            knn_shrinkage: 20.0,
            knn_include_self: true,
            ease_lambda: 500.0,
            ease_max_entities: 6000,
        }
    }
}

impl BaselineConfig {
    /// # Errors
    /// [`Error::Config`] names the key, its value and the range.
    pub fn check(&self) -> Result<()> {
        let at_least = |key: &str, value: f32, least: f32| match value.is_finite() && value >= least
        {
            true => Ok(()),
            false => Err(Error::Config(format!(
                "baselines.{key} = {value}: must be at least {least}"
            ))),
        };
        at_least("recent_half_life_days", self.recent_half_life_days, 0.01)?;
        at_least("own_half_life_days", self.own_half_life_days, 0.01)?;
        at_least("own_prior", self.own_prior, 0.0)?;
        at_least("knn_neighbours", self.knn_neighbours as f32, 1.0)?;
        at_least("knn_shrinkage", self.knn_shrinkage, 0.0)?;
        at_least("ease_lambda", self.ease_lambda, 50.0)?;
        at_least("ease_max_entities", self.ease_max_entities as f32, 1.0)
    }
}
