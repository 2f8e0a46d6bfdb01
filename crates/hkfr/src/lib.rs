//! Heterogeneous knowledge fusion for recommendation: the facade of the library crates, and the
//! parts of the command line.
//!
//! A program that wants the library takes it from here, or from the single crates:
//! `hkfr::events` (what happened?), `hkfr::eval` (was it right?), `hkfr::lm` (what would a language
//! model say?), `hkfr::fuse` (what do these events say about this user?), `hkfr::rec` (what should
//! this user see next?).

pub use hkfr_eval as eval;
pub use hkfr_events as events;
pub use hkfr_fuse as fuse;
pub use hkfr_lm as lm;
pub use hkfr_rec as rec;

mod ablate;
pub mod args;
pub mod atomic;
pub mod cli;
mod compare;
pub mod config;
pub mod digest;
pub mod doctor;
pub mod fetch;
pub mod forget;
mod generate;
pub mod key;
mod lists;
mod measure;
pub mod progress;
pub mod sealed;
pub mod search;
pub mod show;
pub mod stage;
pub mod stages;
pub mod stop;
pub mod template;
pub mod terminal;
pub mod verify;
