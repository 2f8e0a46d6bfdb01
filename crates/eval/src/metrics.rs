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

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::expected;
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
    #[serde(rename = "precision")]
    Precision,
    #[serde(rename = "MAP")]
    Map,
}

/// A metric with its cut-off, e.g. `HR@5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MetricAt {
    pub metric: Metric,
    pub k: usize,
}

impl Metric {
    pub const EVERY: [Metric; 6] = [
        Metric::Hr,
        Metric::Ndcg,
        Metric::Mrr,
        Metric::Recall,
        Metric::Precision,
        Metric::Map,
    ];
    /// The two that tables and plots show.
    pub const SHOWN: [Metric; 2] = [Metric::Hr, Metric::Ndcg];
}

impl MetricAt {
    /// The metrics × cut-offs, cut-off by cut-off: HR@5 NDCG@5 HR@10 NDCG@10.
    pub fn grid(metrics: &[Metric], ks: &[usize]) -> Vec<MetricAt> {
        let at = |&k| metrics.iter().map(move |&metric| MetricAt { metric, k });
        ks.iter().flat_map(at).collect()
    }

    /// The deciding metric (`None`: NDCG at the deepest cut-off), then the others that can be asked at `ks`.
    pub(crate) fn with_main(main: Option<MetricAt>, ks: &[usize]) -> Vec<MetricAt> {
        let mut all = Self::grid(&Metric::EVERY, ks);
        let last = |&k| MetricAt {
            metric: Metric::Ndcg,
            k,
        };
        if let Some(main) = main.or(ks.last().map(last)) {
            all.retain(|at| *at != main);
            all.insert(0, main);
        }
        all
    }

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

/// Absent gains are 1.
fn gain(gains: &[f64], i: usize) -> f64 {
    gains.get(i).copied().unwrap_or(1.0)
}

/// The DCG of all targets in their best order, within the first k.
pub(crate) fn ideal_dcg(case: &CaseRanks, k: u32) -> f64 {
    (1..=case.n_targets.min(k))
        .map(|i| gain(&case.ideal, i as usize - 1) * discount(i))
        .sum()
}

pub(crate) fn discount(rank: u32) -> f64 {
    1.0 / f64::from(rank + 1).log2()
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Metric::Hr => "HR",
            Metric::Ndcg => "NDCG",
            Metric::Mrr => "MRR",
            Metric::Recall => "recall",
            Metric::Precision => "precision",
            Metric::Map => "MAP",
        })
    }
}

impl FromStr for MetricAt {
    type Err = Error;

    /// `ndcg@10`, in any case.
    fn from_str(text: &str) -> Result<Self, Error> {
        let parsed = text.split_once('@').and_then(|(name, k)| {
            let is = |m: &&Metric| m.to_string().eq_ignore_ascii_case(name.trim());
            let metric = *Metric::EVERY.iter().find(is)?;
            let k = k.trim().parse().ok().filter(|&k| k > 0)?;
            Some(MetricAt { metric, k })
        });
        parsed.ok_or_else(|| {
            let names = Metric::EVERY.map(|m| m.to_string()).join(", ");
            Error::Config(format!(
                "`{text}` is no metric; write one of {names} and its cut-off, e.g. ndcg@10"
            ))
        })
    }
}

impl fmt::Display for MetricAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.metric, self.k)
    }
}
