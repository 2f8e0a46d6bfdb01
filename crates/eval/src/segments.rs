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
/// that have half of all interactions, `targets: new` if none had an interaction in training,
/// `targets: rare` if all are neither, else `targets: mixed`. Nothing without popularity.
pub fn label_targets(truth: &mut Truth) {
    let mut by_weight: Vec<(&String, u64)> =
        truth.popularity.iter().map(|(i, &w)| (i, w)).collect();
    by_weight.sort_by_key(|x| std::cmp::Reverse(x.1));
    let total: u64 = truth.popularity.values().sum();
    if total == 0 {
        return;
    }
    let mut before = 0;
    let head: HashSet<&str> = by_weight
        .iter()
        .take_while(|(_, w)| {
            let within = 2 * before < total && *w > 0;
            before += w;
            within
        })
        .map(|(i, _)| i.as_str())
        .collect();
    let kind = |item: &String| match truth.popularity.get(item) {
        None | Some(0) => "new",
        Some(_) if head.contains(item.as_str()) => "popular",
        Some(_) => "rare",
    };
    let label = |case: &TruthCase| {
        let kinds: HashSet<&str> = case.targets.iter().map(kind).collect();
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
