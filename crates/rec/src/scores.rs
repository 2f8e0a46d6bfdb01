//! Scores → a ranked list, the same way for every system.
//!
//! In: a score for each entity. Out: the best `depth` (entity, score), best first. Equal scores are
//! ordered by a seeded hash of (case, entity): an order by index would favour whatever the
//! catalogue happens to list first, and the same entities in every case.

use crate::error::{Error, Result};

/// SplitMix64's finaliser: every input bit reaches every output bit.
pub(crate) fn mix(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// 64 bits that stay the same on every machine: FNV-1a over the text, mixed with the seed.
pub(crate) fn hash(seed: u64, text: &str) -> u64 {
    let fnv = text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mix(fnv ^ mix(seed))
}

/// The `depth` best entities, best first; those in `exclude` (any order) never.
///
/// ```
/// let list = hkfr_rec::rank(&[0.1, 0.9, 0.5], 2, "user 1", 17, Some(&[1])).unwrap();
/// assert_eq!(list, [(2, 0.5), (0, 0.1)]);
/// ```
///
/// # Errors
/// A score that is not a number, excluded or not.
pub fn rank(
    scores: &[f32],
    depth: usize,
    case_id: &str,
    seed: u64,
    exclude: Option<&[u32]>,
) -> Result<Vec<(u32, f32)>> {
    let mut excluded = exclude.unwrap_or_default().to_vec();
    excluded.sort_unstable();
    let case = hash(seed, case_id);
    // `mix` is a bijection, so two entities of a case never share a hash: the order is total.
    // Adding 0 makes −0 equal 0, which total_cmp would tell apart.
    let order = |a: &(u32, f32, u64), b: &(u32, f32, u64)| {
        (b.1 + 0.0).total_cmp(&(a.1 + 0.0)).then(a.2.cmp(&b.2))
    };
    // What is below `depth` others is not looked at again: a catalogue is passed over once.
    let depth = depth.min(scores.len());
    let most = (2 * depth).max(64);
    let mut list: Vec<(u32, f32, u64)> = Vec::with_capacity(most);
    let mut floor = f32::NEG_INFINITY;
    for (entity, &score) in (0u32..).zip(scores) {
        if score < floor {
            continue;
        }
        if score.is_nan() {
            return Err(Error::NotANumber {
                case_id: case_id.into(),
                entity,
            });
        }
        if excluded.binary_search(&entity).is_ok() {
            continue;
        }
        list.push((entity, score, mix(case ^ mix(u64::from(entity)))));
        if list.len() == most {
            keep_best(&mut list, depth, order);
            floor = list
                .iter()
                .fold(f32::INFINITY, |floor, kept| floor.min(kept.1));
        }
    }
    keep_best(&mut list, depth, order);
    list.sort_unstable_by(order);
    Ok(list.into_iter().map(|(e, s, _)| (e, s)).collect())
}

fn keep_best<T>(list: &mut Vec<T>, n: usize, order: impl FnMut(&T, &T) -> std::cmp::Ordering) {
    if n < list.len() {
        list.select_nth_unstable_by(n, order);
        list.truncate(n);
    }
}
