//! A data set on disk: Parquet that any engine reads, and back without loss.
//!
//! ```text
//! dir/info.json               format version, DatasetInfo, kinds, places, counts
//! dir/items.parquet           one row an item, in the order of the item indices
//! dir/users.parquet           one row a user, in the order of the user indices
//! dir/events/part-000.parquet events of the users whose id hashes to 0 (of P), sorted by user and time
//! ```
//! Events carry the string ids of user and item, so that a file stands for itself, and any engine reads
//! `events/*.parquet` as one table:
//!
//! | column | type | what |
//! |---|---|---|
//! | `user_id` | string | never null |
//! | `item_id` | string | null where the behaviour has none, such as a search |
//! | `subject`, `action`, `scenario` | string | the kind of behaviour |
//! | `timestamp` | int64 | seconds since 1970-01-01 in the local time of the log |
//! | `value` | float | rating, quantity or price |
//! | `place`, `text` | string | store, city or page; query, review or tag |
//! | `event_id` | uint32 | unique in the data set; what evidence refers to |
//!
//! A user's events lie by time, those of one second in the order that the log gives them (fractions of a second, a
//! tie breaker, the order of its rows). The users of a part come in the order of `users.parquet`. In a store that was written by the external
//! sort (`store/sort/`) that is the order of partition and id, and the parts say so in their `sorting_columns`.
//!
//! All files are written under temporary names first and renamed at the end, `info.json` last: a full disk or a
//! kill leaves the older data set in place, or a directory that says it is incomplete.

mod by_user;
mod events;
mod features;
mod forget;
mod frame;
mod merge;
mod shard;
pub(crate) mod sort;
mod stream;
mod tables;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::atomic;
use crate::dataset::{Dataset, DatasetBuilder, DatasetInfo, Kind};
use crate::error::{Error, Result};

pub use by_user::{Store, UserEvents, Users};
pub use features::{FeatureRow, write_features};
pub use forget::{Found, count_rows, find_user, forget_rows, forget_user, users_with_prefix};
pub use frame::{CellType, Cells, FrameBatch, FrameColumn, FrameReader, FrameWriter};
pub use merge::{Merged, merge};
pub use shard::Shard;
pub(crate) use stream::StreamWriter;

/// 2: events of one second lie in the order of the log, and not by event id.
const FORMAT_VERSION: u32 = 2;
/// Partitions of the events: enough for a reader to work in parallel, few enough for small logs.
pub(crate) const PARTITIONS: usize = 8;

#[derive(Clone, Serialize, Deserialize)]
struct Info {
    format_version: u32,
    info: DatasetInfo,
    kinds: Vec<Kind>,
    places: Vec<String>,
    n_users: usize,
    n_items: usize,
    n_events: usize,
    partitions: usize,
    /// Users come by partition and id, and not in the order in which the log first names them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    users_by_id: bool,
    /// Of all events of the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_ts: Option<i64>,
    /// Absent: all users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shard: Option<Shard>,
}

impl Info {
    fn of(dataset: &Dataset, last_ts: Option<i64>) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            info: dataset.info.clone(),
            kinds: dataset.kinds.clone(),
            places: dataset.places.clone(),
            n_users: dataset.n_users(),
            n_items: dataset.n_items(),
            n_events: dataset.n_events(),
            partitions: PARTITIONS,
            users_by_id: false,
            last_ts,
            shard: None,
        }
    }

    /// What all shards of one log have in common.
    fn of_log(&self) -> impl PartialEq + Serialize + '_ {
        let log = (&self.info, &self.kinds, &self.places, self.n_items);
        (log, self.partitions, self.last_ts)
    }
}

#[derive(Deserialize)]
struct VersionOnly {
    format_version: u32,
}

/// The files of a store, first under temporary names.
struct Files {
    dir: PathBuf,
    paths: Vec<PathBuf>,
    published: bool,
}

impl Files {
    /// Positions among the files; part p is at `PARTS + p`.
    const ITEMS: usize = 0;
    const USERS: usize = 1;
    const PARTS: usize = 2;

    fn begin(dir: &Path) -> Result<Self> {
        let parts = dir.join("events");
        fs_err::create_dir_all(&parts)?;
        let mut paths = vec![dir.join("items.parquet"), dir.join("users.parquet")];
        paths.extend((0..PARTITIONS).map(|p| part(&parts, p)));
        Ok(Self {
            dir: dir.to_owned(),
            paths,
            published: false,
        })
    }

