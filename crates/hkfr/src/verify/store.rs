//! A SQLite file at rest: its seal, its structure, its rows, and the log that a killed process left beside it.

use std::path::Path;

use anyhow::Result;
use hkfr_fuse::integrity;

use crate::sealed;

pub struct Checked {
    /// What is wrong, in words.
    pub damages: Vec<String>,
    /// Whether every byte was vouched for, not only structure and rows.
    pub sealed: bool,
}

pub fn check(path: &Path) -> Result<Checked> {
    let mut damages = Vec::new();
    let seal = sealed::damage(path)?;
    let sealed = seal.is_some();
    damages.extend(seal.flatten());
    let wal = integrity::wal_of(path);
    if integrity::has_wal(path) {
        damages.extend(integrity::wal_damage(&wal)?);
        // SQLite would write to the file: a copy shows what it then holds.
        let dir = tempfile::tempdir()?;
        let copy = dir.path().join("copy.sqlite");
        fs_err::copy(path, &copy)?;
        fs_err::copy(&wal, integrity::wal_of(&copy))?;
        damages.extend(integrity::damages(&copy));
    } else if std::fs::metadata(path)?.len() > 0 {
        damages.extend(integrity::damages(path));
    }
    Ok(Checked { damages, sealed })
}
