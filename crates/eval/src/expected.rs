//! Metrics of one case whose ties are in random order: exact expected values over all orders.
//!
//! A group of b equal scores stands on the places s + 1 … s + b and holds h targets. Each of its places holds a
//! target with chance h/b, and its first target is at place s + j with chance C(b − j, h − 1)/C(b, h). So
//! - HR@k and MRR@k follow from the first group with targets;
//! - NDCG@k, recall@k and precision@k are sums over places, gains being the mean of the group's;
//! - MAP@k has at place s + p the chance h/b times the expected number of targets up to there, H + 1 + (p − 1)(h −
//!   1)/(b − 1), where H targets stand before the group.

use crate::dcg::{discount, ideal_dcg};
use crate::metric::{Metric, MetricAt};
use crate::ranks::CaseRanks;
use crate::tie_group::TieGroup;

/// The expected value of a metric over the orders of `case.groups`.
pub(crate) fn value(at: MetricAt, case: &CaseRanks) -> f64 {
    let k = u32::try_from(at.k).unwrap_or(u32::MAX);
    let first = || case.groups.iter().take(1).flat_map(|g| g.first(k));
    let n_hits = || {
        let of_group = |g: &TieGroup| g.density() * g.places(k).count() as f64;
        case.groups.iter().map(of_group).sum::<f64>()
    };
    match at.metric {
        Metric::Hr => first().map(|(_, chance)| chance).sum::<f64>().min(1.0),
        Metric::Mrr => first()
            .map(|(place, chance)| chance / f64::from(place))
            .sum(),
        Metric::Recall => n_hits() / f64::from(case.n_targets.max(1)),
        Metric::Precision => n_hits() / f64::from(k),
        Metric::Ndcg => {
            let of_group = |g: &TieGroup| {
                let discounts: f64 = g.places(k).map(discount).sum();
                g.gain / f64::from(g.size) * discounts
            };
            let found: f64 = case.groups.iter().map(of_group).sum();
            let ideal = ideal_dcg(case, k);
            if ideal > 0.0 { found / ideal } else { 0.0 }
        }
        Metric::Map => {
            let (mut sum, mut before) = (0.0, 0.0);
            for group in &case.groups {
                let others = f64::from(group.size - 1).max(1.0);
                let of_others = f64::from(group.n_targets - 1) / others;
                for place in group.places(k) {
                    let upto = before + 1.0 + f64::from(place - group.before - 1) * of_others;
                    sum += group.density() * upto / f64::from(place);
                }
                before += f64::from(group.n_targets);
            }
            sum / f64::from(case.n_targets.max(1))
        }
    }
}
