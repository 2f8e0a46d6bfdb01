//! CSV, TSV, JSONL or Parquet → rows of the wanted columns as text; an empty cell is `None`.
//!
//! A row of TSV is a line: databases write quotation marks into it as they are, and one at the beginning of a search text
//! must not swallow the rows up to the next one. A cell that a program quoted as a whole loses its marks.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::FileFormat;
use crate::adapters::lines::{Lines, NOT_UTF8};
use crate::adapters::parquet_in::{self, Table};
use crate::error::{Error, Result};
use crate::report::IngestReport;

/// The columns that a mapping uses; a cell of a row is found by its position here.
#[derive(Default)]
pub(super) struct Columns(Vec<String>);

impl Columns {
    pub fn add(&mut self, name: &str) -> usize {
        let found = self.0.iter().position(|c| c == name);
        found.unwrap_or_else(|| {
            self.0.push(name.to_owned());
            self.0.len() - 1
        })
    }

    pub fn add_if(&mut self, name: &Option<String>) -> Option<usize> {
        name.as_deref().map(|n| self.add(n))
    }
}

type Cells = Vec<Option<String>>;

pub(super) struct Rows {
    path: PathBuf,
    columns: Vec<String>,
    source: Source,
    /// The row at hand; its texts keep their room for the next one.
    row: Cells,
}

enum Source {
    Csv(Box<Csv>),
    Jsonl(Lines),
    /// Rows of the current batch in reverse order, so that the next is popped.
    Parquet(Table, Vec<(u64, Cells)>),
}

struct Csv {
    reader: csv::Reader<fs_err::File>,
    record: csv::ByteRecord,
    /// Columns of the header.
    width: usize,
    /// Position of each wanted column.
    at: Vec<usize>,
    /// Separated by tabs.
    tabs: bool,
}

/// Lines of a row of CSV at most: with more, a quotation mark was left open and took the rows after it.
const MAX_LINES: u64 = 100;

impl Rows {
    /// # Errors
    /// An unknown format, or a file without one of the columns.
    pub fn open(path: &Path, format: Option<FileFormat>, columns: Columns) -> Result<Self> {
        let columns = columns.0;
        let source = match format.map_or_else(|| by_extension(path), Ok)? {
            FileFormat::Csv => open_csv(path, b',', &columns)?,
            FileFormat::Tsv => open_csv(path, b'\t', &columns)?,
            FileFormat::Jsonl => Source::Jsonl(Lines::open(path)?),
            FileFormat::Parquet => {
                let names: Vec<&str> = columns.iter().map(String::as_str).collect();
                Source::Parquet(parquet_in::open(path, &names)?, Vec::new())
            }
        };
        Ok(Self {
            path: path.to_owned(),
            row: vec![None; columns.len()],
            columns,
            source,
        })
    }

    /// The next good row and its line; bad ones are reported and passed over.
    pub fn next_row(&mut self, report: &mut IngestReport) -> Result<Option<(u64, &Cells)>> {
        let row = &mut self.row;
        let next = match &mut self.source {
            Source::Csv(csv) => next_csv(csv, &self.path, report, row)?,
            Source::Jsonl(lines) => next_jsonl(lines, &self.columns, &self.path, report, row)?,
            Source::Parquet(table, rows) => {
                if rows.is_empty() {
                    *rows = next_rows(table, &self.columns)?;
                    report.rows_read += rows.len() as u64;
                }
                rows.pop().map(|(line, cells)| {
                    *row = cells;
                    line
                })
            }
        };
        Ok(next.map(|line| (line, &self.row)))
    }
}

fn by_extension(path: &Path) -> Result<FileFormat> {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("csv") => Ok(FileFormat::Csv),
        Some("tsv" | "tab") => Ok(FileFormat::Tsv),
        Some("jsonl" | "ndjson") => Ok(FileFormat::Jsonl),
        Some("parquet") => Ok(FileFormat::Parquet),
        _ => Err(Error::Config(format!(
            "{}: the extension tells no format; set `format` to csv, tsv, jsonl or parquet",
            path.display()
        ))),
    }
}

fn csv_error(path: &Path, e: &csv::Error) -> Error {
    Error::BadFile {
        path: path.to_owned(),
        reason: format!("not readable as CSV ({e})"),
    }
}

