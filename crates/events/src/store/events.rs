//! Events as Parquet, partitioned by a hash of the user, sorted by user and time within a part.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{Float32Array, Int64Array, UInt32Array};

use super::damaged;
use super::tables::{batch, texts, write_chunks};
use crate::adapters::parquet_in;
use crate::dataset::{Dataset, DatasetBuilder, Event, UserIdx};
use crate::error::Result;
use crate::hash;

/// Which partition a user's events are in. Seed 0 and FNV-1a are part of the format.
pub(super) fn partition(user_id: &str, partitions: usize) -> usize {
    (hash::bytes(0, user_id.as_bytes()) % partitions as u64) as usize
}

pub(super) fn write_part(
    dataset: &Dataset,
    p: usize,
    partitions: usize,
    path: &Path,
) -> Result<()> {
    let events: Vec<&Event> = (0..dataset.n_users() as UserIdx)
        .filter(|&u| partition(&dataset.users[u as usize].id, partitions) == p)
        .flat_map(|u| dataset.user_events(u))
        .collect();
    write_chunks(&events, path, |events| {
        let kind = |e: &&Event| &dataset.kinds[e.kind as usize];
        let place = |e: &&Event| e.place.map(|p| dataset.places[p as usize].as_str());
        let item = |e: &&Event| e.item.map(|i| dataset.items[i as usize].id.as_str());
        batch(
            path,
            vec![
                (
                    "user_id",
                    texts(
                        events
                            .iter()
                            .map(|e| Some(dataset.users[e.user as usize].id.as_str())),
                    ),
                ),
                ("item_id", texts(events.iter().map(item))),
                (
                    "subject",
                    texts(events.iter().map(|e| Some(kind(e).subject.as_str()))),
                ),
                (
                    "action",
                    texts(events.iter().map(|e| Some(kind(e).action.as_str()))),
                ),
                (
                    "scenario",
                    texts(events.iter().map(|e| Some(kind(e).scenario.as_str()))),
                ),
                (
                    "timestamp",
                    Arc::new(Int64Array::from_iter_values(events.iter().map(|e| e.ts))),
                ),
                (
                    "value",
                    Arc::new(events.iter().map(|e| e.value).collect::<Float32Array>()),
                ),
                ("place", texts(events.iter().map(place))),
                ("text", texts(events.iter().map(|e| e.text.as_deref()))),
                (
                    "event_id",
                    Arc::new(UInt32Array::from_iter_values(events.iter().map(|e| e.row))),
                ),
            ],
        )
    })
}

pub(super) fn read_part(builder: &mut DatasetBuilder, path: &Path) -> Result<()> {
    let columns = [
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
    let mut table = parquet_in::open(path, &columns)?;
    while let Some((_, batch)) = table.next_batch()? {
        let text = |c| table.strings(&batch, c);
        let (user, item, place, words) = (
            text("user_id")?,
            text("item_id")?,
            text("place")?,
            text("text")?,
        );
        let (subject, action, scenario) = (text("subject")?, text("action")?, text("scenario")?);
        let (ts, row) = (
            table.ints(&batch, "timestamp")?,
            table.ints(&batch, "event_id")?,
        );
        let value = table.floats(&batch, "value")?;
        for i in 0..batch.num_rows() {
            let (Some(user), Some(ts), Some(row)) = (user[i], ts[i], row[i]) else {
                return Err(damaged(path, "an event lacks its user, time or id"));
            };
            let kind = builder.kind(
                subject[i].unwrap_or_default(),
                action[i].unwrap_or_default(),
                scenario[i].unwrap_or_default(),
            );
            let event = Event {
                user: builder.user(user),
                item: item[i].map(|id| builder.item(id)),
                kind,
                ts,
                value: value[i].map(|v| v as f32),
                place: place[i].map(|p| builder.place(p)),
                text: words[i].map(Into::into),
                row: u32::try_from(row)
                    .map_err(|_| damaged(path, "an event id is out of range"))?,
            };
            builder.push_with_row(event);
        }
    }
    Ok(())
}
