//! Runs from several places → one table: systems of several seeds, systems of several runs.
//!
//! In: [`Source`]s, each with its truths and runs. Out: one set of truths with all runs, for
//! [`evaluate`](crate::evaluate). Sources that asked other questions are refused: numbers on other cases,
//! targets or catalogues do not compare. Labels and popularity may differ; those of the first source hold.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::error::{Error, Result};
use crate::repeats::Repeats;
use crate::run::Run;
use crate::table::thousands;
use crate::truth::{Truth, TruthCase};

/// What one run of the pipeline, or one set of files, left.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Source {
    /// How messages call it, e.g. its directory.
    pub name: String,
    pub repeats: Repeats,
    pub truths: Vec<Truth>,
    pub runs: Vec<Run>,
}

/// The truths of the first source with the runs of all. A run that another source holds with the same lists
/// and seed is taken once.
///
/// # Errors
/// [`Error::Incomparable`] with both names and what differs; [`Error::OtherLists`] for one system
/// and seed with two sets of lists.
pub fn pool(sources: Vec<Source>) -> Result<Source> {
    let mut sources = sources.into_iter();
    let Some(mut pooled) = sources.next() else {
        return Ok(Source::default());
    };
    let mut from: Vec<String> = vec![pooled.name.clone(); pooled.runs.len()];
    for source in sources {
        if let Some(what) = difference(&pooled, &source) {
            let (a, b) = (pooled.name, source.name);
            return Err(Error::Incomparable { a, b, what });
        }
        for run in source.runs {
            let same =
                |r: &&Run| (&r.system, &r.task, r.seed) == (&run.system, &run.task, run.seed);
            match pooled.runs.iter().zip(&from).find(|(r, _)| same(r)) {
                Some((known, _)) if known.lists == run.lists => {}
                Some((_, a)) => {
                    return Err(Error::OtherLists {
                        system: run.system,
                        task: run.task,
                        a: a.clone(),
                        b: source.name,
                    });
                }
                None => {
                    pooled.runs.push(run);
                    from.push(source.name.clone());
                }
            }
        }
    }
    Ok(pooled)
}

/// Leaves the cases that all sources asked: for a system so slow that it was asked a sample. The message, a line
/// a task that lost any, says of how many; what else differs [`pool`] refuses.
///
/// # Errors
/// [`Error::NothingInCommon`].
pub fn keep_common(sources: &mut [Source]) -> Result<Vec<String>> {
    let mut common: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut most: BTreeMap<String, usize> = BTreeMap::new();
    for truth in sources.iter().flat_map(|s| &s.truths) {
        let cases: BTreeSet<String> = truth.cases.iter().map(|c| c.case.clone()).collect();
        let most = most.entry(truth.task.clone()).or_default();
        *most = cases.len().max(*most);
        match common.get_mut(&truth.task) {
            Some(common) => common.retain(|case| cases.contains(case)),
            None => drop(common.insert(truth.task.clone(), cases)),
        }
    }
    for source in sources {
        for truth in &mut source.truths {
            let common = &common[&truth.task];
            truth.cases.retain(|c| common.contains(&c.case));
        }
        for run in &mut source.runs {
            if let Some(common) = common.get(&run.task) {
                run.lists.retain(|l| common.contains(&l.case));
            }
        }
    }
    let lost = most.into_iter().filter(|(task, n)| common[task].len() < *n);
    lost.map(|(task, n)| match common[&task].len() {
        0 => Err(Error::NothingInCommon { task }),
        kept => Ok(format!(
            "{task}: compared on {} cases, which all runs were asked, of {}.",
            thousands(kept),
            thousands(n)
        )),
    })
    .collect()
}

/// What two sources did not ask alike; `None` if their numbers compare.
fn difference(a: &Source, b: &Source) -> Option<String> {
    let policy = |r: Repeats| match r {
        Repeats::Allow => "allows",
        Repeats::Exclude => "excludes",
    };
    if a.repeats != b.repeats {
        let (p, q) = (policy(a.repeats), policy(b.repeats));
        return Some(format!(
            "the first {p} repeated choices, the second {q} them"
        ));
    }
    let tasks = |s: &Source| s.truths.iter().map(|t| t.task.clone()).collect();
    if let Some(what) = only_in("task", &tasks(a), &tasks(b)) {
        return Some(what);
    }
    let of_task = |t: &Truth| b.truths.iter().find(|u| u.task == t.task);
    a.truths
        .iter()
        .find_map(|t| truth_difference(t, of_task(t)?))
}

fn truth_difference(a: &Truth, b: &Truth) -> Option<String> {
    let task = &a.task;
    let within = |what| format!("in task `{task}` {what}");
    let names = |t: &Truth| t.cases.iter().map(|c| c.case.clone()).collect();
    if let Some(what) = only_in("case", &names(a), &names(b)) {
        return Some(within(format!(
            "{what} (--common-cases leaves those of both)"
        )));
    }
    if let Some(what) = only_in("catalogue item", &a.catalogue, &b.catalogue) {
        return Some(within(what));
    }
    let cases: HashMap<&str, &TruthCase> = b.cases.iter().map(|c| (c.case.as_str(), c)).collect();
    a.cases.iter().find_map(|case| {
        let other = cases.get(case.case.as_str())?;
        let what = case_difference(case, other)?;
        Some(within(format!("case `{}` has {what}", case.case)))
    })
}

fn case_difference(a: &TruthCase, b: &TruthCase) -> Option<&'static str> {
    let graded = |c: &TruthCase| -> Vec<(String, f64)> {
        let gain = |i| c.gains.get(i).copied().unwrap_or(1.0);
        let mut targets: Vec<_> = c.targets.iter().cloned().zip((0..).map(gain)).collect();
        targets.sort_by(|x, y| x.0.cmp(&y.0));
        targets
    };
    let consumed = |c: &TruthCase| c.consumed.iter().cloned().collect::<BTreeSet<_>>();
    if graded(a) != graded(b) {
        Some("other targets")
    } else if consumed(a) != consumed(b) {
        Some("other consumed items")
    } else if a.in_overall != b.in_overall {
        Some("its place in the overall segment in one of them only")
    } else {
        None
    }
}

fn only_in(what: &str, a: &BTreeSet<String>, b: &BTreeSet<String>) -> Option<String> {
    let tell = |x: &BTreeSet<String>, y: &BTreeSet<String>, which: &str| {
        let missing: Vec<&String> = x.difference(y).collect();
        let first = missing.first()?;
        Some(match missing.len() {
            1 => format!("{what} `{first}` is only in the {which}"),
            n => {
                let of = x.len();
                format!("{n} of {of} {what}s are only in the {which}, such as `{first}`")
            }
        })
    };
    tell(a, b, "first").or_else(|| tell(b, a, "second"))
}
