//! Scores → lists: partial selection against a full sort, ties, exclusion.

use hkfr_rec::{Error, rank};
use proptest::prelude::*;

proptest! {
    #[test]
    fn partial_selection_is_a_prefix_of_the_full_sort(scores in prop::collection::vec(-30i8..30, 0..400), depth in 0usize..50, seed: u64) {
        let scores: Vec<f32> = scores.into_iter().map(f32::from).collect();
        let all = rank(&scores, usize::MAX, "case", seed, None).unwrap();
        prop_assert_eq!(all.len(), scores.len());
        prop_assert!(all.windows(2).all(|w| w[0].1 >= w[1].1));
        let top = rank(&scores, depth, "case", seed, None).unwrap();
        prop_assert_eq!(&top[..], &all[..depth.min(all.len())]);
        // Excluding takes entities out and leaves the order of the others.
        let odd: Vec<u32> = (0..scores.len() as u32).filter(|e| e % 2 == 1).collect();
        let even = rank(&scores, usize::MAX, "case", seed, Some(&odd)).unwrap();
        let expected: Vec<_> = all.into_iter().filter(|x| x.0 % 2 == 0).collect();
        prop_assert_eq!(even, expected);
    }
}

#[test]
fn ties_are_broken_by_case_and_seed_not_by_index() {
    let first =
        |case: &str, seed| rank(&[0.0, -0.0, 0.0, 0.0, 0.0], 1, case, seed, None).unwrap()[0].0;
    let mut wins = [0u32; 5];
    for case in 0..5000 {
        wins[first(&case.to_string(), 17) as usize] += 1;
    }
    // Binomial(5000, 1/5): standard deviation 28.
    assert!(wins.iter().all(|&w| (860..1140).contains(&w)), "{wins:?}");
    assert_eq!(first("a", 1), first("a", 1));
    assert!((0..20).any(|seed| first("a", seed) != first("a", 1)));
}

#[test]
fn nan_is_an_error_that_names_case_and_entity() {
    let error = rank(&[0.0, f32::NAN], 1, "u7", 1, None).unwrap_err();
    assert!(
        matches!(&error, Error::NotANumber { case_id, entity: 1 } if case_id == "u7"),
        "{error}"
    );
}
