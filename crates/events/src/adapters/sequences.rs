//! The leave-one-out sequence format of the published benchmarks: a line a user,
//! `user item item …`, oldest first, and a table of items.
//!
//! In: `sequential_data.txt` and `items.tsv` (`item_id source_id text_tags attributes`,
//! attributes separated by `|`). Out: one `interact` event an item; its timestamp is its position
//! in the line (0, 1, …), because the files have no times: hours and weekdays mean nothing here.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::join::{self, Indexed};
use super::sink::Sink;
use super::text::lines::Lines;
use crate::dataset::{Dataset, DatasetInfo, Event, SOURCE_ID};
use crate::error::Result;
use crate::report::IngestReport;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SequencesConfig {
    /// The directory with the two files.
    pub dir: PathBuf,
    pub sequences: PathBuf,
    pub items: PathBuf,
    pub name: String,
    pub subject: String,
    pub scenario: String,
    /// Names of coarsest categories. An item's categories start at the first of its attributes
    /// that is listed here; one before it becomes the attribute `brand`. Empty: all are categories.
    pub category_roots: Vec<String>,
    /// Which category the category task ranks, 0 the first.
    pub category_level: usize,
    /// The table may know hardly any item of the sequences.
    pub few_match: bool,
    pub item_noun: String,
    pub user_noun: String,
    pub licence: String,
}

impl Default for SequencesConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::new(),
            sequences: "sequential_data.txt".into(),
            items: "items.tsv".into(),
            name: "sequences".into(),
            subject: "product".into(),
            scenario: "shop".into(),
            category_roots: Vec::new(),
            category_level: 0,
            few_match: false,
            item_noun: "product".into(),
            user_noun: "customer".into(),
            licence: String::new(),
        }
    }
}

/// # Errors
/// A missing file, no event at all, or the first bad row if strict.
pub fn load(config: &SequencesConfig, report: &mut IngestReport) -> Result<Dataset> {
    let info = DatasetInfo {
        name: config.name.clone(),
        target_actions: vec!["interact".into()],
        strengths: [("interact".to_owned(), 1.0)].into(),
        category_level: config.category_level,
        item_noun: config.item_noun.clone(),
        user_noun: config.user_noun.clone(),
        licence: config.licence.clone(),
    };
    let path = config.dir.join(&config.sequences);
    let mut sink = Sink::new(info, report);
    users(&mut sink, &path, config)?;
    items(&mut sink, &config.dir.join(&config.items), config)?;
    sink.finish(&path)
}

fn users(sink: &mut Sink, path: &Path, config: &SequencesConfig) -> Result<()> {
    let mut lines = Lines::open(path, None)?;
    let kind = sink
        .builder
        .kind(&config.subject, "interact", &config.scenario);
    while let Some((line, text)) = lines.next_line(sink.report)? {
        sink.report.rows_read += 1;
        let mut cells = text.split_whitespace();
        let Some(id) = cells.next() else {
            sink.report.bad_row(path, line, "blank line", "")?;
            continue;
        };
        if sink.is_repeated(text) {
            continue;
        }
        if sink.builder.has_user(id) {
            sink.report
                .bad_row(path, line, "user has a line already", id)?;
            continue;
        }
        let mut cells = cells.peekable();
        if cells.peek().is_none() {
            sink.report.bad_row(path, line, "user without items", id)?;
            continue;
        }
        sink.report.rows_kept += 1;
        let user = sink.builder.user(id);
        for (ts, item) in (0..).zip(cells) {
            let item = Some(sink.builder.item(item));
            sink.builder.push(Event {
                user,
                item,
                kind,
                ts,
                value: None,
                place: None,
                text: None,
                row: 0,
            });
        }
    }
    Ok(())
}

fn items(sink: &mut Sink, path: &Path, config: &SequencesConfig) -> Result<()> {
    let mut lines = Lines::open(path, None)?;
    let mut described = HashSet::new();
    let mut join = Indexed::new(sink.builder.item_names());
    while let Some((line, text)) = lines.next_line(sink.report)? {
        if line == 1 && text.starts_with("item_id\t") {
            continue;
        }
        sink.report.rows_read += 1;
        let cells: Vec<&str> = text.split('\t').collect();
        let [id, source, title, attributes] = cells[..] else {
            sink.report.bad_row(
                path,
                line,
                "not the 4 columns item_id, source_id, text_tags, attributes",
                text,
            )?;
            continue;
        };
        if !described.insert(id.to_owned()) {
            sink.report
                .bad_row(path, line, "item is described twice", id)?;
            continue;
        }
        sink.report.rows_kept += 1;
        let title = sink.report.clean(title).into_owned();
        let attributes = sink.report.clean(attributes).into_owned();
        let mut categories: Vec<String> = attributes
            .split('|')
            .map(str::trim)
            .filter(|a| !a.is_empty() && *a != "Unknown")
            .map(str::to_owned)
            .collect();
        let root = categories
            .iter()
            .position(|c| config.category_roots.contains(c));
        let brand: Vec<String> = categories.drain(..root.unwrap_or(0)).collect();
        let index = sink.builder.item(id);
        join.see(id, index);
        let item = sink.builder.item_mut(index);
        item.title = title;
        item.categories = categories;
        item.attributes.insert(SOURCE_ID.into(), source.to_owned());
        if let Some(brand) = brand.into_iter().next() {
            item.attributes.insert("brand".into(), brand);
        }
    }
    join.finish(
        sink.report,
        path,
        "items",
        &join::NO_RULES,
        config.few_match,
    )
}
