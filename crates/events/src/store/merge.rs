//! The stores of all shards → the store that one machine would have written, byte for byte.

use std::path::{Path, PathBuf};

use super::by_user::{Store, UserEvents, Users};
use super::damaged;
use super::forget::forget_user;
use super::shard::Shard;
use super::stream::StreamWriter;
use crate::error::{Error, Result};

/// What was merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merged {
    pub users: usize,
    pub items: usize,
    pub events: usize,
    pub kinds: usize,
    /// Events of users who were left out.
    pub forgotten: usize,
}

/// Merges the stores in `dirs`, in any order, into `out`. `go_on` is told the number of events after every user, and
/// asked.
///
/// # Errors
/// Shards that are missing, doubled, or were not made from one log; I/O and Parquet errors.
pub fn merge(dirs: &[PathBuf], out: &Path, go_on: &mut dyn FnMut(usize) -> bool) -> Result<Merged> {
    Merged::without(dirs, out, &|_| false, go_on)
}

impl Merged {
    /// As [`merge`], but for the users who were forgotten: they are left out, with places that only their events
    /// name.
    ///
    /// # Errors
    /// As [`merge`].
    pub fn without(
        dirs: &[PathBuf],
        out: &Path,
        is_forgotten: &dyn Fn(&str) -> bool,
        go_on: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Self> {
        without(dirs, out, is_forgotten, go_on)
    }
}

fn without(
    dirs: &[PathBuf],
    out: &Path,
    is_forgotten: &dyn Fn(&str) -> bool,
    go_on: &mut dyn FnMut(usize) -> bool,
) -> Result<Merged> {
    let mut stores = Vec::new();
    for dir in dirs {
        let store = Store::open(dir)?;
        let shard = store.shard().ok_or_else(|| {
            Error::Config(format!(
                "{}: holds all users, and is no shard",
                dir.display()
            ))
        })?;
        stores.push((shard, store));
    }
    let shards: Vec<Shard> = stores.iter().map(|s| s.0).collect();
    Shard::complete(&shards)?;
    let (first, rest) = stores.split_first().expect("complete, so not empty");
    for (shard, store) in rest {
        if store.info().of_log() != first.1.info().of_log()
            || store.catalogue().items != first.1.catalogue().items
        {
            return Err(Error::Config(format!(
                "shards {} and {shard} were not made from one log by one config (their kinds, items or times \
                 differ): make them again from the same files",
                first.0
            )));
        }
    }
    let mut writer = StreamWriter::create(out, first.1.catalogue())?;
    let (mut left_out, mut n_left_out) = (None, 0);
    for p in 0..first.1.partitions() {
        let readers = stores.iter().map(|(_, store)| store.users(p));
        let mut readers: Vec<Users> = readers.collect::<Result<_>>()?;
        let heads = readers.iter_mut().map(Users::next_user);
        let mut heads: Vec<Option<UserEvents>> = heads.collect::<Result<_>>()?;
        let mut last: Option<String> = None;
        loop {
            let there = heads.iter().enumerate();
            let there = there.filter_map(|(i, h)| Some((h.as_ref()?.profile().id.as_str(), i)));
            let Some((_, i)) = there.min() else { break };
            let (profile, events) = std::mem::replace(&mut heads[i], readers[i].next_user()?)
                .expect("a head")
                .into_parts();
            if last.as_ref().is_some_and(|l| *l >= profile.id) {
                return Err(damaged(
                    &dirs[i],
                    &format!("user {} is out of order", profile.id),
                ));
            }
            if !stores[i].0.holds(&profile.id) {
                let reason = format!("user {} is of another shard", profile.id);
                return Err(damaged(&dirs[i], &reason));
            }
            last = Some(profile.id.clone());
            if is_forgotten(&profile.id) {
                n_left_out += events.len();
                left_out = Some(profile.id);
                continue;
            }
            writer.user(p, profile, &events)?;
            if !go_on(writer.n_events()) {
                return Err(Error::Stopped);
            }
        }
    }
    let merged = Merged {
        users: writer.n_users(),
        items: first.1.catalogue().n_items(),
        events: writer.n_events(),
        kinds: first.1.catalogue().kinds.len(),
        forgotten: n_left_out,
    };
    writer.finish(first.1.info().last_ts, None)?;
    if let Some(user) = left_out {
        // None of the rows is there; of the places those stay that others name.
        forget_user(out, &user)?;
    }
    Ok(merged)
}
