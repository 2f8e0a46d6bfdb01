//! What lists are like together; segments, seeds and the policy on repeats.

use hkfr_eval::{ALL, EvalConfig, Metric, Repeats, Truth, evaluate, score, segments};

use crate::fixtures::{case, config, drawn, list, run, truth};

fn small() -> (Truth, Vec<hkfr_eval::RankedList>) {
    let cases = vec![case("u1", &["a"], ""), case("u2", &["d"], "")];
    let mut truth = truth("item", cases, &["a", "b", "c", "d"]);
    truth.popularity = [("a", 5), ("b", 2), ("c", 1)]
        .map(|(i, n)| (i.into(), n))
        .into();
    let lists = vec![
        list("u1", &["a", "ghost", "b"], &[3.0, 2.0, 1.0]),
        list("u2", &["a", "c"], &[2.0, 1.0]),
    ];
    (truth, lists)
}

#[test]
fn by_hand() {
    let (truth, lists) = small();
    let scores = score(&truth, &run("s", "item", lists), &[2], Repeats::Allow).unwrap();
    let check = |name: &str, expected: f64| {
        let got = scores.get(name).unwrap();
        assert!((got - expected).abs() < 1e-12, "{name}: {got} ≠ {expected}");
    };
    check("coverage@2", 2.0 / 4.0);
    check(
        "gini@2",
        ((-3.0 + -1.0) * 0.0 + 1.0 + 3.0 * 2.0) / (4.0 * 3.0),
    );
    check("invalid@2", 1.0 / 4.0);
    check("arp@2", (5.0 + (5.0 + 1.0) / 2.0) / 2.0);
    check("popularity_lift@2", 4.0 / 2.5 - 1.0);
    let bits = |w: f64| -((w + 1.0) / 12.0f64).log2();
    check(
        "novelty@2",
        (bits(5.0) + (bits(5.0) + bits(1.0)) / 2.0) / 2.0,
    );
    check("hr@2", 0.5);
    check("precision@2", 0.25);
}

#[test]
fn what_was_consumed_counts_for_no_system_if_repeats_are_excluded() {
    let (mut truth, lists) = small();
    truth.cases[0].targets = vec!["a".into(), "b".into()];
    truth.cases[0].consumed = vec!["a".into()];
    truth.cases[1].consumed = vec!["d".into()];
    let runs = [run("s", "item", lists)];
    let score_under = |repeats| score(&truth, &runs[0], &[2], repeats).unwrap();
    assert_eq!(score_under(Repeats::Allow).get("recall@2"), Some(0.25));
    // u2 has no target left; of u1 `b` is left, at rank 2 after the ghost.
    let excluded = score_under(Repeats::Exclude);
    assert_eq!(excluded.get("recall@2"), Some(1.0));
    assert_eq!(excluded.get("mrr@2"), Some(0.5));
    let cfg = EvalConfig {
        repeats: Repeats::Exclude,
        ..config(None)
    };
    let report = evaluate(&[truth], &runs, &cfg).unwrap();
    assert_eq!(report.tasks[0].n_cases, 1);
    let warnings = report.warnings.join("\n");
    assert!(
        warnings.contains("2 targets were consumed before") && warnings.contains("1 cases"),
        "{warnings}"
    );
    // The truth knew u2 before the policy took it out.
    assert!(!warnings.contains("does not know"), "{warnings}");
}

#[test]
fn a_case_that_never_had_a_target_stays_whatever_was_consumed() {
    let (mut truth, lists) = small();
    truth.cases.push(case("u3", &[], ""));
    let runs = [run("s", "item", lists)];
    let hr = |truth: &Truth, repeats| {
        let scores = score(truth, &runs[0], &[2], repeats).unwrap();
        scores.get("hr@2").unwrap()
    };
    assert_eq!(hr(&truth, Repeats::Allow), 1.0 / 3.0);
    // Of u2 only the target goes, and with it the case.
    truth.cases[1].consumed = vec!["d".into()];
    assert_eq!(hr(&truth, Repeats::Exclude), 1.0 / 2.0);
    let cfg = EvalConfig {
        repeats: Repeats::Exclude,
        ..config(None)
    };
    let report = evaluate(std::slice::from_ref(&truth), &runs, &cfg).unwrap();
    let warnings = report.warnings.join("\n");
    assert!(
        warnings.contains("1 of 2 cases have no target")
            && warnings.contains("1 targets were consumed before and do not count; 1 cases"),
        "{warnings}"
    );
    truth.cases[0].consumed = vec!["a".into()];
    let message = evaluate(&[truth], &runs, &cfg).unwrap_err().to_string();
    assert!(message.contains("every target"), "{message}");
}