fn open_csv(path: &Path, delimiter: u8, columns: &[String]) -> Result<Source> {
    let tabs = delimiter == b'\t';
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .quoting(!tabs)
        .flexible(true)
        .buffer_capacity(1 << 18)
        .from_reader(fs_err::File::open(path)?);
    let header = reader.byte_headers().map_err(|e| csv_error(path, &e))?;
    let names: Vec<String> = header
        .iter()
        .enumerate()
        .map(|(i, h)| {
            let h = if i == 0 {
                h.strip_prefix(b"\xef\xbb\xbf").unwrap_or(h)
            } else {
                h
            };
            let name = String::from_utf8_lossy(h);
            cell_of(&name, tabs).into_owned()
        })
        .collect();
    if names.is_empty() {
        return Err(Error::BadFile {
            path: path.to_owned(),
            reason: "the file is empty; its first line must name the columns".into(),
        });
    }
    let at = columns
        .iter()
        .map(|c| {
            names
                .iter()
                .position(|n| n == c)
                .ok_or_else(|| missing(path, c, &names))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Source::Csv(Box::new(Csv {
        reader,
        record: csv::ByteRecord::new(),
        width: names.len(),
        at,
        tabs,
    })))
}

fn missing(path: &Path, column: &str, names: &[String]) -> Error {
    Error::BadFile {
        path: path.to_owned(),
        reason: format!("no column `{column}`; the file has {}", names.join(", ")),
    }
}

fn next_csv(
    csv: &mut Csv,
    path: &Path,
    report: &mut IngestReport,
    row: &mut Cells,
) -> Result<Option<u64>> {
    let Csv {
        reader,
        record,
        width,
        at,
        tabs,
    } = csv;
    loop {
        if !reader
            .read_byte_record(record)
            .map_err(|e| csv_error(path, &e))?
        {
            return Ok(None);
        }
        report.rows_read += 1;
        let line = record.position().map_or(0, csv::Position::line);
        if reader.position().line().saturating_sub(line) > MAX_LINES {
            let reason = format!(
                "more than {MAX_LINES} lines; a quotation mark is left open: close it, or double it within a quoted cell"
            );
            report.bad_row(
                path,
                line,
                &reason,
                &String::from_utf8_lossy(record.as_slice()),
            )?;
            continue;
        }
        if record.len() != *width {
            let reason = format!("{} columns, the header has {width}", record.len());
            report.bad_row(
                path,
                line,
                &reason,
                &String::from_utf8_lossy(record.as_slice()),
            )?;
            continue;
        }
        let filled_in = at.iter().zip(&mut *row).try_for_each(|(&i, cell)| {
            let text = std::str::from_utf8(&record[i])?;
            let text = cell_of(text, *tabs);
            match (filled(&text), &mut *cell) {
                (Some(text), Some(room)) => {
                    room.clear();
                    room.push_str(text);
                }
                (text, cell) => *cell = text.map(str::to_owned),
            }
            Ok::<(), std::str::Utf8Error>(())
        });
        match filled_in {
            Ok(()) => return Ok(Some(line)),
            Err(_) => report.bad_row(
                path,
                line,
                NOT_UTF8,
                &String::from_utf8_lossy(record.as_slice()),
            )?,
        }
    }
}

/// Without the marks around it, where all marks within are doubled: else it is no quoted cell.
fn cell_of(text: &str, tabs: bool) -> Cow<'_, str> {
    let text = text.trim();
    let inner = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    match inner.filter(|_| tabs) {
        Some(inner) if !inner.contains('"') => inner.into(),
        Some(inner) if !inner.replace("\"\"", "").contains('"') => {
            inner.replace("\"\"", "\"").into()
        }
        _ => text.into(),
    }
}

fn filled(cell: &str) -> Option<&str> {
    Some(cell.trim()).filter(|c| !c.is_empty())
}

fn next_jsonl(
    lines: &mut Lines,
    columns: &[String],
    path: &Path,
    report: &mut IngestReport,
    row: &mut Cells,
) -> Result<Option<u64>> {
    while let Some((line, text)) = lines.next_line(report)? {
        report.rows_read += 1;
        match serde_json::from_str(text) {
            Ok(Value::Object(object)) => {
                *row = columns.iter().map(|c| json_cell(object.get(c)?)).collect();
                return Ok(Some(line));
            }
            Ok(_) => report.bad_row(path, line, "not a JSON object", text)?,
            Err(e) if e.is_eof() => report.bad_row(path, line, "JSON object is cut off", text)?,
            Err(_) => report.bad_row(path, line, "not valid JSON", text)?,
        }
    }
    Ok(None)
}

/// A list of texts is joined by `|`, which a `separator = "|"` splits again.
fn json_cell(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(s) => filled(s).map(str::to_owned),
        Value::Array(xs) => {
            let parts: Vec<String> = xs.iter().filter_map(json_cell).collect();
            (!parts.is_empty()).then(|| parts.join("|"))
        }
        other => Some(other.to_string()),
    }
}

fn next_rows(table: &mut Table, columns: &[String]) -> Result<Vec<(u64, Cells)>> {
    let Some((before, batch)) = table.next_batch()? else {
        return Ok(Vec::new());
    };
    let mut cells = columns
        .iter()
        .map(|c| Ok(table.cells(&batch, c)?.into_iter()))
        .collect::<Result<Vec<_>>>()?;
    let mut rows: Vec<(u64, Cells)> = (0..batch.num_rows() as u64)
        .map(|i| {
            let row = cells.iter_mut().map(|column| column.next().flatten());
            let row = row.map(|cell| cell.filter(|c| !c.trim().is_empty()));
            (before + i + 1, row.collect())
        })
        .collect();
    rows.reverse();
    Ok(rows)
}
