//! A store written user by user: only a chunk of rows of the part at hand is in memory.

use std::path::{Path, PathBuf};

use super::events::{Names, PartWriter};
use super::tables::{self, CHUNK};
use super::{Files, Info, PARTITIONS, Shard, publish};
use crate::dataset::{Dataset, Event, Profile};
use crate::error::Result;

pub(crate) struct StreamWriter<'n> {
    files: Files,
    /// The catalogue; its users and events are of no account.
    names: &'n Dataset,
    users: tables::Writer,
    /// Profiles that are not written yet.
    chunk: Vec<Profile>,
    part: Option<PartWriter<'n>>,
    /// Parts that were begun.
    n_parts: usize,
    n_users: usize,
    n_events: usize,
}

impl<'n> StreamWriter<'n> {
    pub fn create(dir: &Path, names: &'n Dataset) -> Result<Self> {
        let files = Files::begin(dir)?;
        tables::write_items(&names.items, &files.temporary(Files::ITEMS))?;
        let path = files.temporary(Files::USERS);
        let schema = tables::users_batch(&[], &path)?.schema();
        Ok(Self {
            users: tables::Writer::create(&path, schema, None)?,
            files,
            names,
            chunk: Vec::new(),
            part: None,
            n_parts: 0,
            n_users: 0,
            n_events: 0,
        })
    }

    /// The next user, by partition and id.
    pub fn user(&mut self, p: usize, profile: Profile, events: &[Event]) -> Result<()> {
        self.parts_until(p + 1)?;
        if let Some(part) = &mut self.part {
            part.user(&profile.id, events)?;
        }
        self.n_users += 1;
        self.n_events += events.len();
        self.chunk.push(profile);
        if self.chunk.len() == CHUNK {
            self.flush_users()?;
        }
        Ok(())
    }

    pub fn n_users(&self) -> usize {
        self.n_users
    }

    pub fn n_events(&self) -> usize {
        self.n_events
    }

    /// Ends the parts before the `n`-th and begins it, counted from 1.
    fn parts_until(&mut self, n: usize) -> Result<()> {
        while self.n_parts < n {
            if let Some(part) = self.part.take() {
                part.finish()?;
            }
            let path = self.files.temporary(Files::PARTS + self.n_parts);
            self.part = Some(PartWriter::create(&path, Names::of(self.names), true)?);
            self.n_parts += 1;
        }
        Ok(())
    }

    fn flush_users(&mut self) -> Result<()> {
        let path: PathBuf = self.files.temporary(Files::USERS);
        self.users
            .write(&tables::users_batch(&self.chunk, &path)?)?;
        self.chunk.clear();
        Ok(())
    }

    /// Ends the files, and gives them their names.
    pub fn finish(mut self, last_ts: Option<i64>, shard: Option<Shard>) -> Result<()> {
        self.parts_until(PARTITIONS)?;
        if let Some(part) = self.part.take() {
            part.finish()?;
        }
        if !self.chunk.is_empty() {
            self.flush_users()?;
        }
        self.users.finish()?;
        let info = Info {
            n_users: self.n_users,
            n_events: self.n_events,
            users_by_id: true,
            shard,
            ..Info::of(self.names, last_ts)
        };
        publish(self.files, &info)
    }
}
