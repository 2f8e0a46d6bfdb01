//! How alike the knowledge of two users is, against how alike the users are: Jaccard's index of what is
//! claimed of them, and of their texts' word 3-shingles.
//!
//! ```
//! use hkfr_fuse::claims::jaccard;
//!
//! assert_eq!(jaccard(&[1, 2, 3].into(), &[2, 3, 4].into()), 0.5);
//! assert_eq!(jaccard::<u8>(&[].into(), &[].into()), 1.0);
//! ```

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::Examined;
use super::names::{folded, is_unspaced};
use super::recount::coverable;
use crate::facts::Facts;

/// What of a user enters a comparison. Both of what the model said before the gate, which would hide that
/// it says the same of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portrait {
    pub claims: BTreeSet<(String, String)>,
    pub shingles: BTreeSet<u64>,
    /// The same of the facts: what could be claimed, and as the templates word it.
    pub facts: BTreeSet<(String, String)>,
    pub facts_shingles: BTreeSet<u64>,
}

impl Portrait {
    /// `facts_text`: knowledge without a model's preference.
    pub fn new(examined: &Examined, facts: &Facts, facts_text: &str) -> Self {
        let claims = examined.claims.iter();
        let claims = claims.map(|(c, _)| (c.kind.name().to_owned(), folded(&c.value)));
        let facts = coverable(facts).into_iter();
        Self {
            claims: claims.collect(),
            shingles: shingles(&examined.said),
            facts: facts
                .map(|(slot, value, _)| (slot.to_owned(), value.to_lowercase()))
                .collect(),
            facts_shingles: shingles(facts_text),
        }
    }
}

/// Hashes of every three words in a row; a Chinese character is a word. A shorter text is one shingle.
fn shingles(text: &str) -> BTreeSet<u64> {
    let mut words: Vec<String> = Vec::new();
    let mut joins = false;
    for c in text.to_lowercase().chars() {
        let spaced = c.is_alphanumeric() && !is_unspaced(c);
        match words.last_mut() {
            Some(word) if spaced && joins => word.push(c),
            _ if c.is_alphanumeric() => words.push(c.into()),
            _ => {}
        }
        joins = spaced;
    }
    let hash = |words: &[String]| {
        let digest = Sha256::digest(words.join(" ").as_bytes());
        u64::from_le_bytes(digest[..8].try_into().expect("eight bytes"))
    };
    match words.len() {
        0 => BTreeSet::new(),
        1..3 => [hash(&words)].into(),
        _ => words.windows(3).map(hash).collect(),
    }
}

/// |a ∩ b| / |a ∪ b|; of two empty sets 1.
pub fn jaccard<T: Ord>(a: &BTreeSet<T>, b: &BTreeSet<T>) -> f64 {
    let both = a.intersection(b).count();
    let any = a.len() + b.len() - both;
    if any == 0 {
        1.0
    } else {
        both as f64 / any as f64
    }
}
