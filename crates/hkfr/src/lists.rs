//! Lists as files of any tool: `hkfr evaluate --run …` takes them with their truth → means, table or report, and
//! `hkfr evaluate CONFIG --export DIR` writes those of a run.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use hkfr_eval::{
    Error, EvalConfig, Lines, Policy, Repeats, Report, Run, Scores, Ties, Truth, TruthCase,
    evaluate as measure, mismatch, parquet, printable, score_all, table, trec,
};
use serde::Serialize;

use crate::args::{ListsArgs, ListsFormat};
use crate::stages::read_runs;

/// Runs and qrels are of one task.
const TASK: &str = "lists";

/// Lists whose items are compared with those of the truth.
const SAMPLE: usize = 1000;

/// The figures of a system and the rule that they were measured by, as one JSON object.
#[derive(Serialize)]
struct Figures {
    ties: Ties,
    #[serde(flatten)]
    scores: Scores,
}

/// What is printed. `seed` is that of resampling.
pub fn evaluate(args: &ListsArgs, seed: Option<u64>) -> Result<String> {
    let qrels = args.qrels.as_deref().context("--run needs --qrels")?;
    let (truth, repeats) = truth(qrels, args.catalogue.as_deref(), args.consumed.as_deref())?;
    let runs: Vec<Run> = args
        .run
        .iter()
        .map(|p| read_run(p, &truth))
        .collect::<Result<_>>()?;
    let mut ks = args.k.clone();
    ks.sort_unstable();
    ks.dedup();
    let report = |ks: Vec<usize>| -> Result<Report> {
        let cfg = EvalConfig {
            ks,
            reference: args.reference.clone(),
            repeats,
            ties: args.ties,
            seed: seed.unwrap_or(EvalConfig::default().seed),
            ..EvalConfig::default()
        };
        Ok(measure(std::slice::from_ref(&truth), &runs, &cfg)?)
    };
    match args.format {
        ListsFormat::Table => Ok(table::text(&report(ks)?)),
        ListsFormat::Report => Ok(serde_json::to_string_pretty(&report(ks)?)? + "\n"),
        ListsFormat::Json => {
            let mut of_system = BTreeMap::new();
            let ties = args.ties;
            let policy = Policy { repeats, ties };
            let (scores, warnings) = score_all(&truth, &runs, &ks, policy)?;
            for (run, scores) in runs.iter().zip(scores) {
                let scores = Figures { ties, scores };
                if of_system.insert(run.system.as_str(), scores).is_some() {
                    bail!("two runs are of system `{}`; rename one", run.system);
                }
            }
            if let Some(reference) = &args.reference
                && !of_system.contains_key(reference.as_str())
            {
                let known: Vec<&str> = of_system.keys().copied().collect();
                return Err(Error::UnknownReference {
                    reference: reference.clone(),
                    known: known.join(", "),
                }
                .into());
            }
            warnings
                .iter()
                .for_each(|w| eprintln!("! {}", printable(w)));
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
        let targets = items(&truth).into_iter().map(str::to_owned);
        let targets: Vec<String> = targets.collect();
        read_catalogue(path, &mut truth)?;
        let listed = truth.catalogue.iter().map(String::as_str).collect();
        let targets = targets.iter().map(String::as_str).collect();
        should_match("items", (path, &listed), (qrels, &targets))?;
    }
    let mut repeats = Repeats::Allow;
    if let Some(path) = consumed {
        let read = match parquet::is_parquet(path)? {
            true => parquet::read_consumed,
            false => trec::read_consumed,
        };
        let mut of_case = read(path)?;
        let n_queries = of_case.len();
        let theirs = of_case.keys().map(String::as_str).collect();
        should_match("queries", (path, &theirs), (qrels, &cases(&truth)))?;
        let theirs = of_case.values().flatten().map(String::as_str).collect();
        should_match("items", (path, &theirs), (qrels, &items(&truth)))?;
        for case in &mut truth.cases {
            case.consumed = of_case.remove(&case.case).unwrap_or_default();
        }
        if let Some(theirs) = of_case.keys().min()
            && of_case.len() == n_queries
        {
            let ours = &truth.cases[0].case;
            bail!(
                "{}: no query is one of {}; the ids do not match, such as `{theirs}` and `{ours}`: write the same in both",
                path.display(),
                qrels.display()
            );
        }
        repeats = Repeats::Exclude;
    }
    hkfr_eval::segments::label_targets(&mut truth);
    Ok((truth, repeats))
}

fn cases(truth: &Truth) -> HashSet<&str> {
    truth.cases.iter().map(|c| c.case.as_str()).collect()
}

/// All that is known to exist.
fn items(truth: &Truth) -> HashSet<&str> {
    let targets = truth.cases.iter().flat_map(|c| &c.targets);
    targets
        .chain(&truth.catalogue)
        .map(String::as_str)
        .collect()
}

/// Refuses ids of two files that would match but for an accident.
fn should_match(
    what: &str,
    (path, ids): (&Path, &HashSet<&str>),
    (other, theirs): (&Path, &HashSet<&str>),
) -> Result<()> {
    match mismatch(ids, theirs) {
        None => Ok(()),
        Some(found) => bail!(
            "{}: its {what} are not those of {}: {found}",
            path.display(),
            other.display()
        ),
    }
}

fn read_qrels(path: &Path) -> Result<Truth> {
    let read = if parquet::is_parquet(path)? {
        parquet::read_qrels
    } else {
        trec::read_qrels
    };
    Ok(read(path, TASK)?)
}

/// The lists of a file, some of which are for cases of `truth`.
pub fn read_run(path: &Path, truth: &Truth) -> Result<Run> {
    let read = if parquet::is_parquet(path)? {
        parquet::read_run
    } else {
        trec::read_run
    };
    let run = read(path, &truth.task)?;
    let shown = path.display();
    let first = run.lists.first();
    let first = first.with_context(|| format!("{shown} holds no list; give a row an item"))?;
    let asked = cases(truth);
    let queries = run.lists.iter().map(|l| l.case.as_str()).collect();
    should_match(
        "queries",
        (path, &queries),
        (Path::new("the truth"), &asked),
    )?;
    let of_asked = run.lists.iter().filter(|l| asked.contains(l.case.as_str()));
    let listed = of_asked.take(SAMPLE).flat_map(|l| &l.items);
    let listed = listed.map(String::as_str).collect();
    should_match(
        "items",
        (path, &listed),
        (Path::new("the truth"), &items(truth)),
    )?;
    ensure!(
        run.lists.iter().any(|l| asked.contains(l.case.as_str())),
        "{shown}: `{}` has no list for any case of the truth; the ids do not match, such as `{}` in the run and `{}` in the truth: write the same in both",
        run.system,
        first.case,
        truth.cases[0].case
    );
    Ok(run)
}

/// Writes the lists and the truth of the run in `run_dir` as TREC files, or as Parquet where a name holds white
/// space: `SYSTEM.TASK.run.trec`, `truth.TASK.qrels.trec`, and `consumed.TASK.qrels.trec` where repeats
/// are excluded.
pub fn export(run_dir: &Path, tasks: &[String], dir: &Path) -> Result<()> {
    let runs = read_runs(&run_dir.join("recommend"))?;
    for task in tasks {
        let truth = Truth::read(&run_dir.join(format!("evaluate/truth.{task}.jsonl")))?;
        let truth = write_truth(truth, dir)?;
        let asked: HashSet<&str> = truth.cases.iter().map(|c| c.case.as_str()).collect();
        for run in runs.iter().filter(|r| r.task == *task) {
            let mut run = run.clone();
            run.lists.retain(|l| asked.contains(l.case.as_str()));
            let stem = run.file_name().replace(".jsonl", ".run");
            write(
                dir,
                &stem,
                |path| trec::write_run(&run, path),
                |path| parquet::write_run(&run, path),
            )?;
        }
    }
    eprintln!("lists: {}", dir.display());
    Ok(())
}

/// Writes `truth.TASK.qrels` and, of what was consumed before, `consumed.TASK.qrels`; the truth without the simulated
/// cold starts, which qrels cannot tell apart.
pub fn write_truth(mut truth: Truth, dir: &Path) -> Result<Truth> {
    let task = truth.task.clone();
    let n_cases = truth.cases.len();
    truth.cases.retain(|c| c.in_overall);
    let left_out = n_cases - truth.cases.len();
    if left_out > 0 {
        eprintln!(
            "{task}: {left_out} simulated cold starts are left out; qrels cannot say that they do not count among all cases"
        );
    }
    let qrels = |what: &str, truth: &Truth| {
        let stem = format!("{what}.{task}.qrels");
        write(
            dir,
            &stem,
            |path| trec::write_qrels(truth, path),
            |path| parquet::write_qrels(truth, path),
        )
    };
    qrels("truth", &truth)?;
    let consumed = |c: &TruthCase| TruthCase {
        case: c.case.clone(),
        targets: c.consumed.clone(),
        ..TruthCase::default()
    };
    let consumed = truth.cases.iter().map(consumed);
    let consumed = Truth {
        cases: consumed.filter(|c| !c.targets.is_empty()).collect(),
        ..Truth::default()
    };
    if !consumed.cases.is_empty() {
        qrels("consumed", &consumed)?;
    }
    Ok(truth)
}

fn write(
    dir: &Path,
    stem: &str,
    trec: impl Fn(&Path) -> hkfr_eval::Result<()>,
    parquet: impl Fn(&Path) -> hkfr_eval::Result<()>,
) -> Result<()> {
    match trec(&dir.join(format!("{stem}.trec"))) {
        Err(Error::TrecName { name }) => {
            eprintln!(
                "{stem}: `{}` holds white space, which TREC cannot say; written as Parquet",
                printable(&name.replace('\n', " "))
            );
            Ok(parquet(&dir.join(format!("{stem}.parquet")))?)
        }
        written => Ok(written?),
    }
}

/// One `item` or `item count` a line.
fn read_catalogue(path: &Path, truth: &mut Truth) -> Result<()> {
    let mut lines = Lines::open(path)?;
    while let Some(line) = lines.next()? {
        let at = format!("{}:{}", path.display(), lines.line());
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let count = match fields.as_slice() {
            [_] => None,
            [_, count] => count.parse::<u64>().ok(),
            _ => bail!("{at}: expected an item and a count at most"),
        };
        if fields.len() == 2 && count.is_none() {
            bail!("{at}: `{}` is not a whole number", fields[1]);
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
