//! Items and users as Parquet: ids, title, price as columns; categories and attributes as JSON
//! text, because their keys are the data set's own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, RecordBatch, StringArray};
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::WriterProperties;

use super::damaged;
use crate::adapters::parquet_in::{self, Table};
use crate::dataset::{DatasetBuilder, Item, Profile};
use crate::error::{Error, Result};

/// Rows that are encoded together.
pub(super) const CHUNK: usize = 16_384;
/// Rows of a row group: what a writer holds in memory, and what a reader may pass over.
const ROW_GROUP: usize = 1 << 18;

/// A Snappy Parquet file that is being written.
pub(super) struct Writer {
    path: PathBuf,
    writer: ArrowWriter<fs_err::File>,
}

impl Writer {
    pub fn create(
        path: &Path,
        schema: SchemaRef,
        sorting: Option<Vec<SortingColumn>>,
    ) -> Result<Self> {
        let file = fs_err::File::create(path)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(ROW_GROUP))
            .set_sorting_columns(sorting)
            .build();
        let writer = ArrowWriter::try_new(file, schema, Some(properties))
            .map_err(|e| parquet_in::parquet_error(path, e))?;
        let path = path.to_owned();
        Ok(Self { path, writer })
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let written = self.writer.write(batch);
        written.map_err(|e| parquet_in::parquet_error(&self.path, e))
    }

    /// Ends the file and syncs it.
    pub fn finish(self) -> Result<()> {
        let file = self.writer.into_inner();
        let file = file.map_err(|e| parquet_in::parquet_error(&self.path, e))?;
        Ok(file.sync_all()?)
    }
}

/// Writes chunks of rows as one file.
pub(super) fn write_chunks<T>(
    rows: &[T],
    path: &Path,
    batch_of: impl Fn(&[T]) -> Result<RecordBatch>,
) -> Result<()> {
    // An empty batch carries the schema of a table without rows.
    let mut writer = Writer::create(path, batch_of(&[])?.schema(), None)?;
    for chunk in rows.chunks(CHUNK) {
        writer.write(&batch_of(chunk)?)?;
    }
    writer.finish()
}

pub(super) fn batch(path: &Path, columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch> {
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    RecordBatch::try_from_iter_with_nullable(columns).map_err(|e| Error::BadFile {
        path: path.to_owned(),
        reason: format!("internal: columns do not make a table ({e})"),
    })
}

pub(super) fn texts<'a>(cells: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(cells.collect::<StringArray>())
}

fn json<T: serde::Serialize>(path: &Path, value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| damaged(path, &e.to_string()))
}

pub(super) fn write_items(items: &[Item], path: &Path) -> Result<()> {
    write_chunks(items, path, |items| {
        let categories = items
            .iter()
            .map(|i| json(path, &i.categories))
            .collect::<Result<Vec<_>>>()?;
        let attributes = items
            .iter()
            .map(|i| json(path, &i.attributes))
            .collect::<Result<Vec<_>>>()?;
        batch(
            path,
            vec![
                ("item_id", texts(items.iter().map(|i| Some(i.id.as_str())))),
                ("title", texts(items.iter().map(|i| Some(i.title.as_str())))),
                (
                    "categories",
                    texts(categories.iter().map(|c| Some(c.as_str()))),
                ),
                (
                    "price",
                    Arc::new(items.iter().map(|i| i.price).collect::<Float32Array>()),
                ),
                (
                    "attributes",
                    texts(attributes.iter().map(|a| Some(a.as_str()))),
                ),
            ],
        )
    })
}

pub(super) fn users_batch(users: &[Profile], path: &Path) -> Result<RecordBatch> {
    let attributes = users
        .iter()
        .map(|u| json(path, &u.attributes))
        .collect::<Result<Vec<_>>>()?;
    batch(
        path,
        vec![
            ("user_id", texts(users.iter().map(|u| Some(u.id.as_str())))),
            (
                "attributes",
                texts(attributes.iter().map(|a| Some(a.as_str()))),
            ),
        ],
    )
}

pub(super) fn write_users(users: &[Profile], path: &Path) -> Result<()> {
    write_chunks(users, path, |users| users_batch(users, path))
}

pub(super) fn read_items(builder: &mut DatasetBuilder, path: &Path) -> Result<()> {
    let columns = ["item_id", "title", "categories", "price", "attributes"];
    let mut table = parquet_in::open(path, &columns)?;
    while let Some((_, batch)) = table.next_batch()? {
        let text = |c| table.strings(&batch, c);
        let (id, title, categories, attributes) = (
            text("item_id")?,
            text("title")?,
            text("categories")?,
            text("attributes")?,
        );
        let price = table.floats(&batch, "price")?;
        for i in 0..batch.num_rows() {
            let id = id[i].ok_or_else(|| damaged(path, "an item has no id"))?;
            let index = builder.item(id);
            *builder.item_mut(index) = Item {
                id: id.to_owned(),
                title: title[i].unwrap_or_default().to_owned(),
                categories: parse(path, categories[i], "[]")?,
                price: price[i].map(|p| p as f32),
                attributes: parse(path, attributes[i], "{}")?,
            };
        }
    }
    Ok(())
}

pub(super) fn open_users(path: &Path) -> Result<Table> {
    parquet_in::open(path, &["user_id", "attributes"])
}

/// The profiles of a batch of [`open_users`], in order.
pub(super) fn profiles_of(table: &Table, batch: &RecordBatch) -> Result<Vec<Profile>> {
    let path = &table.path;
    let id = table.strings(batch, "user_id")?;
    let attributes = table.strings(batch, "attributes")?;
    let profile = |(id, attributes): (Option<&str>, Option<&str>)| {
        let id = id.ok_or_else(|| damaged(path, "a user has no id"))?;
        Ok(Profile {
            id: id.to_owned(),
            attributes: parse(path, attributes, "{}")?,
        })
    };
    id.into_iter().zip(attributes).map(profile).collect()
}

pub(super) fn read_users(builder: &mut DatasetBuilder, path: &Path) -> Result<()> {
    let mut table = open_users(path)?;
    while let Some((_, batch)) = table.next_batch()? {
        for profile in profiles_of(&table, &batch)? {
            let user = builder.user(&profile.id);
            *builder.profile_mut(user) = profile;
        }
    }
    Ok(())
}

fn parse<T: serde::de::DeserializeOwned>(
    path: &Path,
    cell: Option<&str>,
    absent: &str,
) -> Result<T> {
    serde_json::from_str(cell.unwrap_or(absent)).map_err(|e| damaged(path, &e.to_string()))
}
