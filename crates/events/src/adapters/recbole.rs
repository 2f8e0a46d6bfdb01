//! RecBole atomic files: separated by tabs or by another character, with typed headers (`item_id:token`, `class:token_seq`).
//!
//! In: `<name>.inter` and, if there, `<name>.item` and `<name>.user` in one directory. Out: one
//! event a row of `.inter`: `rate` for a rating of at least `min_target_rating`, `rate-low` below
//! it; `interact` where the file has no ratings. The defaults are MovieLens-100K's columns.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::join::{self, Indexed};
use super::sink::Sink;
use super::text::lines::Lines;
use super::time::plausible::Times;
use super::time::{Clock, Local, TimeFormat};
use crate::dataset::{Dataset, DatasetInfo, Event};
use crate::error::{Error, Result};
use crate::order::Fine;
use crate::report::IngestReport;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecboleConfig {
    /// The directory with the atomic files.
    pub dir: PathBuf,
    /// Their name without the extension.
    pub name: String,
    /// What an item is, for templates: `film`.
    pub subject: String,
    /// Where the behaviour happened; the files do not say.
    pub scenario: String,
    /// A rating of at least this is a target (`rate`).
    pub min_target_rating: f32,
    /// Names of the columns, without their types. One that is absent is left out, save the first two.
    pub user_field: String,
    pub item_field: String,
    pub rating_field: String,
    /// Without it the line number stands for time.
    pub time_field: String,
    /// `seconds`, `millis`, `micros`, `nanos`, `iso` or a pattern: RecBole's own files are in either of the first two.
    pub time_format: String,
    /// Times before 1990 or in the future are meant, and no wrong unit.
    pub any_time: bool,
    pub title_field: String,
    /// Put behind the title in brackets.
    pub year_field: String,
    pub categories_field: String,
    /// What separates the columns of a line. Absent: a tab or, where the header shows it, another.
    pub field_separator: Option<String>,
    /// What separates the values of a column of sequences. Empty: white space.
    pub seq_separator: String,
    /// `.item` or `.user` may know hardly any item or user of the log.
    pub few_match: bool,
    pub item_noun: String,
    pub user_noun: String,
    pub licence: String,
}

impl Default for RecboleConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::new(),
            name: "ml-100k".into(),
            subject: "film".into(),
            scenario: "site".into(),
            min_target_rating: 4.0,
            user_field: "user_id".into(),
            item_field: "item_id".into(),
            rating_field: "rating".into(),
            time_field: "timestamp".into(),
            time_format: "seconds".into(),
            any_time: false,
            title_field: "movie_title".into(),
            year_field: "release_year".into(),
            categories_field: "class".into(),
            field_separator: None,
            seq_separator: String::new(),
            few_match: false,
            item_noun: "film".into(),
            user_noun: "viewer".into(),
            licence: "MovieLens-100K, GroupLens: research use, no redistribution without permission; cite Harper and Konstan 2015".into(),
        }
    }
}

/// # Errors
/// A missing `.inter` or a column missing in it, no event at all, or the first bad row if strict.
pub fn load(
    config: &RecboleConfig,
    now: Option<i64>,
    report: &mut IngestReport,
) -> Result<Dataset> {
    let file = |extension: &str| config.dir.join(format!("{}.{extension}", config.name));
    let mut sink = Sink::new(info(config), report);
    interactions(&mut sink, &file("inter"), config, now)?;
    for (extension, is_item) in [("item", true), ("user", false)] {
        if file(extension).exists() {
            described(&mut sink, &file(extension), config, is_item)?;
        } else {
            sink.report
                .notes
                .push(format!("no {} file", file(extension).display()));
        }
    }
    sink.finish(&file("inter"))
}

fn info(config: &RecboleConfig) -> DatasetInfo {
    DatasetInfo {
        name: config.name.clone(),
        target_actions: vec!["rate".into(), "interact".into()],
        strengths: [("rate".to_owned(), 1.0), ("interact".to_owned(), 1.0)].into(),
        category_level: 0,
        item_noun: config.item_noun.clone(),
        user_noun: config.user_noun.clone(),
        licence: config.licence.clone(),
    }
}

