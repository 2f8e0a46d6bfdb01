//! The evaluation: every run of every task against the truth, with intervals and paired tests.
//!
//! In: truths (one a task), runs, [`EvalConfig`]. Out: [`Report`]. For each task the ranks are
//! computed once a system and case; a segment is a choice of rows of the resulting matrix.
//! Runs of one system with several seeds are averaged case by case; how far the seeds lie apart is told
//! beside the interval, which is over cases alone.
//! The denominator of a segment is always all its cases: missing lists and invalid items score 0.

use std::collections::{BTreeSet, HashSet};

use rayon::prelude::*;

use crate::beyond::ListMetrics;
use crate::bootstrap::{Matrix, paired_interval, percentile_interval};
use crate::config::EvalConfig;
use crate::error::{Error, Result};
use crate::holm::holm;
use crate::measure::{Measured, measure};
use crate::metric::{Metric, MetricAt};
use crate::randomisation::{effect_sizes, is_floor, randomisation_p};
use crate::report::{Difference, MetricValue, Report, SegmentReport, SystemRow, TaskReport};
use crate::run::Run;
use crate::truth::{ALL, Truth, TruthCase};
use crate::warnings;

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
        .collect::<Result<_>>()?;
    Ok(Report {
        version: 2,
        config: cfg.clone(),
        tasks,
        warnings,
        costs: Vec::new(),
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
        if !seen.insert((&run.system, &run.task, run.seed)) {
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

/// The runs of one system, one a seed.
struct System<'a> {
    name: &'a str,
    seeds: Vec<Measured<'a>>,
}

fn evaluate_task(
    truth: &Truth,
    runs: &[&Run],
    cfg: &EvalConfig,
    told: &mut Vec<String>,
) -> Result<TaskReport> {
    let given = truth;
    let truth = &*truth.under(cfg.repeats)?;
    let catalogue = truth.catalogue_set();
    let mut systems: Vec<System> = Vec::new();
    for run in runs {
        let measured = measure(truth, &catalogue, run, cfg.policy());
        match systems.iter_mut().find(|s| s.name == run.system) {
            Some(system) => system.seeds.push(measured),
            None => systems.push(System {
                name: &run.system,
                seeds: vec![measured],
            }),
        }
    }
    let targets = || truth.cases.iter().flat_map(|c| &c.targets);
    let segments: Vec<SegmentReport> = segments(truth, cfg)
        .into_iter()
        .map(|(segment, rows)| evaluate_segment(truth, segment, &rows, &systems, cfg))
        .collect();
    let report = TaskReport {
        task: truth.task.clone(),
        n_cases: truth.cases.len(),
        n_catalogue: catalogue.len(),
        n_targets: targets().count(),
        n_unreachable_targets: warnings::unreachable(truth, &catalogue),
        segments,
    };
    let measured: Vec<&Measured> = systems.iter().flat_map(|s| &s.seeds).collect();
    told.extend(warnings::of_input(
        given,
        truth,
        &catalogue,
        &measured,
        &cfg.ks,
        &MetricAt::with_main(cfg.main, &cfg.ks),
    ));
    told.extend(warnings::of_figures(truth, &report, &measured, cfg));
    Ok(report)
}

/// Labels with the rows of their cases: [`ALL`], then `segment_order`, then as they appear, plain
/// segments before further labels.
fn segments(truth: &Truth, cfg: &EvalConfig) -> Vec<(String, Vec<usize>)> {
    let mut names: Vec<&str> = Vec::new();
    let ordered = cfg.segment_order.iter().map(String::as_str);
    let plain = truth.cases.iter().map(|c| c.segment.as_str());
    let further = truth.cases.iter().flat_map(|c| &c.labels);
    let mut known = HashSet::from(["", ALL]);
    for name in ordered.chain(plain).chain(further.map(String::as_str)) {
        if known.insert(name) {
            names.push(name);
        }
    }
    // A simulated cold start asks again about users who are there: it has its own segment alone.
    let is_in = |case: &TruthCase, name: &str| {
        case.segment == name || (case.in_overall && case.labels.iter().any(|l| l == name))
    };
    let rows_of = |keep: &dyn Fn(&TruthCase) -> bool| -> Vec<usize> {
        (0..truth.cases.len())
            .filter(|&i| keep(&truth.cases[i]))
            .collect()
    };
    let mut segments = vec![(ALL.to_owned(), rows_of(&|c| c.in_overall))];
    for name in names {
        segments.push((name.to_owned(), rows_of(&|c| is_in(c, name))));
    }
    segments.retain(|(_, rows)| !rows.is_empty());
    segments
}

fn evaluate_segment(
    truth: &Truth,
    segment: String,
    rows: &[usize],
    systems: &[System],
    cfg: &EvalConfig,
) -> SegmentReport {
    let grid = MetricAt::grid(&Metric::EVERY, &cfg.ks);
    let n_cases = rows.len();
    if systems.is_empty() {
        return SegmentReport {
            segment,
            n_cases,
            systems: Vec::new(),
        };
    }
    // A case's value is the mean over the seeds: cases, not seeds, are what is resampled.
    let over_seeds = |system: &System, at: MetricAt, i: usize| {
        let sum: f64 = system.seeds.iter().map(|m| at.value(&m.ranks[i])).sum();
        sum / system.seeds.len() as f64
    };
    let values_of = |&i: &usize| -> Vec<f64> {
        let of_system = |s| grid.iter().map(move |&at| over_seeds(s, at, i));
        systems.iter().flat_map(of_system).collect()
    };
    let data: Vec<Vec<f64>> = rows.par_iter().map(values_of).collect();
    let matrix = Matrix::new(systems.len() * grid.len(), data.concat());
    let means = matrix.means();
    let samples = matrix.resampled_means(cfg.resamples, cfg.seed);
    let column = |system: usize, m: usize| system * grid.len() + m;
    let mut table: Vec<SystemRow> = systems
        .iter()
        .enumerate()
        .map(|(s, system)| {
            let value = |(m, &at): (usize, &MetricAt)| MetricValue {
                at,
                mean: means[column(s, m)],
                interval: percentile_interval(&samples[column(s, m)], cfg.confidence),
                seed_sd: seed_sd(system, at, rows),
            };
            let ranks = || {
                system
                    .seeds
                    .iter()
                    .flat_map(|m| rows.iter().map(|&i| &m.ranks[i]))
            };
            let lists_at = |&k: &usize| {
                let of_seed = |m: &Measured| m.list_metrics(truth, rows, k);
                ListMetrics::mean(&system.seeds.iter().map(of_seed).collect::<Vec<_>>())
            };
            SystemRow {
                system: system.name.to_owned(),
                n_seeds: system.seeds.len(),
                metrics: grid.iter().enumerate().map(value).collect(),
                lists: cfg.ks.iter().map(lists_at).collect(),
                n_missing: ranks().filter(|r| r.missing).count(),
                n_listed: ranks().map(|r| r.n_listed as usize).sum(),
                n_invalid: ranks().map(|r| r.n_invalid as usize).sum(),
                versus_reference: Vec::new(),
            }
        })
        .collect();
    let reference = cfg.reference.as_ref();
    if let Some(reference) = reference.and_then(|r| systems.iter().position(|s| s.name == r)) {
        let others: Vec<usize> = (0..systems.len()).filter(|&s| s != reference).collect();
        let tests: Vec<(Vec<f64>, Vec<Option<f64>>)> = others
            .iter()
            .map(|&s| {
                let row = |i: usize| {
                    let row = matrix.row(i);
                    (0..grid.len()).map(move |m| row[column(s, m)] - row[column(reference, m)])
                };
                let differences = Matrix::new(grid.len(), (0..n_cases).flat_map(row).collect());
                let p = randomisation_p(&differences, cfg.draws, cfg.seed);
                (p, effect_sizes(&differences))
            })
            .collect();
        for (m, &at) in grid.iter().enumerate() {
            let corrected = holm(&tests.iter().map(|t| t.0[m]).collect::<Vec<_>>());
            for ((&s, test), p_holm) in others.iter().zip(&tests).zip(corrected) {
                let (a, b) = (column(s, m), column(reference, m));
                table[s].versus_reference.push(Difference {
                    at,
                    diff: means[a] - means[b],
                    interval: paired_interval(&samples[a], &samples[b], cfg.confidence),
                    p: test.0[m],
                    p_holm,
                    p_is_floor: is_floor(p_holm, others.len(), cfg.draws),
                    effect: test.1[m],
                });
            }
        }
    }
    SegmentReport {
        segment,
        n_cases,
        systems: table,
    }
}

/// Standard deviation of the seeds' means; `None` for one seed.
fn seed_sd(system: &System, at: MetricAt, rows: &[usize]) -> Option<f64> {
    let n = system.seeds.len() as f64;
    let mean_of =
        |m: &Measured| rows.iter().map(|&i| at.value(&m.ranks[i])).sum::<f64>() / rows.len() as f64;
    let means: Vec<f64> = system.seeds.iter().map(mean_of).collect();
    let mean = means.iter().sum::<f64>() / n;
    let squares: f64 = means.iter().map(|m| (m - mean).powi(2)).sum();
    (means.len() > 1).then(|| (squares / (n - 1.0)).sqrt())
}
