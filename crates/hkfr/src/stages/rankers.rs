//! Fitted rankers: `recommend/models/SYSTEM.TASK.ranker`, which [`Ranker::load`] reads. A service ranks with them.

use std::path::Path;

use anyhow::{Context, Result};
use hkfr_rec::Ranker;

/// Below the directory of the stage.
pub const MODELS: &str = "models";

/// MB (10⁶ bytes) of a ranker's file; `None`: it would be larger than `max_mb`, and is not written.
pub(super) fn save(dir: &Path, ranker: &Ranker, max_mb: u32) -> Result<Option<f64>> {
    let mb = ranker.n_bytes() as f64 / 1e6;
    let name = format!("{}.{}", ranker.about().system, ranker.about().task);
    if mb > f64::from(max_mb) {
        if max_mb > 0 {
            eprintln!(
                "  {name}: its ranker of {mb:.0} MB is not kept, being larger than [recommend] max_ranker_mb = {max_mb}"
            );
        }
        return Ok(None);
    }
    let models = dir.join(MODELS);
    fs_err::create_dir_all(&models)?;
    let path = models.join(format!("{name}.ranker"));
    ranker
        .save(&path)
        .with_context(|| format!("cannot write {} (is the disk full?)", path.display()))?;
    Ok(Some(mb))
}
