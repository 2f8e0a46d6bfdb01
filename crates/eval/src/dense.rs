//! Ranks and lists straight from rows of scores: one score an item of the catalogue.
//!
//! In: a row of `n_items` scores, targets, and what was consumed, as item indices. Out:
//! [`CaseRanks`] and the first k items. Nothing is sorted but what may be among the first k: one scan
//! takes the best score of each of some hundred lanes, the k-th best of these is a bar that k scores
//! reach, and only lanes that reach it are looked at again. A target that ties with the k-th item takes
//! one more scan, which counts the scores that are at least its own, so that ties are broken
//! pessimistically (see [`crate::ranks`]) over the whole catalogue, not only over what is listed.
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

/// A row falls into blocks, a block into lanes: item i is in lane i modulo [`LANES`] of its block. Enough
/// lanes for the places of a list, few enough to select among them.
const BLOCK: usize = 1024;
const LANES: usize = 32;

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
    let distinct = |items: &[u32]| {
        let mut items = items.to_vec();
        items.sort_unstable();
        items.dedup();
        items
    };
    let (targets, consumed) = (distinct(targets), distinct(consumed));
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
        // All that is above the last is listed.
        let left = if s > last {
            top.partition_point(|t| t.1 >= s)
        } else {
            let consumed = consumed.iter().filter(|&&c| scores[c as usize] >= s);
            at_least(scores, s) - consumed.count()
        };
        let others = left - of_targets.iter().filter(|&&t| t >= s).count();
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
    let Some(best) = best_of_lanes(scores) else {
        let at = scores
            .iter()
            .position(|&s| s.is_nan() || s == f32::INFINITY);
        let at = at.expect("one is no number");
        let (rank, item) = (at + 1, format!("#{at}"));
        return Err(Fault::NotFinite { rank, item });
    };
    if k == 0 {
        return Ok(Vec::new());
    }
    let bar = bar(&best, k + consumed.len());
    let mut found: Vec<u64> = Vec::with_capacity(2 * k.min(scores.len()));
    for (lane, _) in best.iter().enumerate().filter(|(_, s)| **s >= bar) {
        let (first, lane) = (lane / LANES * BLOCK, lane % LANES);
        let block = &scores[first..(first + BLOCK).min(scores.len())];
        for (i, &s) in (first + lane..)
            .step_by(LANES)
            .zip(block[lane..].iter().step_by(LANES))
        {
            if s >= bar && consumed.binary_search(&(i as u32)).is_err() {
                found.push(u64::from(!rising(s)) << 32 | i as u64);
            }
        }
    }
    if found.len() > k {
        found.select_nth_unstable(k - 1);
        found.truncate(k);
    }
    found.sort_unstable();
    let item = |key: u64| key as u32;
    Ok(found
        .into_iter()
        .map(|key| (item(key), scores[item(key) as usize] + 0.0))
        .collect())
}

/// The best score of every lane; `None` if a score is NaN or +∞. By vectors, and without an early
/// exit, so that the compiler compares whole ones.
fn best_of_lanes(scores: &[f32]) -> Option<Vec<f32>> {
    let mut bad = [0; LANES];
    let mut best = vec![f32::NEG_INFINITY; scores.len().div_ceil(BLOCK) * LANES];
    for (block, best) in scores.chunks(BLOCK).zip(best.as_chunks_mut::<LANES>().0) {
        let mut take = |row: &[f32]| {
            for ((best, bad), &s) in best.iter_mut().zip(&mut bad).zip(row) {
                *best = if s > *best { s } else { *best };
                *bad |= if s < f32::INFINITY { 0 } else { u32::MAX };
            }
        };
        let (rows, rest) = block.as_chunks::<LANES>();
        rows.iter().for_each(|row| take(row));
        take(rest);
    }
    (bad == [0; LANES]).then_some(best)
}

/// A score that at least so many items reach, as so many lanes do; above −∞, which masks an item.
fn bar(best: &[f32], enough: usize) -> f32 {
    let mut rising: Vec<u32> = best.iter().map(|&s| self::rising(s)).collect();
    let Some(last) = rising.len().checked_sub(enough) else {
        return f32::MIN;
    };
    let bar = *rising.select_nth_unstable(last).1;
    let bar = best.iter().copied().find(|&s| self::rising(s) == bar);
    bar.map_or(f32::MIN, |bar| bar.max(f32::MIN))
}

/// The order of floats as that of unsigned integers; −0.0 and 0.0 are one score.
fn rising(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 0 {
        bits | 1 << 31
    } else {
        !bits
    }
}

fn at_least(scores: &[f32], bar: f32) -> usize {
    let of_block = |block: &[f32]| block.iter().map(|&s| u32::from(s >= bar)).sum::<u32>();
    scores
        .chunks(1 << 16)
        .map(|block| of_block(block) as usize)
        .sum()
}
