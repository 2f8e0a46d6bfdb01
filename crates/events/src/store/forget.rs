//! A user leaves a data set on disk: the rows of the user go from the partition that holds them, from the
//! users and from `info.json`, each file rewritten whole and then renamed. All else keeps its bytes.
//!
//! Interrupted between two files, the data set counts as damaged until the same call finishes it.

use std::collections::BTreeSet;
use std::path::Path;

use arrow_array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::events::partition;
use super::{Info, damaged, part};
use crate::adapters::parquet_in;
use crate::atomic;
use crate::dataset::UserIdx;
use crate::error::{Error, Result};

/// The column that names a user, in every file.
const USER: &str = "user_id";

/// Whom a data set holds: what has to be known before the rows go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Index of the user in the data set that is read, which later users move down into.
    pub user: UserIdx,
    pub n_users: usize,
    pub n_events: u64,
}

/// Looks for a user in the data set that [`super::write`] wrote into `dir`; `None` if there is none of this id.
///
/// # Errors
/// As [`super::read`].
pub fn find_user(dir: &Path, id: &str) -> Result<Option<Found>> {
    let mut found = None;
    let mut n_users = 0;
    let mut users = parquet_in::open(&dir.join("users.parquet"), &[USER])?;
    while let Some((before, batch)) = users.next_batch()? {
        let ids = users.strings(&batch, USER)?;
        n_users += ids.len();
        if let Some(i) = ids.iter().position(|other| *other == Some(id)) {
            found = Some((before + i as u64) as UserIdx);
        }
    }
    let Some(mut user) = found else {
        return Ok(None);
    };
    // Where the table has another order than the data set that is read, the latter counts.
    if super::read_info(dir)?.users_by_id {
        let users = super::read(dir)?.users;
        let position = users.iter().position(|p| p.id == id);
        user = position.map_or(user, |p| p as UserIdx);
    }
    let n_events = count_rows(&events_of(dir, id)?, id)?;
    Ok(Some(Found {
        user,
        n_users,
        n_events,
    }))
}

/// Ids of users that begin with `prefix`.
///
/// # Errors
/// As [`find_user`].
pub fn users_with_prefix(dir: &Path, prefix: &str) -> Result<Vec<String>> {
    let mut out = Vec::new();
    let mut users = parquet_in::open(&dir.join("users.parquet"), &[USER])?;
    while let Some((_, batch)) = users.next_batch()? {
        let ids = users.strings(&batch, USER)?;
        let ids = ids.into_iter().flatten();
        out.extend(ids.filter(|id| id.starts_with(prefix)).map(str::to_owned));
    }
    Ok(out)
}

/// Takes a user out of the data set in `dir`. Places that only this user's events name go too; items and kinds of
/// behaviour stay. Doing it again changes nothing.
///
/// # Errors
/// I/O and Parquet errors.
pub fn forget_user(dir: &Path, id: &str) -> Result<()> {
    let path = dir.join("info.json");
    let mut info: Info = serde_json::from_slice(&fs_err::read(&path)?)
        .map_err(|e| damaged(&path, &e.to_string()))?;
    let events = events_of(dir, id)?;
    forget_rows(&events, id)?;
    forget_rows(&dir.join("users.parquet"), id)?;
    // Counted anew, so that it is right whatever an interrupted call had done.
    let mut used = BTreeSet::new();
    info.n_events = 0;
    for p in 0..info.partitions {
        let path = part(&dir.join("events"), p);
        let mut table = parquet_in::open(&path, &["place"])?;
        while let Some((_, batch)) = table.next_batch()? {
            info.n_events += batch.num_rows();
            let places = table.strings(&batch, "place")?;
            for place in places.into_iter().flatten() {
                if !used.contains(place) {
                    used.insert(place.to_owned());
                }
            }
        }
    }
    info.places.retain(|place| used.contains(place));
    let mut users = parquet_in::open(&dir.join("users.parquet"), &[USER])?;
    info.n_users = 0;
    while let Some((_, batch)) = users.next_batch()? {
        info.n_users += batch.num_rows();
    }
    let json = serde_json::to_vec_pretty(&info).map_err(|e| damaged(&path, &e.to_string()))?;
    atomic::write(&path, &json)
}

fn events_of(dir: &Path, id: &str) -> Result<std::path::PathBuf> {
    let path = dir.join("info.json");
    let info: Info = serde_json::from_slice(&fs_err::read(&path)?)
        .map_err(|e| damaged(&path, &e.to_string()))?;
    Ok(part(&dir.join("events"), partition(id, info.partitions)))
}

/// Rows of a Parquet file whose column `user_id` is the user's; 0 if it has no such column.
///
/// # Errors
/// I/O and Parquet errors.
pub fn count_rows(path: &Path, id: &str) -> Result<u64> {
    let Some(mut table) = with_users(path)? else {
        return Ok(0);
    };
    let mut n = 0;
    while let Some((_, batch)) = table.next_batch()? {
        let ids = table.strings(&batch, USER)?;
        n += ids.iter().filter(|other| **other == Some(id)).count() as u64;
    }
    Ok(n)
}

/// Rewrites a Parquet file without the rows whose column `user_id` is the user's; one without such rows is left
/// as it is. Memory holds a batch.
///
/// # Errors
/// I/O and Parquet errors; the old file is untouched then.
pub fn forget_rows(path: &Path, id: &str) -> Result<()> {
    if count_rows(path, id)? == 0 {
        return Ok(());
    }
    let tmp = atomic::temporary(path);
    let written = write_others(path, &tmp, id).and_then(|()| Ok(fs_err::rename(&tmp, path)?));
    if written.is_err() {
        // The first error is the one to report; a leftover temporary file does no harm.
        let _ = fs_err::remove_file(&tmp);
    }
    written
}

fn write_others(path: &Path, tmp: &Path, id: &str) -> Result<()> {
    let parquet = |e| parquet_in::parquet_error(path, e);
    let file = fs_err::File::create(tmp)?;
    let mut table = parquet_in::open_all(path)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .build();
    let mut writer =
        ArrowWriter::try_new(file, table.schema(), Some(properties)).map_err(parquet)?;
    while let Some((_, batch)) = table.next_batch()? {
        let kept: Vec<bool> = {
            let ids = table.strings(&batch, USER)?;
            ids.iter().map(|other| *other != Some(id)).collect()
        };
        for others in runs(&batch, &kept) {
            writer.write(&others).map_err(parquet)?;
        }
    }
    writer.into_inner().map_err(parquet)?.sync_all()?;
    Ok(())
}

/// The runs of rows that are kept.
fn runs(batch: &RecordBatch, kept: &[bool]) -> Vec<RecordBatch> {
    let mut start = 0;
    let mut runs = Vec::new();
    for run in kept.chunk_by(|a, b| a == b) {
        if run[0] {
            runs.push(batch.slice(start, run.len()));
        }
        start += run.len();
    }
    runs
}

fn with_users(path: &Path) -> Result<Option<parquet_in::Table>> {
    match parquet_in::open(path, &[USER]) {
        Ok(table) => Ok(Some(table)),
        Err(Error::BadFile { reason, .. }) if reason.starts_with("no column") => Ok(None),
        Err(e) => Err(e),
    }
}
