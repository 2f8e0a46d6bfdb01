//! What a reader of the numbers must know, in sentences.

use std::collections::HashSet;

use crate::checks;
use crate::config::EvalConfig;
use crate::measure::Measured;
use crate::metric::MetricAt;
use crate::ranks::CaseRanks;
use crate::report::TaskReport;
use crate::tied;
use crate::ties::Ties;
use crate::truth::Truth;

/// What is odd about truth and runs. `given` is the truth before the policy on repeats, `catalogue` that of
/// `truth`; `asked` are the metrics of a table, the deciding one first.
pub(crate) fn of_input(
    given: &Truth,
    truth: &Truth,
    catalogue: &HashSet<&str>,
    measured: &[&Measured],
    ks: &[usize],
    asked: &[MetricAt],
) -> Vec<String> {
    let deepest = ks.last().copied().unwrap_or(0);
    let task = &truth.task;
    let n = truth.cases.len();
    let mut warnings = Vec::new();
    if measured.is_empty() {
        warnings.push(format!("{task}: no run was given."));
    }
    let unasked = truth.cases.iter().filter(|c| c.targets.is_empty()).count();
    if unasked > 0 {
        warnings.push(format!(
            "{task}: {unasked} of {n} cases have no target and score 0 for every system."
        ));
    }
    let targets = |t: &Truth| t.cases.iter().map(|c| c.targets.len()).sum::<usize>();
    let repeated = targets(given) - targets(truth);
    if repeated > 0 {
        let gone = given.cases.len() - n;
        warnings.push(format!(
            "{task}: {repeated} targets were consumed before and do not count; {gone} cases had no \
             other and are left out."
        ));
    }
    let out = unreachable(truth, catalogue);
    if out > 0 {
        let all = targets(truth);
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
    let one_target: Vec<usize> = (0..n)
        .filter(|&i| truth.cases[i].in_overall && truth.cases[i].targets.len() == 1)
        .collect();
    for m in measured {
        let system = &m.run.system;
        warnings.extend(m.run.notes.iter().map(|note| format!("{task}: {note}")));
        let missing = m.ranks.iter().filter(|r| r.missing).count();
        if missing > 0 {
            warnings.push(format!(
                "{task}: `{system}` has no list for {missing} of {n} cases."
            ));
        }
        // Of a case that the policy took out, the truth knows.
        let extra = match m.extra.as_slice() {
            [] => 0,
            extra => {
                let known: HashSet<&str> = given.cases.iter().map(|c| c.case.as_str()).collect();
                extra.iter().filter(|c| !known.contains(*c)).count()
            }
        };
        if extra > 0 {
            warnings.push(format!(
                "{task}: `{system}` has {extra} lists for cases the truth does not know; ignored."
            ));
        }
        let invalid: u32 = m.ranks.iter().map(|r| r.n_invalid).sum();
        if invalid > 0 {
            let listed: u32 = m.ranks.iter().map(|r| r.n_listed).sum();
            warnings.push(format!(
                "{task}: {invalid} of {listed} items listed by `{system}` are not in the \
                 catalogue; they keep their place and cannot hit."
            ));
        }
        let reach = match catalogue.len() {
            0 => deepest,
            n => deepest.min(n),
        };
        if m.run.depth < reach {
            let depth = m.run.depth;
            warnings.push(format!(
                "{task}: `{system}` was run to depth {depth}, its metrics at {deepest} are lower \
                 bounds."
            ));
        } else if catalogue.is_empty() || m.run.depth < catalogue.len() {
            let short = |r: &&CaseRanks| (r.n_listed as usize) < reach;
            let short = m.cut().filter(short).count();
            if short > 0 {
                warnings.push(format!(
                    "{task}: without what was consumed, {short} of {n} lists of `{system}` are shorter than \
                     {deepest}, its metrics at {deepest} are lower bounds; list more."
                ));
            }
        }
        let within = |r: &&CaseRanks| r.n_listed as usize <= deepest;
        let tied: u32 = m.cut().filter(within).map(|r| r.n_tied_at_end).sum();
        if tied > 0 {
            let are = match m.policy.ties {
                Ties::Against => "upper bounds",
                Ties::Trec | Ties::Random | Ties::For => "uncertain",
            };
            warnings.push(format!(
                "{task}: {tied} hits of `{system}` are among equal scores at the end of their lists, of which more \
                 may have been cut off: its metrics at {deepest} are {are}; list more than {deepest}."
            ));
        }
        warnings.extend(tied::warning(truth, catalogue, m, asked));
        for (a, b) in checks::one_target_faults(ks, |at| m.mean(at, &one_target)) {
            warnings.push(broken(task, system, a, b));
        }
    }
    warnings
}

fn broken(what: &str, system: &str, a: usize, b: usize) -> String {
    format!(
        "{what}: HR and NDCG of `{system}` from {a} to {b} cannot both be right; this is a bug of the \
         evaluator, please report it."
    )
}

/// Targets outside the catalogue, if there is one.
pub(crate) fn unreachable(truth: &Truth, catalogue: &HashSet<&str>) -> usize {
    let targets = truth.cases.iter().flat_map(|c| &c.targets);
    let out = |t: &&String| !catalogue.is_empty() && !catalogue.contains(t.as_str());
    targets.filter(out).count()
}

/// What is odd about tests and figures.
pub(crate) fn of_figures(
    truth: &Truth,
    report: &TaskReport,
    measured: &[&Measured],
    cfg: &EvalConfig,
) -> Vec<String> {
    let task = &truth.task;
    let mut warnings = Vec::new();
    let n_compared = report.segments.first().map_or(0, |all| {
        let compared = all
            .systems
            .iter()
            .filter(|r| !r.versus_reference.is_empty());
        compared.count()
    });
    let smallest = n_compared as f64 / (cfg.draws + 1) as f64;
    if smallest >= 0.05 {
        let draws = cfg.draws;
        warnings.push(format!(
            "{task}: with {draws} draws and {n_compared} comparisons no p can fall below \
             {smallest:.3}: nothing can be significant; raise `draws`."
        ));
    }
    let one_target = |c: &crate::TruthCase| c.targets.len() == 1;
    if truth.cases.iter().all(one_target) {
        for segment in &report.segments {
            for row in &segment.systems {
                let mean = |at: MetricAt| row.value(at.metric, at.k).map_or(f64::NAN, |v| v.mean);
                for (a, b) in checks::one_target_faults(&cfg.ks, mean) {
                    let what = format!("{task}, {}", segment.segment);
                    warnings.push(broken(&what, &row.system, a, b));
                }
            }
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
    warnings
}
