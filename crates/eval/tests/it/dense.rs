//! Score rows against sorting them whole.

use hkfr_eval::dense::{rank_row, rank_rows};
use proptest::prelude::*;

proptest! {
    /// Few distinct scores, so that ties at the last place are frequent.
    #[test]
    fn equals_sorting_the_row(
        raw in proptest::collection::vec(0u8..40, 1..2600),
        targets in proptest::collection::btree_set(0usize..2600, 0..6),
        consumed in proptest::collection::btree_set(0usize..2600, 0..40),
        k in 0usize..100,
    ) {
        let within = |set: &std::collections::BTreeSet<usize>| -> Vec<u32> {
            set.iter().filter(|&&i| i < raw.len()).map(|&i| i as u32).collect()
        };
        let (targets, consumed) = (within(&targets), within(&consumed));
        let scores: Vec<f32> = raw.iter().map(|&s| if s == 0 { f32::NEG_INFINITY } else { f32::from(s) - 20.0 }).collect();
        let ranked = rank_row(&scores, &targets, &consumed, k).unwrap();
        let mut order: Vec<u32> = (0..raw.len() as u32).filter(|i| !consumed.contains(i) && raw[*i as usize] > 0).collect();
        order.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]).then(a.cmp(&b)));
        let top: Vec<u32> = order.iter().copied().take(k).collect();
        prop_assert_eq!(ranked.top.iter().map(|t| t.0).collect::<Vec<_>>(), top);
        order.sort_by(|&a, &b| {
            let last = |i: u32| targets.contains(&i);
            scores[b as usize].total_cmp(&scores[a as usize]).then(last(a).cmp(&last(b)))
        });
        let expected: Vec<u32> = (1..).zip(&order).filter(|(_, i)| targets.contains(i)).map(|(r, _)| r).collect();
        let upto_k = |ranks: &[u32]| ranks.iter().copied().filter(|&r| r as usize <= k).collect::<Vec<_>>();
        prop_assert_eq!(upto_k(&ranked.ranks.ranks), upto_k(&expected));
        let left = targets.iter().filter(|t| !consumed.contains(t)).count();
        prop_assert_eq!(ranked.ranks.n_targets as usize, left);
    }
}

#[test]
fn a_target_given_twice_is_one() {
    let scores = [0.1, 0.9, 0.5];
    let once = rank_row(&scores, &[1, 2], &[], 3).unwrap();
    assert_eq!(rank_row(&scores, &[1, 2, 1], &[], 3).unwrap(), once);
    assert_eq!((once.ranks.ranks, once.ranks.n_targets), (vec![1, 2], 2));
}

#[test]
fn a_score_that_is_no_number_is_refused_wherever_it_stands() {
    for at in [0, 63, 64, 199] {
        let mut scores = vec![0.5; 400];
        scores[..30].fill(0.9);
        scores[200 + at] = f32::NAN;
        let message = rank_rows(&scores, 200, &[vec![1], vec![2]], &[], 5)
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with("row 1 of the scores") && message.contains("not a finite number"),
            "{message}"
        );
    }
}
