//! JSON lines → rows: an object a line. A column is a key, or the path of one within objects: `meta.brand`.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Cells, Use, Wanted, bad_file, fill};
use crate::adapters::ids::is_rounded;
use crate::adapters::text::Encoding;
use crate::adapters::text::lines::Lines;
use crate::error::Result;
use crate::report::IngestReport;

pub(super) struct JsonLines {
    path: PathBuf,
    lines: Lines,
    columns: Vec<Wanted>,
    /// Keys of the object that columns need: a whole name, and the first part of a path.
    keys: Vec<String>,
    is_first: bool,
}

impl JsonLines {
    pub fn open(path: &Path, encoding: Option<Encoding>, columns: Vec<Wanted>) -> Result<Self> {
        let mut keys: Vec<String> = Vec::new();
        for column in &columns {
            keys.push(column.name.clone());
            if let Some((first, _)) = column.name.split_once('.') {
                keys.push(first.to_owned());
            }
        }
        keys.sort();
        keys.dedup();
        Ok(Self {
            path: path.to_owned(),
            lines: Lines::open(path, encoding)?,
            columns,
            keys,
            is_first: true,
        })
    }

    pub fn next_row(&mut self, report: &mut IngestReport, row: &mut Cells) -> Result<Option<u64>> {
        while let Some((line, text)) = self.lines.next_line(report)? {
            if std::mem::take(&mut self.is_first) {
                check_first(&self.path, text)?;
            }
            report.rows_read += 1;
            let keys = Keys(&self.keys);
            let read = object(text, &keys);
            // Python writes numbers that JSON does not have.
            let is_syntax = matches!(&read, Err(e) if e.is_syntax());
            let mended = is_syntax.then(|| without_nan(text)).flatten();
            let read = match &mended {
                Some(text) => object(text, &keys).or(read),
                None => read,
            };
            let reason = match read {
                Ok(values) => {
                    for column in &self.columns {
                        cell(&values, column, &mut row[column.position]);
                    }
                    return Ok(Some(line));
                }
                Err(e) if e.is_eof() => "JSON object is cut off",
                Err(e) if e.is_data() => "not a JSON object",
                Err(_) if text.starts_with("{'") => {
                    "not JSON but a Python dictionary (write it with `json.dumps`)"
                }
                Err(_) => "not valid JSON",
            };
            report.bad_row(&self.path, line, reason, text)?;
        }
        Ok(None)
    }
}

/// A document that is not one object a line is seen by its first line.
fn check_first(path: &Path, line: &str) -> Result<()> {
    match line.trim_end() {
        l if l.starts_with('[') => Err(bad_file(
            path,
            "a JSON array; write one object a line, as `jq -c '.[]'` does",
        )),
        "{" => Err(bad_file(
            path,
            "an object over several lines; write one object a line, as `jq -c .` does",
        )),
        _ => Ok(()),
    }
}

type Values<'t> = Vec<(Cow<'t, str>, &'t RawValue)>;

struct Keys<'k>(&'k [String]);

/// Borrowed where nothing in it is escaped.
#[derive(serde::Deserialize)]
struct Text<'t>(#[serde(borrow)] Cow<'t, str>);

fn object<'t>(text: &'t str, keys: &Keys) -> serde_json::Result<Values<'t>> {
    let mut json = serde_json::Deserializer::from_str(text);
    let values = keys.deserialize(&mut json)?;
    json.end()?;
    Ok(values)
}

impl<'t> DeserializeSeed<'t> for &Keys<'_> {
    type Value = Values<'t>;

    fn deserialize<D: Deserializer<'t>>(
        self,
        json: D,
    ) -> std::result::Result<Self::Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'t> Visitor<'t> for &Keys<'_> {
    type Value = Values<'t>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    /// Only wanted values are kept, as they are written: a number may have more digits than any type holds.
    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut values: Self::Value = Vec::new();
        while let Some(Text(key)) = map.next_key()? {
            if !self.0.iter().any(|k| *k == key) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = map.next_value::<&RawValue>()?;
            // The last of equal keys counts, as in JavaScript and Python.
            match values.iter_mut().find(|(k, _)| *k == key) {
                Some(known) => known.1 = value,
                None => values.push((key, value)),
            }
        }
        Ok(values)
    }
}

fn cell(values: &Values, column: &Wanted, cell: &mut Option<String>) {
    let find = |key: &str| values.iter().find(|(k, _)| k == key).map(|(_, v)| *v);
    let mark = column.used.mark();
    let text = match (find(&column.name), column.name.split_once('.')) {
        (Some(value), _) if column.used == Use::Id && is_rounded(value.get()) => {
            Some(value.get().into())
        }
        (Some(value), _) => text_of(value, mark),
        (None, Some((first, rest))) => {
            let found = find(first).and_then(|v| inner(v, rest, mark));
            found.map(Cow::Owned)
        }
        (None, None) => None,
    };
    match text {
        Some(text) => fill(cell, &text),
        None => *cell = None,
    }
}

/// The value at a path within an object.
fn inner(value: &RawValue, path: &str, mark: char) -> Option<String> {
    let mut keys = vec![path.to_owned()];
    let split = path.split_once('.');
    keys.extend(split.map(|(first, _)| first.to_owned()));
    let values = object(value.get(), &Keys(&keys)).ok()?;
    let find = |key: &str| values.iter().find(|(k, _)| k == key).map(|(_, v)| *v);
    match (find(path), split) {
        (Some(value), _) => Some(text_of(value, mark)?.into_owned()),
        (None, Some((first, rest))) => inner(find(first)?, rest, mark),
        (None, None) => None,
    }
}

/// What a value is called: text as it is, a number by its digits, the texts of a list with `mark` between them, an object
/// as JSON.
fn text_of(value: &RawValue, mark: char) -> Option<Cow<'_, str>> {
    let json = value.get();
    match json.as_bytes().first()? {
        b'n' => None,
        b'"' => serde_json::from_str::<Text>(json).ok().map(|t| t.0),
        b'[' => {
            let values: Vec<&RawValue> = serde_json::from_str(json).ok()?;
            let texts: Vec<Cow<str>> = values
                .into_iter()
                .filter_map(|v| text_of(v, mark))
                .filter(|t| !t.trim().is_empty())
                .collect();
            (!texts.is_empty()).then(|| texts.join(&mark.to_string()).into())
        }
        b'-' | b'0'..=b'9' => Some(number(json)),
        _ => Some(json.into()),
    }
}

/// A whole number has no point, whatever program wrote it: `1000.0` is `1000`, as in Parquet.
fn number(json: &str) -> Cow<'_, str> {
    if json.contains(['e', 'E']) {
        let number = json.parse::<f64>().ok().filter(|x| x.is_finite());
        return number.map_or(json.into(), |x| x.to_string().into());
    }
    match json.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|b| b == b'0') => whole.into(),
        _ => json.into(),
    }
}

/// `NaN`, `Infinity` and `-Infinity` outside texts as null; `None` if there are none.
fn without_nan(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let (mut in_text, mut escaped, mut changed) = (false, false, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if !in_text {
            let names = ["NaN", "-Infinity", "Infinity"];
            if let Some(name) = names.iter().find(|n| rest.starts_with(**n)) {
                out.push_str("null");
                rest = &rest[name.len()..];
                changed = true;
                continue;
            }
        }
        match c {
            '"' if !escaped => in_text = !in_text,
            _ => {}
        }
        escaped = in_text && c == '\\' && !escaped;
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    changed.then_some(out)
}
