//! Items and users as Parquet: ids, title, price as columns; categories and attributes as JSON
//! text, because their keys are the data set's own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::damaged;
use crate::adapters::parquet_in;
use crate::dataset::{DatasetBuilder, Item, Profile};
use crate::error::{Error, Result};

const CHUNK: usize = 16_384;

/// Writes chunks of rows as one Snappy Parquet file and syncs it.
pub(super) fn write_chunks<T>(
    rows: &[T],
    path: &Path,
    batch_of: impl Fn(&[T]) -> Result<RecordBatch>,
) -> Result<()> {
    let file = fs_err::File::create(path)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .build();
    let parquet = |e| parquet_in::parquet_error(path, e);
    // An empty batch carries the schema of a table without rows.
    let empty = batch_of(&[])?;
    let mut writer =
        ArrowWriter::try_new(file, empty.schema(), Some(properties)).map_err(parquet)?;
    for chunk in rows.chunks(CHUNK) {
        writer.write(&batch_of(chunk)?).map_err(parquet)?;
    }
    let file = writer.into_inner().map_err(parquet)?;
    file.sync_all()?;
    Ok(())
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

pub(super) fn write_users(users: &[Profile], path: &Path) -> Result<()> {
    write_chunks(users, path, |users| {
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
    })
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

pub(super) fn read_users(builder: &mut DatasetBuilder, path: &Path) -> Result<()> {
    let mut table = parquet_in::open(path, &["user_id", "attributes"])?;
    while let Some((_, batch)) = table.next_batch()? {
        let id = table.strings(&batch, "user_id")?;
        let attributes = table.strings(&batch, "attributes")?;
        for i in 0..batch.num_rows() {
            let id = id[i].ok_or_else(|| damaged(path, "a user has no id"))?;
            let user = builder.user(id);
            let attributes: BTreeMap<String, String> = parse(path, attributes[i], "{}")?;
            builder.profile_mut(user).attributes = attributes;
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
