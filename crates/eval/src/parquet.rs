//! Runs and truth as Parquet, one row a listed item or target, as ranx's data frames have it.
//!
//! Columns: `q_id` (or `user_id`, `case`), `doc_id` (or `item_id`), and `score` (of qrels also
//! `relevance`; absent: 1). Ids are text or numbers of any type (what each is called: `parquet/cell.rs`), scores numbers of
//! any width. A run's system
//! is what [`write_run`] noted in the file, else the file's name without ending; rows need no order.
//! Qrels become a [`Truth`], and masked items are left out, as in [`crate::trec`].

mod cell;

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use ::parquet::basic::{Compression, LogicalType};
use ::parquet::file::metadata::{KeyValue, ParquetMetaData};
use ::parquet::file::properties::WriterProperties;
use ::parquet::schema::types::TypePtr;
use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow_schema::DataType;

use crate::error::{Error, Result};
use crate::jsonl::write_atomically;
use crate::run::Run;
use crate::trec::{Grouped, Twice, can_be_qrels, checked};
use crate::truth::Truth;

const QUERY: &[&str] = &["q_id", "user_id", "case"];
const ITEM: &[&str] = &["doc_id", "item_id"];

/// Is it a Parquet file, by its name or its first bytes?
///
/// # Errors
/// A file that cannot be read.
pub fn is_parquet(path: &Path) -> Result<bool> {
    if path.extension().is_some_and(|e| e == "parquet") {
        return Ok(true);
    }
    let mut magic = Vec::new();
    fs_err::File::open(path)?.take(4).read_to_end(&mut magic)?;
    Ok(magic == b"PAR1")
}

/// The key of a file's metadata under which the system of a run stands.
const SYSTEM: &str = "hkfr.system";

/// What is read beside the ids.
enum Number {
    /// A column of one of these names, which must be there.
    Needed(&'static [&'static str]),
    /// One of these, or 1 in every row.
    OrOne(&'static [&'static str]),
    Ignored,
}

/// Reads a run of `task`.
///
/// # Errors
/// [`Error::Parquet`] with the row where there is one: no whole Parquet file, a compression that this build
/// does not read, a missing column, one of another type, a missing cell, a score that is NaN
/// or +∞, an item given twice for a query.
pub fn read_run(path: &Path, task: &str) -> Result<Run> {
    let (grouped, noted) = read(path, Number::Needed(&["score"]))?;
    let stem = || path.file_stem().unwrap_or_default().to_string_lossy();
    let system = noted.unwrap_or_else(|| stem().into_owned());
    let run = grouped.into_run(path, system, task);
    run.map_err(|t| twice(path, t))
}

/// Reads the truth of `task`.
///
/// # Errors
/// As [`read_run`], and [`Error::NoQrels`].
pub fn read_qrels(path: &Path, task: &str) -> Result<Truth> {
    let (grouped, _) = read(path, Number::OrOne(&["relevance", "score"]))?;
    let cases = grouped.into_cases().map_err(|t| twice(path, t))?;
    let truth = Truth {
        task: task.to_owned(),
        cases,
        ..Truth::default()
    };
    checked(truth, path)
}

/// Reads what was consumed before, by query, as [`crate::trec::read_consumed`].
///
/// # Errors
/// As [`read_run`], of the ids alone.
pub fn read_consumed(path: &Path) -> Result<HashMap<String, Vec<String>>> {
    Ok(read(path, Number::Ignored)?.0.into_pairs())
}

fn twice(path: &Path, twice: Twice) -> Error {
    let Twice {
        item,
        first,
        second,
    } = twice;
    bad(
        path,
        format!(
            "row {second}: item `{item}` stands twice for its query, first in row {first}; keep one"
        ),
    )
}

/// Writes a run as `q_id`, `doc_id`, `score`; an existing file is replaced in one step.
///
/// # Errors
/// A run that breaks its rules.
pub fn write_run(run: &Run, path: &Path) -> Result<()> {
    run.check()?;
    let rows = run.lists.iter().flat_map(|list| {
        let scored = list.items.iter().zip(&list.scores);
        scored.map(|(item, &score)| (list.case.as_str(), item.as_str(), score))
    });
    write(path, rows, Some(&run.system))
}

/// Writes the targets as `q_id`, `doc_id`, `score` (the gain).
///
/// # Errors
/// A truth that breaks its rules, or a case as in [`crate::trec::write_qrels`].
pub fn write_qrels(truth: &Truth, path: &Path) -> Result<()> {
    truth.check()?;
    can_be_qrels(truth)?;
    let rows = truth.cases.iter().flat_map(|case| {
        let gain = |i: usize| case.gains.get(i).copied().unwrap_or(1.0);
        let targets = case.targets.iter().enumerate();
        targets.map(move |(i, target)| (case.case.as_str(), target.as_str(), gain(i)))
    });
    write(path, rows, None)
}

