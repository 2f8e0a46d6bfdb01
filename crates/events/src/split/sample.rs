//! Deterministic samples: what is taken depends on a hash of each element, not on the order of
//! arrival, so that the same user is taken whoever else is in the log.

use crate::hash;

/// Splits off the n elements of lowest hash: (taken, left), both in their old order.
pub(super) fn lowest_by_hash<T>(
    xs: Vec<T>,
    n: usize,
    hash_of: impl Fn(&T) -> u64,
) -> (Vec<T>, Vec<T>) {
    if xs.len() <= n {
        return (xs, Vec::new());
    }
    let mut order: Vec<usize> = (0..xs.len()).collect();
    order.sort_by_key(|&i| (hash_of(&xs[i]), i));
    let mut taken = vec![false; xs.len()];
    for &i in &order[..n] {
        taken[i] = true;
    }
    let mut flags = taken.into_iter();
    xs.into_iter().partition(|_| flags.next().unwrap_or(false))
}

/// A weighted sample without replacement of n of `xs` (oldest first), order kept.
///
/// The k-th last element has weight 1/k; keys −ln(u)/w and the n smallest taken (Efraimidis and
/// Spirakis 2006): recent orders resemble what comes next, old ones keep the sample varied.
pub(super) fn sample_recent<T>(xs: Vec<T>, n: usize, hash_of: impl Fn(&T) -> u64) -> Vec<T> {
    let len = xs.len();
    if len <= n {
        return xs;
    }
    let mut keyed: Vec<(f64, usize)> = xs
        .iter()
        .enumerate()
        .map(|(i, x)| (-hash::fraction(hash_of(x)).ln() * (len - i) as f64, i))
        .collect();
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut taken = vec![false; len];
    for &(_, i) in &keyed[..n] {
        taken[i] = true;
    }
    let mut flags = taken.into_iter();
    xs.into_iter()
        .filter(|_| flags.next().unwrap_or(false))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_elements_are_taken_more_often_and_order_is_kept() {
        let mut taken = [0u32; 20];
        for seed in 0..2_000u64 {
            let sample = sample_recent((0..20usize).collect(), 5, |&i| {
                hash::mix(seed * 1_000 + i as u64)
            });
            assert_eq!(sample.len(), 5);
            assert!(sample.is_sorted());
            sample.iter().for_each(|&i| taken[i] += 1);
        }
        assert!(taken[19] > 3 * taken[0], "{taken:?}");
        assert!(taken[0] > 0, "old elements keep a chance: {taken:?}");
    }

    #[test]
    fn lowest_by_hash_takes_n_and_loses_none() {
        let (taken, left) = lowest_by_hash((0..100u64).collect(), 30, |&x| {
            hash::bytes(7, &x.to_le_bytes())
        });
        assert_eq!((taken.len(), left.len()), (30, 70));
        assert!(taken.is_sorted() && left.is_sorted());
        assert_ne!(taken, (0..30).collect::<Vec<_>>());
    }
}
