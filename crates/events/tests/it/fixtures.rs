//! Small files and data sets that the tests write themselves.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray,
};
use hkfr_events::{DatasetBuilder, DatasetInfo, Event};
use parquet::arrow::ArrowWriter;

pub const DAY: i64 = 86_400;

pub fn write(dir: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = dir.join(name);
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, bytes).unwrap();
}

pub fn parquet(dir: &Path, name: &str, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap();
    let file = fs_err::File::create(dir.join(format!("{name}.parquet"))).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

pub fn ints(xs: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(xs))
}

pub fn floats(xs: impl IntoIterator<Item = f64>) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(xs))
}

pub fn seconds(xs: impl IntoIterator<Item = i64>) -> ArrayRef {
    let nanos = xs.into_iter().map(|s| s * 1_000_000_000);
    Arc::new(TimestampNanosecondArray::from_iter_values(nanos))
}

/// An empty text stands for null.
pub fn texts<'a>(xs: impl IntoIterator<Item = &'a str>) -> ArrayRef {
    let cells = xs.into_iter().map(|x| Some(x).filter(|x| !x.is_empty()));
    Arc::new(cells.collect::<StringArray>())
}

/// `buy` is the target action, `see` is not.
pub fn builder() -> DatasetBuilder {
    DatasetBuilder::new(DatasetInfo {
        name: "test".into(),
        target_actions: vec!["buy".into()],
        strengths: [("buy".to_owned(), 1.0)].into(),
        item_noun: "thing".into(),
        user_noun: "person".into(),
        ..DatasetInfo::default()
    })
}

pub fn push(
    b: &mut DatasetBuilder,
    user: &str,
    action: &str,
    item: &str,
    ts: i64,
    text: Option<&str>,
) {
    let user = b.user(user);
    let item = Some(b.item(item));
    let kind = b.kind("thing", action, "shop");
    b.push(Event {
        user,
        item,
        kind,
        ts,
        value: None,
        place: None,
        text: text.map(Into::into),
        row: 0,
    });
}
