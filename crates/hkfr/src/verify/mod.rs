//! `hkfr verify`: is every file still what was written? Nothing is changed.
//!
//! | file | held against |
//! |---|---|
//! | of a finished stage | size and SHA-256 in its manifest |
//! | manifest, seal, tombstones, pseudonym key | the checksum that it carries |
//! | paid answers, other stores that are written to | SQLite's own check, a checksum a row, and a seal of the whole file |
//! | log of a store whose process was killed | the checksums of its frames |
//! | trials and settings of `hkfr search` | seals |
//! | models and data in the cache | their pinned SHA-256 |
//!
//! What cannot be vouched for yet, such as the files of an unfinished stage, is named.

mod store;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use indicatif::HumanBytes;

use crate::fetch::{Asset, Cache, State};
use crate::forget::{PENDING, files, tombstones::TOMBSTONES};
use crate::stage::{MANIFEST, Manifest, PARTIAL, ReadLock};
use crate::{digest, key, sealed};

/// What was looked at, and what was found.
#[derive(Debug, Default)]
pub struct Report {
    pub files: u64,
    pub bytes: u64,
    pub damaged: Vec<Damage>,
    /// What nobody can vouch for, and why.
    pub notes: Vec<String>,
}

#[derive(Debug)]
pub struct Damage {
    pub path: PathBuf,
    pub what: String,
    pub remedy: String,
}

impl Report {
    fn looked_at(&mut self, path: &Path) {
        self.files += 1;
        self.bytes += std::fs::metadata(path).map_or(0, |m| m.len());
    }

    fn damaged(&mut self, path: &Path, what: impl Into<String>, remedy: impl Into<String>) {
        self.damaged.push(Damage {
            path: path.into(),
            what: what.into(),
            remedy: remedy.into(),
        });
    }

    pub fn told(&self) -> String {
        let mut out = String::new();
        for d in &self.damaged {
            let _ = writeln!(out, "damaged  {}: {}", d.path.display(), d.what);
            let _ = writeln!(out, "         → {}", d.remedy);
        }
        for note in &self.notes {
            let _ = writeln!(out, "note     {note}");
        }
        let _ = writeln!(
            out,
            "{} files, {}: {}",
            self.files,
            HumanBytes(self.bytes),
            match self.damaged.len() {
                0 => "every one is what was written".to_owned(),
                1 => "1 damage".to_owned(),
                n => format!("{n} damages"),
            }
        );
        out
    }
}

/// A run directory, or a stage's.
pub fn directory(dir: &Path) -> Result<Report> {
    ensure!(
        dir.is_dir(),
        "{}: there is no such directory; `hkfr run CONFIG` makes it",
        dir.display()
    );
    let _lock = ReadLock::acquire(dir)?;
    let mut report = Report::default();
    walk(dir, &mut report)?;
    ensure!(
        report.files > 0,
        "{} holds nothing of a run; give a config, or the directory of a run (OUT/NAME)",
        dir.display()
    );
    Ok(report)
}

/// Models and data of a run that are in the cache.
pub fn cached(cache: &Cache, assets: &[&Asset], report: &mut Report) -> Result<()> {
    for asset in assets {
        for file in &asset.files {
            let path = cache.path(asset, file);
            match cache.state(asset, file, true)? {
                State::Good => report.looked_at(&path),
                State::Missing => report.notes.push(format!(
                    "{} is not in the cache; `hkfr fetch {}` obtains it",
                    file.name, asset.name
                )),
                State::Corrupt(what) => {
                    report.looked_at(&path);
                    let remedy = format!("`hkfr fetch {}` obtains it anew", asset.name);
                    report.damaged(&path, what, remedy);
                }
            }
        }
    }
    Ok(())
}

fn walk(dir: &Path, report: &mut Report) -> Result<()> {
    if dir.join(MANIFEST).exists() || dir.join(PARTIAL).exists() {
        return stage(dir, report);
    }
    let mut entries: Vec<PathBuf> = fs_err::read_dir(dir)?
        .map(|e| Ok(e?.path()))
        .collect::<Result<_>>()?;
    entries.sort();
    for path in entries {
        match path.is_dir() {
            true => walk(&path, report)?,
            false => loose(&path, report)?,
        }
    }
    Ok(())
}

