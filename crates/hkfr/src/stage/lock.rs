//! One run at a time in an output directory.
//!
//! The lock is the operating system's lock on `<run>/.lock`: it ends with the process, however that
//! ends, so the lock of a dead process is taken over by itself. The file says who holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Held until dropped.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
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
                let mut holder = String::new();
                // Some systems forbid reading a locked file; then the holder stays unnamed.
                let _ = file.read_to_string(&mut holder);
                let holder = match holder.trim() {
                    "" => "another process".to_owned(),
                    pid => format!("process {pid}"),
                };
                bail!(
                    "{holder} is at work in {} (it holds {name}); wait for it, stop it, or give the config another name or --out",
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
        Ok(Self { _file: file })
    }
}
