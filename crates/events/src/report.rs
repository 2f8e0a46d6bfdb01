//! What ingest did with every row: read, kept, bad (by reason, the first ones shown), skipped on
//! purpose. Nothing is dropped without being counted here.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, printable};

/// Bad rows that are shown; all are counted.
pub const MAX_SHOWN: usize = 10;
/// Characters that a title, a text or an attribute keeps; what is longer is cut and counted.
pub const MAX_TEXT_CHARS: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadRow {
    pub path: PathBuf,
    /// Line of a text file (1 = first), row of a Parquet file (1 = first).
    pub line: u64,
    pub reason: String,
}

/// Filled by an adapter; the caller shows and stores it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IngestReport {
    /// Stop at the first bad row with [`Error::BadRow`] instead of counting it.
    pub strict: bool,
    /// Rows of all input files, item and user files included.
    pub rows_read: u64,
    /// Rows that became an event, an item or a profile.
    pub rows_kept: u64,
    /// Bad rows by reason.
    pub bad: BTreeMap<String, u64>,
    /// The first [`MAX_SHOWN`] of them.
    pub first_bad: Vec<BadRow>,
    /// Cells of optional fields that were left out, by reason: their rows stay.
    pub bad_cells: BTreeMap<String, u64>,
    /// The first [`MAX_SHOWN`] of them.
    pub first_bad_cells: Vec<BadRow>,
    /// Good rows left out on purpose, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Rows equal to an earlier one in every field. Adapters of logs drop them (then they are in
    /// `skipped` as well); The Complete Journey keeps them, because one receipt may list a product twice.
    pub duplicates: u64,
    /// Rows earlier than the row before them of the same user: legal, sorted.
    pub out_of_order: u64,
    /// Rows at the very time of the row before them of the same user: legal, order of arrival kept.
    pub equal_timestamps: u64,
    /// Texts in which control characters were replaced by spaces.
    pub control_characters: u64,
    /// Texts cut to [`MAX_TEXT_CHARS`].
    pub texts_cut: u64,
    /// How many of the log's items and users each table knows.
    pub joins: Vec<Joined>,
    /// What a person should know of this data set.
    pub notes: Vec<String>,
}

/// A table that was joined to a log by its ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    pub table: PathBuf,
    /// `items` or `users`.
    pub what: String,
    /// Distinct ones in the log.
    pub of: u64,
    /// Those of them that the table has a row for.
    pub known: u64,
}

impl IngestReport {
    pub fn new(strict: bool) -> Self {
        Self {
            strict,
            ..Self::default()
        }
    }

    pub fn n_bad(&self) -> u64 {
        self.bad.values().sum()
    }

