//! The cache of fetched files: `<cache>/<asset>/<file>`.
//!
//! A file is trusted after its SHA-256 was compared once; `verified.json` beside it remembers size
//! and time of modification, so that a second start need not hash 200 MB again. A file that changed
//! since is hashed again, a corrupt one is set aside as `<file>.corrupt`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{Asset, AssetFile};
use crate::{atomic, digest};

#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Good,
    Missing,
    /// With the reason, in words.
    Corrupt(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    size: u64,
    modified_ns: u64,
    sha256: String,
}

impl Cache {
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// From what was typed (`--cache` or the config), else `HKFR_CACHE`, else the platform's cache.
    pub fn locate(typed: Option<PathBuf>, env: impl Fn(&str) -> Option<PathBuf>) -> Result<Self> {
        let home = || env("HOME").or_else(|| env("USERPROFILE"));
        let platform = || {
            if cfg!(target_os = "macos") {
                home().map(|h| h.join("Library/Caches"))
            } else if cfg!(windows) {
                env("LOCALAPPDATA")
            } else {
                env("XDG_CACHE_HOME").or_else(|| home().map(|h| h.join(".cache")))
            }
        };
        typed
            .or_else(|| env("HKFR_CACHE"))
            .or_else(|| platform().map(|p| p.join("hkfr")))
            .map(Self::new)
            .context("no cache directory: give --cache DIR or set HKFR_CACHE")
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn dir(&self, asset: &Asset) -> PathBuf {
        self.root.join(&asset.name)
    }

    pub fn path(&self, asset: &Asset, file: &AssetFile) -> PathBuf {
        self.dir(asset).join(&file.name)
    }

    /// Wheels laid here by hand are as good as downloaded ones.
    pub fn wheels(&self) -> PathBuf {
        self.root.join("wheels")
    }

    /// `thorough`: hash even what was verified before.
    pub fn state(&self, asset: &Asset, file: &AssetFile, thorough: bool) -> Result<State> {
        let path = self.path(asset, file);
        let Ok(meta) = std::fs::metadata(&path) else {
            return Ok(State::Missing);
        };
        if meta.len() != file.size {
            return Ok(State::Corrupt(format!(
                "{} bytes instead of {}",
                meta.len(),
                file.size
            )));
        }
        let stamp = Stamp {
            size: meta.len(),
            modified_ns: atomic::modified_ns(&meta),
            sha256: file.sha256.clone(),
        };
        let mut stamps = read_stamps(&self.stamp_path(asset));
        if !thorough && stamps.get(&file.name) == Some(&stamp) {
            return Ok(State::Good);
        }
        let found = digest::of_file(&path)?;
        if found != file.sha256 {
            return Ok(State::Corrupt(format!(
                "SHA-256 is {found}, expected {}",
                file.sha256
            )));
        }
        if stamps.insert(file.name.clone(), stamp.clone()) != Some(stamp) {
            write_stamps(&self.stamp_path(asset), &stamps);
        }
        Ok(State::Good)
    }

    /// SHA-256 of a file that is no asset's, such as a model of the user's own; remembered in
    /// `<cache>/digests.json` until its size or time of modification changes.
    pub fn digest(&self, path: &Path) -> Result<String> {
        let path = std::path::absolute(path)?;
        let meta = fs_err::metadata(&path)?;
        let (size, modified_ns) = (meta.len(), atomic::modified_ns(&meta));
        let file = self.root.join("digests.json");
        let mut stamps = read_stamps(&file);
        let key = path.to_string_lossy().into_owned();
        if let Some(stamp) = stamps.get(&key)
            && (stamp.size, stamp.modified_ns) == (size, modified_ns)
        {
            return Ok(stamp.sha256.clone());
        }
        let sha256 = digest::of_file(&path)?;
        let stamp = Stamp {
            size,
            modified_ns,
            sha256: sha256.clone(),
        };
        stamps.insert(key, stamp);
        write_stamps(&file, &stamps);
        Ok(sha256)
    }

    /// Sets a corrupt file aside and says where.
    pub fn set_aside(&self, asset: &Asset, file: &AssetFile) -> Result<PathBuf> {
        let path = self.path(asset, file);
        let aside = self.dir(asset).join(format!("{}.corrupt", file.name));
        fs_err::rename(&path, &aside)?;
        Ok(aside)
    }

    /// Moves a downloaded file to its place, if it is what it should be; otherwise says what it is.
    pub fn admit(
        &self,
        asset: &Asset,
        file: &AssetFile,
        from: &Path,
    ) -> Result<Result<(), String>> {
        let found = digest::of_file(from)?;
        if found != file.sha256 {
            let size = fs_err::metadata(from)?.len();
            return Ok(Err(format!(
                "{} is another file ({size} bytes, SHA-256 {}…; expected {} bytes, {}…)",
                file.name,
                &found[..12],
                file.size,
                &file.sha256[..file.sha256.len().min(12)]
            )));
        }
        fs_err::create_dir_all(self.dir(asset))?;
        fs_err::rename(from, self.path(asset, file))?;
        Ok(Ok(()))
    }

    fn stamp_path(&self, asset: &Asset) -> PathBuf {
        self.dir(asset).join("verified.json")
    }
}

type Stamps = BTreeMap<String, Stamp>;

/// None, if the file is missing or damaged.
fn read_stamps(path: &Path) -> Stamps {
    let bytes = std::fs::read(path).ok();
    bytes
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default()
}

/// A cache that cannot be written is still a good cache: its files are only hashed every time.
fn write_stamps(path: &Path, stamps: &Stamps) {
    if let Err(e) = atomic::write_json(path, stamps) {
        tracing::debug!("no stamp written: {e:#}");
    }
}
