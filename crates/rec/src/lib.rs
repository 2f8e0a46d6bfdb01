//! What should this user see next? Instruction tasks, tuning recipes, rankers and baselines.
//!
//! [`baselines`] learn scores from training histories, [`sequence`] models from their order;
//! [`text`] makes vectors of what the catalogue says of an item; [`systems`] has all rankers by name, with their settings;
//! [`tasks`] turn training instances into instruction rows; [`llm`] tunes on those rows and scores
//! with a language model; [`ctr`] has models of single pairs on the features of [`method`]; a [`Ranker`] is one of
//! the rankers fitted, in a file. Every ranker's scores become a list by the one [`rank`], so that ties are
//! broken alike for all systems.

pub mod baselines;
pub mod ctr;
mod error;
pub mod llm;
pub mod method;
mod ranker;
mod scores;
pub mod sequence;
pub mod systems;
pub mod tasks;
pub mod text;
mod validation;

pub use error::{Error, Result};
pub use ranker::{About, Ranker, training_hash};
pub use scores::rank;
