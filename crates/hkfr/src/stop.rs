//! Ctrl-C: the first asks the running stage to stop at its next safe point, the second ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Shared by all threads of a stage; poll it between units of work.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

/// What a stage returns when it was asked to stop. What it has written stays.
#[derive(Debug, thiserror::Error)]
#[error("stopped; the same command continues")]
pub struct Stopped;

/// The exit code of a process that ended by Ctrl-C, as shells report it: 128 + SIGINT.
pub const EXIT_CODE: i32 = 130;

impl Stop {
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// For library functions that take the flag itself.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    /// `Err(Stopped)` once a stop was requested: `ctx.stop.check()?;`
    pub fn check(&self) -> Result<(), Stopped> {
        if self.requested() {
            Err(Stopped)
        } else {
            Ok(())
        }
    }

    /// Connects Ctrl-C and SIGTERM with this flag. Once a process.
    pub fn listen(&self) -> Result<(), ctrlc::Error> {
        let stop = self.clone();
        ctrlc::set_handler(move || {
            if stop.requested() {
                std::process::exit(EXIT_CODE);
            }
            stop.request();
            eprintln!("\nstopping at the next safe point; Ctrl-C again ends at once");
        })
    }
}
