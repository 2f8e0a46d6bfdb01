//! Ranks and metrics: by hand, against a brute-force twin, and the law of one target a case.

use hkfr_eval::ranks::{self, CaseRanks};
use hkfr_eval::{Metric, MetricAt, RankedList, Repeats, TruthCase, checks};
use proptest::prelude::*;

use crate::fixtures::list;

fn at(metric: Metric, k: usize, case: &CaseRanks) -> f64 {
    MetricAt { metric, k }.value(case)
}

/// Ranks of ungraded targets.
fn target_ranks(list: &RankedList, targets: &[String], known: impl Fn(&str) -> bool) -> CaseRanks {
    let case = TruthCase {
        targets: targets.to_vec(),
        ..TruthCase::default()
    };
    ranks::target_ranks(list, &case, Repeats::Allow, known)
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
    assert_eq!(at(Metric::Precision, 10, &case), 0.2);
    assert_eq!(at(Metric::Map, 5, &case), 0.5 / 3.0);
    assert!((at(Metric::Map, 10, &case) - (0.5 + 2.0 / 6.0) / 3.0).abs() < 1e-12);
    // Three targets, but only one fits into the top 1, two into the top 2.
    let ideal2 = 1.0 + 1.0 / log2(3.0);
    assert!((at(Metric::Ndcg, 2, &case) - (1.0 / log2(3.0)) / ideal2).abs() < 1e-12);
    let ideal3 = ideal2 + 1.0 / log2(4.0);
    let gain = 1.0 / log2(3.0) + 1.0 / log2(7.0);
    assert!((at(Metric::Ndcg, 10, &case) - gain / ideal3).abs() < 1e-12);
    for metric in Metric::EVERY {
        assert_eq!(at(metric, 10, &ranked(&[], 2)), 0.0);
        assert_eq!(at(metric, 10, &CaseRanks::default()), 0.0);
        assert_eq!(
            at(metric, 2, &ranked(&[1, 2], 2)),
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

#[test]
fn grades_weigh_in_ndcg_alone_and_ties_take_the_lowest_first() {
    let case = TruthCase {
        targets: vec!["s".into(), "t".into()],
        gains: vec![3.0, 1.0],
        ..TruthCase::default()
    };
    let tied = list("u", &["s", "t", "a"], &[0.5, 0.5, 0.5]);
    let found = ranks::target_ranks(&tied, &case, Repeats::Allow, |_| true);
    assert_eq!(
        (found.ranks.as_slice(), found.gains.as_slice()),
        ([2, 3].as_slice(), [1.0, 3.0].as_slice())
    );
    let discount = |r: f64| 1.0 / (r + 1.0).log2();
    let expected = (discount(2.0) + 3.0 * discount(3.0)) / (3.0 + discount(2.0));
    assert!((at(Metric::Ndcg, 3, &found) - expected).abs() < 1e-12);
    assert_eq!(at(Metric::Recall, 2, &found), 0.5);
}

/// HKFR's own table (arXiv 2308.03333): HR@5, NDCG@5, HR@10, NDCG@10 of categories, then of POIs.
#[test]
fn most_rows_of_the_papers_table_cannot_be_of_one_target_a_case() {
    let rows = [
        [0.1152, 0.1063, 0.2147, 0.1320],
        [0.1217, 0.1140, 0.2196, 0.1440],
        [0.1416, 0.1384, 0.2477, 0.1589],
        [0.1074, 0.1019, 0.2038, 0.1254],
        [0.1241, 0.1175, 0.2267, 0.1415],
        [0.1813, 0.1308, 0.2825, 0.1580],
        [0.2160, 0.1586, 0.3007, 0.1840],
        [0.0897, 0.0770, 0.1842, 0.1012],
        [0.0875, 0.0744, 0.1811, 0.0995],
        [0.1218, 0.1159, 0.2187, 0.1260],
        [0.0785, 0.0720, 0.1702, 0.0872],
        [0.1014, 0.0952, 0.2050, 0.1165],
        [0.1421, 0.0975, 0.2432, 0.1270],
        [0.1726, 0.1243, 0.2610, 0.1525],
    ];
    let breaks = |r: &&[f64; 4]| !checks::obeys_one_target((5, r[0], r[1]), (10, r[2], r[3]), 5e-5);
    assert_eq!(rows.iter().filter(breaks).count(), 10);
}

/// The slow twin: sorts explicitly with the tie rule, then walks the top k item by item.
fn twin(list: &RankedList, targets: &[String], catalogue: &[String], k: usize) -> [f64; 6] {
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
        hits as f64 / k as f64,
        (0..top.len())
            .filter(|&i| top[i])
            .map(|i| top[..=i].iter().filter(|h| **h).count() as f64 / (i + 1) as f64)
            .sum::<f64>()
            / targets.len() as f64,
    ]
}

prop_compose! {
    /// Up to 15 distinct items out of 20 with few distinct scores, so that ties are frequent;
    /// the items 16 to 19 are outside the catalogue.
    fn any_list()(
        items in proptest::sample::subsequence((0..20).collect::<Vec<u32>>(), 0..15).prop_shuffle(),
        raw in proptest::collection::vec(0u8..6, 15),
    ) -> RankedList {
        let mut scores: Vec<f64> = raw.iter().take(items.len()).map(|&s| f64::from(s)).collect();
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
        let row = |k| (k, mean(Metric::Hr, k), mean(Metric::Ndcg, k));
        prop_assert!(checks::obeys_one_target(row(5), row(10), 1e-12), "{:?} {:?}", row(5), row(10));
    }
}