/// The types of columns.
const TYPES: [&str; 4] = ["token", "token_seq", "float", "float_seq"];

/// Column names without their types, and what separates the columns.
struct Header {
    names: Vec<String>,
    separator: String,
}

impl Header {
    fn read(
        lines: &mut Lines,
        path: &Path,
        config: &RecboleConfig,
        report: &mut IngestReport,
    ) -> Result<Self> {
        let Some((_, line)) = lines.next_line(report)? else {
            return Err(Error::BadFile {
                path: path.to_owned(),
                reason:
                    "the file is empty; an atomic file starts with a header like `user_id:token`"
                        .into(),
            });
        };
        let by = |separator: &str| {
            let name = |cell: &str| {
                let (name, of) = cell.trim().rsplit_once(':')?;
                let is_name = !name.is_empty() && !name.contains(':');
                (is_name && TYPES.contains(&of)).then(|| name.to_owned())
            };
            let names = line.split(separator).map(name);
            names.collect::<Option<Vec<String>>>()
        };
        let said = config.field_separator.as_deref().filter(|s| !s.is_empty());
        let usual = said.unwrap_or("\t");
        let other = || {
            [",", " ", ";", "|", "\t"]
                .into_iter()
                .find(|s| by(s).is_some())
        };
        let separator = match (by(usual), said) {
            (Some(_), _) => usual,
            (None, None) => other().unwrap_or(usual),
            (None, Some(_)) => usual,
        };
        let Some(names) = by(separator) else {
            let remedy = match other() {
                Some(fits) => format!("set `field_separator = \"{fits}\"`"),
                None => "is this a RecBole atomic file?".into(),
            };
            return Err(Error::BadFile {
                path: path.to_owned(),
                reason: format!(
                    "the header `{}` has a column without a type like `:token`; {remedy}",
                    IngestReport::excerpt(line)
                ),
            });
        };
        if separator != usual {
            report.note(format!(
                "{}: read with the separator `{separator}`, as its header shows",
                path.display()
            ));
        }
        Ok(Self {
            names,
            separator: separator.to_owned(),
        })
    }

    fn split<'l>(&self, line: &'l str) -> Vec<&'l str> {
        line.split(self.separator.as_str()).map(str::trim).collect()
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|n| n == name)
    }

    fn required(&self, name: &str, path: &Path) -> Result<usize> {
        self.position(name).ok_or_else(|| Error::BadFile {
            path: path.to_owned(),
            reason: format!("no column `{name}`; the file has {}", self.names.join(", ")),
        })
    }
}

fn interactions(
    sink: &mut Sink,
    path: &Path,
    config: &RecboleConfig,
    now: Option<i64>,
) -> Result<()> {
    let mut lines = Lines::open(path, None)?;
    let header = Header::read(&mut lines, path, config, sink.report)?;
    let user_at = header.required(&config.user_field, path)?;
    let item_at = header.required(&config.item_field, path)?;
    let rating_at = header.position(&config.rating_field);
    let time_at = header.position(&config.time_field);
    let clock = Clock {
        format: TimeFormat::parse(&config.time_format)?,
        local: Local::AsWritten,
    };
    let mut times = Times::new(now, true);
    while let Some((line, text)) = lines.next_line(sink.report)? {
        sink.report.rows_read += 1;
        let cells = header.split(text);
        if cells.len() != header.names.len() {
            let reason = format!("not {} columns", header.names.len());
            sink.report.bad_row(path, line, &reason, text)?;
            continue;
        }
        if cells[user_at].is_empty() || cells[item_at].is_empty() {
            sink.report
                .bad_row(path, line, "user or item is empty", text)?;
            continue;
        }
        let (ts, nanos) = match time_at.map(|i| cells[i]) {
            None => (line as i64, 0),
            Some(cell) => match clock.read(cell) {
                Some(moment) => {
                    times.see(line, cell, moment);
                    (moment.seconds, moment.nanos)
                }
                None => {
                    times.see_unread(cell);
                    let reason = format!("timestamp is not {}", clock.format.name());
                    sink.report.bad_row(path, line, &reason, cell)?;
                    continue;
                }
            },
        };
        // RecBole reads an empty cell of numbers as a missing one.
        let rating = match rating_at.map(|i| cells[i]) {
            None | Some("") => None,
            Some(cell) => match cell.parse::<f32>() {
                Ok(r) if r.is_finite() => Some(r),
                _ => {
                    sink.report
                        .bad_cell(path, line, "rating is no number", cell)?;
                    None
                }
            },
        };
        let action = match rating {
            None => "interact",
            Some(r) if r >= config.min_target_rating => "rate",
            Some(_) => "rate-low",
        };
        let event = Event {
            user: sink.builder.user(cells[user_at]),
            item: Some(sink.builder.item(cells[item_at])),
            kind: sink.builder.kind(&config.subject, action, &config.scenario),
            ts,
            value: rating,
            place: None,
            text: None,
            row: 0,
        };
        sink.push(event, Fine { nanos, tie: 0 });
    }
    times.judge(path, config.any_time, sink.report)
}

