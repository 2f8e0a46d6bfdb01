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
//! time_format = "millis"
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
mod rows;
mod time;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

pub use config::{EventsMapping, FileFormat, ItemsMapping, MappingConfig, UsersMapping};

use self::rows::{Columns, Rows};
use self::time::TimeFormat;
use super::into_store::IntoStore;
use super::sink::{Sink, Target};
use super::{IngestLimits, Ingested};
use crate::dataset::{Dataset, DatasetInfo, Event};
use crate::error::{Error, Result};
use crate::report::IngestReport;

/// Kinds of behaviour that a mapping may make: each may need a template.
const MAX_KINDS: usize = 1_000;

/// Into memory.
///
/// # Errors
/// A missing file or column, a mapping that contradicts itself, no event at all, or the first bad
/// row if strict.
pub fn load(config: &MappingConfig, report: &mut IngestReport) -> Result<Dataset> {
    let mut sink = Sink::new(info(config), report);
    let log = read(config, &mut sink)?;
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
    let mut target = IntoStore::new(info(config), dir, limits, report);
    let log = read(config, &mut target)?;
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

/// All files; the first one's path, for messages.
fn read(config: &MappingConfig, target: &mut impl Target) -> Result<PathBuf> {
    let Some(first) = config.events.first() else {
        return Err(Error::Config(
            "the mapping has no [[events]]: name at least one file".into(),
        ));
    };
    for mapping in &config.events {
        events(target, &config.dir.join(&mapping.path), mapping)?;
    }
    if let Some(mapping) = &config.items {
        items(target, &config.dir.join(&mapping.path), mapping)?;
    }
    if let Some(mapping) = &config.users {
        users(target, &config.dir.join(&mapping.path), mapping)?;
    }
    Ok(config.dir.join(&first.path))
}

/// A cell: constant for the file, or column of the row.
enum Source {
    Constant(String),
    Column(usize),
}

impl Source {
    fn new(
        what: &str,
        constant: &Option<String>,
        column: &Option<String>,
        columns: &mut Columns,
    ) -> Result<Self> {
        match (constant, column) {
            (Some(value), None) => Ok(Self::Constant(value.clone())),
            (None, Some(name)) => Ok(Self::Column(columns.add(name))),
            _ => Err(Error::Config(format!(
                "[[events]] needs either `{what}` (the same for every row) or `{what}_column`"
            ))),
        }
    }

    fn of<'r>(&'r self, row: &'r [Option<String>]) -> Option<&'r str> {
        match self {
            Self::Constant(value) => Some(value),
            Self::Column(i) => row[*i].as_deref(),
        }
    }
}

fn events(sink: &mut impl Target, path: &Path, mapping: &EventsMapping) -> Result<()> {
    let mut columns = Columns::default();
    let format = TimeFormat::parse(&mapping.time_format, mapping.utc_offset_minutes)?;
    let user_at = columns.add(&mapping.user);
    let time_at = columns.add(&mapping.time);
    let subject = Source::new(
        "subject",
        &mapping.subject,
        &mapping.subject_column,
        &mut columns,
    )?;
    let action = Source::new(
        "action",
        &mapping.action,
        &mapping.action_column,
        &mut columns,
    )?;
    let scenario = Source::new(
        "scenario",
        &mapping.scenario,
        &mapping.scenario_column,
        &mut columns,
    )?;
    let item_at = columns.add_if(&mapping.item);
    let text_at = columns.add_if(&mapping.text);
    let value_at = columns.add_if(&mapping.value);
    let place_at = columns.add_if(&mapping.place);
    let mut rows = Rows::open(path, mapping.format, columns)?;
    // The kinds that were seen, by their three words.
    let (mut kinds, mut key) = (HashMap::new(), String::new());
    while let Some((line, row)) = rows.next_row(sink.report())? {
        let (Some(user), Some(time)) = (&row[user_at], &row[time_at]) else {
            sink.report()
                .bad_row(path, line, "user or time is empty", "")?;
            continue;
        };
        let Some(ts) = format.seconds(time) else {
            let reason = format!("time is not {}", format.name());
            sink.report().bad_row(path, line, &reason, time)?;
            continue;
        };
        let (Some(subject), Some(action), Some(scenario)) =
            (subject.of(row), action.of(row), scenario.of(row))
        else {
            sink.report()
                .bad_row(path, line, "subject, action or scenario is empty", "")?;
            continue;
        };
        let item = item_at.and_then(|i| row[i].as_deref());
        let text = text_at.and_then(|i| row[i].as_deref());
        if item.is_none() && text.is_none() {
            sink.report()
                .bad_row(path, line, "neither item nor text", "")?;
            continue;
        }
        let value = match value_at.and_then(|i| row[i].as_deref()) {
            None => None,
            Some(cell) => match number(cell) {
                Some(v) => Some(v),
                None => {
                    sink.report()
                        .bad_row(path, line, "value is no number", cell)?;
                    continue;
                }
            },
        };
        let text = text.map(|t| sink.report().clean(t).into_owned().into_boxed_str());
        let [subject, action, scenario] =
            [subject, action, scenario].map(|k| sink.report().clean(k));
        key.clear();
        for part in [&subject, &action, &scenario] {
            key.push_str(part);
            // No text that was cleaned has one.
            key.push('\0');
        }
        let kind = match kinds.get(&key) {
            Some(&kind) => kind,
            None => {
                let kind = sink.names().kind(&subject, &action, &scenario);
                kinds.insert(key.clone(), kind);
                kind
            }
        };
        if sink.names().n_kinds() > MAX_KINDS {
            return Err(Error::Config(format!(
                "{}:{line}: more than {MAX_KINDS} kinds of behaviour (subject × action × scenario): a \
                 column of identifiers belongs into `place`, not into `scenario_column`",
                path.display()
            )));
        }
        let event = Event {
            user: 0,
            item: item.map(|i| sink.names().item(i)),
            kind,
            ts,
            value,
            place: place_at
                .and_then(|i| row[i].as_deref())
                .filter(|_| !sink.is_forgotten(user))
                .map(|p| sink.names().place(p)),
            text,
            row: 0,
        };
        sink.event(user, event)?;
    }
    Ok(())
}

fn number(cell: &str) -> Option<f32> {
    cell.trim().parse().ok().filter(|x: &f32| x.is_finite())
}

fn items(sink: &mut impl Target, path: &Path, mapping: &ItemsMapping) -> Result<()> {
    let mut columns = Columns::default();
    let id_at = columns.add(&mapping.id);
    let title_at = columns.add_if(&mapping.title);
    let price_at = columns.add_if(&mapping.price);
    let category_at: Vec<usize> = mapping.categories.iter().map(|c| columns.add(c)).collect();
    let attribute_at: Vec<usize> = mapping.attributes.iter().map(|a| columns.add(a)).collect();
    let mut rows = Rows::open(path, mapping.format, columns)?;
    let mut described = HashSet::new();
    while let Some((line, row)) = rows.next_row(sink.report())? {
        let Some(id) = new_id(
            sink.report(),
            path,
            line,
            row[id_at].as_deref(),
            &mut described,
        )?
        else {
            continue;
        };
        let price = match price_at.and_then(|i| row[i].as_deref()) {
            Some(cell) if number(cell).is_none() => {
                sink.report()
                    .bad_row(path, line, "price is no number", cell)?;
                continue;
            }
            cell => cell.and_then(number),
        };
        sink.report().rows_kept += 1;
        let title = title_at
            .and_then(|i| row[i].as_deref())
            .map_or_else(String::new, |t| sink.report().clean(t).into_owned());
        let mut categories = Vec::new();
        for cell in category_at.iter().filter_map(|&i| row[i].as_deref()) {
            let cell = sink.report().clean(cell);
            let parts: Vec<&str> = match mapping.separator.as_str() {
                "" => vec![&cell],
                separator => cell.split(separator).collect(),
            };
            categories.extend(
                parts
                    .into_iter()
                    .map(str::trim)
                    .filter(|c| !c.is_empty())
                    .map(str::to_owned),
            );
        }
        let attributes = attributes(sink.report(), &mapping.attributes, &attribute_at, row);
        let index = sink.names().item(&id);
        let item = sink.names().item_mut(index);
        item.title = title;
        item.categories = categories;
        item.price = price;
        item.attributes = attributes;
    }
    Ok(())
}

fn users(sink: &mut impl Target, path: &Path, mapping: &UsersMapping) -> Result<()> {
    let mut columns = Columns::default();
    let id_at = columns.add(&mapping.id);
    let attribute_at: Vec<usize> = mapping.attributes.iter().map(|a| columns.add(a)).collect();
    let mut rows = Rows::open(path, mapping.format, columns)?;
    while let Some((line, row)) = rows.next_row(sink.report())? {
        let Some(id) = row[id_at].as_deref() else {
            sink.report().bad_row(path, line, "id is empty", "")?;
            continue;
        };
        let attributes = attributes(sink.report(), &mapping.attributes, &attribute_at, row);
        sink.profile((path, line), id, attributes)?;
    }
    Ok(())
}

/// The id, unless it is empty or was described before: then the row is bad.
fn new_id(
    report: &mut IngestReport,
    path: &Path,
    line: u64,
    id: Option<&str>,
    described: &mut HashSet<String>,
) -> Result<Option<String>> {
    match id {
        None => report.bad_row(path, line, "id is empty", "")?,
        Some(id) if described.insert(id.to_owned()) => return Ok(Some(id.to_owned())),
        Some(id) => report.bad_row(path, line, "id is described twice", id)?,
    }
    Ok(None)
}

fn attributes(
    report: &mut IngestReport,
    names: &[String],
    at: &[usize],
    row: &[Option<String>],
) -> BTreeMap<String, String> {
    names
        .iter()
        .zip(at)
        .filter_map(|(name, &i)| {
            Some((name.clone(), report.clean(row[i].as_deref()?).into_owned()))
        })
        .collect()
}
