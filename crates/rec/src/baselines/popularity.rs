//! Counting: of everybody's choices, of everybody's recent choices, of one's own.

use hkfr_events::{Dataset, History, Split, UserIdx};
use serde::{Deserialize, Serialize};

use super::Scorer;
use super::entities::Entities;
use crate::error::{Result, at_least};

const DAY: f64 = 86_400.0;

/// `2^(−age / half-life)` for an age in seconds.
fn decay(age: i64, half_life_days: f32) -> f64 {
    (-(age as f64) / DAY / f64::from(half_life_days)).exp2()
}

/// Sum of strength × decay by entity over all training histories; no decay if `None`.
fn counts(
    ds: &Dataset,
    split: &Split,
    entities: &Entities,
    half_life_days: Option<f32>,
) -> Vec<f32> {
    // Ages count from the last cut-off of all: leave-one-out has one cut-off a user.
    let cut = split
        .fit_before
        .iter()
        .flatten()
        .max()
        .map_or(0, |t| t.seconds());
    let mut sums = vec![0f64; entities.n()];
    for history in (0..ds.n_users() as UserIdx).filter_map(|u| split.training_history(ds, u)) {
        for choice in entities.choices(ds, &history) {
            let weight = half_life_days.map_or(1.0, |h| decay(cut - choice.ts, h));
            sums[choice.entity as usize] += f64::from(choice.strength) * weight;
        }
    }
    sums.into_iter().map(|s| s as f32).collect()
}

/// `pop(e)` = summed strength of all training choices of e. Nothing to tune.
#[derive(Serialize, Deserialize)]
pub struct Popularity {
    counts: Vec<f32>,
}

impl Popularity {
    pub fn fit(ds: &Dataset, split: &Split, entities: &Entities) -> Self {
        Self {
            counts: counts(ds, split, entities, None),
        }
    }

    /// By entity.
    pub fn counts(&self) -> &[f32] {
        &self.counts
    }
}

impl Scorer for Popularity {
    fn name(&self) -> &str {
        "popularity"
    }

    fn score(&self, _: &Dataset, _: &History, out: &mut [f32]) {
        out.copy_from_slice(&self.counts);
    }

    fn bind(&mut self, _: &Dataset, _: &Entities) {}
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecentPopularityConfig {
    /// Days after which a choice counts half. Shorter follows the season.
    pub half_life_days: f32,
}

impl Default for RecentPopularityConfig {
    fn default() -> Self {
        Self {
            half_life_days: 14.0,
        }
    }
}

impl RecentPopularityConfig {
    /// # Errors
    /// A value out of its range.
    pub fn check(&self) -> Result<()> {
        at_least("half_life_days", self.half_life_days, 0.01)
    }
}

/// Popularity in which a choice counts half after each half-life before the last fit cut-off.
#[derive(Serialize, Deserialize)]
pub struct RecentPopularity {
    counts: Vec<f32>,
}

impl RecentPopularity {
    pub fn fit(
        ds: &Dataset,
        split: &Split,
        entities: &Entities,
        config: &RecentPopularityConfig,
    ) -> Self {
        Self {
            counts: counts(ds, split, entities, Some(config.half_life_days)),
        }
    }
}

impl Scorer for RecentPopularity {
    fn name(&self) -> &str {
        "recent-popularity"
    }

    fn score(&self, _: &Dataset, _: &History, out: &mut [f32]) {
        out.copy_from_slice(&self.counts);
    }

    fn bind(&mut self, _: &Dataset, _: &Entities) {}
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OwnFrequencyConfig {
    /// Days after which one's own choice counts half.
    pub half_life_days: f32,
    /// What the most popular entity gets on top, in choices. Orders what the user never chose;
    /// large values drown the user's own choices.
    pub prior: f32,
}

impl Default for OwnFrequencyConfig {
    fn default() -> Self {
        Self {
            half_life_days: 90.0,
            prior: 0.1,
        }
    }
}

impl OwnFrequencyConfig {
    /// # Errors
    /// A value out of its range.
    pub fn check(&self) -> Result<()> {
        at_least("half_life_days", self.half_life_days, 0.01)?;
        at_least("prior", self.prior, 0.0)
    }
}

/// A user's own choices, halved every half-life before the history's as-of.
#[derive(Serialize, Deserialize)]
struct OwnChoices {
    #[serde(skip)]
    entities: Entities,
    half_life_days: f32,
}

impl OwnChoices {
    pub fn new(entities: &Entities, config: &OwnFrequencyConfig) -> Self {
        Self {
            entities: entities.clone(),
            half_life_days: config.half_life_days,
        }
    }

    /// Adds `weight` times the choices of each entity to `out`.
    pub fn add(&self, ds: &Dataset, history: &History, weight: f32, out: &mut [f32]) {
        for choice in self.entities.choices(ds, history) {
            let left = decay(history.as_of().seconds() - choice.ts, self.half_life_days);
            out[choice.entity as usize] += weight * choice.strength * left as f32;
        }
    }
}

/// [`OwnChoices`] plus `prior · pop(e) / max pop`, so that what the user never chose is ordered too.
#[derive(Serialize, Deserialize)]
pub struct OwnFrequency {
    own: OwnChoices,
    prior: Vec<f32>,
}

impl OwnFrequency {
    pub fn fit(
        ds: &Dataset,
        split: &Split,
        entities: &Entities,
        config: &OwnFrequencyConfig,
    ) -> Self {
        let counts = counts(ds, split, entities, None);
        let max = counts.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        Self {
            own: OwnChoices::new(entities, config),
            prior: counts.iter().map(|c| config.prior * c / max).collect(),
        }
    }
}

impl Scorer for OwnFrequency {
    fn name(&self) -> &str {
        "own-frequency"
    }

    fn score(&self, ds: &Dataset, history: &History, out: &mut [f32]) {
        out.copy_from_slice(&self.prior);
        self.own.add(ds, history, 1.0, out);
    }

    fn bind(&mut self, _: &Dataset, entities: &Entities) {
        self.own.entities = entities.clone();
    }
}

/// What a user without a history is shown by a system that learns from who chose what.
pub(super) fn popular(counts: &[u32], out: &mut [f32]) {
    out.iter_mut()
        .zip(counts)
        .for_each(|(out, &count)| *out = count as f32);
}
