//! A share of the users: those of one machine of several that share nothing but the files they read.
//!
//! `2/3` in, "is this user mine?" out. A hash of the id decides, so that every machine agrees.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::hash;

/// Apart from that of the partitions, so that every shard has users in all of them. Part of the format.
const SEED: u64 = 1;

/// The `k`-th of `n` shards, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Shard {
    k: u32,
    of: u32,
}

impl Shard {
    /// # Errors
    /// [`Error::Config`] unless 1 ≤ k ≤ n.
    pub fn new(k: u32, of: u32) -> Result<Self> {
        match (1..=of).contains(&k) {
            true => Ok(Self { k, of }),
            false => Err(Error::Config(format!(
                "shard {k}/{of}: the shards of {of} are 1/{of} to {of}/{of}"
            ))),
        }
    }

    pub fn k(self) -> u32 {
        self.k
    }

    pub fn of(self) -> u32 {
        self.of
    }

    pub fn holds(self, user_id: &str) -> bool {
        hash::bytes(SEED, user_id.as_bytes()) % u64::from(self.of) == u64::from(self.k - 1)
    }

    /// `shard-2-of-3`, for names of directories.
    pub fn slug(self) -> String {
        format!("shard-{}-of-{}", self.k, self.of)
    }

    /// Are these all shards of one number, each once? Order does not matter.
    ///
    /// # Errors
    /// [`Error::Config`] that names what is missing, doubled or of another number.
    pub fn complete(shards: &[Self]) -> Result<()> {
        let Some(first) = shards.first() else {
            return Err(Error::Config("there are no shards to merge".into()));
        };
        if let Some(other) = shards.iter().find(|s| s.of != first.of) {
            return Err(Error::Config(format!(
                "shards {first} and {other} do not belong together: one is of {}, one of {}",
                first.of, other.of
            )));
        }
        let times = |k: u32| shards.iter().filter(|s| s.k == k).count();
        let name = |ks: Vec<u32>| {
            let names = ks.into_iter().map(|k| format!("{k}/{}", first.of));
            names.collect::<Vec<_>>().join(", ")
        };
        let doubled: Vec<u32> = (1..=first.of).filter(|&k| times(k) > 1).collect();
        if !doubled.is_empty() {
            return Err(Error::Config(format!(
                "more than one of shard {}: name each once",
                name(doubled)
            )));
        }
        let missing: Vec<u32> = (1..=first.of).filter(|&k| times(k) == 0).collect();
        if !missing.is_empty() {
            return Err(Error::Config(format!(
                "shard {} is missing: make it, then merge again",
                name(missing)
            )));
        }
        Ok(())
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.k, self.of)
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.split_once('/');
        let numbers = numbers.and_then(|(k, of)| Some((k.parse().ok()?, of.parse().ok()?)));
        let Some((k, of)) = numbers else {
            return Err(Error::Config(format!(
                "\"{text}\" is no shard; write it as 2/3, the second of three"
            )));
        };
        Self::new(k, of)
    }
}
