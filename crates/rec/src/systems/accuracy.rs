//! How well a fitted system does on the cases of a split: what settings are chosen by.

use std::collections::BTreeMap;

use hkfr_events::{Case, Segment};
use hkfr_lm::Pool;
use serde::{Deserialize, Serialize};

use super::Fitting;
use crate::baselines::Scorer;
use crate::error::{Error, Result};

/// Means over the cases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    #[serde(rename = "hr@10")]
    pub hr_at_10: f64,
    #[serde(rename = "ndcg@10")]
    pub ndcg_at_10: f64,
}

/// Over all cases but the simulated ones, by the rules of `hkfr-eval`: the whole catalogue is ranked, equal
/// scores count against the targets, what the policy on repeats excludes is no target, a case without any is
/// not asked, and a target outside the catalogue is one that no list can reach.
///
/// # Errors
/// A score that is not a number.
pub fn accuracy(scorer: &dyn Scorer, from: &Fitting) -> Result<Accuracy> {
    let cases: Vec<&Case> = from
        .split
        .cases
        .iter()
        .filter(|c| !matches!(c.segment, Segment::SimulatedColdStart(_)))
        .collect();
    let share = cases.len().div_ceil(from.n_threads.max(1)).max(1);
    let mut all: Vec<Result<Option<Accuracy>>> = cases.iter().map(|_| Ok(None)).collect();
    let parts = cases.chunks(share).zip(all.chunks_mut(share)).collect();
    Pool::new(from.n_threads).each(
        parts,
        |(cases, out): (&[&Case], &mut [Result<Option<Accuracy>>])| {
            let mut scores = vec![0.0; from.entities.n()];
            for (case, out) in cases.iter().zip(out) {
                *out = of_case(scorer, from, case, &mut scores);
            }
        },
    );
    let (mut mean, mut n) = (Accuracy::default(), 0.0);
    for one in all {
        if let Some(one) = one? {
            mean.hr_at_10 += one.hr_at_10;
            mean.ndcg_at_10 += one.ndcg_at_10;
            n += 1.0;
        }
    }
    // Divided once, so that a hit in every case is exactly 1.
    mean.hr_at_10 /= f64::max(n, 1.0);
    mean.ndcg_at_10 /= f64::max(n, 1.0);
    Ok(mean)
}

/// None if nothing is asked.
fn of_case(
    scorer: &dyn Scorer,
    from: &Fitting,
    case: &Case,
    scores: &mut [f32],
) -> Result<Option<Accuracy>> {
    let history = case.instance.history(from.ds);
    let excluded = from.repeats.excluded(from.ds, from.entities, &history);
    let excluded = excluded.unwrap_or_default();
    let targets: BTreeMap<&str, Option<u32>> = case
        .instance
        .targets
        .iter()
        .filter_map(|&i| Some((from.entities.name(from.ds, i)?, from.entities.of_item(i))))
        .filter(|(_, entity)| entity.is_none_or(|e| excluded.binary_search(&e).is_err()))
        .collect();
    if targets.is_empty() {
        return Ok(None);
    }
    scorer.score(from.ds, &history, scores);
    if let Some(entity) = scores.iter().position(|s| s.is_nan()) {
        return Err(Error::NotANumber {
            case_id: case.case_id.clone(),
            entity: entity as u32,
        });
    }
    let reachable: Vec<u32> = targets.values().flatten().copied().collect();
    let mut of_targets: Vec<f32> = reachable.iter().map(|&e| scores[e as usize]).collect();
    of_targets.sort_by(|a, b| b.total_cmp(a));
    for &e in excluded.iter().chain(&reachable) {
        scores[e as usize] = f32::NAN;
    }
    // The nth best target comes after n − 1 others, and after every rival that has its score.
    let hits: Vec<usize> = (1..)
        .zip(of_targets)
        .map(|(n, of_target)| n + scores.iter().filter(|s| **s >= of_target).count())
        .filter(|&rank| rank <= 10)
        .collect();
    let gain = |rank: usize| 1.0 / (rank as f64 + 1.0).log2();
    let ideal: f64 = (1..=targets.len().min(10)).map(gain).sum();
    Ok(Some(Accuracy {
        hr_at_10: f64::from(u8::from(!hits.is_empty())),
        ndcg_at_10: hits.into_iter().map(gain).sum::<f64>() / ideal,
    }))
}
