//! What is asked of an evaluation: cut-offs, resamples, draws, reference, policy.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::metric::{Metric, MetricAt};
use crate::policy::Policy;
use crate::repeats::Repeats;
use crate::ties::Ties;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvalConfig {
    /// Cut-offs, rising.
    pub ks: Vec<usize>,
    /// Resamples of the bootstrap.
    pub resamples: usize,
    /// Draws of the randomisation test. The smallest possible p-value is 1 / (draws + 1), times the number of
    /// comparisons after Holm: 10,000 leave room for hundreds of systems at .05. A draw costs a pass over the cases.
    pub draws: usize,
    pub seed: u64,
    /// Share of the intervals.
    pub confidence: f64,
    /// The system all others are compared with.
    pub reference: Option<String>,
    /// The metric that decides where only one is shown or told; its cut-off is one of `ks`. `None`: NDCG at the deepest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub main: Option<MetricAt>,
    /// Segments listed here come first, in this order; the others follow as they first appear.
    pub segment_order: Vec<String>,
    /// May lists and targets hold what was consumed before? For all systems alike.
    pub repeats: Repeats,
    /// The order among equal scores, for all systems alike.
    pub ties: Ties,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self {
            ks: vec![5, 10],
            resamples: 2000,
            draws: 10_000,
            seed: 20230,
            confidence: 0.95,
            reference: None,
            main: None,
            segment_order: Vec::new(),
            repeats: Repeats::Allow,
            ties: Ties::Against,
        }
    }
}

impl EvalConfig {
    /// The deciding metric.
    pub fn main(&self) -> MetricAt {
        let k = self.ks.last().copied().unwrap_or(10);
        let metric = Metric::Ndcg;
        self.main.unwrap_or(MetricAt { metric, k })
    }

    pub(crate) fn policy(&self) -> Policy {
        Policy {
            repeats: self.repeats,
            ties: self.ties,
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        let bad = |what: &str| Err(Error::Config(what.to_owned()));
        check_ks(&self.ks)?;
        if !self.ks.contains(&self.main().k) {
            return bad("the cut-off of `main` must be one of `ks`");
        }
        if self.resamples < 100 {
            return bad("`resamples` must be at least 100: the ends of an interval need tails");
        }
        if self.draws < 100 {
            return bad("`draws` must be at least 100: p can be no smaller than 1 / (draws + 1)");
        }
        if !(0.5..1.0).contains(&self.confidence) {
            return bad("`confidence` must lie in 0.5..1, e.g. 0.95");
        }
        Ok(())
    }
}

pub(crate) fn check_ks(ks: &[usize]) -> Result<()> {
    if ks.is_empty() || ks[0] == 0 || !ks.is_sorted_by(|a, b| a < b) {
        let what = "`ks` must be rising cut-offs of at least 1, e.g. [5, 10]";
        return Err(Error::Config(what.to_owned()));
    }
    Ok(())
}
