//! Rankers without a language model, fitted on training histories only.
//!
//! | system | score of entity e for user u |
//! |---|---|
//! | [`Popularity`] | strength of all choices of e |
//! | [`RecentPopularity`] | the same, halved every so many days |
//! | [`OwnFrequency`] | u's own choices of e, halved every so many days, and a little popularity |
//! | [`ItemKnn`] | similarity of e to what u chose |
//! | [`Ease`] | linear autoencoder of u's choices, closed form |
//!
//! Entities are the catalogue's items or its categories ([`Entities`]); the code is the same.
//! A scorer never excludes anything: [`RepeatPolicy`] does, for all systems of a table alike.

mod choose;
mod config;
mod ease;
mod entities;
mod interactions;
mod item_knn;
mod popularity;
mod spd_inverse;

use hkfr_events::{Dataset, History, Split};

use crate::error::Result;

pub use choose::{Choice, choose_on_validation};
pub use config::BaselineConfig;
pub use ease::Ease;
pub use entities::{Entities, RepeatPolicy};
pub use interactions::Interactions;
pub use item_knn::ItemKnn;
pub use popularity::{OwnFrequency, Popularity, RecentPopularity};
pub use spd_inverse::spd_inverse;

/// The names of all systems, in the order of [`fit_all`].
pub const SYSTEMS: [&str; 5] = [
    "popularity",
    "recent-popularity",
    "own-frequency",
    "item-knn",
    "ease",
];

/// A fitted ranker.
pub trait Scorer: Send + Sync {
    fn name(&self) -> &str;

    /// Writes a score for every entity; `out` has as many elements as there are entities.
    fn score(&self, ds: &Dataset, history: &History, out: &mut [f32]);
}

/// Fits every system.
///
/// # Errors
/// A setting out of its range.
pub fn fit_all(
    ds: &Dataset,
    split: &Split,
    entities: &Entities,
    config: &BaselineConfig,
) -> Result<Vec<Box<dyn Scorer>>> {
    let interactions = Interactions::fit(ds, split, entities);
    SYSTEMS
        .iter()
        .map(|system| fit_one(system, ds, split, entities, &interactions, config))
        .collect()
}

/// Fits the system of this name (one of [`SYSTEMS`]).
///
/// # Errors
/// A setting out of its range, or an unknown name.
pub fn fit_one(
    system: &str,
    ds: &Dataset,
    split: &Split,
    entities: &Entities,
    interactions: &Interactions,
    config: &BaselineConfig,
) -> Result<Box<dyn Scorer>> {
    config.check()?;
    Ok(match system {
        "popularity" => Box::new(Popularity::fit(ds, split, entities)),
        "recent-popularity" => Box::new(RecentPopularity::fit(
            ds,
            split,
            entities,
            config.recent_half_life_days,
        )),
        "own-frequency" => Box::new(OwnFrequency::fit(
            ds,
            split,
            entities,
            config.own_half_life_days,
            config.own_prior,
        )),
        "item-knn" => Box::new(ItemKnn::fit(entities, interactions, config)),
        "ease" => Box::new(Ease::fit(
            entities,
            interactions,
            config.ease_lambda,
            config.ease_max_entities,
        )),
        _ => {
            let reason = format!(
                "there is no baseline {system:?}; the baselines are {}",
                SYSTEMS.join(", ")
            );
            return Err(crate::Error::Config(reason));
        }
    })
}
