//! Text with separators → rows. Quotes, escapes and line ends within cells are the `csv` crate's.
//!
//! A row of TSV is a line: databases write quotation marks into it as they are, and one at the beginning of a search text
//! must not swallow the rows up to the next one. A cell that a program quoted as a whole loses its marks. So it is with
//! separators of several characters.

use std::borrow::Cow;
use std::io::BufRead;
use std::path::{Path, PathBuf};

use super::delimiter::Delimiter;
use super::header::{self, Header};
use super::options::{FileFormat, FileOptions, one_byte};
use super::{Cells, Wanted, bad_file, fill, fill_trimmed};
use crate::adapters::text::{self, Text, lines::NotUtf8};
use crate::error::{Error, Result};
use crate::report::IngestReport;

/// Lines of a row of CSV at most: with more, a quotation mark was left open and took the rows after it.
const MAX_LINES: u64 = 100;

pub(super) struct Csv {
    path: PathBuf,
    reader: csv::Reader<Text>,
    record: csv::ByteRecord,
    /// The record at hand is a row that was read to learn the columns.
    is_pending: bool,
    /// Splits a line that the reader took as one cell; `None`: the reader splits.
    splits: Option<Delimiter>,
    /// Cells that are quoted as a whole lose their marks.
    unquotes: bool,
    columns: Vec<Wanted>,
    header: Header,
    not_utf8: NotUtf8,
}

/// A byte that no text holds: a line is then one cell.
const NO_SEPARATOR: u8 = 0;

impl Csv {
    pub fn open(
        path: &Path,
        format: FileFormat,
        options: &FileOptions,
        columns: Vec<Wanted>,
        report: &mut IngestReport,
    ) -> Result<Self> {
        let mut bytes = text::open(path, options.encoding)?;
        let comment = options.comment.as_deref();
        let comment = comment.map(|c| one_byte("comment", c)).transpose()?;
        let line = first_line(path, &mut bytes, comment)?;
        let delimiter = match &options.delimiter {
            Some(text) => Delimiter::parse(text)?,
            None => by_default(path, format, options, &line, &columns, report),
        };
        let byte = match delimiter {
            Delimiter::Byte(byte) => byte,
            Delimiter::Text(_) | Delimiter::Whitespace => NO_SEPARATOR,
        };
        let is_line = byte == b'\t' || byte == NO_SEPARATOR;
        let quote = match options.quote.as_deref() {
            None if is_line => None,
            None => Some(b'"'),
            Some("") => None,
            Some(quote) => Some(one_byte("quote", quote)?),
        };
        let escape = options.escape.as_deref();
        let escape = escape.map(|e| one_byte("escape", e)).transpose()?;
        let reader = csv::ReaderBuilder::new()
            .delimiter(byte)
            .quoting(quote.is_some())
            .quote(quote.unwrap_or(b'"'))
            .escape(escape)
            .comment(comment)
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(1 << 16)
            .from_reader(bytes);
        let mut csv = Self {
            path: path.to_owned(),
            reader,
            record: csv::ByteRecord::new(),
            is_pending: false,
            splits: (byte == NO_SEPARATOR).then(|| delimiter.clone()),
            unquotes: is_line && options.quote.is_none(),
            columns,
            header: Header {
                at: Vec::new(),
                width: 0,
                is_line: true,
            },
            not_utf8: NotUtf8::default(),
        };
        if !csv.read()? {
            let needed = if options.header.unwrap_or(options.columns.is_empty()) {
                "; its first line must name the columns"
            } else {
                ""
            };
            return Err(bad_file(path, format!("the file is empty{needed}")));
        }
        let first = csv.first_cells();
        csv.header = header::read(path, &first, &line, &delimiter, options, &csv.columns)?;
        csv.is_pending = !csv.header.is_line;
        Ok(csv)
    }

    /// The next record.
    fn read(&mut self) -> Result<bool> {
        let read = self.reader.read_byte_record(&mut self.record);
        read.map_err(|e| match e.into_kind() {
            csv::ErrorKind::Io(e) => text::read_error(&self.path, e),
            other => bad_file(&self.path, format!("not readable as CSV ({other:?})")),
        })
    }

    fn first_cells(&self) -> Vec<String> {
        let cells: Vec<String> = self
            .record
            .iter()
            .map(|c| String::from_utf8_lossy(c).into_owned())
            .collect();
        let cells: Vec<String> = match &self.splits {
            None => cells,
            Some(delimiter) => {
                let line = cells.first().map_or("", String::as_str);
                delimiter
                    .split(line)
                    .into_iter()
                    .map(str::to_owned)
                    .collect()
            }
        };
        let cells = cells.iter().map(|c| cell_of(c, self.unquotes).into_owned());
        cells.collect()
    }

