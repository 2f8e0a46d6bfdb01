//! The evaluation: every run of every task against the truth, with intervals and paired tests.
//!
//! In: truths (one a task), runs, [`EvalConfig`]. Out: [`Report`]. For each task the ranks are
//! computed once a system and case; a segment is a choice of rows of the resulting matrix.
//! The denominator of a segment is always all its cases: missing lists and invalid items score 0.

use std::collections::{BTreeSet, HashMap, HashSet};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bootstrap::{Matrix, percentile_interval, test_from_samples};
use crate::error::{Error, Result};
use crate::holm::holm;
use crate::metrics::{Metric, MetricAt};
use crate::ranks::{CaseRanks, target_ranks};
use crate::report::{ALL, Difference, MetricValue, Report, SegmentReport, SystemRow, TaskReport};
use crate::run::Run;
use crate::truth::Truth;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvalConfig {
    /// Cut-offs, rising.
    pub ks: Vec<usize>,
    /// Bootstrap resamples. The smallest possible p-value is 2 / (resamples + 1), times the number
    /// of comparisons after Holm: 2,000 leave room for a dozen systems at .05.
    pub resamples: usize,
    pub seed: u64,
    /// Share of the intervals.
    pub confidence: f64,
    /// The system all others are compared with.
    pub reference: Option<String>,
    /// Segments listed here come first, in this order; the others follow as they first appear.
    pub segment_order: Vec<String>,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self {
            ks: vec![5, 10],
            resamples: 2000,
            seed: 20230,
            confidence: 0.95,
            reference: None,
            segment_order: Vec::new(),
        }
    }
}

impl EvalConfig {
    fn check(&self) -> Result<()> {
        let bad = |what: &str| Err(Error::Config(what.to_owned()));
        if self.ks.is_empty() || self.ks[0] == 0 || !self.ks.is_sorted_by(|a, b| a < b) {
            return bad("`ks` must be rising cut-offs of at least 1, e.g. [5, 10]");
        }
        if self.resamples < 100 {
            return bad("`resamples` must be at least 100: the ends of an interval need tails");
        }
        if !(0.5..1.0).contains(&self.confidence) {
            return bad("`confidence` must lie in 0.5..1, e.g. 0.95");
        }
        Ok(())
    }
}

/// Measures `runs` against `truths`.
///
/// # Errors
/// A run or truth that breaks its own rules, two of one name, a run of an unknown task, a
/// reference system without a run. What can be measured but must be known (missing cases, lists
/// too short for a cut-off, …) is a warning in the report.
pub fn evaluate(truths: &[Truth], runs: &[Run], cfg: &EvalConfig) -> Result<Report> {
    cfg.check()?;
    check_inputs(truths, runs, cfg)?;
    let mut warnings = Vec::new();
    let tasks = truths
        .iter()
        .map(|truth| {
            let of_task: Vec<&Run> = runs.iter().filter(|r| r.task == truth.task).collect();
            evaluate_task(truth, &of_task, cfg, &mut warnings)
        })
        .collect();
    Ok(Report {
        version: 1,
        config: cfg.clone(),
        tasks,
        warnings,
    })
}

fn check_inputs(truths: &[Truth], runs: &[Run], cfg: &EvalConfig) -> Result<()> {
    let mut tasks = BTreeSet::new();
    for truth in truths {
        truth.check()?;
        if !tasks.insert(truth.task.as_str()) {
            return Err(Error::DuplicateTruth {
                task: truth.task.clone(),
            });
        }
    }
    let join = |names: &BTreeSet<&str>| names.iter().copied().collect::<Vec<_>>().join(", ");
    let mut seen = HashSet::new();
    for run in runs {
        let (system, task) = (run.system.clone(), run.task.clone());
        if !tasks.contains(run.task.as_str()) {
            return Err(Error::UnknownTask {
                system,
                task,
                known: join(&tasks),
            });
        }
        if !seen.insert((run.system.as_str(), run.task.as_str())) {
            return Err(Error::DuplicateRun { system, task });
        }
    }
    runs.par_iter().try_for_each(Run::check)?;
    let systems: BTreeSet<&str> = runs.iter().map(|r| r.system.as_str()).collect();
    match &cfg.reference {
        Some(reference) if !systems.contains(reference.as_str()) => {
            let known = join(&systems);
            Err(Error::UnknownReference {
                reference: reference.clone(),
                known,
            })
        }
        _ => Ok(()),
    }
}

