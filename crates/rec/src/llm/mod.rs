//! The LLM as a recommender: rows → packed examples → tuning → adapter and item head → ranked lists.

mod calibrate;
mod case_scores;
mod embedded;
mod item_head;
mod numbers;
mod pack;
mod recommend;
mod tune;

pub use calibrate::Calibration;
pub use case_scores::CaseScores;
pub use embedded::EmbeddedScorer;
pub use item_head::{ItemHead, ItemVectors};
pub use numbers::{NUMBER_TASKS, Numbers};
pub use pack::{Prompt, TuneExample, TuneRow, row_lengths};
pub use recommend::{Asker, ItemScores, Ranker, recommend};
pub use tune::{TuneConfig, TuneEvent, TuneOutcome, tune};
