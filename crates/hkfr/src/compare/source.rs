//! What a RUN of the command line is, read: a directory of `hkfr run`, or a file of anyone's lists.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use hkfr_eval::{Report, Run, Source, SystemCost, Truth};

use super::cost;
use crate::args::CompareArgs;
use crate::lists;
use crate::stage::Manifest;
use crate::stages::read_runs;

/// `[NAME=]PATH`.
pub struct Named {
    name: Option<String>,
    path: PathBuf,
}

impl Named {
    /// A path that exists is a path, whatever is in its name.
    pub fn parse(text: &str) -> Self {
        match text.split_once('=') {
            Some((name, path)) if !name.is_empty() && !Path::new(text).exists() => Self {
                name: Some(name.to_owned()),
                path: path.into(),
            },
            _ => Self {
                name: None,
                path: text.into(),
            },
        }
    }
}

/// A source, and what its directory says beside the lists.
pub struct Found {
    pub source: Source,
    pub reference: Option<String>,
    pub costs: Vec<SystemCost>,
}

/// Directories of `hkfr run`. The systems of one with a name are called `NAME/system`.
pub fn directories(named: &[Named]) -> Result<Vec<Found>> {
    named.iter().map(directory).collect()
}

fn directory(named: &Named) -> Result<Found> {
    let dir = &named.path;
    let shown = dir.display();
    ensure!(
        dir.exists(),
        "{shown} does not exist; give the directory of a run, OUT/NAME"
    );
    ensure!(
        dir.is_dir(),
        "{shown} is a file; lists of another tool need --qrels"
    );
    for stage in ["recommend", "evaluate"] {
        if Manifest::read(&dir.join(stage))?.is_none() {
            bail!(
                "{shown} is not a finished run: it has no {stage}/manifest.json; `hkfr evaluate CONFIG` makes it"
            );
        }
    }
    let remedy = "make it again with `hkfr evaluate CONFIG --force evaluate`";
    let report = Report::read(&dir.join("evaluate/report.json")).context(remedy)?;
    let mut truths = Vec::new();
    for task in &report.tasks {
        let path = dir.join(format!("evaluate/truth.{}.jsonl", task.task));
        truths.push(Truth::read(&path).context(remedy)?);
    }
    let mut runs = read_runs(&dir.join("recommend"))?;
    let order = |system: &str| {
        let rows = report.tasks.iter().flat_map(|t| t.segments.first());
        let mut systems = rows.flat_map(|s| &s.systems).map(|row| &row.system);
        systems.position(|s| s == system)
    };
    runs.sort_by_key(|run| order(&run.system).unwrap_or(usize::MAX));
    let mut costs = cost::read(&dir.join("recommend"), &runs)?;
    let mut reference = report.config.reference;
    if let Some(name) = &named.name {
        let call = |system: &mut String| *system = format!("{name}/{system}");
        runs.iter_mut().for_each(|r| call(&mut r.system));
        costs.iter_mut().for_each(|c| call(&mut c.system));
        reference.iter_mut().for_each(call);
    }
    Ok(Found {
        source: Source {
            name: shown.to_string(),
            repeats: report.config.repeats,
            truths,
            runs,
        },
        reference,
        costs,
    })
}

/// Files of lists against one truth. A name replaces the system's; files of one name are its seeds.
pub fn files(named: &[Named], qrels: &Path, args: &CompareArgs) -> Result<Vec<Found>> {
    let (truth, repeats) =
        lists::truth(qrels, args.catalogue.as_deref(), args.consumed.as_deref())?;
    let mut runs: Vec<Run> = Vec::new();
    for Named { name, path } in named {
        ensure!(
            !path.is_dir(),
            "{} is a directory, and --qrels is for files of lists; compare run directories without it",
            path.display()
        );
        let mut run = lists::read_run(path)?;
        if let Some(name) = name {
            run.system.clone_from(name);
            run.seed = Some(runs.iter().filter(|r| r.system == *name).count() as u64);
        } else if runs.iter().any(|r| r.system == run.system) {
            let (path, system) = (path.display(), &run.system);
            bail!(
                "{path}: another file holds lists of `{system}` too; name them: NAME={path}, the same NAME for the seeds of one system"
            );
        }
        runs.push(run);
    }
    Ok(vec![Found {
        source: Source {
            name: qrels.display().to_string(),
            repeats,
            truths: vec![truth],
            runs,
        },
        reference: None,
        costs: Vec::new(),
    }])
}
