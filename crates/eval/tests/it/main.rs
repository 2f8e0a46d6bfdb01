//! Tests of the evaluator, in one binary.

mod bootstrap;
mod evaluate;
mod files;
mod fixtures;
mod metrics;
mod report_page;
mod table;
