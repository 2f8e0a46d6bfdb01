//! `report.html`: everything one run of the pipeline has to show, in one file.
//!
//! In: a [`ReportPage`] of plain values. Out: a page that needs no network, no script and no other
//! file: CSS and SVG are inside, light and dark follow the reader's system. All text that comes
//! from data is escaped.

mod page;
mod plots;
mod tables;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::jsonl::write_atomically;
use crate::report::Report;

/// The contents of the page. Empty lists leave their section out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportPage {
    pub title: String,
    /// One sentence under the title.
    pub subtitle: String,
    /// Facts of the data set: name and value.
    pub facts: Vec<(String, String)>,
    /// Facts of the configuration.
    pub config: Vec<(String, String)>,
    pub report: Report,
    pub loss_curves: Vec<Series>,
    pub length_histograms: Vec<Histogram>,
    pub stages: Vec<StageRow>,
    /// What a reader must know to judge the numbers; the report's own warnings follow them.
    pub notes: Vec<String>,
    pub samples: Vec<Sample>,
}

/// The loss of one tuning, by optimiser step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Series {
    pub name: String,
    pub train: Vec<(u64, f64)>,
    /// Optional.
    pub validation: Vec<(u64, f64)>,
}

/// Lengths, to be drawn as a histogram.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Histogram {
    pub title: String,
    /// E.g. `tokens`.
    pub unit: String,
    pub values: Vec<u32>,
    /// A budget to mark, in the same unit.
    pub limit: Option<u32>,
}

/// What one stage of the pipeline took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StageRow {
    pub name: String,
    pub wall_seconds: f64,
    /// Highest resident memory, in MB (10⁶ bytes).
    pub peak_mb: Option<f64>,
    /// E.g. (`events`, 1469307).
    pub counts: Vec<(String, u64)>,
}

/// One case to read: named blocks of text in order, e.g. knowledge, then recommendation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sample {
    pub title: String,
    pub blocks: Vec<(String, String)>,
}

/// The page as HTML.
///
/// # Errors
/// [`crate::Error::Plot`] only.
pub fn render(page: &ReportPage) -> Result<String> {
    Ok(visible(&page::page(page)?.into_string()))
}

/// Renders the page into `path`, replacing it in one step.
pub fn write(page: &ReportPage, path: &Path) -> Result<()> {
    let html = render(page)?;
    write_atomically(path, |out| out.write_all(html.as_bytes()))
}

/// Control characters from someone's titles, made visible instead of acting on whoever prints the
/// file to a terminal; they are not allowed in HTML either.
fn visible(text: &str) -> String {
    let show = |c: char| match c {
        '\n' | '\r' | '\t' => c,
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(show).collect()
}
