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
    pub fn of_path(path: &Path) -> Self {
        Self {
            name: None,
            path: path.into(),
        }
    }

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

/// Directories of `hkfr run`, and files of lists for one of their tasks. The systems of a directory with a name
/// are called `NAME/system`.
pub fn directories(named: &[Named], task: Option<&str>) -> Result<Vec<Found>> {
    let (files, dirs): (Vec<&Named>, Vec<&Named>) = named.iter().partition(|n| n.path.is_file());
    let mut found: Vec<Found> = dirs.into_iter().map(directory).collect::<Result<_>>()?;
    let Some(file) = files.first().map(|n| n.path.display()) else {
        return match task {
            None => Ok(found),
            Some(_) => bail!("--task is of run files, and there is none; leave it out"),
        };
    };
    let first = found.first().with_context(|| {
        format!("{file} is a file; give --qrels, or the directory of a run on the same truth")
    })?;
    let truths = &first.source.truths;
    let known: Vec<&str> = truths.iter().map(|t| t.task.as_str()).collect();
    let truth = match task {
        Some(task) => truths.iter().find(|t| t.task == task),
        None if truths.len() == 1 => truths.first(),
        None => None,
    };
    let truth = truth.with_context(|| {
        let known = known.join(", ");
        match task {
            Some(task) => format!("--task {task} is none of the runs' tasks ({known})"),
            None => format!("{file}: of which task are the lists? Say it with --task ({known})"),
        }
    })?;
    let runs = read_files(&files, truth)?;
    for run in &runs {
        let same = |r: &&Run| (&r.system, &r.task) == (&run.system, &run.task);
        if let Some(found) = found
            .iter()
            .find(|f| f.source.runs.iter().any(|r| same(&r)))
        {
            bail!(
                "`{}` is a system of {} and of a file; name the file's: NAME=FILE",
                run.system,
                found.source.name
            );
        }
    }
    found[0].source.runs.extend(runs);
    Ok(found)
}

fn directory(named: &Named) -> Result<Found> {
    let dir = &named.path;
    let shown = dir.display();
    ensure!(
        dir.exists(),
        "{shown} does not exist; give the directory of a run, OUT/NAME, or a file of lists"
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

/// Files of lists against one truth.
pub fn files(named: &[Named], qrels: &Path, args: &CompareArgs) -> Result<Vec<Found>> {
    let (truth, repeats) =
        lists::truth(qrels, args.catalogue.as_deref(), args.consumed.as_deref())?;
    let runs = read_files(&named.iter().collect::<Vec<_>>(), &truth)?;
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

/// A name replaces the system's; files of one name are its seeds.
fn read_files(files: &[&Named], truth: &Truth) -> Result<Vec<Run>> {
    let mut runs: Vec<Run> = Vec::new();
    for (i, Named { name, path }) in files.iter().enumerate() {
        let shown = path.display();
        ensure!(
            !path.is_dir(),
            "{shown} is a directory, and --qrels is for files of lists; compare run directories without it"
        );
        let mut run = lists::read_run(path, truth)?;
        if let Some(name) = name {
            run.system.clone_from(name);
        }
        let seeds = || (0..i).filter(|&j| runs[j].system == run.system);
        let place = fs_err::canonicalize(path)?;
        for j in seeds() {
            let other = files[j];
            if name.is_none() || other.name.is_none() {
                bail!(
                    "{shown}: another file, {}, holds lists of `{}` too; name them: NAME={shown}, the same NAME for the seeds of one system",
                    other.path.display(),
                    run.system
                );
            }
            ensure!(
                fs_err::canonicalize(&other.path)? != place,
                "{shown} is given twice as `{}`; a seed is a file of its own",
                run.system
            );
        }
        run.seed = name.as_ref().map(|_| seeds().count() as u64);
        runs.push(run);
    }
    Ok(runs)
}
