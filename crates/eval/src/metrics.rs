//! HR, NDCG, MRR and recall at k of one case, from the ranks of its targets.
//!
//! With r₁ < r₂ < … the 1-based ranks of the listed targets and T the number of targets:
//! - HR@k = 1 if r₁ ≤ k, else 0
//! - NDCG@k = Σ_{rᵢ ≤ k} 1/log₂(rᵢ + 1) ÷ Σ_{i ≤ min(T, k)} 1/log₂(i + 1)  (binary gains)
//! - MRR@k = 1/r₁ if r₁ ≤ k, else 0
//! - recall@k = |{rᵢ ≤ k}| / T
//!
//! A list shorter than k is a list with nothing on the remaining places. With one target a case,
//! NDCG@10 − NDCG@5 lies between 1/log₂ 11 = 0.289 and 1/log₂ 7 = 0.356 times HR@10 − HR@5.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ranks::CaseRanks;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Metric {
    #[serde(rename = "HR")]
    Hr,
    #[serde(rename = "NDCG")]
    Ndcg,
    #[serde(rename = "MRR")]
    Mrr,
    #[serde(rename = "recall")]
    Recall,
}

/// A metric with its cut-off, e.g. `HR@5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MetricAt {
    pub metric: Metric,
    pub k: usize,
}

impl Metric {
    pub const EVERY: [Metric; 4] = [Metric::Hr, Metric::Ndcg, Metric::Mrr, Metric::Recall];
    /// The two that tables and plots show.
    pub const SHOWN: [Metric; 2] = [Metric::Hr, Metric::Ndcg];
}

impl MetricAt {
    /// The metrics × cut-offs, cut-off by cut-off: HR@5 NDCG@5 HR@10 NDCG@10.
    pub fn grid(metrics: &[Metric], ks: &[usize]) -> Vec<MetricAt> {
        let at = |&k| metrics.iter().map(move |&metric| MetricAt { metric, k });
        ks.iter().flat_map(at).collect()
    }

    /// The metric's value for one case, in 0..=1.
    pub fn value(self, case: &CaseRanks) -> f64 {
        let k = self.k as u32;
        let within = case.ranks.iter().copied().take_while(|&r| r <= k);
        match self.metric {
            Metric::Hr => f64::from(u8::from(within.count() > 0)),
            Metric::Ndcg => {
                let ideal: f64 = (1..=case.n_targets.min(k)).map(discount).sum();
                let gain: f64 = within.map(discount).sum();
                if ideal > 0.0 { gain / ideal } else { 0.0 }
            }
            Metric::Mrr => within.map(|r| 1.0 / f64::from(r)).next().unwrap_or(0.0),
            Metric::Recall => within.count() as f64 / f64::from(case.n_targets.max(1)),
        }
    }
}

fn discount(rank: u32) -> f64 {
    1.0 / f64::from(rank + 1).log2()
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Metric::Hr => "HR",
            Metric::Ndcg => "NDCG",
            Metric::Mrr => "MRR",
            Metric::Recall => "recall",
        })
    }
}

impl fmt::Display for MetricAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.metric, self.k)
    }
}
