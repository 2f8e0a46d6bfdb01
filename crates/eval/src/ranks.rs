//! Ranks of the targets in a list: computed once a case, all metrics read from them.
//!
//! Ties are broken pessimistically: among equal scores every other item comes before the targets,
//! wherever the ranker happened to put them. A system that gives all items one score thus gains
//! nothing from the order of its index. (What lies below the end of a list is unknown: an item
//! there with the score of the last one is not counted.)
//!
//! Items outside the catalogue keep their place, so that naming things that do not exist pushes
//! the right answer down instead of shortening the list; they can never hit.
//!
//! ```
//! use hkfr_eval::{RankedList, ranks::target_ranks};
//! let list = RankedList {
//!     case: "u1".into(),
//!     items: ["a", "b", "c", "d"].map(String::from).into(),
//!     scores: vec![0.9, 0.5, 0.5, 0.1],
//! };
//! let ranks = target_ranks(&list, &["b".into(), "d".into()], |_| true);
//! assert_eq!(ranks.ranks, [3, 4]); // `b` ties with `c`, and `c` goes first
//! ```

use crate::run::RankedList;

/// Where the targets of one case stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaseRanks {
    /// 1-based ranks of the targets that were listed, rising.
    pub ranks: Vec<u32>,
    /// How many targets the case has, listed or not.
    pub n_targets: u32,
    /// Listed items that are not in the catalogue.
    pub n_invalid: u32,
    /// The run has no list for the case.
    pub missing: bool,
}

impl CaseRanks {
    /// A case without a list: nothing was found.
    pub fn missing(n_targets: usize) -> Self {
        Self {
            n_targets: n_targets as u32,
            missing: true,
            ..Self::default()
        }
    }
}

/// Ranks of `targets` in `list`. `in_catalogue` says whether an item exists.
pub fn target_ranks(
    list: &RankedList,
    targets: &[String],
    in_catalogue: impl Fn(&str) -> bool,
) -> CaseRanks {
    let mut found = CaseRanks {
        n_targets: targets.len() as u32,
        ..CaseRanks::default()
    };
    let mut start = 0;
    for block in list.scores.chunk_by(|a, b| a == b) {
        let end = start + block.len();
        let mut n_hits = 0;
        for item in &list.items[start..end] {
            let valid = in_catalogue(item);
            found.n_invalid += u32::from(!valid);
            n_hits += u32::from(valid && targets.contains(item));
        }
        let last = end as u32;
        found.ranks.extend(last - n_hits + 1..=last);
        start = end;
    }
    found
}
