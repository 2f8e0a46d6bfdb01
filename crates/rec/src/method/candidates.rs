//! Which entities are worth a closer look: the best of each source, and what the user chose before.

use crate::baselines::Choice;

/// Catalogues up to this size are looked at whole.
const SMALL: usize = 1000;

/// Ascending and unique: the `n` best of each source's scores (entities), and the user's own choices; without
/// `excluded` (ascending).
pub(super) fn candidates(
    scores: &[Vec<f32>],
    n_entities: usize,
    n: usize,
    choices: &[Choice],
    excluded: &[u32],
) -> Vec<u32> {
    let is_excluded = |e: &u32| excluded.binary_search(e).is_ok();
    if n_entities <= SMALL {
        return (0..n_entities as u32).filter(|e| !is_excluded(e)).collect();
    }
    let mut all: Vec<u32> = choices.iter().map(|c| c.entity).collect();
    let mut order: Vec<(f32, u32)> = Vec::new();
    for scores in scores {
        order.clear();
        let of = scores.iter().copied().zip(0u32..);
        order.extend(of.filter(|(_, e)| !is_excluded(e)));
        // An entity's number decides between equal scores: which of many unknown ones are looked at says nothing.
        if n < order.len() {
            order.select_nth_unstable_by(n, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            order.truncate(n);
        }
        all.extend(order.iter().map(|o| o.1));
    }
    all.sort_unstable();
    all.dedup();
    all.retain(|e| !is_excluded(e));
    all
}
