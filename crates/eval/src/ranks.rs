//! Ranks of the targets in a list: computed once a case, all metrics read from them.
//!
//! Ties are broken as [`Ties`] says, by default pessimistically: among equal scores every other item comes before
//! the targets, and targets of lower gain before those of higher, wherever the ranker happened to put them. A
//! system that gives all items one score thus gains nothing from the order of its index. (What
//! lies below the end of a list is unknown: an item there with the score of the last one is not
//! counted, and a report warns of the hits that this may have spared.)
//!
//! Items outside the catalogue keep their place, so that naming things that do not exist pushes
//! the right answer down instead of shortening the list; they can never hit.
//!
//! ```
//! use hkfr_eval::{Policy, RankedList, Repeats, Ties, TruthCase, ranks::target_ranks};
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
//! let ranks = |policy: Policy| target_ranks(&list, &case, policy, |_| true).ranks;
//! assert_eq!(ranks(Repeats::Allow.into()), [3, 4]);
//! assert_eq!(ranks(Policy { ties: Ties::For, ..Policy::default() }), [2, 4]);
//! // Without what was consumed, all move up.
//! assert_eq!(ranks(Repeats::Exclude.into()), [2, 3]);
//! ```

use crate::policy::Policy;
use crate::repeats::Repeats;
use crate::run::RankedList;
use crate::tie_group::TieGroup;
use crate::ties::Ties;
use crate::truth::TruthCase;

/// Where the targets of one case stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CaseRanks {
    /// 1-based ranks of the targets that were listed, rising.
    pub ranks: Vec<u32>,
    /// The gains of those targets; empty if all are 1.
    pub gains: Vec<f64>,
    /// With ties in random order, where the listed targets are, from the top; `ranks` and `gains` are empty then.
    pub groups: Vec<TieGroup>,
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
    policy: impl Into<Policy>,
    in_catalogue: impl Fn(&str) -> bool,
) -> CaseRanks {
    let Policy { repeats, ties } = policy.into();
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
    // The items of one score; of the targets among them place and gain.
    let mut items: Vec<&str> = Vec::new();
    let mut hits: Vec<(u32, f64)> = Vec::new();
    for block in list.scores.chunk_by(|a, b| ties.tie(*a, *b)) {
        let end = start + block.len();
        items.clear();
        items.extend(list.items[start..end].iter().map(String::as_str));
        ties.sort(&mut items);
        start = end;
        hits.clear();
        let before = found.n_listed;
        for item in &items {
            if dropped.binary_search(item).is_ok() {
                continue;
            }
            found.n_listed += 1;
            if !in_catalogue(item) {
                found.n_invalid += 1;
            } else if let Ok(i) = targets.binary_search_by_key(item, |t| t.0) {
                hits.push((found.n_listed, targets[i].1));
            }
        }
        found.n_tied_at_end = match block {
            [_] => 0,
            _ => hits.len() as u32,
        };
        if !hits.is_empty() {
            found.place(ties, (before, found.n_listed), &mut hits);
        }
    }
    if !graded {
        found.gains.clear();
    }
    found
}

impl CaseRanks {
    /// Gives the targets of one score, which holds the places from after `before` to `last`, their own.
    fn place(&mut self, ties: Ties, (before, last): (u32, u32), hits: &mut [(u32, f64)]) {
        let n = hits.len() as u32;
        let first = match ties {
            Ties::Random => {
                self.groups.push(TieGroup {
                    before,
                    size: last - before,
                    n_targets: n,
                    gain: hits.iter().map(|h| h.1).sum(),
                });
                return;
            }
            Ties::Trec => {
                self.ranks.extend(hits.iter().map(|h| h.0));
                self.gains.extend(hits.iter().map(|h| h.1));
                return;
            }
            Ties::Against => {
                hits.sort_by(|a, b| a.1.total_cmp(&b.1));
                last - n + 1
            }
            Ties::For => {
                hits.sort_by(|a, b| b.1.total_cmp(&a.1));
                before + 1
            }
        };
        self.ranks.extend(first..first + n);
        self.gains.extend(hits.iter().map(|h| h.1));
    }
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
