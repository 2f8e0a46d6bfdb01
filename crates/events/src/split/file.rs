//! A split as one JSON file, `{"format_version": 2, "split": …}`, written atomically.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Split;
use crate::atomic;
use crate::error::{Error, Result};

/// 2: a split knows its horizon.
const FORMAT_VERSION: u32 = 2;

#[derive(Deserialize)]
struct VersionOnly {
    format_version: u32,
}

#[derive(Serialize, Deserialize)]
struct Envelope<S> {
    format_version: u32,
    split: S,
}

impl Split {
    /// # Errors
    /// I/O errors; an older file at `path` is untouched then.
    pub fn save(&self, path: &Path) -> Result<()> {
        let envelope = Envelope {
            format_version: FORMAT_VERSION,
            split: self,
        };
        let json = serde_json::to_vec(&envelope).map_err(|e| bad(path, &e))?;
        atomic::write(path, &json)
    }

    /// Indices refer to the data set that the split was built from: load it with that one.
    ///
    /// # Errors
    /// [`Error::Version`] for a newer format, [`Error::BadFile`] for anything else that is no split.
    pub fn load(path: &Path) -> Result<Self> {
        let json = fs_err::read(path)?;
        let version: VersionOnly = serde_json::from_slice(&json).map_err(|e| bad(path, &e))?;
        if version.format_version > FORMAT_VERSION {
            return Err(Error::Version {
                path: path.to_owned(),
                found: version.format_version,
                known: FORMAT_VERSION,
            });
        }
        let envelope: Envelope<Self> = serde_json::from_slice(&json).map_err(|e| bad(path, &e))?;
        Ok(envelope.split)
    }
}

fn bad(path: &Path, error: &serde_json::Error) -> Error {
    Error::BadFile {
        path: path.to_owned(),
        reason: format!("no split file ({error}); run the split again"),
    }
}
