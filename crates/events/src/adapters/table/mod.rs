//! Tables in files → rows of the wanted columns as text; an empty cell is `None`.
//!
//! CSV with any separator, JSON lines and Parquet, packed or in any encoding ([`super::text`]); which one is said by the
//! config or by the name of the file.

mod csv;
mod delimiter;
mod find;
mod header;
mod jsonl;
mod options;
mod parquet;

use std::path::Path;

pub(super) use find::{InputFile, files};
pub use options::{FileFormat, FileOptions};

use self::csv::Csv;
use self::jsonl::JsonLines;
use self::parquet::ParquetRows;
use super::time::Unit;
use crate::error::{Error, Result};
use crate::report::IngestReport;

/// Stands between the values of a list within a cell; no text has it once it is cleaned.
pub(super) const LIST_MARK: char = '\u{1f}';

/// What a column is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Text,
    /// A float that has not kept all digits comes as `1.5e+20`.
    Id,
    /// Timestamps come as the number that the file holds.
    Time,
    /// Values of a list come with [`LIST_MARK`] between them, elsewhere with `|`.
    List,
}

impl Use {
    fn mark(self) -> char {
        match self {
            Self::List => LIST_MARK,
            Self::Text | Self::Id | Self::Time => '|',
        }
    }
}

/// A column that is read from a file.
#[derive(Debug, Clone)]
struct Wanted {
    /// Of its cell in a row.
    position: usize,
    name: String,
    used: Use,
}

/// The columns that a mapping uses; a cell of a row is found by its position here.
#[derive(Default)]
pub(super) struct Columns(Vec<Wanted>);

impl Columns {
    pub fn add(&mut self, name: &str) -> usize {
        self.add_as(name, Use::Text)
    }

    pub fn add_as(&mut self, name: &str, used: Use) -> usize {
        let found = self.0.iter().position(|c| c.name == name && c.used == used);
        found.unwrap_or_else(|| {
            let position = self.0.len();
            self.0.push(Wanted {
                position,
                name: name.to_owned(),
                used,
            });
            position
        })
    }

    pub fn add_if(&mut self, name: &Option<String>) -> Option<usize> {
        name.as_deref().map(|n| self.add(n))
    }
}

pub(super) type Cells = Vec<Option<String>>;

/// Puts a text into a cell whose room is used again; white space around it goes, and a cell of nothing else is `None`.
fn fill(cell: &mut Option<String>, text: &str) {
    fill_trimmed(cell, text.trim());
}

fn fill_trimmed(cell: &mut Option<String>, text: &str) {
    // `\N` is what MySQL, PostgreSQL and Hive write for null.
    if text.is_empty() || text == "\\N" {
        *cell = None;
        return;
    }
    match cell {
        Some(room) => {
            room.clear();
            room.push_str(text);
        }
        None => *cell = Some(text.to_owned()),
    }
}

/// What the type of a column says of times in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TimeType {
    /// Text or numbers: the config says how they are read.
    Untyped,
    /// A timestamp in this unit, with the zone in which it is shown.
    Timestamp(Unit, Option<String>),
    /// A date; cells are numbers of this unit.
    Date(Unit),
}

pub(super) struct Rows {
    source: Source,
    /// The row at hand. Cells of columns that the path gives (`day=2024-05-31/`) are the same in all rows.
    row: Cells,
}

enum Source {
    Csv(Box<Csv>),
    Jsonl(JsonLines),
    Parquet(ParquetRows),
}

impl Rows {
    /// # Errors
    /// An unknown format, a file that is not what it seems, or one without one of the columns.
    pub fn open(
        file: &InputFile,
        options: &FileOptions,
        columns: &Columns,
        report: &mut IngestReport,
    ) -> Result<Self> {
        let path = &file.path;
        let format = match options.format {
            Some(format) => format,
            None => FileFormat::of(path)?,
        };
        options.check(format)?;
        let mut row = vec![None; columns.0.len()];
        let mut wanted = Vec::new();
        // What Hive and Spark write into the path stands in no file.
        for column in &columns.0 {
            match file.partition(&column.name) {
                Some(value) => row[column.position] = value.map(str::to_owned),
                None => wanted.push(column.clone()),
            }
        }
        let source = match format {
            FileFormat::Csv | FileFormat::Tsv => {
                let csv = Csv::open(path, format, options, wanted, report)?;
                Source::Csv(Box::new(csv))
            }
            FileFormat::Jsonl => Source::Jsonl(JsonLines::open(path, options.encoding, wanted)?),
            FileFormat::Parquet => Source::Parquet(ParquetRows::open(path, wanted)?),
        };
        Ok(Self { source, row })
    }

    /// Of the wanted column at this position.
    ///
    /// # Errors
    /// A type that holds no times.
    pub fn time_type(&self, position: usize) -> Result<TimeType> {
        match &self.source {
            Source::Parquet(rows) => rows.time_type(position),
            _ => Ok(TimeType::Untyped),
        }
    }

    /// The next good row and its line; bad ones are reported and passed over.
    pub fn next_row(&mut self, report: &mut IngestReport) -> Result<Option<(u64, &Cells)>> {
        let row = &mut self.row;
        let line = match &mut self.source {
            Source::Csv(csv) => csv.next_row(report, row)?,
            Source::Jsonl(lines) => lines.next_row(report, row)?,
            Source::Parquet(rows) => rows.next_row(report, row)?,
        };
        Ok(line.map(|line| (line, &self.row)))
    }
}

fn bad_file(path: &Path, reason: impl Into<String>) -> Error {
    Error::BadFile {
        path: path.to_owned(),
        reason: reason.into(),
    }
}