/// `.item` or `.user`: title and categories where they are named, every other column an attribute.
fn described(sink: &mut Sink, path: &Path, config: &RecboleConfig, is_item: bool) -> Result<()> {
    let mut lines = Lines::open(path, None)?;
    let header = Header::read(&mut lines, path, config, sink.report)?;
    let (id_field, nouns, mut join) = if is_item {
        let join = Indexed::new(sink.builder.item_names());
        (&config.item_field, "items", join)
    } else {
        let join = Indexed::new(sink.builder.user_names());
        (&config.user_field, "users", join)
    };
    let id_at = header.required(id_field, path)?;
    let title_at = header.position(&config.title_field);
    let year_at = header.position(&config.year_field);
    let categories_at = header.position(&config.categories_field);
    while let Some((line, text)) = lines.next_line(sink.report)? {
        sink.report.rows_read += 1;
        let cells = header.split(text);
        if cells.len() != header.names.len() || cells[id_at].is_empty() {
            sink.report.bad_row(
                path,
                line,
                &format!("not {} columns with an id", header.names.len()),
                text,
            )?;
            continue;
        }
        sink.report.rows_kept += 1;
        let mut attributes = std::collections::BTreeMap::new();
        for (i, (name, cell)) in header.names.iter().zip(&cells).enumerate() {
            let is_own =
                i == id_at || (is_item && (Some(i) == title_at || Some(i) == categories_at));
            let cell = sink.report.clean(cell);
            if !is_own && !cell.is_empty() {
                attributes.insert(name.replace('_', " "), cell.into_owned());
            }
        }
        if !is_item {
            let user = sink.builder.user(cells[id_at]);
            join.see(cells[id_at], user);
            sink.builder.profile_mut(user).attributes = attributes;
            continue;
        }
        let mut title =
            title_at.map_or_else(String::new, |i| sink.report.clean(cells[i]).into_owned());
        let year = year_at.map(|i| cells[i].trim()).filter(|y| !y.is_empty());
        if let Some(year) = year.filter(|_| !title.is_empty()) {
            title = format!("{title} ({year})");
        }
        let categories =
            categories_at.map_or_else(String::new, |i| sink.report.clean(cells[i]).into_owned());
        let index = sink.builder.item(cells[id_at]);
        join.see(cells[id_at], index);
        let item = sink.builder.item_mut(index);
        item.title = title;
        item.categories = match config.seq_separator.as_str() {
            "" => categories.split_whitespace().map(str::to_owned).collect(),
            separator => {
                let values = categories.split(separator).map(str::trim);
                values
                    .filter(|v| !v.is_empty())
                    .map(str::to_owned)
                    .collect()
            }
        };
        item.attributes = attributes;
    }
    join.finish(sink.report, path, nouns, &join::NO_RULES, config.few_match)
}
