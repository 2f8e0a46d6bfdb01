//! Labels of cases by what is known of them: `dimension: value`, any number a case.
//!
//! In: numbers of the history, the scenario, or the truth's popularity. Out: strings for
//! [`TruthCase::labels`]; [`evaluate`](crate::evaluate) measures each as a segment, and tables
//! show the segments of one dimension together.

use std::collections::HashSet;

use crate::truth::{Truth, TruthCase};

/// `history: 5–19` for 12 events with bounds `[5, 20]`. `bounds` rise; each begins a segment.
///
/// ```
/// use hkfr_eval::segments::history;
/// assert_eq!(history(4, &[5, 20]), "history: 0–4");
/// assert_eq!(history(5, &[5, 20]), "history: 5–19");
/// assert_eq!(history(20, &[5, 20]), "history: 20+");
/// ```
pub fn history(n_events: usize, bounds: &[usize]) -> String {
    let i = bounds.partition_point(|&b| b <= n_events);
    let from = if i == 0 { 0 } else { bounds[i - 1] };
    match bounds.get(i) {
        Some(&next) if next == from + 1 => format!("history: {from}"),
        Some(&next) => format!("history: {from}–{}", next - 1),
        None => format!("history: {from}+"),
    }
}

/// `scenario: store`.
pub fn scenario(name: &str) -> String {
    format!("scenario: {name}")
}

/// Labels every case by its targets: `targets: popular` if all are among the most popular items
/// that have half of all interactions (with all items as popular as the last of them, so that no
/// name decides), `targets: new` if none had an interaction in training, `targets: rare` if all are
/// neither, else `targets: mixed`. Targets that were consumed before are passed over. Nothing
/// without popularity.
pub fn label_targets(truth: &mut Truth) {
    let mut weights: Vec<u64> = truth.popularity.values().copied().collect();
    weights.sort_unstable_by(|a, b| b.cmp(a));
    let total: u64 = weights.iter().sum();
    let mut sum = 0;
    let reaches_half = |w: &&u64| {
        sum += **w;
        2 * sum >= total
    };
    let Some(&bar) = weights.iter().find(reaches_half).filter(|_| total > 0) else {
        return;
    };
    let kind = |item: &String| match truth.popularity.get(item) {
        None | Some(0) => "new",
        Some(&w) if w >= bar => "popular",
        Some(_) => "rare",
    };
    let label = |case: &TruthCase| {
        let consumed: HashSet<&String> = case.consumed.iter().collect();
        let targets = case.targets.iter().filter(|t| !consumed.contains(t));
        let kinds: HashSet<&str> = targets.map(kind).collect();
        let mut kinds = kinds.into_iter();
        match (kinds.next(), kinds.next()) {
            (Some(only), None) => Some(format!("targets: {only}")),
            (Some(_), Some(_)) => Some("targets: mixed".to_owned()),
            _ => None,
        }
    };
    let labels: Vec<Option<String>> = truth.cases.iter().map(label).collect();
    for (case, label) in truth.cases.iter_mut().zip(labels) {
        case.labels.extend(label);
    }
}

/// The dimension of a label: what precedes `: `; empty for a plain one.
pub(crate) fn dimension(label: &str) -> &str {
    label
        .split_once(": ")
        .map_or("", |(dimension, _)| dimension)
}