    pub fn next_row(&mut self, report: &mut IngestReport, row: &mut Cells) -> Result<Option<u64>> {
        loop {
            if !std::mem::take(&mut self.is_pending) && !self.read()? {
                self.not_utf8.note(report, &self.path);
                return Ok(None);
            }
            report.rows_read += 1;
            let line = self.record.position().map_or(0, csv::Position::line);
            if self.reader.position().line().saturating_sub(line) > MAX_LINES {
                let reason = format!(
                    "more than {MAX_LINES} lines; a quotation mark is left open: close it, or double it within a quoted cell"
                );
                self.bad(report, line, &reason)?;
                continue;
            }
            let width = self.header.width;
            match self.fill(row) {
                Ok(n) if n == width => return Ok(Some(line)),
                Ok(n) => {
                    let reason = format!("{n} columns, the header has {width}");
                    self.bad(report, line, &reason)?;
                }
                Err(_) => {
                    let row = self.record.as_slice();
                    self.not_utf8.row(report, &self.path, line, row)?;
                }
            }
        }
    }

    fn bad(&self, report: &mut IngestReport, line: u64, reason: &str) -> Result<()> {
        let shown = String::from_utf8_lossy(self.record.as_slice());
        report.bad_row(&self.path, line, reason, &shown)
    }

    /// Fills the row if the record has the columns of the header; how many it has.
    fn fill(&self, row: &mut Cells) -> std::result::Result<usize, std::str::Utf8Error> {
        let wanted = || self.header.at.iter().zip(&self.columns);
        let Some(delimiter) = &self.splits else {
            if self.record.len() == self.header.width {
                for (&at, column) in wanted() {
                    let text = std::str::from_utf8(&self.record[at])?;
                    let text = cell_of(text, self.unquotes);
                    fill_trimmed(&mut row[column.position], &text);
                }
            }
            return Ok(self.record.len());
        };
        let line = std::str::from_utf8(self.record.get(0).unwrap_or_default())?;
        let cells = delimiter.split(line);
        if cells.len() == self.header.width {
            for (&at, column) in wanted() {
                fill(
                    &mut row[column.position],
                    &cell_of(cells[at], self.unquotes),
                );
            }
        }
        Ok(cells.len())
    }
}

/// The separator where the config names none: that of the format, unless the columns are only found with another.
fn by_default(
    path: &Path,
    format: FileFormat,
    options: &FileOptions,
    line: &str,
    columns: &[Wanted],
    report: &mut IngestReport,
) -> Delimiter {
    let usual = Delimiter::Byte(match format {
        FileFormat::Tsv => b'\t',
        _ => b',',
    });
    let has_names = options.header.unwrap_or(true) && options.columns.is_empty();
    if !has_names || columns.is_empty() || usual.split(line).len() > 1 {
        return usual;
    }
    match header::recognised(line, columns).filter(|d| *d != usual) {
        None => usual,
        Some(other) => {
            report.note(format!(
                "{}: read with the separator `{}`, with which the columns are found",
                path.display(),
                other.name()
            ));
            other
        }
    }
}

/// The first line that is neither empty nor a comment, as far as it is in the reader's buffer.
fn first_line(path: &Path, bytes: &mut Text, comment: Option<u8>) -> Result<String> {
    let start = bytes.fill_buf().map_err(|e| text::read_error(path, e))?;
    let mut lines = start.split(|b| *b == b'\n' || *b == b'\r');
    let is_row = |l: &&[u8]| !l.is_empty() && (comment.is_none() || l.first().copied() != comment);
    let line = lines.find(is_row).unwrap_or_default();
    if line.contains(&0) {
        return Err(Error::BadFile {
            path: path.to_owned(),
            reason: "holds zero bytes, so it is no text in UTF-8; set `encoding`, or is this the right file?".into(),
        });
    }
    Ok(String::from_utf8_lossy(line).into_owned())
}

/// Without the marks around it, where all marks within are doubled: else it is no quoted cell.
fn cell_of(text: &str, unquotes: bool) -> Cow<'_, str> {
    let text = text.trim();
    let inner = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    match inner.filter(|_| unquotes) {
        Some(inner) if !inner.contains('"') => inner.into(),
        Some(inner) if !inner.replace("\"\"", "").contains('"') => {
            inner.replace("\"\"", "\"").into()
        }
        _ => text.into(),
    }
}
