//! The crate's integration tests: one binary, because linking is what costs time.

mod baselines;
mod fixtures;
mod ranking;
mod sequence;
mod systems;
mod tasks;
