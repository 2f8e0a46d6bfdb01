//! What the runs of several seeds have in common: events and split, which no seed decides, and paid answers.

use std::path::Path;

use anyhow::{Context, Result};

use crate::config::{Config, FusionMode};
use crate::key;
use crate::stage::{MANIFEST, Manifest, clear};
use crate::stages::service;

/// Puts the finished stages `ingest` and `split` of one run directory into another, without room on the disk where the file system
/// has hard links.
pub fn events_and_split(from: &Path, to: &Path) -> Result<()> {
    for stage in ["ingest", "split"] {
        finished(&from.join(stage), &to.join(stage))?;
    }
    Ok(())
}

fn finished(from: &Path, to: &Path) -> Result<()> {
    let made = Manifest::read(from)?.context("a stage that has just run")?;
    let same = |there: &Manifest| {
        there.input_hash == made.input_hash && there.output_hash == made.output_hash
    };
    if Manifest::read(to)?.is_some_and(|there| same(&there) && there.files_are_there(to)) {
        return Ok(());
    }
    clear(to, &[])?;
    for file in &made.files {
        let (from, to) = (from.join(&file.path), to.join(&file.path));
        fs_err::create_dir_all(to.parent().context("a file in a directory")?)?;
        if std::fs::hard_link(&from, &to).is_err() {
            fs_err::copy(&from, &to)?;
        }
    }
    // Last: a stage with a manifest is finished.
    let manifest = fs_err::read(from.join(MANIFEST))?;
    crate::atomic::write(&to.join(MANIFEST), &manifest)
}

/// Copies what a service was paid for, and the key of the pseudonyms in it, from the first directory that has it, so that no seed
/// asks again.
pub fn answers(config: &Config, from: &[&Path], to: &Path) -> Result<()> {
    if config.fusion.mode != FusionMode::Service {
        return Ok(());
    }
    let copy = |path: &Path| -> Result<()> {
        let has = |dir: &&&Path| **dir != to && dir.join(path).exists();
        if let Some(dir) = from.iter().find(has)
            && !to.join(path).exists()
        {
            fs_err::create_dir_all(to.join(path).parent().context("a file in a directory")?)?;
            // It keeps its permissions: the key is its owner's alone.
            fs_err::copy(dir.join(path), to.join(path))?;
        }
        Ok(())
    };
    copy(Path::new(key::KEY))?;
    for name in service::KEEP {
        copy(&Path::new("fuse").join(name))?;
    }
    Ok(())
}
