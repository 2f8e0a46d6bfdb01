//! Runs and truth as Parquet, one row a listed item or target, as ranx's data frames have it.
//!
//! Columns: `q_id` (or `user_id`, `case`), `doc_id` (or `item_id`), and `score` (of qrels also
//! `relevance`; absent: 1). Ids are text or integers, numbers of any width. A run's system is the
//! file's name without ending; rows need no order. Qrels become a [`Truth`] as in [`crate::trec`].

use std::path::Path;
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ::parquet::basic::Compression;
use ::parquet::file::properties::WriterProperties;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow_schema::DataType;

use crate::error::{Error, Result};
use crate::jsonl::write_atomically;
use crate::run::Run;
use crate::trec::Grouped;
use crate::truth::Truth;

const QUERY: &[&str] = &["q_id", "user_id", "case"];
const ITEM: &[&str] = &["doc_id", "item_id"];

/// Reads a run of `task`.
///
/// # Errors
/// [`Error::Parquet`] with the row where there is one: no whole Parquet file, a missing column or
/// cell, a score that is not finite, an item given twice for a query.
pub fn read_run(path: &Path, task: &str) -> Result<Run> {
    let grouped = read(path, &["score"], true)?;
    let lists = grouped
        .into_lists()
        .map_err(|(row, f)| bad(path, format!("row {row}: {f}")))?;
    let system = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Ok(Run {
        system,
        task: task.to_owned(),
        depth: lists.iter().map(|l| l.items.len()).max().unwrap_or(0),
        seed: None,
        lists,
    })
}

/// Reads the truth of `task`.
///
/// # Errors
/// As [`read_run`], and [`Error::NoCases`].
pub fn read_qrels(path: &Path, task: &str) -> Result<Truth> {
    let grouped = read(path, &["relevance", "score"], false)?;
    let cases = grouped
        .into_cases()
        .map_err(|(row, f)| bad(path, format!("row {row}: {f}")))?;
    let truth = Truth {
        task: task.to_owned(),
        cases,
        ..Truth::default()
    };
    truth.check()?;
    Ok(truth)
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
    write(path, rows)
}

/// Writes the targets as `q_id`, `doc_id`, `score` (the gain).
///
/// # Errors
/// A truth that breaks its rules.
pub fn write_qrels(truth: &Truth, path: &Path) -> Result<()> {
    truth.check()?;
    let rows = truth.cases.iter().flat_map(|case| {
        let gain = |i: usize| case.gains.get(i).copied().unwrap_or(1.0);
        let targets = case.targets.iter().enumerate();
        targets.map(move |(i, target)| (case.case.as_str(), target.as_str(), gain(i)))
    });
    write(path, rows)
}

fn write<'a>(path: &Path, rows: impl Iterator<Item = (&'a str, &'a str, f64)>) -> Result<()> {
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
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
    let mut bytes = Vec::new();
    ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties.build()))
        .and_then(|mut writer| {
            writer.write(&batch)?;
            writer.close()
        })
        .map_err(|e| bad(path, e))?;
    write_atomically(path, |out| out.write_all(&bytes))
}

fn read(path: &Path, number: &[&str], required: bool) -> Result<Grouped> {
    let file = fs_err::File::open(path)?.into_parts().0;
    let whole = |e| {
        bad(
            path,
            format!("not a whole Parquet file ({e}); write it again"),
        )
    };
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(whole)?;
    let mut row = 0;
    let mut grouped = Grouped::default();
    for batch in reader.build().map_err(whole)? {
        let batch = batch.map_err(|e| bad(path, e))?;
        let column = |names: &[&str]| names.iter().find_map(|n| batch.column_by_name(n));
        let needed = |names: &[&str]| {
            let missing = || {
                bad(
                    path,
                    format!("no column `{}`; rename yours", names.join("` or `")),
                )
            };
            column(names).ok_or_else(missing)
        };
        let (queries, docs) = (needed(QUERY)?, needed(ITEM)?);
        let values = match required {
            true => Some(needed(number)?),
            false => column(number),
        };
        for i in 0..batch.num_rows() {
            row += 1;
            let cell = |text: Option<String>, name: &str| {
                let fault = || bad(path, format!("row {row}: no {name}; drop the row"));
                text.ok_or_else(fault)
            };
            let query = cell(text(queries, i), "query id (text or integer)")?;
            let doc = cell(text(docs, i), "document id (text or integer)")?;
            let value = match values {
                None => 1.0,
                Some(values) => float(values, i).filter(|v| v.is_finite()).ok_or_else(|| {
                    bad(
                        path,
                        format!(
                            "row {row}: `{}` is not a finite number; drop the row",
                            number[0]
                        ),
                    )
                })?,
            };
            grouped.push(&query, &doc, value, row);
        }
    }
    Ok(grouped)
}

fn bad(path: &Path, what: impl ToString) -> Error {
    Error::Parquet {
        path: path.to_owned(),
        what: what.to_string(),
    }
}

macro_rules! cell {
    ($column:expr, $i:expr, $($kind:ident $ty:ident),*) => {
        match $column.data_type() {
            $(DataType::$kind => Some($column.as_primitive::<$ty>().value($i)).map(|v| v as _),)*
            _ => None,
        }
    };
}

fn integer(column: &ArrayRef, i: usize) -> Option<i128> {
    cell!(column, i, Int8 Int8Type, Int16 Int16Type, Int32 Int32Type, Int64 Int64Type,
        UInt8 UInt8Type, UInt16 UInt16Type, UInt32 UInt32Type, UInt64 UInt64Type)
}

fn float(column: &ArrayRef, i: usize) -> Option<f64> {
    if column.is_null(i) {
        return None;
    }
    cell!(column, i, Float32 Float32Type, Float64 Float64Type)
        .or_else(|| integer(column, i).map(|v| v as f64))
}

fn text(column: &ArrayRef, i: usize) -> Option<String> {
    if column.is_null(i) {
        return None;
    }
    match column.data_type() {
        DataType::Utf8 => Some(column.as_string::<i32>().value(i).to_owned()),
        DataType::LargeUtf8 => Some(column.as_string::<i64>().value(i).to_owned()),
        DataType::Utf8View => Some(column.as_string_view().value(i).to_owned()),
        _ => integer(column, i).map(|v| v.to_string()),
    }
}
