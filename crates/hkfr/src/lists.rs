//! `hkfr evaluate --run …`: lists and truth of any tool → means, table or report.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, Result, bail};
use hkfr_eval::{
    EvalConfig, Repeats, Report, Run, Scores, Truth, evaluate as measure, parquet, score, table,
    trec,
};

use crate::args::{ListsArgs, ListsFormat};

/// Runs and qrels are of one task.
const TASK: &str = "lists";

/// What is printed.
pub fn evaluate(args: &ListsArgs) -> Result<String> {
    let qrels = args.qrels.as_deref().context("--run needs --qrels")?;
    let (truth, repeats) = truth(qrels, args.catalogue.as_deref(), args.consumed.as_deref())?;
    let runs: Vec<Run> = args
        .run
        .iter()
        .map(|p| read_run(p))
        .collect::<Result<_>>()?;
    let mut ks = args.k.clone();
    ks.sort_unstable();
    ks.dedup();
    let report = |ks: Vec<usize>| -> Result<Report> {
        let cfg = EvalConfig {
            ks,
            reference: args.reference.clone(),
            repeats,
            ..EvalConfig::default()
        };
        Ok(measure(std::slice::from_ref(&truth), &runs, &cfg)?)
    };
    match args.format {
        ListsFormat::Table => Ok(table::text(&report(ks)?)),
        ListsFormat::Report => Ok(serde_json::to_string_pretty(&report(ks)?)? + "\n"),
        ListsFormat::Json => {
            let mut of_system: BTreeMap<&str, Scores> = BTreeMap::new();
            for run in &runs {
                let scores = score(&truth, run, &ks, repeats)?;
                if of_system.insert(&run.system, scores).is_some() {
                    bail!("two runs are of system `{}`; rename one", run.system);
                }
            }
            let text = match runs.as_slice() {
                [one] => serde_json::to_string(&of_system[one.system.as_str()])?,
                _ => serde_json::to_string(&of_system)?,
            };
            Ok(text + "\n")
        }
    }
}

/// The truth of qrels, with the catalogue and what was consumed before where they are known.
pub fn truth(
    qrels: &Path,
    catalogue: Option<&Path>,
    consumed: Option<&Path>,
) -> Result<(Truth, Repeats)> {
    let mut truth = read_qrels(qrels)?;
    if let Some(path) = catalogue {
        read_catalogue(path, &mut truth)?;
    }
    let mut repeats = Repeats::Allow;
    if let Some(path) = consumed {
        let consumed = read_qrels(path)?.cases.into_iter();
        let mut of_case: HashMap<String, Vec<String>> =
            consumed.map(|c| (c.case, c.targets)).collect();
        for case in &mut truth.cases {
            case.consumed = of_case.remove(&case.case).unwrap_or_default();
        }
        repeats = Repeats::Exclude;
    }
    hkfr_eval::segments::label_targets(&mut truth);
    Ok((truth, repeats))
}

fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "parquet")
}

fn read_qrels(path: &Path) -> Result<Truth> {
    let read = if is_parquet(path) {
        parquet::read_qrels
    } else {
        trec::read_qrels
    };
    Ok(read(path, TASK)?)
}

pub fn read_run(path: &Path) -> Result<Run> {
    let read = if is_parquet(path) {
        parquet::read_run
    } else {
        trec::read_run
    };
    Ok(read(path, TASK)?)
}

/// One `item` or `item count` a line.
fn read_catalogue(path: &Path, truth: &mut Truth) -> Result<()> {
    for (i, line) in fs_err::read_to_string(path)?.lines().enumerate() {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let count = match fields.as_slice() {
            [] => continue,
            [_] => None,
            [_, count] => count.parse::<u64>().ok(),
            _ => bail!(
                "{}:{}: expected an item and a count at most",
                path.display(),
                i + 1
            ),
        };
        if fields.len() == 2 && count.is_none() {
            bail!(
                "{}:{}: `{}` is not a whole number",
                path.display(),
                i + 1,
                fields[1]
            );
        }
        truth.catalogue.insert(fields[0].to_owned());
        if let Some(count) = count {
            truth.popularity.insert(fields[0].to_owned(), count);
        }
    }
    if truth.catalogue.is_empty() {
        bail!("{}: no item; give one a line", path.display());
    }
    Ok(())
}
