//! Events as Parquet, partitioned by a hash of the user, a user's events together and by time.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::builder::{
    ArrayBuilder, Float32Builder, Int64Builder, StringBuilder, UInt32Builder,
};
use parquet::file::metadata::SortingColumn;

use super::damaged;
use super::tables::{CHUNK, Writer, batch};
use crate::adapters::parquet_in::{self, Table};
use crate::dataset::{Dataset, DatasetBuilder, Event, Item, Kind, UserIdx};
use crate::error::Result;
use crate::hash;

/// Which partition a user's events are in. Seed 0 and FNV-1a are part of the format.
pub(super) fn partition(user_id: &str, partitions: usize) -> usize {
    (hash::bytes(0, user_id.as_bytes()) % partitions as u64) as usize
}

const COLUMNS: [&str; 10] = [
    "user_id",
    "item_id",
    "subject",
    "action",
    "scenario",
    "timestamp",
    "value",
    "place",
    "text",
    "event_id",
];

/// By which columns a part is sorted, where it is.
fn sorting() -> Vec<SortingColumn> {
    let at = |name| COLUMNS.iter().position(|c| *c == name).expect("a column") as i32;
    ["user_id", "timestamp"]
        .map(|name| SortingColumn {
            column_idx: at(name),
            descending: false,
            nulls_first: false,
        })
        .into()
}

/// What the indices of events stand for.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub items: &'a [Item],
    pub kinds: &'a [Kind],
    pub places: &'a [String],
}

impl<'a> Names<'a> {
    pub fn of(dataset: &'a Dataset) -> Self {
        Self {
            items: &dataset.items,
            kinds: &dataset.kinds,
            places: &dataset.places,
        }
    }
}

/// A part that is being written, one user after another.
pub(super) struct PartWriter<'n> {
    path: PathBuf,
    names: Names<'n>,
    writer: Writer,
    columns: Columns,
}

#[derive(Default)]
struct Columns {
    user: StringBuilder,
    item: StringBuilder,
    subject: StringBuilder,
    action: StringBuilder,
    scenario: StringBuilder,
    ts: Int64Builder,
    value: Float32Builder,
    place: StringBuilder,
    text: StringBuilder,
    row: UInt32Builder,
}

impl<'n> PartWriter<'n> {
    /// `sorted`: users will come in the order of their ids, and the file says so.
    pub fn create(path: &Path, names: Names<'n>, sorted: bool) -> Result<Self> {
        let mut columns = Columns::default();
        let schema = columns.batch(path)?.schema();
        Ok(Self {
            writer: Writer::create(path, schema, sorted.then(sorting))?,
            path: path.to_owned(),
            names,
            columns,
        })
    }

    pub fn user(&mut self, user_id: &str, events: &[Event]) -> Result<()> {
        let (names, c) = (self.names, &mut self.columns);
        for e in events {
            let kind = &names.kinds[e.kind as usize];
            c.user.append_value(user_id);
            c.item
                .append_option(e.item.map(|i| names.items[i as usize].id.as_str()));
            c.subject.append_value(&kind.subject);
            c.action.append_value(&kind.action);
            c.scenario.append_value(&kind.scenario);
            c.ts.append_value(e.ts);
            c.value.append_option(e.value);
            c.place
                .append_option(e.place.map(|p| names.places[p as usize].as_str()));
            c.text.append_option(e.text.as_deref());
            c.row.append_value(e.row);
            // Batches of one size, so that the bytes depend on the rows alone.
            if c.row.len() == CHUNK {
                self.writer.write(&c.batch(&self.path)?)?;
            }
        }
        Ok(())
    }

    pub fn finish(mut self) -> Result<()> {
        if !self.columns.row.is_empty() {
            self.writer.write(&self.columns.batch(&self.path)?)?;
        }
        self.writer.finish()
    }
}

impl Columns {
    /// What was appended, which is forgotten.
    fn batch(&mut self, path: &Path) -> Result<RecordBatch> {
        let [user, item, subject, action, scenario, place, text] = [
            &mut self.user,
            &mut self.item,
            &mut self.subject,
            &mut self.action,
            &mut self.scenario,
            &mut self.place,
            &mut self.text,
        ]
        .map(|column| Arc::new(column.finish()));
        let columns: [arrow_array::ArrayRef; 10] = [
            user,
            item,
            subject,
            action,
            scenario,
            Arc::new(self.ts.finish()),
            Arc::new(self.value.finish()),
            place,
            text,
            Arc::new(self.row.finish()),
        ];
        batch(path, COLUMNS.into_iter().zip(columns).collect())
    }
}

pub(super) fn write_part(
    dataset: &Dataset,
    p: usize,
    partitions: usize,
    path: &Path,
) -> Result<()> {
    let mut part = PartWriter::create(path, Names::of(dataset), false)?;
    for (u, user) in dataset.users.iter().enumerate() {
        if partition(&user.id, partitions) == p {
            part.user(&user.id, dataset.user_events(u as UserIdx))?;
        }
    }
    part.finish()
}

/// An event as it lies in a part.
pub(super) struct Stored<'b> {
    pub user: &'b str,
    pub item: Option<&'b str>,
    pub subject: &'b str,
    pub action: &'b str,
    pub scenario: &'b str,
    pub place: Option<&'b str>,
    /// Indices are 0 where the names above are to be looked up.
    pub event: Event,
}

pub(super) fn open_part(path: &Path) -> Result<Table> {
    parquet_in::open(path, &COLUMNS)
}

/// The events of a batch of [`open_part`], in order, to `take`.
pub(super) fn events_of(
    table: &Table,
    batch: &RecordBatch,
    mut take: impl FnMut(Stored) -> Result<()>,
) -> Result<()> {
    let path = &table.path;
    let text = |c| table.strings(batch, c);
    let (user, item, place, words) = (
        text("user_id")?,
        text("item_id")?,
        text("place")?,
        text("text")?,
    );
    let (subject, action, scenario) = (text("subject")?, text("action")?, text("scenario")?);
    let (ts, row) = (
        table.ints(batch, "timestamp")?,
        table.ints(batch, "event_id")?,
    );
    let value = table.floats(batch, "value")?;
    for i in 0..batch.num_rows() {
        let (Some(user), Some(ts), Some(row)) = (user[i], ts[i], row[i]) else {
            return Err(damaged(path, "an event lacks its user, time or id"));
        };
        take(Stored {
            user,
            item: item[i],
            subject: subject[i].unwrap_or_default(),
            action: action[i].unwrap_or_default(),
            scenario: scenario[i].unwrap_or_default(),
            place: place[i],
            event: Event {
                user: 0,
                item: None,
                kind: 0,
                ts,
                value: value[i].map(|v| v as f32),
                place: None,
                text: words[i].map(Into::into),
                row: u32::try_from(row)
                    .map_err(|_| damaged(path, "an event id is out of range"))?,
            },
        })?;
    }
    Ok(())
}

pub(super) fn read_part(builder: &mut DatasetBuilder, path: &Path) -> Result<()> {
    let mut table = open_part(path)?;
    while let Some((_, batch)) = table.next_batch()? {
        events_of(&table, &batch, |stored| {
            let event = Event {
                user: builder.user(stored.user),
                item: stored.item.map(|id| builder.item(id)),
                kind: builder.kind(stored.subject, stored.action, stored.scenario),
                place: stored.place.map(|p| builder.place(p)),
                ..stored.event
            };
            builder.push_with_row(event);
            Ok(())
        })?;
    }
    Ok(())
}
