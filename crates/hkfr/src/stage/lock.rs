//! One run at a time in an output directory.
//!
//! The lock is the operating system's lock on `<run>/.lock`: it ends with the process, however that
//! ends, so the lock of a dead process is taken over by itself. The file says who holds it, and is empty
//! when nobody does.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Held until dropped.
#[derive(Debug)]
pub struct RunLock {
    file: File,
}

impl RunLock {
    pub fn acquire(run_dir: &Path) -> Result<Self> {
        Self::named(run_dir, ".lock")
    }

    /// Several locks of other names may be held at once: those of shards, each with directories of its own.
    pub fn named(run_dir: &Path, name: &str) -> Result<Self> {
        fs_err::create_dir_all(run_dir)?;
        let path = run_dir.join(name);
        let name = path.display();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("cannot open {name}"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "{} is at work in {} (it holds {name}); wait for it, stop it, or give the config another name or --out",
                    holder(&mut file),
                    run_dir.display()
                );
            }
            Err(TryLockError::Error(e)) => {
                return Err(e).with_context(|| format!("cannot lock {name}"));
            }
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self { file })
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // Who it was matters to nobody afterwards.
        let _ = self.file.set_len(0);
    }
}

/// Held by those who only read; nothing is written, and a directory that never had a lock needs none.
#[derive(Debug)]
pub struct ReadLock {
    _file: Option<File>,
}

impl ReadLock {
    pub fn acquire(run_dir: &Path) -> Result<Self> {
        let path = run_dir.join(".lock");
        let Ok(mut file) = File::open(&path) else {
            return Ok(Self { _file: None });
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Self { _file: Some(file) }),
            Err(TryLockError::WouldBlock) => bail!(
                "{} is at work in {}; wait for it, or stop it",
                holder(&mut file),
                run_dir.display()
            ),
            Err(TryLockError::Error(e)) => {
                Err(e).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }
}

fn holder(file: &mut File) -> String {
    let mut holder = String::new();
    // Some systems forbid reading a locked file; then the holder stays unnamed.
    let _ = file.read_to_string(&mut holder);
    match holder.trim() {
        "" => "another process".to_owned(),
        pid => format!("process {pid}"),
    }
}
