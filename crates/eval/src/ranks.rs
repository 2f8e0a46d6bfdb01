//! Ranks of the targets in a list: computed once a case, all metrics read from them.
//!
//! Ties are broken pessimistically: among equal scores every other item comes before the targets,
//! and targets of lower gain before those of higher, wherever the ranker happened to put them. A
//! system that gives all items one score thus gains nothing from the order of its index. (What
//! lies below the end of a list is unknown: an item there with the score of the last one is not
//! counted, and a report warns of the hits that this may have spared.)
//!
//! Items outside the catalogue keep their place, so that naming things that do not exist pushes
//! the right answer down instead of shortening the list; they can never hit.
//!
//! ```
//! use hkfr_eval::{RankedList, Repeats, TruthCase, ranks::target_ranks};
//! let list = RankedList {
//!     case: "u1".into(),
//!     items: ["a", "b", "c", "d"].map(String::from).into(),
//!     scores: vec![0.9, 0.5, 0.5, 0.1],
//! };
//! let case = TruthCase {
//!     case: "u1".into(),
//!     targets: ["b", "d"].map(String::from).into(),
//!     consumed: vec!["a".into()],
//!     ..TruthCase::default()
//! };
//! // `b` ties with `c`, and `c` goes first.
//! assert_eq!(target_ranks(&list, &case, Repeats::Allow, |_| true).ranks, [3, 4]);
//! // Without what was consumed, all move up.
//! assert_eq!(target_ranks(&list, &case, Repeats::Exclude, |_| true).ranks, [2, 3]);
//! ```

use crate::repeats::Repeats;
use crate::run::RankedList;
use crate::truth::TruthCase;

/// Where the targets of one case stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CaseRanks {
    /// 1-based ranks of the targets that were listed, rising.
    pub ranks: Vec<u32>,
    /// The gains of those targets; empty if all are 1.
    pub gains: Vec<f64>,
    /// The gains of all targets, falling; empty if all are 1.
    pub ideal: Vec<f64>,
    /// How many targets the case has, listed or not.
    pub n_targets: u32,
    /// Listed items, without those that the policy takes out.
    pub n_listed: u32,
    /// Listed items that are not in the catalogue.
    pub n_invalid: u32,
    /// Targets among equal scores at the end of the list: more of them may have been cut off.
    pub n_tied_at_end: u32,
    /// The run has no list for the case.
    pub missing: bool,
}

impl CaseRanks {
    /// A case without a list: nothing was found.
    pub fn missing(case: &TruthCase) -> Self {
        Self {
            ideal: ideal(case),
            n_targets: case.targets.len() as u32,
            missing: true,
            ..Self::default()
        }
    }
}

fn ideal(case: &TruthCase) -> Vec<f64> {
    let mut gains = case.gains.clone();
    gains.sort_by(|a, b| b.total_cmp(a));
    gains
}

/// Ranks of the targets of `case` in `list`. `in_catalogue` says whether an item exists.
pub fn target_ranks(
    list: &RankedList,
    case: &TruthCase,
    repeats: Repeats,
    in_catalogue: impl Fn(&str) -> bool,
) -> CaseRanks {
    let graded = !case.gains.is_empty();
    let mut targets: Vec<(&str, f64)> = Vec::with_capacity(case.targets.len());
    for (i, target) in case.targets.iter().enumerate() {
        targets.push((target, if graded { case.gains[i] } else { 1.0 }));
    }
    targets.sort_unstable_by_key(|t| t.0);
    let dropped = dropped(case, repeats);
    let mut found = CaseRanks {
        missing: false,
        ..CaseRanks::missing(case)
    };
    let mut start = 0;
    let mut hits: Vec<f64> = Vec::new();
    for block in list.scores.chunk_by(|a, b| a == b) {
        let end = start + block.len();
        hits.clear();
        for item in &list.items[start..end] {
            if dropped.binary_search(&item.as_str()).is_ok() {
                continue;
            }
            found.n_listed += 1;
            if !in_catalogue(item) {
                found.n_invalid += 1;
            } else if let Ok(i) = targets.binary_search_by_key(&item.as_str(), |t| t.0) {
                hits.push(targets[i].1);
            }
        }
        found.n_tied_at_end = match block {
            [_] => 0,
            _ => hits.len() as u32,
        };
        let last = found.n_listed;
        found.ranks.extend(last - hits.len() as u32 + 1..=last);
        if graded {
            hits.sort_by(f64::total_cmp);
            found.gains.extend(&hits);
        }
        start = end;
    }
    found
}

/// What the policy takes out of the lists of a case, sorted.
pub(crate) fn dropped(case: &TruthCase, repeats: Repeats) -> Vec<&str> {
    let mut dropped: Vec<&str> = match repeats {
        Repeats::Allow => Vec::new(),
        Repeats::Exclude => case.consumed.iter().map(String::as_str).collect(),
    };
    dropped.sort_unstable();
    dropped
}
