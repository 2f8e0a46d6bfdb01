//! The key of pseudonyms: from the environment variable that `[fusion] pseudonym_key_env` names, or else from
//! `<run>/pseudonym.key`, which is made once and readable by its owner alone.
//!
//! The file has three lines: what it is, 32 random bytes in hex, and a checksum of them, so that a
//! damaged key is not taken for another one.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use hkfr_fuse::PseudonymKey;
use rand::TryRngCore;
use rand::rngs::OsRng;

use crate::config::Config;
use crate::digest;

pub const KEY: &str = "pseudonym.key";

const TITLE: &str = "hkfr pseudonym key, version 1; whoever has it can tell who is who";

/// The key, if there is one yet.
pub fn find(config: &Config) -> Result<Option<PseudonymKey>> {
    if let Some(name) = &config.fusion.pseudonym_key_env {
        let key = std::env::var(name).ok().filter(|k| !k.trim().is_empty());
        let key = key.with_context(|| {
            format!("the environment variable {name} is not set ([fusion] pseudonym_key_env); set it to the output of `openssl rand -hex 32`, and keep that")
        })?;
        let key = PseudonymKey::new(key.trim().as_bytes());
        return Ok(Some(key.with_context(|| format!("${name}"))?));
    }
    let path = config.run_dir().join(KEY);
    let bytes = match std::fs::read(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        read => read.with_context(|| path.display().to_string())?,
    };
    let Some(key) = parse(&bytes) else {
        bail!(
            "{} is damaged; put it back from a backup. Without it pseudonyms change: paid answers whose questions name any are asked again, and who was forgotten is no longer known",
            path.display()
        );
    };
    warn_if_shared(&path);
    Ok(Some(PseudonymKey::new(key)?))
}

/// The key, made if there is none.
pub fn find_or_make(config: &Config) -> Result<PseudonymKey> {
    if let Some(key) = find(config)? {
        return Ok(key);
    }
    let mut key = [0; 32];
    OsRng
        .try_fill_bytes(&mut key)
        .context("the system gives no random bytes")?;
    let dir = config.run_dir();
    fs_err::create_dir_all(&dir)?;
    // A temporary file is its owner's alone.
    let mut file = tempfile::NamedTempFile::new_in(&dir)?;
    file.write_all(text(&key).as_bytes())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(dir.join(KEY))
        .with_context(|| format!("cannot write {}", dir.join(KEY).display()))?;
    Ok(PseudonymKey::new(key)?)
}

fn text(key: &[u8; 32]) -> String {
    let hex: String = key.iter().map(|b| format!("{b:02x}")).collect();
    let sum = digest::of_text(&format!("{TITLE}\n{hex}"));
    format!("{TITLE}\n{hex}\n{sum}\n")
}

/// `None` if a bit of it is not as it was written.
pub fn parse(bytes: &[u8]) -> Option<[u8; 32]> {
    let written = std::str::from_utf8(bytes).ok()?;
    let hex = written.lines().nth(1).filter(|l| l.len() == 64)?;
    let mut key = [0; 32];
    for (byte, at) in key.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()?;
    }
    (text(&key) == written).then_some(key)
}

#[cfg(unix)]
fn warn_if_shared(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).map_or(0, |m| m.permissions().mode());
    if mode & 0o077 != 0 {
        let path = path.display();
        tracing::warn!("others can read {path}, which tells who is who; `chmod 600 {path}`");
    }
}

#[cfg(not(unix))]
fn warn_if_shared(_: &Path) {}
