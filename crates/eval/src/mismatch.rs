//! Ids of two files that should be the same and hardly are: why, and what mends it.
//!
//! In: the ids of one kind (cases, or items) in two files. Out: a [`Mismatch`] if fewer than a tenth of the smaller
//! side match as they are written, and most of it would once a usual accident is undone.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fmt;

/// Below this share of the smaller side, ids hardly match.
const HARDLY: f64 = 0.1;
/// From this share on, an accident explains why.
const MOSTLY: f64 = 0.5;
/// Ids whose endings are looked up in the other file.
const TRIED: usize = 50;

/// What happened to the ids of one of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accident {
    /// `1000.0` for `1000`.
    Decimals,
    /// `42` for `0042`.
    LeadingZeros,
    Case,
    /// Blanks around an id, as columns of a fixed width have them.
    WhiteSpace,
    Quotes,
    /// `user_42` for `42`.
    Prefix(String),
}

/// Ids that would match but for an accident.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch {
    pub accident: Accident,
    /// An id of the first file, and the one of the second that it would match.
    pub example: (String, String),
    /// How many match as they are, how many would, and how many the smaller side has.
    pub n_equal: usize,
    pub n_alike: usize,
    pub n: usize,
}

/// Why the ids of `theirs` hardly match `ours`; `None` where they match, or nothing explains it.
///
/// ```
/// use hkfr_eval::{Accident, mismatch};
/// let (theirs, ours) = (["1.0", "2.0"], ["1", "2", "3"]);
/// let found = mismatch(&theirs.into(), &ours.into()).unwrap();
/// assert_eq!(found.accident, Accident::Decimals);
/// assert!(mismatch(&["1", "2.0"].into(), &ours.into()).is_none());
/// ```
pub fn mismatch(theirs: &HashSet<&str>, ours: &HashSet<&str>) -> Option<Mismatch> {
    let n = theirs.len().min(ours.len());
    let n_equal = theirs.intersection(ours).count();
    if n_equal as f64 >= HARDLY * n as f64 {
        return None;
    }
    // In order, so that the example is the same every time.
    let mut sorted: Vec<&str> = theirs.iter().copied().collect();
    sorted.sort_unstable();
    let plain = [
        Accident::Decimals,
        Accident::LeadingZeros,
        Accident::Case,
        Accident::WhiteSpace,
        Accident::Quotes,
    ];
    let prefixes = [prefix(theirs, ours), prefix(ours, theirs)];
    let prefixes = prefixes.into_iter().flatten().map(Accident::Prefix);
    plain.into_iter().chain(prefixes).find_map(|accident| {
        let of_ours = |id: &&'_ str| (accident.undo(id).into_owned(), (*id).to_owned());
        let undone: BTreeMap<String, String> = ours.iter().map(of_ours).collect();
        let mut twins = sorted.iter().filter_map(|id| {
            let twin = undone.get(&*accident.undo(id))?;
            Some(((*id).to_owned(), twin.clone()))
        });
        let example = twins.next()?;
        let n_alike = 1 + twins.count();
        (n_alike as f64 >= MOSTLY * n as f64).then_some(Mismatch {
            accident,
            example,
            n_equal,
            n_alike,
            n,
        })
    })
}

/// What most often stands before an id of `whole` in an id of `longer`. Digits alone are no prefix: numbers end alike by
/// chance.
fn prefix(longer: &HashSet<&str>, whole: &HashSet<&str>) -> Option<String> {
    let mut ids: Vec<&str> = longer.iter().copied().collect();
    ids.sort_unstable();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for id in ids.into_iter().take(TRIED) {
        for (i, _) in id.char_indices().skip(1) {
            let (before, after) = id.split_at(i);
            if whole.contains(after) && !before.bytes().all(|b| b.is_ascii_digit()) {
                *counts.entry(before).or_default() += 1;
            }
        }
    }
    let most = counts.into_iter().max_by_key(|c| c.1)?;
    Some(most.0.to_owned())
}

impl Accident {
    /// The id as it was before.
    fn undo<'a>(&self, id: &'a str) -> Cow<'a, str> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        Cow::Borrowed(match self {
            Self::Decimals => match id.split_once('.') {
                Some((whole, rest)) if digits(whole) && rest.bytes().all(|b| b == b'0') => whole,
                _ => id,
            },
            Self::LeadingZeros if digits(id) => {
                let zeros = id.len() - id.trim_start_matches('0').len();
                &id[zeros.min(id.len() - 1)..]
            }
            Self::LeadingZeros => id,
            Self::Case => return Cow::Owned(id.to_lowercase()),
            Self::WhiteSpace => id.trim(),
            Self::Quotes => {
                let inner = |q: char| id.strip_prefix(q)?.strip_suffix(q);
                inner('"').or_else(|| inner('\'')).unwrap_or(id)
            }
            Self::Prefix(prefix) => id.strip_prefix(prefix).unwrap_or(id),
        })
    }
}

/// Reason and remedy.
impl fmt::Display for Accident {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Decimals => {
                "a tool made decimal numbers of one file's ids (pandas does where a cell is missing); write them as \
                 integers or text"
            }
            Self::LeadingZeros => {
                "one file's ids lost their leading zeros, as where a tool made numbers of them; read and write them \
                 as text"
            }
            Self::Case => "they differ in upper and lower case; write them alike",
            Self::WhiteSpace => {
                "white space stands around one file's ids, as in columns of a fixed width; trim them"
            }
            Self::Quotes => "quotes are part of one file's ids; write it without them",
            Self::Prefix(prefix) => {
                return write!(
                    f,
                    "`{prefix}` stands before one file's ids only; write it before both or before neither"
                );
            }
        })
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self {
            n_equal,
            n,
            accident,
            example: (a, b),
            ..
        } = self;
        write!(
            f,
            "{n_equal} of {n} ids match, such as `{a}`, which is `{b}` there: {accident}"
        )
    }
}
