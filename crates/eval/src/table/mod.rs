//! Tables for people: aligned plain text for a terminal (at most 120 columns with two cut-offs),
//! Markdown, and LaTeX.
//!
//! In: a [`Report`]. Out: text, per task one table on the segment `all`, one of seeds, effect sizes and
//! costs (where there are any), one of what the lists are like (see [`crate::beyond`]), then one of
//! the segments a dimension; LaTeX has the first two. The best value of a column is marked `*` or bold, what
//! differs significantly from the reference `†`; `±` is half the width of the interval, which is given
//! in full where there is room.

mod contents;
mod latex;
mod markdown;
mod model;
mod numbers;
mod text;

use crate::config::EvalConfig;
use crate::metric::{Metric, MetricAt};
use crate::report::Report;

pub use latex::latex;
pub use markdown::{escape as escape_markdown, markdown};
pub use text::text;

pub(crate) use contents::{cost_columns, is_best, list_columns};
pub(crate) use numbers::{megabytes, p_text, seconds, short, signed, thousands};

/// How the lists were read: `repeats allowed; ties …`, said beside every table.
pub(crate) fn reading(cfg: &EvalConfig) -> String {
    format!("{}; {}", cfg.repeats, cfg.ties)
}

/// The metrics that tables show, in column order: HR and NDCG, and the deciding one.
pub(crate) fn shown(report: &Report) -> Vec<MetricAt> {
    let mut shown = MetricAt::grid(&Metric::SHOWN, &report.config.ks);
    let main = report.config.main();
    if !shown.contains(&main) {
        shown.push(main);
    }
    shown
}
