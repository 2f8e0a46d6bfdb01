//! Parquet files in, batch by batch and only the columns asked for, so that memory is bounded.
//! A column comes out as a vector of optional plain values whatever width the file stores, or cell by cell as text
//! ([`cell`]).

pub(crate) mod cell;
pub(crate) mod path;

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrowPrimitiveType, RecordBatch, RecordBatchReader};
use arrow_schema::{DataType, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::Compression;
use parquet::errors::ParquetError;

use crate::error::{Error, Result};

pub(crate) struct Table {
    pub path: PathBuf,
    /// Rows before the batch that comes next.
    pub row: u64,
    reader: ParquetRecordBatchReader,
}

/// # Errors
/// A file that is no whole Parquet file, or that lacks a column. A column may be a field of a struct: `meta.brand`.
pub(crate) fn open(path: &Path, columns: &[&str]) -> Result<Table> {
    let builder = builder(path)?;
    let mut roots = Vec::new();
    for column in columns {
        let Some((root, _)) = path::field(builder.schema(), column) else {
            return Err(missing(path, column, builder.schema()));
        };
        roots.push(root);
    }
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
    table(path, builder.with_projection(mask))
}

fn missing(path: &Path, column: &str, schema: &Schema) -> Error {
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    Error::BadFile {
        path: path.to_owned(),
        reason: format!("no column `{column}`; the file has {}", names.join(", ")),
    }
}

/// All columns.
pub(crate) fn open_all(path: &Path) -> Result<Table> {
    table(path, builder(path)?)
}

fn builder(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    let file = fs_err::File::open(path)?.into_parts().0;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| Error::BadFile {
        path: path.to_owned(),
        reason: format!(
            "not a whole Parquet file ({e}); it may be cut off: copy or fetch it again"
        ),
    })?;
    // Only a column's codec, and not the file's, says what is needed to read it.
    let groups = builder.metadata().row_groups().iter();
    let mut codecs = groups.flat_map(|g| g.columns()).map(|c| c.compression());
    match codecs.find(|c| matches!(c, Compression::BROTLI(_) | Compression::LZO)) {
        None => Ok(builder),
        Some(codec) => Err(Error::BadFile {
            path: path.to_owned(),
            reason: format!(
                "compressed with {codec}, which is not read; write it with zstd, snappy, gzip or lz4"
            ),
        }),
    }
}

fn table(path: &Path, builder: ParquetRecordBatchReaderBuilder<File>) -> Result<Table> {
    let reader = builder
        .with_batch_size(16_384)
        .build()
        .map_err(|e| parquet_error(path, e))?;
    Ok(Table {
        path: path.to_owned(),
        row: 0,
        reader,
    })
}

pub(crate) fn parquet_error(path: &Path, source: ParquetError) -> Error {
    let path = path.to_owned();
    match source {
        // A full disk is no fault of the file: the I/O error names it, and says so once.
        ParquetError::External(e) => match e.downcast::<std::io::Error>() {
            Ok(e) => Error::Io(*e),
            Err(e) => Error::Parquet {
                path,
                source: ParquetError::External(e),
            },
        },
        source => Error::Parquet { path, source },
    }
}

impl Table {
    pub fn schema(&self) -> SchemaRef {
        self.reader.schema()
    }

    /// The next batch and the number of rows before it.
    pub fn next_batch(&mut self) -> Result<Option<(u64, RecordBatch)>> {
        match self.reader.next() {
            None => Ok(None),
            Some(Ok(batch)) => {
                let before = self.row;
                self.row += batch.num_rows() as u64;
                Ok(Some((before, batch)))
            }
            Some(Err(e)) => Err(Error::BadFile {
                path: self.path.clone(),
                reason: format!(
                    "unreadable after row {} ({e}); it may be damaged: copy or fetch it again",
                    self.row
                ),
            }),
        }
    }

    pub fn ints(&self, batch: &RecordBatch, column: &str) -> Result<Vec<Option<i64>>> {
        let a = self.array(batch, column)?;
        ints(a).ok_or_else(|| self.wrong_type(a, column, "an integer"))
    }