fn write<'a>(
    path: &Path,
    rows: impl Iterator<Item = (&'a str, &'a str, f64)>,
    system: Option<&str>,
) -> Result<()> {
    let (mut queries, mut docs, mut scores) = (Vec::new(), Vec::new(), Vec::new());
    for (query, doc, score) in rows {
        queries.push(query);
        docs.push(doc);
        scores.push(score);
    }
    let columns: [(&str, ArrayRef); 3] = [
        ("q_id", Arc::new(StringArray::from(queries))),
        ("doc_id", Arc::new(StringArray::from(docs))),
        ("score", Arc::new(Float64Array::from(scores))),
    ];
    let batch = RecordBatch::try_from_iter(columns).map_err(|e| bad(path, e))?;
    let noted = system.map(|s| vec![KeyValue::new(SYSTEM.to_owned(), s.to_owned())]);
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_key_value_metadata(noted);
    let mut bytes = Vec::new();
    ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties.build()))
        .and_then(|mut writer| {
            writer.write(&batch)?;
            writer.close()
        })
        .map_err(|e| bad(path, e))?;
    write_atomically(path, |out| out.write_all(&bytes))
}

/// The rows by query, and the system that [`write_run`] noted.
fn read(path: &Path, number: Number) -> Result<(Grouped, Option<String>)> {
    let file = fs_err::File::open(path)?.into_parts().0;
    let whole = |e| {
        bad(
            path,
            format!("not a whole Parquet file ({e}); write it again"),
        )
    };
    // Without what Arrow notes of its own types a column of categories is one of text.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder =
        ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).map_err(whole)?;
    if let Some(name) = unknown_compression(builder.metadata()) {
        return Err(bad(
            path,
            format!("compressed with {name}; write it with zstd, snappy, gzip or lz4"),
        ));
    }
    let schema = builder.schema().clone();
    let column = |names: &[&'static str]| {
        let named = names.iter().find_map(|n| schema.column_with_name(n));
        named.map(|(i, field)| (i, field.name().clone(), field.data_type()))
    };
    let needed = |names: &[&'static str]| {
        let missing = || {
            bad(
                path,
                format!("no column `{}`; rename yours", names.join("` or `")),
            )
        };
        column(names).ok_or_else(missing)
    };
    let (queries, docs) = (needed(QUERY)?, needed(ITEM)?);
    // Only scores of runs mask.
    let masks = matches!(number, Number::Needed(_));
    let values = match number {
        Number::Needed(names) => Some(needed(names)?),
        Number::OrOne(names) => column(names),
        Number::Ignored => None,
    };
    let castable = |(_, name, ty): &(usize, String, &DataType), good: bool, to: &str| match good {
        true => Ok(()),
        false => Err(bad(
            path,
            format!("column `{name}` is {ty}; cast it to {to}"),
        )),
    };
    for ids in [&queries, &docs] {
        castable(ids, cell::is_id(ids.2), "text or integers")?;
    }
    if let Some(values) = &values {
        castable(values, cell::is_number(values.2), "double")?;
    }
    let noted = builder.metadata().file_metadata().key_value_metadata();
    let noted = noted.and_then(|pairs| pairs.iter().find(|p| p.key == SYSTEM)?.value.clone());
    let fields = builder.parquet_schema().root_schema().get_fields();
    let is_uuid = |ty: &TypePtr| ty.get_basic_info().logical_type_ref() == Some(&LogicalType::Uuid);
    let uuids: Vec<bool> = fields.iter().map(is_uuid).collect();
    let mut row = 0;
    let mut grouped = Grouped::default();
    for batch in builder.build().map_err(whole)? {
        let batch = batch.map_err(|e| bad(path, e))?;
        for i in 0..batch.num_rows() {
            row += 1;
            let missing = |name: &str| bad(path, format!("row {row}: no `{name}`; drop the row"));
            let id = |(c, name, _): &(usize, String, &DataType)| match cell::id(
                batch.column(*c),
                i,
                uuids[*c],
            ) {
                Ok(id) => id.ok_or_else(|| missing(name)),
                Err(cell::Rounded) => Err(bad(
                    path,
                    format!(
                        "row {row}: `{name}` is a float so large that other ids are rounded to it; write integers or text"
                    ),
                )),
            };
            let (query, doc) = (id(&queries)?, id(&docs)?);
            let value = match &values {
                None => 1.0,
                Some((c, name, _)) => {
                    let value = cell::float(batch.column(*c), i).ok_or_else(|| missing(name))?;
                    let may_be_masked = masks && value == f64::NEG_INFINITY;
                    if !value.is_finite() && !may_be_masked {
                        return Err(bad(
                            path,
                            format!(
                                "row {row}: `{name}` is {value}, not a finite number; drop the row"
                            ),
                        ));
                    }
                    value
                }
            };
            grouped.push(&query, &doc, value, row);
        }
    }
    Ok((grouped, noted))
}

/// The name of a compression in the file that is not built in.
fn unknown_compression(metadata: &ParquetMetaData) -> Option<String> {
    let groups = metadata.row_groups().iter();
    let mut used = groups
        .flat_map(|g| g.columns())
        .map(|column| column.compression());
    let is_missing = |c: &Compression| matches!(c, Compression::BROTLI(_) | Compression::LZO);
    let named = format!("{:?}", used.find(is_missing)?);
    // With its level it is `BROTLI(BrotliLevel(1))`.
    Some(named.split('(').next().unwrap_or_default().to_owned())
}

fn bad(path: &Path, what: impl ToString) -> Error {
    Error::Parquet {
        path: path.to_owned(),
        what: what.to_string(),
    }
}
