//! Is knowledge of an earlier time still good enough? In: the facts of one user as-of two times. Out:
//! how far they lie apart, and which of the user's cut-offs need new knowledge.
//!
//! The distance is the mean of two parts, each in 0..=1, symmetric, and 0 for equal facts:
//!
//! - **shares**: ½ · TV(categories) + ¼ · TV(items) + ¼ · TV(parts of the day), with the total variation
//!   TV(p, q) = ½ Σ |pᵢ − qᵢ|: the largest difference of probability that the two states give to any set of
//!   next choices. What the fact lists leave out is one further name.
//! - **claims**: 1 − |A ∩ B| / |A ∪ B| (Jaccard 1912) of what would be said, each slot taking its first facts:
//!   what a reader of the text would find changed. How often something is said to have happened, and how
//!   long ago, is no part of it: that changes with every event and every day, and says little of the next
//!   choice. Neither is the profile, which has no time.

use std::collections::{BTreeMap, BTreeSet};

use hkfr_events::AsOf;

use crate::facts::{Counts, Facts};
use crate::statements::likely_claims;

/// How far two states of a user lie apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    pub shares: f32,
    pub claims: f32,
}

impl Distance {
    /// In 0..=1.
    pub fn total(self) -> f32 {
        (self.shares + self.claims) / 2.0
    }
}

pub fn distance(a: &Facts, b: &Facts) -> Distance {
    let shares = total_variation(&a.categories, &b.categories) / 2.0
        + total_variation(&a.items, &b.items) / 4.0
        + total_variation(&a.dayparts, &b.dayparts) / 4.0;
    let said = |facts: &Facts| -> BTreeSet<(String, String)> {
        let claims = likely_claims(facts).into_iter();
        let timed = claims.filter(|c| c.slot != "household");
        timed.map(|c| (c.slot, c.value)).collect()
    };
    let (a, b) = (said(a), said(b));
    let either = a.union(&b).count();
    let both = a.intersection(&b).count();
    let claims = match either {
        0 => 0.0,
        n => (n - both) as f32 / n as f32,
    };
    Distance { shares, claims }
}

fn total_variation(a: &Counts, b: &Counts) -> f32 {
    if a.is_empty() || b.is_empty() {
        return f32::from(u8::from(a.is_empty() != b.is_empty()));
    }
    let mut shares: BTreeMap<&str, [f32; 2]> = BTreeMap::new();
    let mut rest = [1.0f32; 2];
    for (side, counts) in [a, b].into_iter().enumerate() {
        for count in counts {
            shares.entry(&count.name).or_default()[side] = count.share;
            rest[side] -= count.share;
        }
    }
    let apart = shares.values().map(|[p, q]| (p - q).abs());
    // Rounding may leave less than nothing.
    let apart = apart.sum::<f32>() + (rest[0].max(0.0) - rest[1].max(0.0)).abs();
    (apart / 2.0).min(1.0)
}

/// What becomes of the knowledge at a cut-off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// It is fused.
    Anew,
    /// That of this cut-off, which is not later, is taken.
    Reuse(AsOf),
}

/// What becomes of one user's knowledge at each of the rising `cut_offs`, given that of the `earlier` ones.
///
/// The latest knowledge that is not later than a cut-off is taken if its own cut-off lies no further away
/// than `threshold`; drift adds up, since it is always the facts behind the text that are compared. With a
/// threshold of 0 nothing is ever taken.
pub fn refresh(
    cut_offs: &[AsOf],
    earlier: &[AsOf],
    threshold: f32,
    mut distance: impl FnMut(AsOf, AsOf) -> f32,
) -> Vec<Refresh> {
    debug_assert!(cut_offs.is_sorted());
    let mut known: BTreeSet<AsOf> = earlier.iter().copied().collect();
    let one = |&at: &AsOf| {
        let latest = known.range(..=at).next_back().copied();
        match latest.filter(|_| threshold > 0.0) {
            Some(of) if of == at || distance(of, at) <= threshold => Refresh::Reuse(of),
            _ => {
                known.insert(at);
                Refresh::Anew
            }
        }
    };
    cut_offs.iter().map(one).collect()
}
