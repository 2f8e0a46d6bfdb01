//! RecBole atomic files: tab-separated, with typed headers (`item_id:token`, `class:token_seq`).
//!
//! In: `<name>.inter` and, if there, `<name>.item` and `<name>.user` in one directory. Out: one
//! event a row of `.inter`: `rate` for a rating of at least `min_target_rating`, `rate-low` below
//! it; `interact` where the file has no ratings. The defaults are MovieLens-100K's columns.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::lines::Lines;
use super::sink::Sink;
use crate::dataset::{Dataset, DatasetInfo, Event};
use crate::error::{Error, Result};
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
    /// Seconds; without it the line number stands for time.
    pub time_field: String,
    pub title_field: String,
    /// Put behind the title in brackets.
    pub year_field: String,
    pub categories_field: String,
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
            title_field: "movie_title".into(),
            year_field: "release_year".into(),
            categories_field: "class".into(),
            item_noun: "film".into(),
            user_noun: "viewer".into(),
            licence: "MovieLens-100K, GroupLens: research use, no redistribution without permission; cite Harper and Konstan 2015".into(),
        }
    }
}

/// # Errors
/// A missing `.inter` or a column missing in it, no event at all, or the first bad row if strict.
pub fn load(config: &RecboleConfig, report: &mut IngestReport) -> Result<Dataset> {
    let file = |extension: &str| config.dir.join(format!("{}.{extension}", config.name));
    let mut sink = Sink::new(info(config), report);
    interactions(&mut sink, &file("inter"), config)?;
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

/// Column names without their types.
struct Header(Vec<String>);

impl Header {
    fn read(lines: &mut Lines, path: &Path, report: &mut IngestReport) -> Result<Self> {
        let Some((_, line)) = lines.next_line(report)? else {
            return Err(Error::BadFile {
                path: path.to_owned(),
                reason:
                    "the file is empty; an atomic file starts with a header like `user_id:token`"
                        .into(),
            });
        };
        let name = |cell: &str| Some(cell.split_once(':')?.0.to_owned());
        let names: Option<Vec<String>> = line.split('\t').map(name).collect();
        names.map(Self).ok_or_else(|| Error::BadFile {
            path: path.to_owned(),
            reason: format!("the header `{line}` has a column without a type like `:token`; is this a RecBole atomic file?"),
        })
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|n| n == name)
    }

    fn required(&self, name: &str, path: &Path) -> Result<usize> {
        self.position(name).ok_or_else(|| Error::BadFile {
            path: path.to_owned(),
            reason: format!("no column `{name}`; the file has {}", self.0.join(", ")),
        })
    }
}

fn interactions(sink: &mut Sink, path: &Path, config: &RecboleConfig) -> Result<()> {
    let mut lines = Lines::open(path)?;
    let header = Header::read(&mut lines, path, sink.report)?;
    let user_at = header.required(&config.user_field, path)?;
    let item_at = header.required(&config.item_field, path)?;
    let rating_at = header.position(&config.rating_field);
    let time_at = header.position(&config.time_field);
    while let Some((line, text)) = lines.next_line(sink.report)? {
        sink.report.rows_read += 1;
        let cells: Vec<&str> = text.split('\t').collect();
        if cells.len() != header.0.len() {
            sink.report
                .bad_row(path, line, &format!("not {} columns", header.0.len()), text)?;
            continue;
        }
        if cells[user_at].is_empty() || cells[item_at].is_empty() {
            sink.report
                .bad_row(path, line, "user or item is empty", text)?;
            continue;
        }
        let ts = match time_at.map(|i| cells[i]) {
            None => line as i64,
            Some(cell) => match cell.parse::<f64>() {
                Ok(t) if t.is_finite() => t.floor() as i64,
                _ => {
                    sink.report
                        .bad_row(path, line, "timestamp is no number", cell)?;
                    continue;
                }
            },
        };
        let rating = match rating_at.map(|i| cells[i]) {
            None => None,
            Some(cell) => match cell.parse::<f32>() {
                Ok(r) if r.is_finite() => Some(r),
                _ => {
                    sink.report
                        .bad_row(path, line, "rating is no number", cell)?;
                    continue;
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
        sink.push(event);
    }
    Ok(())
}

/// `.item` or `.user`: title and categories where they are named, every other column an attribute.
fn described(sink: &mut Sink, path: &Path, config: &RecboleConfig, is_item: bool) -> Result<()> {
    let mut lines = Lines::open(path)?;
    let header = Header::read(&mut lines, path, sink.report)?;
    let id_field = if is_item {
        &config.item_field
    } else {
        &config.user_field
    };
    let id_at = header.required(id_field, path)?;
    let title_at = header.position(&config.title_field);
    let year_at = header.position(&config.year_field);
    let categories_at = header.position(&config.categories_field);
    while let Some((line, text)) = lines.next_line(sink.report)? {
        sink.report.rows_read += 1;
        let cells: Vec<&str> = text.split('\t').collect();
        if cells.len() != header.0.len() || cells[id_at].is_empty() {
            sink.report.bad_row(
                path,
                line,
                &format!("not {} columns with an id", header.0.len()),
                text,
            )?;
            continue;
        }
        sink.report.rows_kept += 1;
        let mut attributes = std::collections::BTreeMap::new();
        for (i, (name, cell)) in header.0.iter().zip(&cells).enumerate() {
            let is_own =
                i == id_at || (is_item && (Some(i) == title_at || Some(i) == categories_at));
            let cell = sink.report.clean(cell);
            if !is_own && !cell.is_empty() {
                attributes.insert(name.replace('_', " "), cell.into_owned());
            }
        }
        if !is_item {
            let user = sink.builder.user(cells[id_at]);
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
        let item = sink.builder.item_mut(index);
        item.title = title;
        item.categories = categories.split_whitespace().map(str::to_owned).collect();
        item.attributes = attributes;
    }
    Ok(())
}
