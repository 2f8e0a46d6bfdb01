//! The whole evaluation: denominators, segments, comparisons, warnings, refusals.

use hkfr_eval::{
    ALL, EvalConfig, Metric, MetricAt, Repeats, Report, Run, SystemRow, evaluate, score_all,
};

use crate::fixtures::{case, config, drawn, list, run, truth};

fn row<'a>(report: &'a Report, segment: &str, system: &str) -> &'a SystemRow {
    report.tasks[0]
        .segment(segment)
        .unwrap()
        .system(system)
        .unwrap()
}

#[test]
fn missing_lists_and_invented_items_stay_in_the_denominator() {
    let mut cases = vec![
        case("u1", &["a"], "cold"),
        case("u2", &["b"], "warm"),
        case("u3", &["gone"], "warm"),
        case("u1 again", &["a"], "cut to 1"),
    ];
    cases[3].in_overall = false;
    let truth = truth("item", cases, &["a", "b", "c"]);
    let lists = vec![
        list("u1", &["ghost", "a"], &[2.0, 1.0]),
        list("u3", &["gone"], &[1.0]),
        list("u1 again", &["a"], &[1.0]),
        list("stranger", &["a"], &[1.0]),
    ];
    let full = ["u1", "u2", "u3", "u1 again"].map(|c| list(c, &["a", "b"], &[2.0, 1.0]));
    let runs = [
        run("patchy", "item", lists),
        run("full", "item", full.into()),
    ];
    let report = evaluate(&[truth], &runs, &config(None)).unwrap();

    let task = &report.tasks[0];
    let labels: Vec<_> = task
        .segments
        .iter()
        .map(|s| (s.segment.as_str(), s.n_cases))
        .collect();
    assert_eq!(
        labels,
        [(ALL, 3), ("cold", 1), ("warm", 2), ("cut to 1", 1)]
    );
    assert_eq!(
        (task.n_targets, task.n_unreachable_targets, task.n_catalogue),
        (4, 1, 3)
    );
    let all = row(&report, ALL, "patchy");
    assert_eq!(all.value(Metric::Hr, 5).unwrap().mean, 1.0 / 3.0);
    assert_eq!((all.n_missing, all.n_invalid, all.n_listed), (1, 2, 3));
    assert_eq!(
        row(&report, ALL, "full").value(Metric::Hr, 5).unwrap().mean,
        2.0 / 3.0
    );
    assert_eq!(
        row(&report, "cut to 1", "patchy")
            .value(Metric::Hr, 5)
            .unwrap()
            .mean,
        1.0
    );

    let warnings = report.warnings.join("\n");
    for part in [
        "1 of 4 targets (25.0 %) are not in the catalogue",
        "do not cover the same cases",
        "`patchy` has no list for 1 of 4 cases",
        "`patchy` has 1 lists for cases the truth does not know",
        "2 of 4 items listed by `patchy`",
    ] {
        assert!(warnings.contains(part), "`{part}` is not in:\n{warnings}");
    }
    assert!(!warnings.contains("`full`"), "{warnings}");
}

#[test]
fn every_system_is_compared_with_the_reference_in_every_segment() {
    let (truth, runs) = drawn(
        "item",
        300,
        &[("HKFR", 8.0), ("weak", 30.0), ("twin", 8.0)],
        11,
    );
    let cfg = EvalConfig {
        segment_order: vec!["warm".into()],
        ..config(Some("HKFR"))
    };
    let report = evaluate(&[truth], &runs, &cfg).unwrap();
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    let labels: Vec<_> = report.tasks[0]
        .segments
        .iter()
        .map(|s| s.segment.as_str())
        .collect();
    assert_eq!(labels, [ALL, "warm", "cold"]);
    for segment in labels {
        assert!(row(&report, segment, "HKFR").versus_reference.is_empty());
        let weak = row(&report, segment, "weak")
            .difference(Metric::Ndcg, 10)
            .unwrap();
        assert!(
            weak.interval.hi < 0.0 && weak.p_holm < 0.05,
            "{segment}: {weak:?}"
        );
        assert!(weak.p_holm >= weak.p);
        for system in ["HKFR", "weak", "twin"] {
            for v in &row(&report, segment, system).metrics {
                let (lo, hi) = (v.interval.lo, v.interval.hi);
                assert!(
                    lo <= v.mean && v.mean <= hi,
                    "{segment} {system} {}: {v:?}",
                    v.at
                );
            }
        }
    }
    let diff = row(&report, ALL, "weak")
        .difference(Metric::Hr, 5)
        .unwrap()
        .diff;
    let mean = |s| row(&report, ALL, s).value(Metric::Hr, 5).unwrap().mean;
    assert!((diff - (mean("weak") - mean("HKFR"))).abs() < 1e-12);
}

