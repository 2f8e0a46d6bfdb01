//! Discounted cumulative gain (Järvelin & Kekäläinen 2002): what a target is worth at a rank, and in the best order.

use crate::ranks::CaseRanks;

/// Absent gains are 1.
pub(crate) fn gain(gains: &[f64], i: usize) -> f64 {
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
