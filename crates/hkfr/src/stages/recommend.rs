//! Every system ranks the catalogue for every case: one run file a system and task.

use std::path::Path;

use anyhow::{Result, ensure};
use hkfr_eval::Run;

use crate::stage::StageContext;

/// The tasks that every system ranks: names of run files and of truths.
pub const TASKS: [&str; 2] = ["category", "item"];

/// Calls `rank(system, task)` for each pair whose run file is not there yet, and writes it whole:
/// after a stop, the systems that were finished are not ranked again.
pub fn rank_all(
    ctx: &mut StageContext,
    systems: &[String],
    mut rank: impl FnMut(&str, &str) -> Result<Run>,
) -> Result<()> {
    let progress = ctx.progress(
        "ranking",
        "runs",
        Some((systems.len() * TASKS.len()) as u64),
    );
    for system in systems {
        for task in TASKS {
            ctx.stop.check()?;
            let path = ctx.dir.join(format!("{system}.{task}.jsonl"));
            if path.exists() {
                progress.skip(1);
                continue;
            }
            progress.note(system);
            let run = rank(system, task)?;
            ensure!(
                run.system == system.as_str() && run.task == task,
                "asked for {system}.{task}, got {}.{}",
                run.system,
                run.task
            );
            run.write(&path)?;
            progress.inc(1);
        }
    }
    drop(progress);
    ctx.count("systems", systems.len());
    ctx.count("runs", systems.len() * TASKS.len());
    Ok(())
}

/// All run files of a directory, in the order of their names.
pub fn read_runs(dir: &Path) -> Result<Vec<Run>> {
    let mut paths = Vec::new();
    for entry in fs_err::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "jsonl") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths
        .iter()
        .map(|path| Run::read(path))
        .collect::<Result<_, _>>()?)
}