    fn temporary(&self, file: usize) -> PathBuf {
        atomic::temporary(&self.paths[file])
    }
}

/// What is not published is removed, whatever ended the writing.
impl Drop for Files {
    fn drop(&mut self) {
        if !self.published {
            for file in &self.paths {
                // The first error is the one to report.
                let _ = fs_err::remove_file(atomic::temporary(file));
            }
        }
    }
}

/// Writes the data set; other files in `dir` are left alone.
///
/// # Errors
/// I/O and Parquet errors; an older data set in `dir` is then untouched, unless the disk failed
/// during the final renames.
pub fn write(dataset: &Dataset, dir: &Path) -> Result<()> {
    let files = Files::begin(dir)?;
    tables::write_items(&dataset.items, &files.temporary(Files::ITEMS))?;
    tables::write_users(&dataset.users, &files.temporary(Files::USERS))?;
    for p in 0..PARTITIONS {
        events::write_part(dataset, p, PARTITIONS, &files.temporary(Files::PARTS + p))?;
    }
    let last_ts = dataset.events.iter().map(|e| e.ts).max();
    publish(files, &Info::of(dataset, last_ts))
}

/// Gives the files their names, `info.json` last.
fn publish(mut files: Files, info: &Info) -> Result<()> {
    let info_path = files.dir.join("info.json");
    if info_path.exists() {
        fs_err::remove_file(&info_path)?;
    }
    for file in &files.paths {
        fs_err::rename(atomic::temporary(file), file)?;
    }
    files.published = true;
    let json = serde_json::to_vec_pretty(info).map_err(|e| damaged(&info_path, &e.to_string()))?;
    atomic::write(&info_path, &json)
}

fn part(parts: &Path, p: usize) -> PathBuf {
    parts.join(format!("part-{p:03}.parquet"))
}

/// Reads what [`write`] wrote: the same indices, the same event ids, the same order. Where users lie by id, their
/// indices are by first event, as if the log had been read into memory: who comes later shifts nobody.
///
/// # Errors
/// [`Error::Version`] for a newer format; [`Error::BadFile`] if the directory is no complete data set.
pub fn read(dir: &Path) -> Result<Dataset> {
    let (path, info) = (dir.join("info.json"), read_info(dir)?);
    let mut builder = DatasetBuilder::new(info.info.clone());
    for kind in &info.kinds {
        builder.kind(&kind.subject, &kind.action, &kind.scenario);
    }
    for place in &info.places {
        builder.place(place);
    }
    tables::read_users(&mut builder, &dir.join("users.parquet"))?;
    tables::read_items(&mut builder, &dir.join("items.parquet"))?;
    for p in 0..info.partitions {
        events::read_part(&mut builder, &part(&dir.join("events"), p))?;
    }
    if info.users_by_id {
        builder.users_by_first_event();
    }
    let dataset = builder.build();
    let found = (dataset.n_users(), dataset.n_items(), dataset.n_events());
    if found != (info.n_users, info.n_items, info.n_events) {
        return Err(damaged(
            &path,
            &format!(
                "it counts {:?} users, items and events, the tables hold {found:?}",
                (info.n_users, info.n_items, info.n_events)
            ),
        ));
    }
    Ok(dataset)
}

fn read_info(dir: &Path) -> Result<Info> {
    let path = dir.join("info.json");
    if !path.exists() {
        return Err(damaged(
            &path,
            "it is missing, so this is no complete data set",
        ));
    }
    let json = fs_err::read(&path)?;
    let version: VersionOnly =
        serde_json::from_slice(&json).map_err(|e| damaged(&path, &e.to_string()))?;
    if version.format_version > FORMAT_VERSION {
        return Err(Error::Version {
            path,
            found: version.format_version,
            known: FORMAT_VERSION,
        });
    }
    serde_json::from_slice(&json).map_err(|e| damaged(&path, &e.to_string()))
}

fn damaged(path: &Path, reason: &str) -> Error {
    Error::BadFile {
        path: path.to_owned(),
        reason: format!("{reason}; run ingest again"),
    }
}
