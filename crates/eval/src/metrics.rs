//! HR, NDCG, MRR, recall, precision and MAP at k of one case, from the ranks of its targets.
//!
//! With r₁ < r₂ < … the 1-based ranks of the listed targets and T the number of targets:
//! - HR@k = 1 if r₁ ≤ k, else 0
//! - NDCG@k = Σ_{rᵢ ≤ k} gᵢ/log₂(rᵢ + 1) ÷ Σ_{i ≤ min(T, k)} g₍ᵢ₎/log₂(i + 1), with gᵢ the gain of the
//!   target at rᵢ (1 unless the truth grades it) and g₍₁₎ ≥ g₍₂₎ ≥ … all gains of the case
//!   (Järvelin & Kekäläinen 2002)
//! - MRR@k = 1/r₁ if r₁ ≤ k, else 0
//! - recall@k = |{rᵢ ≤ k}| / T
//! - precision@k = |{rᵢ ≤ k}| / k
//! - MAP@k = Σ_{rᵢ ≤ k} (i / rᵢ) / T, as ranx and trec_eval's `map_cut`
//!
//! A list shorter than k is a list with nothing on the remaining places. A case without targets
//! scores 0. With ties in random order a value is the expected one ([`crate::TieGroup`]).

use crate::dcg::{discount, gain, ideal_dcg};
use crate::expected;
use crate::metric::{Metric, MetricAt};
use crate::ranks::CaseRanks;

impl MetricAt {
    /// The metric's value for one case, in 0..=1.
    pub fn value(self, case: &CaseRanks) -> f64 {
        if !case.groups.is_empty() {
            return expected::value(self, case);
        }
        let k = u32::try_from(self.k).unwrap_or(u32::MAX);
        let n_targets = f64::from(case.n_targets.max(1));
        let within = case.ranks.iter().copied().take_while(|&r| r <= k);
        match self.metric {
            Metric::Hr => f64::from(u8::from(within.count() > 0)),
            Metric::Ndcg => {
                let ideal = ideal_dcg(case, k);
                let found = sum(within
                    .enumerate()
                    .map(|(i, r)| gain(&case.gains, i) * discount(r)));
                if ideal > 0.0 { found / ideal } else { 0.0 }
            }
            Metric::Mrr => within.map(|r| 1.0 / f64::from(r)).next().unwrap_or(0.0),
            Metric::Recall => within.count() as f64 / n_targets,
            Metric::Precision => within.count() as f64 / f64::from(k),
            Metric::Map => {
                let at = |(i, r)| (i + 1) as f64 / f64::from(r);
                sum(within.enumerate().map(at)) / n_targets
            }
        }
    }
}

/// Of nothing 0, where `Iterator::sum` has −0.
fn sum(terms: impl Iterator<Item = f64>) -> f64 {
    terms.fold(0.0, |sum, term| sum + term)
}