/// The ranks of one run, case by case in the order of the truth, and its listed items.
struct Measured<'a> {
    run: &'a Run,
    ranks: Vec<CaseRanks>,
    n_listed: Vec<usize>,
    n_extra: usize,
}

fn evaluate_task(
    truth: &Truth,
    runs: &[&Run],
    cfg: &EvalConfig,
    warnings: &mut Vec<String>,
) -> TaskReport {
    let catalogue: HashSet<&str> = truth.catalogue.iter().map(String::as_str).collect();
    let measured: Vec<Measured> = runs
        .par_iter()
        .map(|run| measure(truth, &catalogue, run))
        .collect();
    let targets = || truth.cases.iter().flat_map(|c| &c.targets);
    let unreachable = targets()
        .filter(|t| !catalogue.contains(t.as_str()))
        .count();
    let report = TaskReport {
        task: truth.task.clone(),
        n_cases: truth.cases.len(),
        n_catalogue: catalogue.len(),
        n_targets: targets().count(),
        n_unreachable_targets: unreachable,
        segments: segments(truth, cfg)
            .into_iter()
            .map(|(segment, rows)| evaluate_segment(segment, &rows, &measured, cfg))
            .collect(),
    };
    warn(truth, &report, &measured, cfg, warnings);
    report
}

fn measure<'a>(truth: &Truth, catalogue: &HashSet<&str>, run: &'a Run) -> Measured<'a> {
    let mut by_case: HashMap<&str, _> = run.lists.iter().map(|l| (l.case.as_str(), l)).collect();
    let mut n_listed = Vec::with_capacity(truth.cases.len());
    let ranks = truth.cases.iter().map(|case| {
        let list = by_case.remove(case.case.as_str());
        n_listed.push(list.map_or(0, |l| l.items.len()));
        match list {
            Some(list) => target_ranks(list, &case.targets, |item| catalogue.contains(item)),
            None => CaseRanks::missing(case.targets.len()),
        }
    });
    let ranks = ranks.collect();
    Measured {
        run,
        ranks,
        n_listed,
        n_extra: by_case.len(),
    }
}

/// Labels with the rows of their cases: [`ALL`], then `segment_order`, then as they appear.
fn segments(truth: &Truth, cfg: &EvalConfig) -> Vec<(String, Vec<usize>)> {
    let mut labels: Vec<&str> = Vec::new();
    let ordered = cfg.segment_order.iter().map(String::as_str);
    for label in ordered.chain(truth.cases.iter().map(|c| c.segment.as_str())) {
        if !label.is_empty() && label != ALL && !labels.contains(&label) {
            labels.push(label);
        }
    }
    let rows_of = |keep: &dyn Fn(usize) -> bool| -> Vec<usize> {
        (0..truth.cases.len()).filter(|&i| keep(i)).collect()
    };
    let overall = (ALL.to_owned(), rows_of(&|i| truth.cases[i].in_overall));
    let labelled = labels.into_iter().map(|label| {
        (
            label.to_owned(),
            rows_of(&|i| truth.cases[i].segment == label),
        )
    });
    std::iter::once(overall)
        .chain(labelled)
        .filter(|(_, rows)| !rows.is_empty())
        .collect()
}

