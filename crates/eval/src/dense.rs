//! Ranks and lists straight from rows of scores: one score an item of the catalogue.
//!
//! In: a row of `n_items` scores, targets, and what was consumed, as item indices. Out:
//! [`CaseRanks`] and the first k items. Nothing is sorted but what may be among the first k: the
//! row is compared block by block with the k-th best so far, and few blocks beat it. The place of a
//! listed target takes one more scan, which counts the scores that are at least its own, so that
//! ties are broken pessimistically (see [`crate::ranks`]) over the whole catalogue, not only over
//! what is listed.
//!
//! A score of −∞ masks an item; NaN and +∞ are errors.
//!
//! ```
//! use hkfr_eval::dense::rank_row;
//! let row = [0.1, 0.9, 0.5, 0.5];
//! let ranked = rank_row(&row, &[2], &[], 2)?;
//! assert_eq!(ranked.top, [(1, 0.9), (2, 0.5)]);
//! assert_eq!(ranked.ranks.ranks, [3]); // item 3 ties with the target, and goes first
//! # Ok::<(), hkfr_eval::Fault>(())
//! ```

use rayon::prelude::*;

use crate::error::{Error, Fault, Result};
use crate::ranks::CaseRanks;

/// Scores compared at once; a multiple of any vector width.
const BLOCK: usize = 64;

/// One case.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranked {
    /// The ranks of targets that may be among the first k. A target that ties with the k-th item
    /// may have a rank above k.
    pub ranks: CaseRanks,
    /// The first k items with their scores, best first, equal scores by index.
    pub top: Vec<(u32, f32)>,
}

/// Ranks rows of `scores` (`n_cases × n_items`, row by row) on all threads. `consumed` is empty,
/// or has one list a case to take out of the catalogue.
///
/// # Errors
/// [`Error::Row`] for scores that are NaN or +∞.
///
/// # Panics
/// If the lengths do not fit, or an index is not in the catalogue.
pub fn rank_rows(
    scores: &[f32],
    n_items: usize,
    targets: &[Vec<u32>],
    consumed: &[Vec<u32>],
    k: usize,
) -> Result<Vec<Ranked>> {
    assert_eq!(scores.len(), n_items * targets.len(), "one row a case");
    assert!(
        consumed.is_empty() || consumed.len() == targets.len(),
        "one list a case"
    );
    scores
        .par_chunks_exact(n_items.max(1))
        .zip(targets)
        .enumerate()
        .map(|(row, (scores, targets))| {
            let consumed = consumed.get(row).map_or(&[][..], Vec::as_slice);
            rank_row(scores, targets, consumed, k).map_err(|fault| Error::Row { row, fault })
        })
        .collect()
}

/// Ranks one row. Targets that were consumed do not count.
///
/// # Errors
/// [`Fault::NotFinite`] for a score that is NaN or +∞.
///
/// # Panics
/// If an index is not in the catalogue.
pub fn rank_row(
    scores: &[f32],
    targets: &[u32],
    consumed: &[u32],
    k: usize,
) -> std::result::Result<Ranked, Fault> {
    let mut consumed = consumed.to_vec();
    consumed.sort_unstable();
    consumed.dedup();
    let top = top_k(scores, &consumed, k)?;
    let last = if top.len() < k {
        f32::NEG_INFINITY
    } else {
        top.last().map_or(f32::INFINITY, |t| t.1)
    };
    let left = || {
        targets
            .iter()
            .filter(|t| consumed.binary_search(t).is_err())
    };
    let mut of_targets: Vec<f32> = left().map(|&t| scores[t as usize]).collect();
    of_targets.sort_by(|a, b| b.total_cmp(a));
    let n_targets = of_targets.len() as u32;
    of_targets.retain(|&s| s > f32::NEG_INFINITY);
    let mut ranks = Vec::new();
    for (i, &s) in of_targets
        .iter()
        .enumerate()
        .take_while(|(_, s)| **s >= last)
    {
        let taken_out = consumed
            .iter()
            .filter(|&&c| scores[c as usize] >= s)
            .count();
        let targets = of_targets.iter().filter(|&&t| t >= s).count();
        let others = at_least(scores, s) - taken_out - targets;
        ranks.push((others + i + 1) as u32);
    }
    let ranks = CaseRanks {
        ranks,
        n_targets,
        n_listed: top.len() as u32,
        ..CaseRanks::default()
    };
    Ok(Ranked { ranks, top })
}

/// The first k by falling score, then index; `consumed` is sorted.
fn top_k(
    scores: &[f32],
    consumed: &[u32],
    k: usize,
) -> std::result::Result<Vec<(u32, f32)>, Fault> {
    let better = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    let room = (2 * k).max(BLOCK);
    let mut best: Vec<(u32, f32)> = Vec::with_capacity(room);
    let mut bar = if k == 0 { f32::MAX } else { f32::NEG_INFINITY };
    for (b, block) in scores.chunks(BLOCK).enumerate() {
        if !any_above(block, bar) {
            continue;
        }
        for (i, &s) in block.iter().enumerate() {
            let item = (b * BLOCK + i) as u32;
            if s.is_nan() || s == f32::INFINITY {
                let item = format!("#{item}");
                return Err(Fault::NotFinite {
                    rank: b * BLOCK + i + 1,
                    item,
                });
            }
            // −0.0 and 0.0 are one score.
            if s <= bar || consumed.binary_search(&item).is_ok() {
                continue;
            }
            best.push((item, s + 0.0));
            if best.len() == room {
                best.select_nth_unstable_by(k - 1, better);
                best.truncate(k);
                bar = best[k - 1].1;
            }
        }
    }
    best.sort_unstable_by(better);
    best.truncate(k);
    Ok(best)
}

/// Whether a score of the block is above `bar`, or NaN. Without an early exit, so that the
/// compiler compares whole vectors.
fn any_above(block: &[f32], bar: f32) -> bool {
    let not_below = |s: f32| u32::from(s > bar) | u32::from(s.is_nan());
    block.iter().fold(0, |any, &s| any | not_below(s)) != 0
}

fn at_least(scores: &[f32], bar: f32) -> usize {
    let of_block = |block: &[f32]| block.iter().map(|&s| u32::from(s >= bar)).sum::<u32>();
    scores
        .chunks(1 << 16)
        .map(|block| of_block(block) as usize)
        .sum()
}
