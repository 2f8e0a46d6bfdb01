//! Ranks and metrics: by hand, against a brute-force twin, and the law of one target a case.

use hkfr_eval::ranks::{CaseRanks, target_ranks};
use hkfr_eval::{Metric, MetricAt, RankedList};
use proptest::prelude::*;

use crate::fixtures::list;

fn at(metric: Metric, k: usize, case: &CaseRanks) -> f64 {
    MetricAt { metric, k }.value(case)
}

fn ranked(ranks: &[u32], n_targets: u32) -> CaseRanks {
    CaseRanks {
        ranks: ranks.to_vec(),
        n_targets,
        ..CaseRanks::default()
    }
}

#[test]
fn by_hand() {
    let case = ranked(&[2, 6], 3);
    let log2 = |x: f64| x.log2();
    assert_eq!(at(Metric::Hr, 1, &case), 0.0);
    assert_eq!(at(Metric::Hr, 5, &case), 1.0);
    assert_eq!(at(Metric::Mrr, 5, &case), 0.5);
    assert_eq!(at(Metric::Recall, 5, &case), 1.0 / 3.0);
    assert_eq!(at(Metric::Recall, 10, &case), 2.0 / 3.0);
    // Three targets, but only one fits into the top 1, two into the top 2.
    let ideal2 = 1.0 + 1.0 / log2(3.0);
    assert!((at(Metric::Ndcg, 2, &case) - (1.0 / log2(3.0)) / ideal2).abs() < 1e-12);
    let ideal3 = ideal2 + 1.0 / log2(4.0);
    let gain = 1.0 / log2(3.0) + 1.0 / log2(7.0);
    assert!((at(Metric::Ndcg, 10, &case) - gain / ideal3).abs() < 1e-12);
    for metric in Metric::EVERY {
        assert_eq!(at(metric, 10, &CaseRanks::missing(2)), 0.0);
        assert_eq!(
            at(metric, 10, &ranked(&[1, 2], 2)),
            1.0,
            "{metric} of a perfect list"
        );
    }
}

#[test]
fn equal_scores_put_the_target_last_wherever_it_was_listed() {
    for order in [["t", "a", "b"], ["a", "t", "b"], ["a", "b", "t"]] {
        let tied = list("u", &order, &[0.5, 0.5, 0.5]);
        assert_eq!(target_ranks(&tied, &["t".into()], |_| true).ranks, [3]);
    }
    let two = list("u", &["s", "a", "t", "b"], &[0.9, 0.9, 0.9, 0.1]);
    let targets = ["s".to_string(), "t".to_string()];
    assert_eq!(target_ranks(&two, &targets, |_| true).ranks, [2, 3]);
    let zeros = list("u", &["t", "a"], &[0.0, -0.0]);
    assert_eq!(target_ranks(&zeros, &["t".into()], |_| true).ranks, [2]);
}

#[test]
fn what_does_not_exist_keeps_its_place_and_cannot_hit() {
    let invented = list("u", &["ghost", "a", "b"], &[3.0, 2.0, 1.0]);
    let known = |item: &str| item != "ghost";
    let found = target_ranks(&invented, &["b".into()], known);
    assert_eq!(
        (found.ranks.as_slice(), found.n_invalid),
        ([3].as_slice(), 1)
    );
    let unreachable = target_ranks(&invented, &["ghost".into()], known);
    assert!(unreachable.ranks.is_empty());
    assert_eq!(unreachable.n_targets, 1);
}

/// The slow twin: sorts explicitly with the tie rule, then walks the top k item by item.
fn twin(list: &RankedList, targets: &[String], catalogue: &[String], k: usize) -> [f64; 4] {
    let is_hit = |item: &String| catalogue.contains(item) && targets.contains(item);
    let mut order: Vec<usize> = (0..list.items.len()).collect();
    order.sort_by(|&a, &b| {
        let by_score = list.scores[b].partial_cmp(&list.scores[a]).unwrap();
        by_score.then(is_hit(&list.items[a]).cmp(&is_hit(&list.items[b])))
    });
    let top: Vec<bool> = order
        .iter()
        .take(k)
        .map(|&i| is_hit(&list.items[i]))
        .collect();
    let hits = top.iter().filter(|h| **h).count();
    let gain = |i: usize| std::f64::consts::LN_2 / ((i + 2) as f64).ln();
    let dcg: f64 = (0..top.len()).filter(|&i| top[i]).map(gain).sum();
    let idcg: f64 = (0..k).take(targets.len()).map(gain).sum();
    [
        f64::from(u8::from(hits > 0)),
        dcg / idcg,
        top.iter()
            .position(|h| *h)
            .map_or(0.0, |i| 1.0 / (i + 1) as f64),
        hits as f64 / targets.len() as f64,
    ]
}

prop_compose! {
    /// Up to 15 distinct items out of 20 with few distinct scores, so that ties are frequent;
    /// the items 16 to 19 are outside the catalogue.
    fn any_list()(
        items in proptest::sample::subsequence((0..20).collect::<Vec<u32>>(), 0..15).prop_shuffle(),
        raw in proptest::collection::vec(0u8..6, 15),
    ) -> RankedList {
        let mut scores: Vec<f32> = raw.iter().take(items.len()).map(|&s| f32::from(s)).collect();
        scores.sort_by(|a, b| b.total_cmp(a));
        let items = items.iter().map(|i| format!("i{i}")).collect();
        RankedList { case: "u".into(), items, scores }
    }
}

proptest! {
    #[test]
    fn equals_the_brute_force_twin(
        list in any_list(),
        targets in proptest::sample::subsequence((0..20).collect::<Vec<u32>>(), 1..6),
        k in 1usize..18,
    ) {
        list.check().unwrap();
        let targets: Vec<String> = targets.iter().map(|i| format!("i{i}")).collect();
        let catalogue: Vec<String> = (0..16).map(|i| format!("i{i}")).collect();
        let ranks = target_ranks(&list, &targets, |i| catalogue.iter().any(|c| c == i));
        let slow = twin(&list, &targets, &catalogue, k);
        for (metric, expected) in Metric::EVERY.into_iter().zip(slow) {
            let got = at(metric, k, &ranks);
            prop_assert!((got - expected).abs() < 1e-12, "{metric}@{k}: {got} ≠ {expected}");
            prop_assert!((0.0..=1.0).contains(&got));
        }
        let n_invalid = list.items.iter().filter(|i| !catalogue.contains(i)).count();
        prop_assert_eq!(ranks.n_invalid as usize, n_invalid);
    }

    /// What a published table must satisfy: between cut-offs 5 and 10 a hit adds 1/log₂(r + 1)
    /// with r in 6..=10 to NDCG.
    #[test]
    fn one_target_bounds_ndcg_by_hr(places in proptest::collection::vec(0u32..14, 1..200)) {
        let mean = |metric, k| {
            let values = places.iter().map(|&r| {
                let found: &[u32] = if r == 0 { &[] } else { &[r] };
                at(metric, k, &ranked(found, 1))
            });
            values.sum::<f64>() / places.len() as f64
        };
        let hr = mean(Metric::Hr, 10) - mean(Metric::Hr, 5);
        let ndcg = mean(Metric::Ndcg, 10) - mean(Metric::Ndcg, 5);
        prop_assert!(ndcg >= hr / 11f64.log2() - 1e-12, "{ndcg} < 0.289 · {hr}");
        prop_assert!(ndcg <= hr / 7f64.log2() + 1e-12, "{ndcg} > 0.356 · {hr}");
    }
}
