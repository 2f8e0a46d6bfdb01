//! The rules for ties: checked against trec_eval on the same files, against all orders written out, and in the warnings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hkfr_eval::html::{ReportPage, render};
use hkfr_eval::ranks::target_ranks;
use hkfr_eval::{
    EvalConfig, Metric, MetricAt, Policy, RankedList, Repeats, Run, Ties, Truth, TruthCase,
    evaluate, score, score_all, table, trec,
};
use proptest::prelude::*;

use crate::fixtures::{case, list, run, truth};

const RULES: [Ties; 4] = [Ties::Against, Ties::Trec, Ties::Random, Ties::For];

fn golden(name: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/ties");
    tests.join(name)
}

fn files(run: &str, qrels: &str) -> (Truth, Run) {
    (
        trec::read_qrels(&golden(qrels), "item").unwrap(),
        trec::read_run(&golden(run), "item").unwrap(),
    )
}

fn under(ties: Ties) -> Policy {
    Policy {
        ties,
        ..Policy::default()
    }
}

/// A figure of the files under a rule.
fn figure((truth, run): &(Truth, Run), ties: Ties, name: &str) -> f64 {
    let scores = score(truth, run, &[5, 10], under(ties)).unwrap();
    scores.get(name).unwrap()
}

#[track_caller]
fn near(found: f64, right: f64) {
    assert!((found - right).abs() < 1e-6, "{found} is not {right}");
}

/// `trec_eval.json` is what trec_eval says of the same files.
#[test]
fn ties_are_where_trec_eval_has_them() {
    let text = std::fs::read_to_string(golden("trec_eval.json")).unwrap();
    let said: BTreeMap<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(said.len(), 5);
    for (run, said) in said {
        let files = files(&run, said["qrels"].as_str().unwrap());
        let figures = said["figures"].as_object().unwrap();
        assert_eq!(figures.len(), 6);
        for (name, right) in figures {
            near(figure(&files, Ties::Trec, name), right.as_f64().unwrap());
        }
    }
    // In 64 bits nothing ties in one of them.
    let narrow = files("narrow.trec", "narrow.qrels");
    let of = |ties| figure(&narrow, ties, "ndcg@10");
    near(of(Ties::Against), of(Ties::For));
    assert!((of(Ties::Against) - of(Ties::Trec)).abs() > 1e-4);
}

/// Counted by hand, with the targets last among equals.
#[test]
fn ties_count_against_the_targets_by_default() {
    let of_rank_2 = 1.0 / 3f64.log2();
    for run in ["run1.trec", "run2.trec"] {
        let files = files(run, "small.qrels");
        near(figure(&files, Ties::default(), "ndcg@10"), of_rank_2);
    }
    let big = files("big.trec.gz", "big.qrels.gz");
    for (name, right) in [
        ("ndcg@5", 0.031_142_4),
        ("ndcg@10", 0.066_797_1),
        ("hr@10", 0.34),
    ] {
        near(figure(&big, Ties::Against, name), right);
    }
}

#[test]
fn trec_eval_compares_scores_in_32_bits() {
    // In 64 bits `a` is the better one, in 32 they tie, and `b` comes first.
    let one = list("u1", &["a", "b"], &[1.0 + 1e-12, 1.0]);
    let target = case("u1", &["b"], "");
    let rank = |ties| target_ranks(&one, &target, under(ties), |_| true).ranks[0];
    assert_eq!(
        RULES[..2].iter().map(|&t| rank(t)).collect::<Vec<_>>(),
        [2, 1]
    );
    // Byte by byte: `é` is above `z`.
    let one = list("u1", &["z", "é"], &[1.0, 1.0]);
    let target = case("u1", &["é"], "");
    let found = target_ranks(&one, &target, under(Ties::Trec), |_| true);
    assert_eq!(found.ranks, [1]);
}

/// All orders of the items of a list that keep its scores falling, each without ties.
fn orders(list: &RankedList) -> Vec<RankedList> {
    fn fill(list: &RankedList, order: &mut Vec<usize>, found: &mut Vec<RankedList>) {
        let n = list.items.len();
        if order.len() == n {
            found.push(RankedList {
                items: order.iter().map(|&i| list.items[i].clone()).collect(),
                scores: (0..n).map(|i| -(i as f64)).collect(),
                ..list.clone()
            });
        }
        for i in 0..n {
            if !order.contains(&i) && list.scores[i] == list.scores[order.len()] {
                order.push(i);
                fill(list, order, found);
                order.pop();
            }
        }
    }
    let mut found = Vec::new();
    fill(list, &mut Vec::new(), &mut found);
    found
}

