//! Tables whose columns are named at run time, as Parquet that is written and read batch by batch: memory holds a row
//! group. Each column carries notes of its own (Arrow's field metadata), such as what it means.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::types::Float32Type;
use arrow_array::{ArrayRef, Float32Array, Int64Array, ListArray, RecordBatch, UInt8Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::tables::{Writer, texts};
use crate::adapters::parquet_in::{self, Table};
use crate::atomic;
use crate::error::{Error, Result};

/// What the cells of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellType {
    Text,
    /// Signed, 64 bits.
    Integer,
    /// 0 to 255.
    Small,
    /// 32 bits.
    Float,
    /// A list of floats.
    Vector,
}

impl CellType {
    /// As Parquet readers call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Integer => "int64",
            Self::Small => "uint8",
            Self::Float => "float",
            Self::Vector => "list<float>",
        }
    }

    fn arrow(self) -> DataType {
        let item = Arc::new(Field::new("item", DataType::Float32, true));
        match self {
            Self::Text => DataType::Utf8,
            Self::Integer => DataType::Int64,
            Self::Small => DataType::UInt8,
            Self::Float => DataType::Float32,
            Self::Vector => DataType::List(item),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameColumn {
    pub name: String,
    pub cells: CellType,
    pub notes: BTreeMap<String, String>,
}

/// Cells of one column, by row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cells {
    Texts(Vec<Option<String>>),
    Integers(Vec<i64>),
    Small(Vec<u8>),
    /// NaN: the cell is missing.
    Floats(Vec<f32>),
    Vectors(Vec<Option<Vec<f32>>>),
}

impl Cells {
    fn array(self) -> ArrayRef {
        match self {
            Self::Texts(cells) => texts(cells.iter().map(Option::as_deref)),
            Self::Integers(cells) => Arc::new(Int64Array::from(cells)),
            Self::Small(cells) => Arc::new(UInt8Array::from(cells)),
            Self::Floats(cells) => {
                let known = cells.into_iter().map(|x| (!x.is_nan()).then_some(x));
                Arc::new(known.collect::<Float32Array>())
            }
            Self::Vectors(cells) => {
                let cells = cells.into_iter();
                let cells = cells.map(|c| c.map(|c| c.into_iter().map(Some).collect::<Vec<_>>()));
                Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(cells))
            }
        }
    }
}

/// A table that is being written.
pub struct FrameWriter {
    path: PathBuf,
    temporary: PathBuf,
    schema: SchemaRef,
    writer: Writer,
}

impl FrameWriter {
    /// # Errors
    /// A file that cannot be made.
    pub fn create(path: &Path, columns: &[FrameColumn]) -> Result<Self> {
        let field = |column: &FrameColumn| {
            let notes: HashMap<String, String> = column.notes.clone().into_iter().collect();
            Field::new(&column.name, column.cells.arrow(), true).with_metadata(notes)
        };
        let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        let temporary = atomic::temporary(path);
        Ok(Self {
            writer: Writer::create(&temporary, Arc::clone(&schema), None)?,
            path: path.to_owned(),
            temporary,
            schema,
        })
    }

    /// Adds rows, given column by column.
    ///
    /// # Errors
    /// Columns of another number, type or length; those of the disk.
    pub fn write(&mut self, columns: Vec<Cells>) -> Result<()> {
        let arrays = columns.into_iter().map(Cells::array).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays);
        let batch = batch.map_err(|e| Error::BadFile {
            path: self.path.clone(),
            reason: format!("internal: columns do not make a table ({e})"),
        })?;
        self.writer.write(&batch)
    }

    /// Ends the file, which takes its name now.
    ///
    /// # Errors
    /// Those of the disk; an older file of this name is untouched then.
    pub fn finish(self) -> Result<()> {
        self.writer.finish()?;
        Ok(fs_err::rename(&self.temporary, &self.path)?)
    }
}

/// A table that is being read.
pub struct FrameReader {
    table: Table,
}

/// Some rows of a table.
pub struct FrameBatch<'a> {
    table: &'a Table,
    batch: RecordBatch,
}

impl FrameReader {
    /// # Errors
    /// A file that is no whole Parquet file.
    pub fn open(path: &Path) -> Result<Self> {
        let table = parquet_in::open_all(path)?;
        Ok(Self { table })
    }

    /// Names of the columns with their notes, in order.
    pub fn columns(&self) -> Vec<(String, BTreeMap<String, String>)> {
        let schema = self.table.schema();
        let of = |field: &Arc<Field>| {
            let notes = field.metadata().clone().into_iter().collect();
            (field.name().clone(), notes)
        };
        schema.fields().iter().map(of).collect()
    }

    /// # Errors
    /// A damaged file.
    pub fn next_batch(&mut self) -> Result<Option<FrameBatch<'_>>> {
        let next = self.table.next_batch()?;
        let table = &self.table;
        Ok(next.map(|(_, batch)| FrameBatch { table, batch }))
    }
}

impl FrameBatch<'_> {
    pub fn n_rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// # Errors
    /// No such column, or one of another type.
    pub fn texts(&self, column: &str) -> Result<Vec<Option<&str>>> {
        self.table.strings(&self.batch, column)
    }

    /// Missing cells are `None`.
    ///
    /// # Errors
    /// No such column, or one of another type.
    pub fn integers(&self, column: &str) -> Result<Vec<Option<i64>>> {
        self.table.ints(&self.batch, column)
    }

    /// Missing cells are NaN.
    ///
    /// # Errors
    /// No such column, or one of another type.
    pub fn floats(&self, column: &str) -> Result<Vec<f32>> {
        let cells = self.table.floats(&self.batch, column)?;
        let cells = cells.into_iter();
        Ok(cells.map(|x| x.map_or(f32::NAN, |x| x as f32)).collect())
    }
}
