//! How well a fitted system does on the cases of a split: what settings are chosen by.

use std::collections::BTreeSet;

use hkfr_events::{Case, Segment};
use hkfr_lm::Pool;
use serde::{Deserialize, Serialize};

use super::Fitting;
use crate::baselines::Scorer;
use crate::error::Result;
use crate::scores::rank;

/// Means over the cases. A target without an entity is one that no list can reach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    #[serde(rename = "hr@10")]
    pub hr_at_10: f64,
    #[serde(rename = "ndcg@10")]
    pub ndcg_at_10: f64,
}

/// Over all cases but the simulated ones; the whole catalogue is ranked.
///
/// # Errors
/// A score that is not a number.
pub fn accuracy(scorer: &dyn Scorer, from: &Fitting, seed: u64) -> Result<Accuracy> {
    let cases: Vec<&Case> = from
        .split
        .cases
        .iter()
        .filter(|c| !matches!(c.segment, Segment::SimulatedColdStart(_)))
        .collect();
    let share = cases.len().div_ceil(from.n_threads.max(1)).max(1);
    let mut all: Vec<Result<Accuracy>> = cases.iter().map(|_| Ok(Accuracy::default())).collect();
    let parts = cases.chunks(share).zip(all.chunks_mut(share)).collect();
    Pool::new(from.n_threads).each(
        parts,
        |(cases, out): (&[&Case], &mut [Result<Accuracy>])| {
            let mut scores = vec![0.0; from.entities.n()];
            for (case, out) in cases.iter().zip(out) {
                *out = of_case(scorer, from, case, &mut scores, seed);
            }
        },
    );
    let mut mean = Accuracy::default();
    for one in all {
        let one = one?;
        mean.hr_at_10 += one.hr_at_10;
        mean.ndcg_at_10 += one.ndcg_at_10;
    }
    // Divided once, so that a hit in every case is exactly 1.
    let n = cases.len().max(1) as f64;
    mean.hr_at_10 /= n;
    mean.ndcg_at_10 /= n;
    Ok(mean)
}

fn of_case(
    scorer: &dyn Scorer,
    from: &Fitting,
    case: &Case,
    scores: &mut [f32],
    seed: u64,
) -> Result<Accuracy> {
    let history = case.instance.history(from.ds);
    scorer.score(from.ds, &history, scores);
    let excluded = from.repeats.excluded(from.ds, from.entities, &history);
    let list = rank(scores, 10, &case.case_id, seed, excluded.as_deref())?;
    let targets: BTreeSet<_> = case
        .instance
        .targets
        .iter()
        .map(|&i| match from.entities.of_item(i) {
            Some(entity) => (Some(entity), None),
            None => (None, Some(i)),
        })
        .collect();
    let gain = |k: usize| 1.0 / (k as f64 + 2.0).log2();
    let hits: Vec<usize> = (0..list.len())
        .filter(|&k| targets.contains(&(Some(list[k].0), None)))
        .collect();
    let ideal: f64 = (0..targets.len().min(10)).map(gain).sum();
    Ok(Accuracy {
        hr_at_10: f64::from(u8::from(!hits.is_empty())),
        ndcg_at_10: hits.into_iter().map(gain).sum::<f64>() / ideal,
    })
}