    pub fn n_skipped(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// Counts a bad row; `what` is the cell at fault.
    ///
    /// # Errors
    /// [`Error::BadRow`] if the report is strict.
    pub fn bad_row(&mut self, path: &Path, line: u64, reason: &str, what: &str) -> Result<()> {
        let found = self.found(path, line, reason, what)?;
        *self.bad.entry(reason.to_owned()).or_default() += 1;
        if self.first_bad.len() < MAX_SHOWN {
            self.first_bad.push(found);
        }
        Ok(())
    }

    /// Counts a cell of an optional field that is left out while its row stays.
    ///
    /// # Errors
    /// [`Error::BadRow`] if the report is strict.
    pub fn bad_cell(&mut self, path: &Path, line: u64, reason: &str, what: &str) -> Result<()> {
        let found = self.found(path, line, reason, what)?;
        *self.bad_cells.entry(reason.to_owned()).or_default() += 1;
        if self.first_bad_cells.len() < MAX_SHOWN {
            self.first_bad_cells.push(found);
        }
        Ok(())
    }

    fn found(&self, path: &Path, line: u64, reason: &str, what: &str) -> Result<BadRow> {
        let shown = match what {
            "" => reason.to_owned(),
            what => format!("{reason}: `{}`", Self::excerpt(what)),
        };
        let (path, reason) = (path.to_owned(), shown);
        match self.strict {
            true => Err(Error::BadRow { path, line, reason }),
            false => Ok(BadRow { path, line, reason }),
        }
    }

    /// What a person should know, said once.
    pub(crate) fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// The beginning of a cell as it may be shown on a terminal: no control characters.
    pub(crate) fn excerpt(cell: &str) -> String {
        let mut short: String = cell
            .chars()
            .take(60)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        if cell.chars().nth(60).is_some() {
            short.push('…');
        }
        short
    }

    /// Counts a good row that is left out on purpose.
    pub fn skip(&mut self, reason: &str) {
        *self.skipped.entry(reason.to_owned()).or_default() += 1;
    }

    /// Counts a row that is dropped because an earlier one is equal to it.
    pub(crate) fn repeated(&mut self) {
        self.duplicates += 1;
        self.skip("exact duplicate of an earlier row");
    }

    /// Adds what another part of the same reading counted, such as another shard.
    pub fn absorb(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.bad, &other.bad),
            (&mut self.skipped, &other.skipped),
            (&mut self.bad_cells, &other.bad_cells),
        ] {
            for (reason, n) in theirs {
                *mine.entry(reason.clone()).or_default() += n;
            }
        }
        for (mine, theirs) in [
            (&mut self.rows_read, other.rows_read),
            (&mut self.rows_kept, other.rows_kept),
            (&mut self.duplicates, other.duplicates),
            (&mut self.out_of_order, other.out_of_order),
            (&mut self.equal_timestamps, other.equal_timestamps),
            (&mut self.control_characters, other.control_characters),
            (&mut self.texts_cut, other.texts_cut),
        ] {
            *mine += theirs;
        }
        for (mine, theirs) in [
            (&mut self.first_bad, &other.first_bad),
            (&mut self.first_bad_cells, &other.first_bad_cells),
        ] {
            mine.extend(theirs.iter().cloned());
            mine.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
            mine.truncate(MAX_SHOWN);
        }
        for join in &other.joins {
            let same = |j: &&mut Joined| (&j.table, &j.what) == (&join.table, &join.what);
            match self.joins.iter_mut().find(same) {
                Some(known) => {
                    known.of += join.of;
                    known.known += join.known;
                }
                None => self.joins.push(join.clone()),
            }
        }
        for note in &other.notes {
            self.note(note.clone());
        }
    }

    /// Text as it may enter the data set: no control characters, bounded length, trimmed.
    /// Markup, template syntax and chat markers stay: they are escaped where text is rendered.
    pub fn clean<'t>(&mut self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text.trim());
        if text.contains(char::is_control) {
            self.control_characters += 1;
            let replaced: String = text
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect();
            text = Cow::Owned(replaced.trim().to_owned());
        }
        // A byte length at most the limit implies a character count at most the limit.
        if text.len() > MAX_TEXT_CHARS
            && let Some((end, _)) = text.char_indices().nth(MAX_TEXT_CHARS)
        {
            self.texts_cut += 1;
            text = Cow::Owned(text[..end].to_owned());
        }
        text
    }
}

impl fmt::Display for IngestReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write(&mut text)?;
        f.write_str(&printable(&text))
    }
}

impl IngestReport {
    fn write(&self, f: &mut String) -> fmt::Result {
        use fmt::Write;
        writeln!(
            f,
            "{} rows read, {} kept, {} skipped, {} bad",
            self.rows_read,
            self.rows_kept,
            self.n_skipped(),
            self.n_bad()
        )?;
        for (reason, n) in &self.skipped {
            writeln!(f, "  skipped {n}: {reason}")?;
        }
        for (reason, n) in &self.bad {
            writeln!(f, "  bad {n}: {reason}")?;
        }
        for b in &self.first_bad {
            writeln!(f, "    {}:{}: {}", b.path.display(), b.line, b.reason)?;
        }
        for (reason, n) in &self.bad_cells {
            writeln!(f, "  {n} cells left out, and their rows kept: {reason}")?;
        }
        for b in &self.first_bad_cells {
            writeln!(f, "    {}:{}: {}", b.path.display(), b.line, b.reason)?;
        }
        for j in &self.joins {
            let table = j.table.display();
            writeln!(
                f,
                "  {table} knows {} of {} {} of the log",
                j.known, j.of, j.what
            )?;
        }
        for (n, what) in [
            (self.duplicates, "exact duplicates"),
            (self.out_of_order, "rows out of order (sorted)"),
            (
                self.equal_timestamps,
                "rows at the time of the one before (order kept)",
            ),
            (
                self.control_characters,
                "texts with control characters (replaced by spaces)",
            ),
            (self.texts_cut, "texts cut to 10,000 characters"),
        ] {
            if n > 0 {
                writeln!(f, "  {n} {what}")?;
            }
        }
        for note in &self.notes {
            writeln!(f, "  note: {note}")?;
        }
        Ok(())
    }
}
