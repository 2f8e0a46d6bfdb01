//! A law of published tables. With one target a case, a hit at rank r in (k₁, k₂] adds 1 to HR and
//! 1/log₂(r + 1) to NDCG, so NDCG@k₂ − NDCG@k₁ lies between 1/log₂(k₂ + 1) and 1/log₂(k₁ + 2) times
//! HR@k₂ − HR@k₁. A row that breaks it was not measured as it says.
//!
//! ```
//! use hkfr_eval::checks::{ndcg_gain_bounds, obeys_one_target};
//! let (lo, hi) = ndcg_gain_bounds(5, 10);
//! assert!((lo - 0.289).abs() < 1e-3 && (hi - 0.356).abs() < 1e-3);
//! // (HR, NDCG) at 5 and at 10, rounded to four digits.
//! assert!(obeys_one_target((5, 0.0387, 0.0249), (10, 0.0605, 0.0318), 5e-5));
//! assert!(!obeys_one_target((5, 0.1152, 0.1063), (10, 0.2147, 0.1320), 5e-5));
//! ```

use crate::metric::{Metric, MetricAt};

/// What one more hit between the cut-offs `k1 < k2` adds to NDCG: at least, at most.
pub fn ndcg_gain_bounds(k1: usize, k2: usize) -> (f64, f64) {
    let discount = |rank: usize| 1.0 / (rank as f64 + 1.0).log2();
    (discount(k2), discount(k1 + 1))
}

/// Whether (k, HR, NDCG) at two cut-offs, rising, can be those of one list a case with one target
/// each. `rounding` is the largest error of each figure, e.g. 5e-5 for four digits.
pub fn obeys_one_target(
    (k1, hr1, ndcg1): (usize, f64, f64),
    (k2, hr2, ndcg2): (usize, f64, f64),
    rounding: f64,
) -> bool {
    let (lo, hi) = ndcg_gain_bounds(k1, k2);
    let (hr, ndcg, slack) = (hr2 - hr1, ndcg2 - ndcg1, 2.0 * rounding);
    ndcg + slack >= lo * (hr - slack) && ndcg - slack <= hi * (hr + slack)
}

/// The pairs of cut-offs between which HR and NDCG break the law; empty if all is well. `mean` is over cases of one
/// target each; what is not a number is not looked at.
pub fn one_target_faults(ks: &[usize], mean: impl Fn(MetricAt) -> f64) -> Vec<(usize, usize)> {
    let point = |k| {
        let of = |metric| mean(MetricAt { metric, k });
        (k, of(Metric::Hr), of(Metric::Ndcg))
    };
    let pairs = ks.windows(2).map(|pair| (point(pair[0]), point(pair[1])));
    let known = |a: &(usize, f64, f64)| !a.1.is_nan() && !a.2.is_nan();
    pairs
        .filter(|(a, b)| known(a) && known(b) && !obeys_one_target(*a, *b, 1e-9))
        .map(|(a, b)| (a.0, b.0))
        .collect()
}
