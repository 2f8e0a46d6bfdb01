//! What people like someone tell of whom little is known: categories ranked by one's own shares alone, by
//! those blended with a cohort's, and by popularity, for the cold starts of a split.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use hkfr_eval::{Metric, RankedList, Run, SegmentReport, SystemRow, evaluate, table};
use hkfr_events::{AsOf, Case, Segment};
use hkfr_fuse::{CohortBy, CohortConfig, Cohorts, Population, Wording};
use hkfr_rec::baselines::{Entities, Popularity};
use hkfr_rec::rank;
use serde_json::{Value, json};

use super::{Measured, triple};
use crate::stages::{Session, eval_config, truths};

/// Ranks by cohorts of these sizes and strengths, and compares with the system `reference`.
pub fn cohorts(
    session: &mut Session,
    sizes: &[u32],
    strengths: &[f32],
    reference: &str,
) -> Result<Measured> {
    let (dataset, split) = (session.dataset()?, session.split()?);
    let (config, templates) = (&session.config, session.templates()?);
    let wording = Wording::new(&dataset, &templates);
    let cold = |case: &&Case| case.segment != Segment::Warm;
    let cases: Vec<&Case> = split.cases.iter().filter(cold).collect();
    ensure!(
        !cases.is_empty(),
        "the split has no cold starts: set [split] simulated_cold_start and simulated_users"
    );
    let entities = Entities::categories(&dataset, &split.catalogue);
    let popularity = Popularity::fit(&dataset, &split, &entities);

    let mut all_truths = truths(&dataset, &split, config.recommend.repeats);
    all_truths.retain(|t| t.task == "category");
    let mut truth = all_truths.pop().context("a truth of categories")?;
    let asked: BTreeSet<&str> = cases.iter().map(|c| c.case_id.as_str()).collect();
    truth.cases.retain(|c| asked.contains(c.case.as_str()));
    // A user is cut several times, and is one user: each cut is measured apart, and nothing of them together.
    truth.cases.iter_mut().for_each(|c| c.in_overall = false);

    let mut runs = Vec::new();
    let mut add = |system: String, scores: &dyn Fn(&Case) -> Vec<f32>| -> Result<()> {
        let mut lists = Vec::new();
        for case in &cases {
            session.stop.check()?;
            let (depth, id) = (config.recommend.depth as usize, &case.case_id);
            let ranked = rank(&scores(case), depth, id, config.seed, None)?;
            lists.push(RankedList {
                case: id.clone(),
                items: ranked.iter().map(|r| entities.id(r.0).to_owned()).collect(),
                scores: ranked.iter().map(|r| r.1.into()).collect(),
            });
        }
        runs.push(Run {
            system,
            task: "category".into(),
            depth: config.recommend.depth as usize,
            lists,
            ..Run::default()
        });
        Ok(())
    };
    add("popularity".into(), &|_| popularity.counts().to_vec())?;
    for (by, name) in [
        (CohortBy::Everyone, "everyone"),
        (CohortBy::Segment, "segment"),
        (CohortBy::Nearest, "nearest"),
    ] {
        // The size of everyone is not asked.
        let sizes = if by == CohortBy::Everyone {
            &sizes[..1]
        } else {
            sizes
        };
        for &size in sizes {
            let cohort_config = CohortConfig {
                by,
                min: size as usize,
                ..config.fusion.cohort()
            };
            let cohorts = Cohorts::new(&wording, &split.fit_before, cohort_config);
            let position = |name: &&str| {
                split
                    .catalogue
                    .categories
                    .binary_search_by(|c| c.as_str().cmp(name))
            };
            let positions: Vec<Option<usize>> = cohorts
                .categories()
                .iter()
                .map(|c| position(c).ok())
                .collect();
            let times: BTreeSet<AsOf> = cases.iter().map(|c| c.instance.as_of).collect();
            let everyone: Vec<(AsOf, Population)> =
                times.into_iter().map(|t| (t, cohorts.at(t))).collect();
            let shares = |case: &Case, strength: Option<f32>| {
                let at = everyone.iter().find(|e| e.0 == case.instance.as_of);
                let population = &at.expect("all times are there").1;
                let history = case.instance.history(&dataset);
                let cohort = strength.and_then(|_| population.cohort(&history));
                let blended =
                    population.blended(&history, cohort.as_ref(), strength.unwrap_or(1.0));
                let mut scores = vec![0.0; entities.n()];
                for (share, position) in blended.into_iter().zip(&positions) {
                    if let Some(position) = position {
                        scores[*position] = share;
                    }
                }
                scores
            };
            if by == CohortBy::Everyone {
                add("own alone".into(), &|case| shares(case, None))?;
            }
            for &k in strengths {
                let label = match by {
                    CohortBy::Everyone => format!("{name}, k {k}"),
                    _ => format!("{name} {size}, k {k}"),
                };
                add(label, &|case| shares(case, Some(k)))?;
            }
        }
    }
    let mut eval = eval_config(config);
    eval.reference = Some(reference.to_owned());
    let report = evaluate(&[truth], &runs, &eval)?;
    let text = table::text(&report);
    let segments = report.tasks[0].segments.iter();
    let report = json!({
        "what": "categories ranked for cold starts by blended shares, no model: [mean, low, high] of 95 % bootstrap intervals",
        "data_set": dataset.info.name,
        "phase": split.phase,
        "reference": reference,
        "resamples": eval.resamples,
        "draws": eval.draws,
        "segments": segments.map(segment).collect::<Vec<_>>(),
    });
    Measured::new(text, &report)
}

fn segment(segment: &SegmentReport) -> Value {
    let row = |row: &SystemRow| {
        let mut told = json!({ "system": row.system });
        for (name, metric) in [("hr@10", Metric::Hr), ("ndcg@10", Metric::Ndcg)] {
            if let Some(value) = row.value(metric, 10) {
                told[name] = json!(triple(value.mean, value.interval));
            }
            if let Some(d) = row.difference(metric, 10) {
                told[format!("{name} - reference")] = json!(triple(d.diff, d.interval));
                told[format!("{name} p after Holm")] = json!((d.p_holm * 1e4).round() / 1e4);
                // What is the smallest p-value that the test can give is a bound.
                told[format!("{name} p is floor")] = json!(d.p_is_floor);
            }
        }
        told
    };
    json!({
        "segment": segment.segment,
        "cases": segment.n_cases,
        "systems": segment.systems.iter().map(row).collect::<Vec<_>>(),
    })
}
