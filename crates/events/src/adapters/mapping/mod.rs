//! Any CSV, JSONL or Parquet log by a mapping from its columns to events, items and users.
//!
//! ```toml
//! format = "mapping"
//! name = "shop"
//! target_actions = ["buy"]
//! strengths = { buy = 1.0, view = 0.1 }
//!
//! [[events]]
//! path = "log.csv"
//! user = "visitor"
//! item = "sku"
//! time = "at"
//! time_format = "millis"        # absent: what a Parquet column says, else seconds
//! subject = "product"           # the same for every row …
//! action_column = "event_type"  # … or from a column
//! scenario = "web shop"
//!
//! [items]
//! path = "items.jsonl"
//! id = "sku"
//! title = "name"
//! categories = ["department", "shelf"]
//! price = "price"
//! ```

mod config;
mod events;
mod tables;

use std::path::{Path, PathBuf};

pub use config::{EventsMapping, ItemsMapping, MappingConfig, UsersMapping};

use super::into_store::IntoStore;
use super::sink::{Sink, Target};
use super::{IngestLimits, Ingested, table};
use crate::dataset::{Dataset, DatasetInfo};
use crate::error::{Error, Result};
use crate::report::IngestReport;

/// Into memory.
///
/// # Errors
/// A missing file or column, a mapping that contradicts itself, times or ids that cannot be meant, no event at all, or
/// the first bad row if strict.
pub fn load(config: &MappingConfig, report: &mut IngestReport) -> Result<Dataset> {
    let mut sink = Sink::new(info(config), report);
    let log = read(config, None, &mut sink)?;
    sink.finish(&log)
}

/// Into a store, however long the log is.
///
/// # Errors
/// As [`load`], and those of [`super::ingest`].
pub(super) fn ingest(
    config: &MappingConfig,
    dir: &Path,
    limits: &mut IngestLimits,
    report: &mut IngestReport,
) -> Result<Ingested> {
    let now = limits.now;
    let mut target = IntoStore::new(info(config), dir, limits, report);
    let log = read(config, now, &mut target)?;
    target.finish(&log, dir)
}

fn info(config: &MappingConfig) -> DatasetInfo {
    DatasetInfo {
        name: config.name.clone(),
        target_actions: config.target_actions.clone(),
        strengths: config.strengths.clone(),
        category_level: config.category_level,
        item_noun: config.item_noun.clone(),
        user_noun: config.user_noun.clone(),
        licence: config.licence.clone(),
    }
}

/// All files; the first one's path, for messages. `now`: seconds since 1970, after which no time of a log should be.
fn read(config: &MappingConfig, now: Option<i64>, target: &mut impl Target) -> Result<PathBuf> {
    let Some(first) = config.events.first() else {
        return Err(Error::Config(
            "the mapping has no [[events]]: name at least one file".into(),
        ));
    };
    for mapping in &config.events {
        let reader = events::Reader::new(mapping, now)?;
        for file in table::files(&config.dir.join(&mapping.path))? {
            reader.file(&file, target)?;
        }
    }
    if let Some(mapping) = &config.items {
        tables::items(target, &config.dir.join(&mapping.path), mapping)?;
    }
    if let Some(mapping) = &config.users {
        tables::users(target, &config.dir.join(&mapping.path), mapping)?;
    }
    Ok(config.dir.join(&first.path))
}

/// A number of an optional field. A word that means "none" is no number, and no fault either.
fn number(
    report: &mut IngestReport,
    at: (&Path, u64),
    field: &str,
    cell: Option<&str>,
) -> Result<Option<f32>> {
    const NONE: [&str; 8] = ["none", "null", "nan", "na", "n/a", "nil", "-", "\u{2014}"];
    let Some(cell) = cell.map(str::trim) else {
        return Ok(None);
    };
    match cell.parse::<f32>() {
        Ok(number) if number.is_finite() => Ok(Some(number)),
        _ if NONE.contains(&cell.to_lowercase().as_str()) => Ok(None),
        _ => {
            report.bad_cell(at.0, at.1, &format!("{field} is no number"), cell)?;
            Ok(None)
        }
    }
}
