//! Was it right? Runs and truth in; metrics, intervals, tests, segments and reports out.
//!
//! Data flows one way: run files ([`Run`]) and truth ([`Truth`]) → ranks of the targets
//! ([`ranks`]) → one value per case and metric ([`metrics`]) → means with bootstrap intervals and
//! paired tests ([`bootstrap`]) → [`Report`] → a terminal or Markdown table ([`table`]) or one
//! self-contained page ([`html`]).
//!
//! Nothing here knows a model: cases and items are strings, so that the lists of any other tool
//! (through [`Run::read`] or [`read_trec`]) are scored by the same code.
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
//!         in_overall: true,
//!     }],
//!     catalogue: ["bread", "milk"].map(String::from).into(),
//! };
//! let run = Run {
//!     system: "popularity".into(),
//!     task: "item".into(),
//!     depth: 10,
//!     seed: None,
//!     lists: vec![RankedList {
//!         case: "u1".into(),
//!         items: vec!["bread".into(), "milk".into()],
//!         scores: vec![0.9, 0.4],
//!     }],
//! };
//! let report = evaluate(&[truth], &[run], &EvalConfig::default())?;
//! let row = &report.tasks[0].segments[0].systems[0];
//! assert_eq!(row.value(Metric::Hr, 5).unwrap().mean, 1.0);
//! // The target stands at rank 2, and 1 / log2(2 + 1) = 0.63.
//! assert!((row.value(Metric::Ndcg, 5).unwrap().mean - 0.6309).abs() < 1e-4);
//! # Ok::<(), hkfr_eval::Error>(())
//! ```

pub mod bootstrap;
mod compare;
mod error;
mod holm;
pub mod html;
mod jsonl;
pub mod metrics;
pub mod ranks;
mod report;
mod run;
pub mod table;
mod trec;
mod truth;

pub use compare::{EvalConfig, evaluate};
pub use error::{Error, Fault, Result};
pub use holm::holm;
pub use jsonl::write_atomically;
pub use metrics::{Metric, MetricAt};
pub use report::{ALL, Difference, MetricValue, Report, SegmentReport, SystemRow, TaskReport};
pub use run::{RankedList, Run};
pub use trec::read_trec;
pub use truth::{Truth, TruthCase};