fn evaluate_segment(
    segment: String,
    rows: &[usize],
    measured: &[Measured],
    cfg: &EvalConfig,
) -> SegmentReport {
    let grid = MetricAt::grid(&Metric::EVERY, &cfg.ks);
    let n_cases = rows.len();
    if measured.is_empty() {
        return SegmentReport {
            segment,
            n_cases,
            systems: Vec::new(),
        };
    }
    let values_of = |&i: &usize| {
        measured
            .iter()
            .flat_map(|m| grid.iter().map(|at| at.value(&m.ranks[i])))
            .collect()
    };
    let data: Vec<Vec<f64>> = rows.par_iter().map(values_of).collect();
    let matrix = Matrix::new(measured.len() * grid.len(), data.concat());
    let means = matrix.means();
    let samples = matrix.resampled_means(cfg.resamples, cfg.seed);
    let column = |system: usize, m: usize| {
        let c = system * grid.len() + m;
        (means[c], samples[c].as_slice())
    };
    let mut systems: Vec<SystemRow> = measured
        .iter()
        .enumerate()
        .map(|(s, m)| SystemRow {
            system: m.run.system.clone(),
            metrics: (0..grid.len())
                .map(|i| MetricValue {
                    at: grid[i],
                    mean: column(s, i).0,
                    interval: percentile_interval(column(s, i).1, cfg.confidence),
                })
                .collect(),
            n_missing: rows.iter().filter(|&&i| m.ranks[i].missing).count(),
            n_listed: rows.iter().map(|&i| m.n_listed[i]).sum(),
            n_invalid: rows.iter().map(|&i| m.ranks[i].n_invalid as usize).sum(),
            versus_reference: Vec::new(),
        })
        .collect();
    let reference = cfg
        .reference
        .as_ref()
        .and_then(|r| systems.iter().position(|s| s.system == *r));
    if let Some(reference) = reference {
        let others: Vec<usize> = (0..systems.len()).filter(|&s| s != reference).collect();
        for (i, &at) in grid.iter().enumerate() {
            let test =
                |&s: &usize| test_from_samples(column(s, i), column(reference, i), cfg.confidence);
            let tests: Vec<_> = others.iter().map(test).collect();
            let corrected = holm(&tests.iter().map(|t| t.p).collect::<Vec<_>>());
            for ((&s, test), p_holm) in others.iter().zip(tests).zip(corrected) {
                let (diff, interval, p) = (test.diff, test.interval, test.p);
                systems[s].versus_reference.push(Difference {
                    at,
                    diff,
                    interval,
                    p,
                    p_holm,
                });
            }
        }
    }
    SegmentReport {
        segment,
        n_cases,
        systems,
    }
}

fn warn(
    truth: &Truth,
    report: &TaskReport,
    measured: &[Measured],
    cfg: &EvalConfig,
    warnings: &mut Vec<String>,
) {
    let task = &truth.task;
    let n = truth.cases.len();
    let deepest = cfg.ks.last().copied().unwrap_or(0);
    if measured.is_empty() {
        warnings.push(format!("{task}: no run was given."));
    }
    if report.n_unreachable_targets > 0 {
        let (out, all) = (report.n_unreachable_targets, report.n_targets);
        let share = 100.0 * out as f64 / all as f64;
        warnings.push(format!(
            "{task}: {out} of {all} targets ({share:.1} %) are not in the catalogue and cannot be \
             hit by any system."
        ));
    }
    let covered: Vec<Vec<bool>> = measured
        .iter()
        .map(|m| m.ranks.iter().map(|r| !r.missing).collect())
        .collect();
    if covered.windows(2).any(|w| w[0] != w[1]) {
        warnings.push(format!(
            "{task}: the runs do not cover the same cases; a case without a list scores 0."
        ));
    }
    for m in measured {
        let system = &m.run.system;
        let missing = m.ranks.iter().filter(|r| r.missing).count();
        if missing > 0 {
            warnings.push(format!(
                "{task}: `{system}` has no list for {missing} of {n} cases."
            ));
        }
        if m.n_extra > 0 {
            let extra = m.n_extra;
            warnings.push(format!(
                "{task}: `{system}` has {extra} lists for cases the truth does not know; ignored."
            ));
        }
        let invalid: u32 = m.ranks.iter().map(|r| r.n_invalid).sum();
        if invalid > 0 {
            let listed: usize = m.n_listed.iter().sum();
            warnings.push(format!(
                "{task}: {invalid} of {listed} items listed by `{system}` are not in the \
                 catalogue; they keep their place and cannot hit."
            ));
        }
        if m.run.depth < deepest && m.run.depth < report.n_catalogue {
            let depth = m.run.depth;
            warnings.push(format!(
                "{task}: `{system}` was run to depth {depth}, its metrics at {deepest} are lower \
                 bounds."
            ));
        }
    }
    if let Some(reference) = &cfg.reference
        && !measured.is_empty()
        && !measured.iter().any(|m| m.run.system == *reference)
    {
        warnings.push(format!(
            "{task}: the reference `{reference}` has no run; no differences."
        ));
    }
}
