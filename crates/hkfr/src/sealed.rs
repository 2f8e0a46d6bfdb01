//! Files that tell when they were altered. JSON of ours ends with the SHA-256 of what stands before it; a file of
//! another format has a `<file>.seal` beside it, with its size and hash, while nobody is writing to it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{atomic, digest};

const BEFORE: &str = ",\n  \"checksum\": \"";
const AFTER: &str = "\"\n}\n";
/// Of a hash in hex.
const HASH: usize = 64;

/// Writes an object with at least one key; the checksum is its last one.
pub fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let json = serde_json::to_string_pretty(value)?;
    let body = json.strip_suffix("\n}").context("an object with a key")?;
    let text = format!("{body}{BEFORE}{}{AFTER}", digest::of_text(body));
    atomic::write(path, text.as_bytes())
}

/// Whether the bytes of such a file are those that were written; `None`: they do not end with a checksum.
pub fn holds(bytes: &[u8]) -> Option<bool> {
    let text = std::str::from_utf8(bytes).ok()?;
    let at = text.len().checked_sub(BEFORE.len() + HASH + AFTER.len())?;
    let (body, end) = text.split_at_checked(at)?;
    let hash = end.strip_prefix(BEFORE)?.strip_suffix(AFTER)?;
    Some(digest::of_text(body) == hash)
}

/// Of a file that is at rest.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    pub size: u64,
    pub sha256: String,
}

pub fn seal_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".seal");
    name.into()
}

impl Seal {
    fn of(path: &Path) -> Result<Self> {
        Ok(Self {
            size: fs_err::metadata(path)?.len(),
            sha256: digest::of_file(path)?,
        })
    }
}

/// After the last write to a file; one that is sealed or absent is left alone.
pub fn close(path: &Path) -> Result<()> {
    let seal = seal_of(path);
    if seal.exists() || !path.exists() {
        return Ok(());
    }
    write(&seal, &Seal::of(path)?)
}

/// Before the first write to a file.
pub fn open(path: &Path) -> Result<()> {
    match fs_err::remove_file(seal_of(path)) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.into()),
        _ => Ok(()),
    }
}

/// What is wrong with a file by its seal: `None`: it has none.
pub fn damage(path: &Path) -> Result<Option<Option<String>>> {
    let seal = seal_of(path);
    if !seal.exists() {
        return Ok(None);
    }
    let bytes = fs_err::read(&seal)?;
    let kept: Option<Seal> = match holds(&bytes) {
        Some(true) => serde_json::from_slice(&bytes).ok(),
        _ => None,
    };
    let Some(kept) = kept else {
        return Ok(Some(Some("its seal is damaged".into())));
    };
    let found = Seal::of(path)?;
    let differs = (found != kept).then(|| {
        format!(
            "{} bytes with SHA-256 {}…, sealed with {} and {}…",
            found.size,
            &found.sha256[..12],
            kept.size,
            &kept.sha256[..12]
        )
    });
    Ok(Some(differs))
}
