//! The crate's integration tests: one binary, because linking is what costs time.

mod baselines;
mod bert4rec;
mod caser;
mod choices_golden;
mod ctr;
mod described;
mod fixtures;
mod gru4rec;
mod matrix;
mod method;
mod numbers;
mod orders;
mod ranker;
mod ranking;
mod sequence;
mod sequence_file;
mod sequence_golden;
mod session_knn;
mod systems;
mod tasks;
mod text;
