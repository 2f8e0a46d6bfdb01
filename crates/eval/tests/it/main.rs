//! Tests of the evaluator, in one binary.

mod beyond;
mod binary;
mod bootstrap;
mod dense;
mod evaluate;
mod files;
mod fixtures;
mod ids;
mod masked;
mod metrics;
mod pool;
mod ranx;
mod report_page;
mod table;
mod ties;