#[test]
fn the_same_seed_gives_the_same_report_and_the_file_keeps_it() {
    let (truth, runs) = drawn("item", 80, &[("HKFR", 8.0), ("weak", 30.0)], 3);
    let (truths, cfg) = ([truth], config(Some("HKFR")));
    let report = evaluate(&truths, &runs, &cfg).unwrap();
    assert_eq!(report, evaluate(&truths, &runs, &cfg).unwrap());
    // A system's numbers do not depend on who else is measured.
    let alone = evaluate(&truths, &runs[..1], &cfg).unwrap();
    assert_eq!(row(&alone, ALL, "HKFR"), row(&report, ALL, "HKFR"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report.json");
    report.write(&path).unwrap();
    let read = Report::read(&path).unwrap();
    assert_eq!(read.tasks[0].segments.len(), report.tasks[0].segments.len());
    let (a, b) = (row(&read, ALL, "weak"), row(&report, ALL, "weak"));
    assert_eq!(a.metrics[0].at, b.metrics[0].at);
    assert!((a.metrics[0].mean - b.metrics[0].mean).abs() < 1e-12);
}

#[test]
fn inputs_that_cannot_be_measured_are_refused() {
    let (truth, runs) = drawn("item", 5, &[("HKFR", 8.0)], 3);
    let truths = [truth];
    let refuse = |runs: &[hkfr_eval::Run], cfg: &EvalConfig| {
        evaluate(&truths, runs, cfg).unwrap_err().to_string()
    };
    let unknown = refuse(&runs, &config(Some("HKRF")));
    assert!(
        unknown.contains("`HKRF`") && unknown.contains("HKFR"),
        "{unknown}"
    );
    let twice = [runs[0].clone(), runs[0].clone()];
    assert!(refuse(&twice, &config(None)).contains("two runs are of system `HKFR`"));
    let mut other = runs.clone();
    other[0].task = "category".into();
    assert!(refuse(&other, &config(None)).contains("task `category`, for which no truth"));
    let mut rising = runs.clone();
    rising[0].lists[2].scores[0] = -5.0;
    let message = refuse(&rising, &config(None));
    assert!(
        message.contains("`u2`") && message.contains("scores rise"),
        "{message}"
    );
    for ks in [vec![], vec![0, 5], vec![10, 5], vec![5, 5]] {
        assert!(refuse(&runs, &EvalConfig { ks, ..config(None) }).contains("`ks`"));
    }
    let few = EvalConfig {
        resamples: 10,
        ..config(None)
    };
    assert!(refuse(&runs, &few).contains("`resamples`"));
    let both = [truths[0].clone(), truths[0].clone()];
    let message = evaluate(&both, &runs, &config(None))
        .unwrap_err()
        .to_string();
    assert!(message.contains("two truths"), "{message}");
}

#[test]
fn a_run_too_shallow_for_a_cut_off_is_told() {
    let (truth, mut runs) = drawn("item", 5, &[("HKFR", 8.0)], 3);
    runs[0].depth = 5;
    runs[0].lists.iter_mut().for_each(|l| {
        l.items.truncate(5);
        l.scores.truncate(5);
    });
    let report = evaluate(&[truth], &runs, &config(None)).unwrap();
    assert!(
        report.warnings[0].contains("run to depth 5"),
        "{:?}",
        report.warnings
    );
}

#[test]
fn a_run_too_shallow_is_told_without_a_catalogue_too_and_without_intervals() {
    let (mut truth, mut runs) = drawn("item", 5, &[("HKFR", 8.0), ("weak", 20.0)], 3);
    truth.catalogue.clear();
    runs[0].depth = 5;
    runs[1].lists.truncate(2);
    runs[1].lists[0].case = "stranger".into();
    let report = evaluate(std::slice::from_ref(&truth), &runs, &config(None)).unwrap();
    assert_eq!(
        report.warnings,
        [
            "item: the runs do not cover the same cases; a case without a list scores 0.",
            "item: `HKFR` was run to depth 5, its metrics at 10 are lower bounds.",
            "item: `weak` has no list for 4 of 5 cases.",
            "item: `weak` has 1 lists for cases the truth does not know; ignored.",
        ]
    );
    let repeats = hkfr_eval::Repeats::Allow;
    let (scores, warnings) = score_all(&truth, &runs, &[5, 10], repeats).unwrap();
    assert_eq!(warnings, report.warnings);
    for (run, scores) in runs.iter().zip(scores) {
        let mean = row(&report, ALL, &run.system).value(Metric::Hr, 5);
        assert_eq!(scores.get("hr@5").unwrap(), mean.unwrap().mean);
    }
}

#[test]
fn too_few_draws_for_any_significance_are_told() {
    let systems: Vec<(String, f64)> = (0..8).map(|i| (format!("s{i}"), 9.0)).collect();
    let systems: Vec<(&str, f64)> = systems.iter().map(|s| (s.0.as_str(), s.1)).collect();
    let (truth, runs) = drawn("item", 20, &systems, 3);
    let warned = |draws| {
        let cfg = EvalConfig {
            draws,
            ..config(Some("s0"))
        };
        let warnings = evaluate(std::slice::from_ref(&truth), &runs, &cfg)
            .unwrap()
            .warnings;
        warnings.join(" ").contains("nothing can be significant")
    };
    // 7 comparisons: 7 / 101 is above .05, 7 / 141 is not.
    assert!(warned(100) && !warned(140));
}

#[test]
fn figures_that_cannot_both_be_right_are_found() {
    let (truth, runs) = drawn("item", 60, &[("HKFR", 12.0)], 3);
    let report = evaluate(&[truth], &runs, &config(None)).unwrap();
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    let mut segment = report.tasks[0].segments[0].clone();
    let faults = |row: &SystemRow| {
        let mean = |at: MetricAt| row.value(at.metric, at.k).unwrap().mean;
        hkfr_eval::checks::one_target_faults(&[5, 10], mean)
    };
    let row = &mut segment.systems[0];
    assert!(faults(row).is_empty());
    let at = "ndcg@10".parse().unwrap();
    let value = row.metrics.iter_mut().find(|v| v.at == at);
    value.unwrap().mean += 0.1;
    assert_eq!(faults(row), [(5, 10)]);
}

/// Ten items of one score each, the target among them: which were cut off is anybody's guess.
#[test]
fn hits_among_equal_scores_at_the_end_of_a_list_are_told() {
    let items: Vec<String> = (0..10).map(|i| format!("i{i}")).collect();
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    let scored = |scores: [f64; 10]| run("s", "item", vec![list("u", &items, &scores)]);
    let mut truth = truth("item", vec![case("u", &["i8"], "")], &[]);
    truth.catalogue = (0..99).map(|i| format!("i{i}")).collect();
    let asked = truth.clone();
    let warned = |run: &Run, ks: &[usize], repeats| {
        let runs = std::slice::from_ref(run);
        let (_, told) = score_all(&asked, runs, ks, repeats).unwrap();
        told.join(" ")
    };
    let mut tied = scored([0.0; 10]);
    assert!(
        warned(&tied, &[10], Repeats::Allow)
            .contains("1 hits of `s` are among equal scores at the end")
    );
    assert!(!warned(&tied, &[5], Repeats::Allow).contains("equal scores"));
    let falling = scored(std::array::from_fn(|i| -(i as f64)));
    assert_eq!(warned(&falling, &[10], Repeats::Allow), "");
    // A list that ends of itself hides nothing.
    tied.depth = 20;
    assert!(!warned(&tied, &[10], Repeats::Allow).contains("equal scores"));
    // What was consumed before leaves nine.
    truth.cases[0].consumed = vec!["i0".into()];
    let (_, told) = score_all(&truth, &[falling], &[5, 10], Repeats::Exclude).unwrap();
    assert!(
        told.join(" ")
            .contains("1 of 1 lists of `s` are shorter than 10"),
        "{told:?}"
    );
}

/// A case without a hit has 0, not −0.
#[test]
fn nothing_is_a_positive_zero() {
    let runs = [run("s", "item", vec![list("u", &["b"], &[1.0])])];
    let truth = truth("item", vec![case("u", &["a"], "")], &[]);
    let (scores, _) = score_all(&truth, &runs, &[1], Repeats::Allow).unwrap();
    assert!(
        scores[0].0.iter().all(|(_, v)| v.is_sign_positive()),
        "{scores:?}"
    );
}

#[test]
fn the_deciding_metric_is_one_of_those_measured() {
    let (truth, runs) = drawn("item", 5, &[("HKFR", 8.0)], 3);
    let cfg = EvalConfig {
        main: Some("recall@7".parse().unwrap()),
        ..config(None)
    };
    let message = evaluate(&[truth], &runs, &cfg).unwrap_err().to_string();
    assert!(message.contains("`main` must be one of `ks`"), "{message}");
    for wrong in ["ndcg", "ndcg@0", "nDCG@x", "hits@5"] {
        let message = wrong
            .parse::<hkfr_eval::MetricAt>()
            .unwrap_err()
            .to_string();
        assert!(
            message.contains(wrong) && message.contains("HR, NDCG"),
            "{message}"
        );
    }
}
