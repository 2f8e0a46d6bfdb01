//! The names of a text file's columns: from its first line, from the config, or `1`, `2`, ….
//!
//! A first line of values that is taken for names would be lost in silence, so it is looked at.

use std::path::Path;

use super::delimiter::{Delimiter, others};
use super::options::FileOptions;
use super::{Wanted, bad_file};
use crate::adapters::time::TimeFormat;
use crate::error::Result;
use crate::report::IngestReport;

/// What the first line says.
pub(super) struct Header {
    /// Positions in the file of the wanted columns, in their order.
    pub at: Vec<usize>,
    /// Columns of the file.
    pub width: usize,
    /// The first line holds names, and no row.
    pub is_line: bool,
}

/// Cells of the first line by the separator that is used, and the line itself.
pub(super) fn read(
    path: &Path,
    first: &[String],
    line: &str,
    delimiter: &Delimiter,
    options: &FileOptions,
    wanted: &[Wanted],
) -> Result<Header> {
    let is_line = options.header.unwrap_or(options.columns.is_empty());
    if is_line && options.header.is_none() && are_values(first) {
        return Err(bad_file(
            path,
            format!(
                "the first line holds values, and not the names of the columns: `{}`. If the file has no header, set \
                 `columns = [\"…\", …]` with a name for each of its {} columns, or `header = false` and call them \"1\", \
                 \"2\", …; if these are names, set `header = true`",
                IngestReport::excerpt(line),
                first.len()
            ),
        ));
    }
    let names: Vec<String> = match (is_line, options.columns.is_empty()) {
        (true, true) => first.to_vec(),
        (false, true) => (1..=first.len()).map(|n| n.to_string()).collect(),
        (_, false) if options.columns.len() == first.len() => options.columns.clone(),
        (_, false) => {
            let other = separator_that_gives(line, options.columns.len(), delimiter);
            return Err(bad_file(
                path,
                format!(
                    "`columns` names {} columns, and the first line has {} with the separator `{}`: `{}`{}",
                    options.columns.len(),
                    first.len(),
                    delimiter.name(),
                    IngestReport::excerpt(line),
                    other.map_or_else(String::new, |d| format!(
                        "; set `delimiter = \"{}\"`",
                        d.name()
                    ))
                ),
            ));
        }
    };
    let position = |column: &Wanted| {
        let mut places = names.iter().enumerate().filter(|(_, n)| **n == column.name);
        match (places.next(), places.next()) {
            (Some((at, _)), None) => Ok(at),
            (None, _) => Err(bad_file(
                path,
                missing(&column.name, &names, line, delimiter, wanted),
            )),
            (Some(_), Some(_)) => Err(bad_file(
                path,
                format!(
                    "column `{}` stands twice in the header; give the columns other names by `header = true` and \
                     `columns = [\"…\", …]`",
                    IngestReport::excerpt(&column.name)
                ),
            )),
        }
    };
    Ok(Header {
        at: wanted.iter().map(position).collect::<Result<_>>()?,
        width: names.len(),
        is_line,
    })
}

fn missing(
    column: &str,
    names: &[String],
    line: &str,
    delimiter: &Delimiter,
    wanted: &[Wanted],
) -> String {
    let shown: Vec<String> = names.iter().map(|n| IngestReport::excerpt(n)).collect();
    let mut reason = format!("no column `{column}`; the file has {}", shown.join(", "));
    if let Some(other) = separator_of(line, delimiter, wanted) {
        reason += &format!(
            ", read with the separator `{}`: set `delimiter = \"{}\"`",
            delimiter.name(),
            other.name()
        );
    } else if let Some(near) = names.iter().find(|n| n.eq_ignore_ascii_case(column)) {
        reason += &format!("; is it `{}`?", IngestReport::excerpt(near));
    }
    reason
}

/// Another separator with which the line holds all wanted names, or at least more cells.
fn separator_of(line: &str, used: &Delimiter, wanted: &[Wanted]) -> Option<Delimiter> {
    recognised(line, wanted).or_else(|| {
        let n = used.split(line).len();
        let more = others()
            .into_iter()
            .filter(|d| d.split(line).len() > n && n == 1);
        more.rev().max_by_key(|d| d.split(line).len())
    })
}

fn separator_that_gives(line: &str, n: usize, used: &Delimiter) -> Option<Delimiter> {
    let mut others = others().into_iter().filter(|d| d != used);
    others.find(|d| d.split(line).len() == n)
}

/// The separator with which the first line holds the names of all wanted columns.
pub(super) fn recognised(line: &str, wanted: &[Wanted]) -> Option<Delimiter> {
    let holds_all = |delimiter: &Delimiter| {
        let names: Vec<&str> = delimiter
            .split(line)
            .into_iter()
            .map(|n| n.trim().trim_matches('"'))
            .collect();
        wanted.iter().all(|w| names.contains(&w.name.as_str()))
    };
    others().into_iter().find(holds_all)
}

/// Half of these cells or more are numbers or times, or one is a time that no column is called.
fn are_values(cells: &[String]) -> bool {
    let is_time = |c: &str| c.len() >= 10 && TimeFormat::Iso.reads(c);
    let is_number = |c: &str| c.parse::<f64>().is_ok_and(f64::is_finite);
    let values = cells.iter().filter(|c| is_number(c) || is_time(c)).count();
    values > 0 && 2 * values >= cells.len() || cells.iter().any(|c| c.len() > 10 && is_time(c))
}
