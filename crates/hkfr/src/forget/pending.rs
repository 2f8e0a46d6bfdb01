//! A user who is being forgotten.

use std::path::Path;

use anyhow::{Result, ensure};

/// Lies in the run directory while a user is being forgotten.
pub const PENDING: &str = "forgetting.json";

/// A user was being forgotten when a process ended: nothing else may go on before that is finished.
pub fn ensure_none_pending(run_dir: &Path) -> Result<()> {
    ensure!(
        !run_dir.join(PENDING).exists(),
        "a user was being forgotten in {} when the process ended; `hkfr forget CONFIG --user ID` with the same user finishes it",
        run_dir.display()
    );
    Ok(())
}