    pub fn floats(&self, batch: &RecordBatch, column: &str) -> Result<Vec<Option<f64>>> {
        let a = self.array(batch, column)?;
        floats(a).ok_or_else(|| self.wrong_type(a, column, "a number"))
    }

    /// Timestamps or dates in seconds.
    pub fn seconds(&self, batch: &RecordBatch, column: &str) -> Result<Vec<Option<i64>>> {
        let a = self.array(batch, column)?;
        seconds(a).ok_or_else(|| self.wrong_type(a, column, "a timestamp"))
    }

    pub fn strings<'b>(
        &self,
        batch: &'b RecordBatch,
        column: &str,
    ) -> Result<Vec<Option<&'b str>>> {
        let a = self.array(batch, column)?;
        strings(a).ok_or_else(|| self.wrong_type(a, column, "text"))
    }

    fn array<'b>(&self, batch: &'b RecordBatch, column: &str) -> Result<&'b dyn Array> {
        let found = batch.column_by_name(column).ok_or_else(|| Error::BadFile {
            path: self.path.clone(),
            reason: format!("no column `{column}`"),
        })?;
        Ok(found.as_ref())
    }

    fn wrong_type(&self, array: &dyn Array, column: &str, wanted: &str) -> Error {
        Error::BadFile {
            path: self.path.clone(),
            reason: format!("column `{column}` is {}, not {wanted}", array.data_type()),
        }
    }
}

fn map<T: ArrowPrimitiveType, U>(a: &dyn Array, f: impl Fn(T::Native) -> U) -> Vec<Option<U>> {
    a.as_primitive::<T>().iter().map(|x| x.map(&f)).collect()
}

fn ints(a: &dyn Array) -> Option<Vec<Option<i64>>> {
    Some(match a.data_type() {
        DataType::Int64 => map::<Int64Type, _>(a, |x| x),
        DataType::Int32 => map::<Int32Type, _>(a, i64::from),
        DataType::Int16 => map::<Int16Type, _>(a, i64::from),
        DataType::Int8 => map::<Int8Type, _>(a, i64::from),
        DataType::UInt64 => {
            let whole = a.as_primitive::<UInt64Type>();
            let fits = whole.iter().flatten().all(|x| i64::try_from(x).is_ok());
            fits.then(|| map::<UInt64Type, _>(a, |x| x as i64))?
        }
        DataType::UInt32 => map::<UInt32Type, _>(a, i64::from),
        DataType::UInt16 => map::<UInt16Type, _>(a, i64::from),
        DataType::UInt8 => map::<UInt8Type, _>(a, i64::from),
        _ => return None,
    })
}

fn floats(a: &dyn Array) -> Option<Vec<Option<f64>>> {
    Some(match a.data_type() {
        DataType::Float64 => map::<Float64Type, _>(a, |x| x),
        DataType::Float32 => map::<Float32Type, _>(a, f64::from),
        _ => return Some(ints(a)?.into_iter().map(|x| x.map(|x| x as f64)).collect()),
    })
}

fn seconds(a: &dyn Array) -> Option<Vec<Option<i64>>> {
    Some(match a.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => map::<TimestampSecondType, _>(a, |x| x),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            map::<TimestampMillisecondType, _>(a, |x| x.div_euclid(1_000))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            map::<TimestampMicrosecondType, _>(a, |x| x.div_euclid(1_000_000))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            map::<TimestampNanosecondType, _>(a, |x| x.div_euclid(1_000_000_000))
        }
        DataType::Date32 => map::<Date32Type, _>(a, |x| i64::from(x) * 86_400),
        _ => return None,
    })
}

fn strings(a: &dyn Array) -> Option<Vec<Option<&str>>> {
    Some(match a.data_type() {
        DataType::Utf8 => a.as_string::<i32>().iter().collect(),
        DataType::LargeUtf8 => a.as_string::<i64>().iter().collect(),
        DataType::Utf8View => a.as_string_view().iter().collect(),
        _ => return None,
    })
}