fn drawn() -> impl Strategy<Value = (RankedList, TruthCase, Repeats)> {
    let scores = prop::collection::vec(0u8..3, 1..7);
    let targets = prop::collection::btree_map(0usize..8, 1u8..4, 1..5);
    let consumed = prop::collection::btree_set(0usize..8, 0..2);
    (scores, targets, consumed, any::<bool>()).prop_map(
        |(mut scores, targets, consumed, graded)| {
            scores.sort_by(|a, b| b.cmp(a));
            let names: Vec<String> = (0..8).map(|i| format!("i{i}")).collect();
            let list = RankedList {
                case: "u1".into(),
                items: names[..scores.len()].to_vec(),
                scores: scores.into_iter().map(f64::from).collect(),
            };
            let case = TruthCase {
                case: "u1".into(),
                targets: targets.keys().map(|&i| names[i].clone()).collect(),
                gains: if graded {
                    targets.values().map(|&g| g.into()).collect()
                } else {
                    Vec::new()
                },
                consumed: consumed.into_iter().map(|i| names[i].clone()).collect(),
                ..TruthCase::default()
            };
            (list, case, Repeats::Exclude)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// The random rule is the mean over every order, against and for are the least and the most of them, and
    /// trec_eval's is the order that has the ids falling.
    #[test]
    fn each_rule_is_what_all_orders_say((list, case, repeats) in drawn(), k in 1usize..8) {
        let orders = orders(&list);
        let exists = |item: &str| item != "i5";
        for metric in Metric::EVERY {
            let at = MetricAt { metric, k };
            let value = |ties| at.value(&target_ranks(&list, &case, Policy { repeats, ties }, exists));
            let of_order = |o: &RankedList| at.value(&target_ranks(o, &case, repeats, exists));
            let values: Vec<f64> = orders.iter().map(of_order).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(0.0, f64::max);
            prop_assert!((value(Ties::Random) - mean).abs() < 1e-12, "{at}: {} {mean}", value(Ties::Random));
            prop_assert!((value(Ties::Against) - least).abs() < 1e-12, "{at}");
            prop_assert!((value(Ties::For) - most).abs() < 1e-12, "{at}");
            let falls = |o: &&RankedList| {
                let place = |i: usize| list.items.iter().position(|l| *l == o.items[i]).unwrap();
                (1..o.items.len()).all(|i| {
                    list.scores[place(i - 1)] > list.scores[place(i)] || o.items[i - 1] > o.items[i]
                })
            };
            let of_trec = of_order(orders.iter().find(falls).unwrap());
            prop_assert!((value(Ties::Trec) - of_trec).abs() < 1e-12, "{at}");
        }
    }
}

#[test]
fn where_ties_move_a_metric_the_range_is_told() {
    let (truth, run) = files("big.trec.gz", "big.qrels.gz");
    let told = |ties| {
        let runs = std::slice::from_ref(&run);
        let (_, warnings) = score_all(&truth, runs, &[5, 10], under(ties)).unwrap();
        let about = |w: &&String| w.contains("another candidate");
        warnings.iter().find(about).unwrap().clone()
    };
    assert_eq!(
        told(Ties::Against),
        "item: 98.7 % of the first 10 places of `tied` have a score that another candidate has too, and their order \
         decides NDCG@10: .0668 with ties against the targets, as here, .1005 in trec_eval's order, .1023 on average \
         over all orders, .1580 with the targets first."
    );
    assert!(told(Ties::Trec).contains(".1005 in trec_eval's order, as here,"));
    assert!(told(Ties::Random).contains("on average over all orders, as here,"));
    // Ties below the targets move nothing, and nothing is said.
    let (truth, run) = (
        crate::fixtures::truth("item", vec![case("u1", &["a"], "")], &[]),
        crate::fixtures::run(
            "s",
            "item",
            vec![list("u1", &["a", "b", "c"], &[2.0, 1.0, 1.0])],
        ),
    );
    let (_, warnings) = score_all(&truth, &[run], &[1], Repeats::Allow).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn the_rule_stands_beside_every_table() {
    let truth = truth("item", vec![case("u1", &["a"], "")], &["a", "b"]);
    let lists = vec![list("u1", &["a", "b"], &[1.0, 1.0])];
    for (ties, said) in [
        (Ties::Against, "ties count against the targets"),
        (Ties::Trec, "ties in trec_eval's order"),
        (Ties::Random, "ties in random order (expected values)"),
    ] {
        let config = EvalConfig {
            ties,
            ..EvalConfig::default()
        };
        let runs = [run("s", "item", lists.clone())];
        let report = evaluate(std::slice::from_ref(&truth), &runs, &config).unwrap();
        let page = ReportPage {
            report: report.clone(),
            ..ReportPage::default()
        };
        let latex = table::latex(&report).replace("\\_", "_");
        for text in [
            table::text(&report),
            table::markdown(&report),
            latex,
            render(&page).unwrap(),
        ] {
            assert!(
                text.replace("\\_", "_").contains(said),
                "{said} is not in {text}"
            );
        }
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(
            json["config"]["ties"]
                .as_str()
                .unwrap()
                .parse::<Ties>()
                .unwrap(),
            ties
        );
    }
    let refused = "best".parse::<Ties>().unwrap_err().to_string();
    assert!(
        refused.contains("write one of against, trec, random"),
        "{refused}"
    );
}
