//! Names of metrics with their cut-offs: `NDCG@10`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

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