fn stage(dir: &Path, report: &mut Report) -> Result<()> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let again = format!("`hkfr run CONFIG --force {name}` makes it again");
    let mut listed = Vec::new();
    let path = dir.join(MANIFEST);
    if path.exists() {
        report.looked_at(&path);
        let bytes = fs_err::read(&path)?;
        let manifest = Manifest::read(dir);
        let whole = match (sealed::holds(&bytes), &manifest) {
            (Some(whole), Ok(_)) => whole,
            (None, Ok(Some(m))) if m.format_version < 2 => {
                report.notes.push(format!(
                    "{}: of a build before manifests had checksums; its own bytes are not vouched for",
                    path.display()
                ));
                true
            }
            _ => false,
        };
        if !whole {
            let what = "it is not what was written";
            report.damaged(&path, what, format!("delete it: {again}"));
        }
        listed = manifest.ok().flatten().map_or(Vec::new(), |m| m.files);
    }
    for file in &listed {
        let path = dir.join(&file.path);
        report.looked_at(&path);
        let size = std::fs::metadata(&path).map(|m| m.len()).ok();
        let what = match size {
            None => "it is missing".to_owned(),
            Some(n) if n != file.size => format!("{n} bytes, written were {}", file.size),
            Some(_) => {
                let found = digest::of_file(&path)?;
                if found == file.sha256 {
                    continue;
                }
                format!(
                    "SHA-256 is {}…, written was {}…",
                    &found[..12],
                    file.sha256.get(..12).unwrap_or_default()
                )
            }
        };
        report.damaged(&path, what, again.clone());
    }
    let mut unvouched = 0;
    for path in files(dir)? {
        let inside = path.strip_prefix(dir).unwrap_or(&path);
        let inside = inside.to_string_lossy().replace('\\', "/");
        if inside != MANIFEST && !listed.iter().any(|f| f.path == inside) {
            unvouched += u32::from(!special(&path, report)?);
        }
    }
    if unvouched > 0 {
        let why = match dir.join(MANIFEST).exists() {
            true => "are not of its manifest",
            false => "are vouched for when the stage is finished",
        };
        report
            .notes
            .push(format!("{}: {unvouched} files {why}", dir.display()));
    }
    Ok(())
}

fn loose(path: &Path, report: &mut Report) -> Result<()> {
    if !special(path, report)? {
        report
            .notes
            .push(format!("{}: nobody vouches for it", path.display()));
    }
    Ok(())
}

/// A file that vouches for itself, or has one beside it that does. False: it is none of these.
fn special(path: &Path, report: &mut Report) -> Result<bool> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let end = |suffix: &str| name.ends_with(suffix);
    if name == ".lock" || name.starts_with(".lock-") || end("-shm") {
        // Who is at work, and SQLite's index of a log, which it makes anew: no data.
        return Ok(true);
    }
    if let Some(stem) = name.strip_suffix("-wal") {
        // Without its file a log is nothing; with it, it was looked at there.
        return Ok(path.with_file_name(stem).exists());
    }
    if name == key::KEY {
        report.looked_at(path);
        if key::parse(&fs_err::read(path)?).is_none() {
            let remedy = "put it back from a backup: without it pseudonyms change, and who was forgotten is no longer known";
            report.damaged(path, "it is not what was written", remedy);
        }
        return Ok(true);
    }
    if [TOMBSTONES, PENDING, PARTIAL].contains(&&*name) || end(".seal") {
        report.looked_at(path);
        let bytes = fs_err::read(path)?;
        let remedy = match &*name {
            TOMBSTONES => "put it back from a backup, or delete it and forget its users again",
            PENDING => "delete it, and give `hkfr forget` again",
            PARTIAL => "delete it, and the stage is made again",
            _ => "the file beside it is looked at without it: delete the seal",
        };
        let is_old = name == PARTIAL && sealed::holds(&bytes).is_none() && !has_version(&bytes);
        if sealed::holds(&bytes) != Some(true) && !is_old {
            report.damaged(path, "it is not what was written", remedy);
        } else if name == PENDING {
            report.damaged(
                path,
                "a user was being forgotten when the process ended",
                "`hkfr forget CONFIG --user ID` with the same user finishes it",
            );
        }
        return Ok(true);
    }
    if end(".sqlite") {
        report.looked_at(path);
        let checked = store::check(path).with_context(|| path.display().to_string())?;
        for what in checked.damages {
            let remedy = "put it back from a backup; or delete it: answers are then paid for again, knowledge is made again";
            report.damaged(path, what, remedy);
        }
        if !checked.sealed {
            report.notes.push(format!(
                "{}: not closed in good order; every row was looked at, bytes that no row uses were not",
                path.display()
            ));
        }
        return Ok(true);
    }
    match sealed::damage(path)? {
        None => Ok(false),
        Some(damage) => {
            report.looked_at(path);
            if let Some(what) = damage {
                let remedy =
                    "put it back from a backup, or delete it and its seal, and make it again";
                report.damaged(path, what, remedy);
            }
            Ok(true)
        }
    }
}

/// Since builds that write checksums into it.
fn has_version(partial: &[u8]) -> bool {
    partial.windows(14).any(|w| w == b"format_version")
}
