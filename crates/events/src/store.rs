//! A data set on disk: Parquet that any engine reads, and back without loss.
//!
//! ```text
//! dir/info.json               format version, DatasetInfo, kinds, places, counts
//! dir/items.parquet           one row an item, in the order of the item indices
//! dir/users.parquet           one row a user, in the order of the user indices
//! dir/events/part-000.parquet events of the users whose id hashes to 0 (of P), sorted by user and time
//! ```
//! Events carry the string ids of user and item, so that a file stands for itself. All files are
//! written under temporary names first and renamed at the end, `info.json` last: a full disk or a
//! kill leaves the older data set in place, or a directory that says it is incomplete.

mod events;
mod features;
mod forget;
mod tables;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::atomic;
use crate::dataset::{Dataset, DatasetBuilder, DatasetInfo, Kind};
use crate::error::{Error, Result};

pub use features::{FeatureRow, write_features};
pub use forget::{Found, count_rows, find_user, forget_rows, forget_user, users_with_prefix};

const FORMAT_VERSION: u32 = 1;
/// Partitions of the events: enough for a reader to work in parallel, few enough for small logs.
const PARTITIONS: usize = 8;

#[derive(Serialize, Deserialize)]
struct Info {
    format_version: u32,
    info: DatasetInfo,
    kinds: Vec<Kind>,
    places: Vec<String>,
    n_users: usize,
    n_items: usize,
    n_events: usize,
    partitions: usize,
}

#[derive(Deserialize)]
struct VersionOnly {
    format_version: u32,
}

/// Writes the data set; other files in `dir` are left alone.
///
/// # Errors
/// I/O and Parquet errors; an older data set in `dir` is then untouched, unless the disk failed
/// during the final renames.
pub fn write(dataset: &Dataset, dir: &Path) -> Result<()> {
    let parts = dir.join("events");
    fs_err::create_dir_all(&parts)?;
    let mut files = vec![dir.join("items.parquet"), dir.join("users.parquet")];
    files.extend((0..PARTITIONS).map(|p| part(&parts, p)));
    if let Err(e) = write_temporaries(dataset, &files) {
        for file in &files {
            // The first error is the one to report.
            let _ = fs_err::remove_file(atomic::temporary(file));
        }
        return Err(e);
    }
    let info_path = dir.join("info.json");
    if info_path.exists() {
        fs_err::remove_file(&info_path)?;
    }
    for file in &files {
        fs_err::rename(atomic::temporary(file), file)?;
    }
    let info = Info {
        format_version: FORMAT_VERSION,
        info: dataset.info.clone(),
        kinds: dataset.kinds.clone(),
        places: dataset.places.clone(),
        n_users: dataset.n_users(),
        n_items: dataset.n_items(),
        n_events: dataset.n_events(),
        partitions: PARTITIONS,
    };
    let json = serde_json::to_vec_pretty(&info).map_err(|e| damaged(&info_path, &e.to_string()))?;
    atomic::write(&info_path, &json)
}

fn write_temporaries(dataset: &Dataset, files: &[PathBuf]) -> Result<()> {
    tables::write_items(&dataset.items, &atomic::temporary(&files[0]))?;
    tables::write_users(&dataset.users, &atomic::temporary(&files[1]))?;
    for (p, file) in files[2..].iter().enumerate() {
        events::write_part(dataset, p, PARTITIONS, &atomic::temporary(file))?;
    }
    Ok(())
}

fn part(parts: &Path, p: usize) -> PathBuf {
    parts.join(format!("part-{p:03}.parquet"))
}

/// Reads what [`write`] wrote: the same indices, the same event ids, the same order.
///
/// # Errors
/// [`Error::Version`] for a newer format; [`Error::BadFile`] if the directory is no complete data set.
pub fn read(dir: &Path) -> Result<Dataset> {
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
    let info: Info = serde_json::from_slice(&json).map_err(|e| damaged(&path, &e.to_string()))?;
    let mut builder = DatasetBuilder::new(info.info);
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

fn damaged(path: &Path, reason: &str) -> Error {
    Error::BadFile {
        path: path.to_owned(),
        reason: format!("{reason}; run ingest again"),
    }
}
