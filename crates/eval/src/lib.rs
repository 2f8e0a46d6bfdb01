//! Was it right? Runs and truth in; metrics, intervals, tests, segments and reports out.
//!
//! Data flows one way: run files ([`Run`]) and truth ([`Truth`]) → ranks of the targets
//! ([`ranks`]) → one value per case and metric ([`metrics`]) → means with bootstrap intervals
//! ([`bootstrap`]), paired tests ([`randomisation`]) and what the lists are like together
//! ([`beyond`]) → [`Report`] → a terminal, Markdown or LaTeX table ([`table`]) or one
//! self-contained page ([`html`]).
//!
//! Probabilities of single pairs (AUC, log-loss, calibration) are judged by [`binary`].
//!
//! Nothing here knows a model: cases and items are strings, so that the lists of any other tool
//! ([`trec`], [`parquet`]) are scored by the same code. Scores of a whole catalogue that are in
//! memory need no lists: [`dense`].
//!
//! ```
//! use hkfr_eval::{EvalConfig, Metric, RankedList, Run, Truth, TruthCase, evaluate};
//!
//! let truth = Truth {
//!     task: "item".into(),
//!     cases: vec![TruthCase {
//!         case: "u1".into(),
//!         targets: vec!["milk".into()],
//!         segment: "warm".into(),
//!         ..TruthCase::default()
//!     }],
//!     catalogue: ["bread", "milk"].map(String::from).into(),
//!     ..Truth::default()
//! };
//! let run = Run {
//!     system: "popularity".into(),
//!     task: "item".into(),
//!     depth: 10,
//!     lists: vec![RankedList {
//!         case: "u1".into(),
//!         items: vec!["bread".into(), "milk".into()],
//!         scores: vec![0.9, 0.4],
//!     }],
//!     ..Run::default()
//! };
//! let report = evaluate(&[truth], &[run], &EvalConfig::default())?;
//! let row = &report.tasks[0].segments[0].systems[0];
//! assert_eq!(row.value(Metric::Hr, 5).unwrap().mean, 1.0);
//! // The target stands at rank 2, and 1 / log2(2 + 1) = 0.63.
//! assert!((row.value(Metric::Ndcg, 5).unwrap().mean - 0.6309).abs() < 1e-4);
//! # Ok::<(), hkfr_eval::Error>(())
//! ```

pub mod beyond;
pub mod binary;
pub mod bootstrap;
pub mod checks;
mod compare;
mod config;
mod dcg;
pub mod dense;
mod error;
mod expected;
mod holm;
pub mod html;
mod jsonl;
mod masked;
mod measure;
mod metric;
pub mod metrics;
mod mismatch;
pub mod parquet;
mod policy;
mod pool;
mod printable;
pub mod randomisation;
pub mod ranks;
mod repeats;
mod report;
mod run;
mod score;
pub mod segments;
mod shuffled;
pub mod table;
mod tie_group;
mod tied;
mod ties;
pub mod trec;
mod truth;
mod verdict;
mod warnings;

pub use beyond::ListMetrics;
pub use compare::evaluate;
pub use config::EvalConfig;
pub use error::{Error, Fault, Result};
pub use holm::holm;
pub use jsonl::{Lines, write_atomically};
pub use metric::{Metric, MetricAt};
pub use mismatch::{Accident, Mismatch, mismatch};
pub use policy::Policy;
pub use pool::{Source, keep_common, pool};
pub use printable::printable;
pub use repeats::Repeats;
pub use report::{
    Difference, MetricValue, Report, SegmentReport, SystemCost, SystemRow, TaskReport,
};
pub use run::{RankedList, Run};
pub use score::{Scores, score, score_all};
pub use shuffled::{OrderWorth, changed_lists, worth_of_order};
pub use tie_group::TieGroup;
pub use ties::Ties;
pub use truth::{ALL, Truth, TruthCase};
pub use verdict::verdicts;