#[test]
fn cases_are_labelled_by_their_targets() {
    let (mut truth, lists) = small();
    truth.cases.push(case("u3", &["b", "c"], ""));
    truth.cases.push(case("u4", &["a", "c"], ""));
    truth.cases[0].labels = vec![segments::history(3, &[5]), segments::scenario("store")];
    segments::label_targets(&mut truth);
    let of = |i: usize| truth.cases[i].labels.last().unwrap().as_str();
    assert_eq!(
        [of(0), of(1), of(2), of(3)],
        [
            "targets: popular",
            "targets: new",
            "targets: rare",
            "targets: mixed"
        ]
    );
    let report = evaluate(&[truth], &[run("s", "item", lists)], &config(None)).unwrap();
    let names: Vec<&str> = report.tasks[0]
        .segments
        .iter()
        .map(|s| s.segment.as_str())
        .collect();
    assert_eq!(names[..3], [ALL, "history: 0–4", "scenario: store"]);
    let text = hkfr_eval::table::text(&report);
    assert!(
        text.contains("item: NDCG@10 by targets (cases)") && text.contains("rare (1)"),
        "{text}"
    );
    assert!(text.contains("item: lists at 10"), "{text}");
}

#[test]
fn no_name_of_an_item_decides_what_is_popular() {
    let labels = |names: [&str; 4]| {
        let [first, a, b, c] = names;
        let cases = [first, a, b, c].map(|item| case(item, &[item], ""));
        let mut truth = truth("item", cases.into(), &names);
        truth.popularity = [(first, 4), (a, 2), (b, 2), (c, 1)]
            .map(|(i, n)| (i.into(), n))
            .into();
        segments::label_targets(&mut truth);
        let labels = truth.cases.into_iter().flat_map(|c| c.labels);
        labels.collect::<Vec<_>>()
    };
    let expected = ["popular", "popular", "popular", "rare"].map(|l| format!("targets: {l}"));
    assert_eq!(labels(["a", "b", "c", "d"]), expected);
    assert_eq!(labels(["d", "c", "b", "a"]), expected);
}

#[test]
fn labels_pass_over_targets_that_were_consumed() {
    let (mut truth, _) = small();
    truth.cases[0].targets = vec!["a".into(), "c".into()];
    truth.cases[0].consumed = vec!["a".into()];
    truth.cases[1].consumed = vec!["d".into()];
    segments::label_targets(&mut truth);
    assert_eq!(truth.cases[0].labels, ["targets: rare"]);
    assert!(truth.cases[1].labels.is_empty());
}

#[test]
fn seeds_are_averaged_and_told_apart_from_cases() {
    let (truth, one) = drawn("item", 60, &[("a", 8.0), ("b", 20.0)], 5);
    let mut runs = one.clone();
    runs[1].system = "a".into();
    runs[1].seed = Some(8);
    let truths = [truth];
    let row = |runs: &[hkfr_eval::Run], name: &str| {
        let report = evaluate(&truths, runs, &config(None)).unwrap();
        report.tasks[0].segments[0].system(name).unwrap().clone()
    };
    let both = row(&runs, "a");
    let [a, b] = ["a", "b"].map(|s| row(&one, s).value(Metric::Hr, 5).unwrap().mean);
    let hr = both.value(Metric::Hr, 5).unwrap();
    assert_eq!(
        (
            both.n_seeds,
            row(&one, "a").value(Metric::Hr, 5).unwrap().seed_sd
        ),
        (2, None)
    );
    assert!((hr.mean - (a + b) / 2.0).abs() < 1e-12);
    assert!((hr.seed_sd.unwrap() - (a - b).abs() / 2f64.sqrt()).abs() < 1e-12);
}
