//! Parquet → rows, cell by cell as text.

use std::path::Path;

use arrow_schema::{DataType, TimeUnit};

use super::{Cells, TimeType, Use, Wanted, bad_file, fill};
use crate::adapters::parquet_in::cell::{self, is_list, is_readable, plain};
use crate::adapters::parquet_in::path::{Column, field};
use crate::adapters::parquet_in::{self, Table};
use crate::adapters::time::Unit;
use crate::error::{Error, Result};
use crate::report::IngestReport;

pub(super) struct ParquetRows {
    table: Table,
    columns: Vec<Wanted>,
    /// By column.
    are_uuids: Vec<bool>,
    batch: Vec<Column>,
    /// Rows before the batch at hand, and those of it that were read.
    before: u64,
    read: usize,
    n_rows: usize,
    text: String,
}

impl ParquetRows {
    pub fn open(path: &Path, columns: Vec<Wanted>) -> Result<Self> {
        let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        let table = parquet_in::open(path, &names)?;
        let schema = table.schema();
        let mut are_uuids = Vec::new();
        for column in &columns {
            let found = field(&schema, &column.name).map(|(_, field)| field);
            if let Some(field) = found.filter(|f| !is_readable(f.data_type())) {
                return Err(unreadable(path, &column.name, field.data_type()));
            }
            are_uuids.push(found.is_some_and(cell::is_uuid));
        }
        Ok(Self {
            table,
            columns,
            are_uuids,
            batch: Vec::new(),
            before: 0,
            read: 0,
            n_rows: 0,
            text: String::new(),
        })
    }

    /// # Errors
    /// A type that holds no times.
    pub fn time_type(&self, position: usize) -> Result<TimeType> {
        let schema = self.table.schema();
        let found = self.columns.iter().find(|c| c.position == position);
        let Some((name, (_, field))) =
            found.and_then(|c| Some((&c.name, field(&schema, &c.name)?)))
        else {
            return Ok(TimeType::Untyped);
        };
        match plain(field.data_type()) {
            DataType::Timestamp(unit, zone) => Ok(TimeType::Timestamp(
                match unit {
                    TimeUnit::Second => Unit::Seconds,
                    TimeUnit::Millisecond => Unit::Millis,
                    TimeUnit::Microsecond => Unit::Micros,
                    TimeUnit::Nanosecond => Unit::Nanos,
                },
                zone.as_deref().map(str::to_owned),
            )),
            DataType::Date32 => Ok(TimeType::Date(Unit::Seconds)),
            DataType::Date64 => Ok(TimeType::Date(Unit::Millis)),
            DataType::Time32(_) | DataType::Time64(_) => Err(bad_file(
                &self.table.path,
                format!(
                    "column `{name}` holds times of day without a date: make one timestamp of date and time, or name it as \
                     `tie_breaker` beside a column of dates"
                ),
            )),
            DataType::Boolean => Err(wrong(&self.table.path, name, field.data_type())),
            other if is_list(other) => Err(wrong(&self.table.path, name, other)),
            _ => Ok(TimeType::Untyped),
        }
    }

    pub fn next_row(&mut self, report: &mut IngestReport, row: &mut Cells) -> Result<Option<u64>> {
        while self.read == self.n_rows {
            let Some((before, batch)) = self.table.next_batch()? else {
                return Ok(None);
            };
            (self.before, self.read, self.n_rows) = (before, 0, batch.num_rows());
            report.rows_read += self.n_rows as u64;
            let path = &self.table.path;
            let column = |c: &Wanted| {
                Column::of(&batch, &c.name)
                    .ok_or_else(|| bad_file(path, format!("no column `{}`", c.name)))
            };
            self.batch = self.columns.iter().map(column).collect::<Result<_>>()?;
        }
        let i = self.read;
        self.read += 1;
        let columns = self.columns.iter().zip(&self.batch).zip(&self.are_uuids);
        for ((column, values), is_uuid) in columns {
            self.text.clear();
            let (array, text) = (&*values.values, &mut self.text);
            let is_there = !values.is_null(i)
                && match is_uuid {
                    true => cell::write_uuid(array, i, text),
                    false if column.used == Use::Id && cell::write_rounded(array, i, text) => true,
                    false => {
                        let as_number = column.used == Use::Time;
                        cell::write(array, i, column.used.mark(), as_number, text)
                    }
                };
            if is_there {
                fill(&mut row[column.position], text)
            } else {
                row[column.position] = None
            }
        }
        Ok(Some(self.before + i as u64 + 1))
    }
}

fn wrong(path: &Path, column: &str, of: &DataType) -> Error {
    bad_file(
        path,
        format!("column `{column}` is {of}, which holds no times"),
    )
}

/// A type that is no text, number or time, with the cast that makes it one.
fn unreadable(path: &Path, column: &str, of: &DataType) -> Error {
    let remedy = match plain(of) {
        DataType::Struct(fields) => {
            let names: Vec<String> = fields
                .iter()
                .map(|f| format!("`{column}.{}`", f.name()))
                .collect();
            format!("name one of its fields: {}", names.join(", "))
        }
        DataType::Map(..) => "take the wanted key into a column of its own, as \
             `element_at(column, 'key')` does in SQL"
            .into(),
        DataType::Duration(_) | DataType::Interval(_) => {
            "cast it to a number of seconds or to text".into()
        }
        DataType::Union(..) => "cast it to text".into(),
        _ => "it is a list of lists or of structs: cast it to a list of texts, or explode it into rows".into(),
    };
    bad_file(
        path,
        format!("column `{column}` is {of}, which is no text, number or time: {remedy}"),
    )
}
