//! `<run>/forgotten.json`: who must not come back, as keyed hashes of their ids, and the adapters that were tuned
//! on them. Ingest leaves these users out, whatever the logs hold.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use hkfr_fuse::PseudonymKey;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::{key, sealed};

pub const TOMBSTONES: &str = "forgotten.json";

const FORMAT_VERSION: u32 = 1;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tombstones {
    format_version: u32,
    /// Tells whether the key at hand is the one of the hashes.
    key: String,
    pub users: Vec<Tombstone>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tombstone {
    /// [`PseudonymKey::tombstone`].
    pub user: String,
    /// Seconds since 1970-01-01 UTC.
    pub at: u64,
    pub adapters: Vec<Adapter>,
}

/// Weights that were tuned with rows of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adapter {
    /// The directory, below the run's.
    pub path: PathBuf,
    pub rows: u64,
    /// Of the weights: another one is another tuning.
    pub sha256: String,
}

impl Tombstones {
    /// Those of a run; none if nobody was forgotten.
    ///
    /// # Errors
    /// A file that is damaged or of a newer build.
    pub fn read(run_dir: &Path) -> Result<Option<Self>> {
        let path = run_dir.join(TOMBSTONES);
        let bytes = match std::fs::read(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.with_context(|| path.display().to_string())?,
        };
        let name = path.display();
        ensure!(
            sealed::holds(&bytes) == Some(true),
            "{name} is damaged; put it back from a backup, or delete it and forget its users again"
        );
        let read: Self = serde_json::from_slice(&bytes).with_context(|| name.to_string())?;
        ensure!(
            read.format_version <= FORMAT_VERSION,
            "{name}: format version {} is newer than {FORMAT_VERSION}, the newest this build reads; upgrade hkfr",
            read.format_version
        );
        Ok(Some(read))
    }

    /// Those of a run, of which `key` can tell who they are.
    pub fn of(run_dir: &Path, key: &PseudonymKey) -> Result<Self> {
        let new = || Self {
            format_version: FORMAT_VERSION,
            key: key.fingerprint(),
            users: Vec::new(),
        };
        let found = Self::read(run_dir)?.unwrap_or_else(new);
        if found.key != key.fingerprint() {
            bail!(
                "{} users were forgotten in {} under another pseudonym key, and cannot be told by this one; give the key of that time ([fusion] pseudonym_key_env, or {})",
                found.users.len(),
                run_dir.display(),
                key::KEY
            );
        }
        Ok(found)
    }

    pub fn find(&self, tombstone: &str) -> Option<&Tombstone> {
        self.users.iter().find(|t| t.user == tombstone)
    }

    /// Adds a user, or replaces what was kept of the same one.
    pub fn add(&mut self, run_dir: &Path, tombstone: Tombstone) -> Result<()> {
        self.users.retain(|t| t.user != tombstone.user);
        self.users.push(tombstone);
        sealed::write(&run_dir.join(TOMBSTONES), self)
    }
}

/// Whether a user of this id was forgotten.
pub type IsForgotten = Box<dyn Fn(&str) -> bool>;

/// Who is to be left out of a run, by id; `None` if nobody was forgotten.
///
/// # Errors
/// Tombstones that cannot be told for want of their key.
pub fn forgotten(config: &Config) -> Result<Option<IsForgotten>> {
    let run_dir = config.run_dir();
    if Tombstones::read(&run_dir)?.is_none() {
        return Ok(None);
    }
    let key = key::find(config)?.with_context(|| {
        format!(
            "users were forgotten in {}, and the pseudonym key that tells them is missing; put {} back from a backup",
            run_dir.display(),
            key::KEY
        )
    })?;
    let forgotten = Tombstones::of(&run_dir, &key)?;
    let users: HashSet<String> = forgotten.users.into_iter().map(|t| t.user).collect();
    Ok(Some(Box::new(move |id| users.contains(&key.tombstone(id)))))
}
