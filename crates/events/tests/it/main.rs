//! The crate's integration tests: one binary, because linking is what costs time.

mod bad_input;
mod complete_journey;
mod features;
mod field;
mod fixtures;
mod forget;
mod frame;
mod generate;
mod golden;
mod leak;
mod mapping;
mod properties;
mod scale;
mod split;
mod text_formats;
