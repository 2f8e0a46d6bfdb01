//! Rankers without a language model, fitted on training histories only.
//!
//! | system | score of entity e for user u |
//! |---|---|
//! | [`Popularity`] | strength of all choices of e |
//! | [`RecentPopularity`] | the same, halved every so many days |
//! | [`OwnFrequency`] | u's own choices of e, halved every so many days, and a little popularity |
//! | [`ItemKnn`] | similarity of e to what u chose |
//! | [`SequentialRules`] | how often e came after what u chose, and how soon |
//! | [`Vsknn`] | similarity to u of those who chose e, the latest choices counting most |
//! | [`Stan`] | the same, with decays by age of choice, of neighbour, and by distance |
//! | [`TextKnn`] | how much e is written like what u chose |
//! | [`Ease`] | linear autoencoder of u's choices, closed form |
//! | [`Ials`] | matrix factorisation of all pairs, by least squares |
//! | [`BprTrainer`] | matrix factorisation, by comparing pairs |
//! | [`LightGcnTrainer`] | the same, vectors being averaged in the graph of choices |
//!
//! Entities are the catalogue's items or its categories ([`Entities`]); the code is the same.
//! A scorer never excludes anything: [`RepeatPolicy`] does, for all systems of a table alike. What learns from
//! who chose what shows a user who chose nothing yet what is popular.

mod bpr;
mod ease;
mod eigen;
mod entities;
mod ials;
mod interactions;
mod item_knn;
mod lightgcn;
mod pairwise;
mod popularity;
mod sequential_rules;
mod sessions;
mod spd_inverse;
mod stan;
mod text_knn;
mod vsknn;

use hkfr_events::{Dataset, History};

use crate::ranker::Encode;

pub use bpr::{BprConfig, BprTrainer};
pub use ease::{Ease, EaseConfig};
pub(crate) use eigen::symmetric_eigen;
pub use entities::{CHOICES_VERSION, Choice, Entities, RepeatPolicy};
pub use ials::{FixedSide, Ials, IalsConfig};
pub use interactions::Interactions;
pub use item_knn::{ItemKnn, ItemKnnConfig};
pub use lightgcn::{LightGcnConfig, LightGcnTrainer};
pub use pairwise::{Choices, HeldOut, PairwiseConfig, Triple};
pub(crate) use pairwise::{Pairwise, PairwiseScorer};
pub use popularity::{
    OwnFrequency, OwnFrequencyConfig, Popularity, RecentPopularity, RecentPopularityConfig,
};
pub use sequential_rules::{SequentialRules, SequentialRulesConfig};
pub use spd_inverse::spd_inverse;
pub use stan::{Stan, StanConfig};
pub use text_knn::{TextKnn, TextKnnConfig};
pub use vsknn::{Decay, Vsknn, VsknnConfig};

/// A fitted ranker. What it derives with serde is what [`Ranker`](crate::Ranker) keeps of it.
pub trait Scorer: Encode + Send + Sync {
    /// By this name [`crate::systems`] decodes it again.
    fn name(&self) -> &str;

    /// Writes a score for every entity; `out` has as many elements as there are entities.
    fn score(&self, ds: &Dataset, history: &History, out: &mut [f32]);

    /// Takes over numbers of a data set: of items, through `entities`, and of kinds of behaviour. They are not encoded,
    /// since another data set may number the same things otherwise.
    fn bind(&mut self, ds: &Dataset, entities: &Entities);
}
