//! Log files → [`Dataset`]. One adapter a format; each counts what it did in an [`IngestReport`].
//!
//! | adapter | format |
//! |---|---|
//! | [`complete_journey`] | The Complete Journey as Parquet files: groceries |
//! | [`recbole`] | RecBole atomic files `.inter`, `.item`, `.user`: MovieLens and others |
//! | [`sequences`] | `user item item …` a line, and `items.tsv`: the leave-one-out benchmarks |
//! | [`entree`] | sessions of the Entree restaurant guide |
//! | [`mapping`] | any CSV, JSONL or Parquet, described by a mapping |

pub mod complete_journey;
pub mod entree;
mod ids;
mod into_store;
mod join;
pub mod mapping;
pub(crate) mod parquet_in;
pub mod recbole;
pub mod sequences;
mod sink;
mod table;
mod text;
mod time;

pub use complete_journey::CompleteJourneyConfig;
pub use entree::EntreeConfig;
pub use ids::IdRule;
pub use mapping::MappingConfig;
pub use recbole::RecboleConfig;
pub use sequences::SequencesConfig;
pub use table::{FileFormat, FileOptions};
pub use text::Encoding;

use serde::{Deserialize, Serialize};

use std::path::Path;

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::report::IngestReport;
use crate::store::{self, Shard};

/// Which adapter, and its settings: in TOML a table with `format = "…"` beside the adapter's keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "format", rename_all = "kebab-case")]
pub enum IngestConfig {
    CompleteJourney(CompleteJourneyConfig),
    Recbole(RecboleConfig),
    Sequences(SequencesConfig),
    Entree(EntreeConfig),
    Mapping(Box<MappingConfig>),
}

/// Loads a data set with the adapter that the config names.
///
/// # Errors
/// Unreadable or foreign files, no usable row at all, or the first bad row if the report is strict.
pub fn load(config: &IngestConfig, report: &mut IngestReport) -> Result<Dataset> {
    load_at(config, None, report)
}

/// `now`: seconds since 1970, after which no time of a log should be.
fn load_at(config: &IngestConfig, now: Option<i64>, report: &mut IngestReport) -> Result<Dataset> {
    match config {
        IngestConfig::CompleteJourney(c) => complete_journey::load(c, report),
        IngestConfig::Recbole(c) => recbole::load(c, now, report),
        IngestConfig::Sequences(c) => sequences::load(c, report),
        IngestConfig::Entree(c) => entree::load(c, report),
        IngestConfig::Mapping(c) => mapping::load(c, report),
    }
}

/// What an ingest may use, and whose events it takes.
pub struct IngestLimits<'a> {
    /// Bytes of events that are held before they are written out; [`mapping`] only.
    pub memory: usize,
    /// Only these users; `None`: all.
    pub shard: Option<Shard>,
    /// Seconds since 1970: a log whose times are later is read wrong. `None`: no clock, and 2100 is the bound.
    pub now: Option<i64>,
    /// Ids of users who are left out, whatever the log holds.
    pub forgotten: Option<&'a dyn Fn(&str) -> bool>,
    /// Told now and then how far it is, and asked: go on?
    pub go_on: &'a mut dyn FnMut(IngestStep) -> bool,
}

/// Why events are skipped whose users must not come back.
const FORGOTTEN: &str = "events of users who were forgotten";

/// How far an ingest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IngestStep {
    /// Rows.
    Read(u64),
    /// Events sorted so far, dropped duplicates included, and their total.
    Wrote(u64, u64),
}

/// What an ingest wrote.
pub struct Ingested {
    /// Where the adapter works in memory.
    pub dataset: Option<Dataset>,
    pub users: usize,
    pub items: usize,
    pub events: usize,
    pub kinds: usize,
    /// Users who were left out.
    pub forgotten: usize,
    /// Bytes that did not fit into memory and were written out for the sort.
    pub spilled: u64,
    /// What the report's passing over the log could not know: what is counted user by user, of this shard only.
    pub own: IngestReport,
}

/// Log files → store in `dir`. A mapping's log may be larger than memory, and then only its shard is kept; the
/// other formats are data sets of known size.
///
/// # Errors
/// As [`load`], and I/O errors; [`Error::Stopped`] if `limits.go_on` says so. Half files are removed.
pub fn ingest(
    config: &IngestConfig,
    dir: &Path,
    mut limits: IngestLimits,
    report: &mut IngestReport,
) -> Result<Ingested> {
    if let IngestConfig::Mapping(config) = config {
        return mapping::ingest(config, dir, &mut limits, report);
    }
    if let Some(shard) = limits.shard {
        return Err(Error::Config(format!(
            "shard {shard}: only a log that adapter \"mapping\" reads can be sharded"
        )));
    }
    let mut dataset = load_at(config, limits.now, report)?;
    let mut forgotten = 0;
    if let Some(is_forgotten) = limits.forgotten {
        let (users, events) = dataset.forget(is_forgotten);
        forgotten = users;
        (0..events).for_each(|_| report.skip(FORGOTTEN));
    }
    if !(limits.go_on)(IngestStep::Read(report.rows_read)) {
        return Err(Error::Stopped);
    }
    store::write(&dataset, dir)?;
    Ok(Ingested {
        users: dataset.n_users(),
        items: dataset.n_items(),
        events: dataset.n_events(),
        kinds: dataset.kinds.len(),
        forgotten,
        spilled: 0,
        own: IngestReport::default(),
        dataset: Some(dataset),
    })
}
