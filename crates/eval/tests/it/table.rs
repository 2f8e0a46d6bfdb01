//! What people read on a terminal and in Markdown.

use hkfr_eval::{EvalConfig, Metric, Repeats, Report, SystemCost, evaluate, html, table, verdicts};

use crate::fixtures::{case, config, drawn, list, run, truth};

#[test]
fn terminal_table() {
    let cases = (0..8).map(|i| {
        case(
            &format!("u{i}"),
            &["a"],
            if i < 3 { "cold" } else { "warm" },
        )
    });
    let truth = truth("category", cases.collect(), &["a", "b"]);
    let always = (0..8).map(|i| list(&format!("u{i}"), &["a", "b"], &[2.0, 1.0]));
    let half = (0..8).map(|i| {
        list(
            &format!("u{i}"),
            if i % 2 == 0 { &["b", "a"] } else { &["b"] },
            &[2.0, 1.0][..2 - i % 2],
        )
    });
    let never = (0..7).map(|i| list(&format!("u{i}"), &["b"], &[1.0]));
    let runs = [
        run(
            "a system with a very long name, indeed",
            "category",
            never.collect(),
        ),
        run("half", "category", half.collect()),
        run("HKFR", "category", always.collect()),
    ];
    let report = evaluate(&[truth], &runs, &config(Some("HKFR"))).unwrap();
    insta::assert_snapshot!(table::text(&report), @r#"
    category · all · 8 cases · 2 in the catalogue
    system                                 HR@5          NDCG@5           HR@10         NDCG@10           ΔNDCG@10
    ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
    a system with a very long n…  0.0000 ±.0000†  0.0000 ±.0000†  0.0000 ±.0000†  0.0000 ±.0000†  −1.0000   p .008
    half                          0.5000 ±.3453   0.3155 ±.2179†  0.5000 ±.3453   0.3155 ±.2179†  −0.6845   p .008
    HKFR                          1.0000 ±.0000*  1.0000 ±.0000*  1.0000 ±.0000*  1.0000 ±.0000*         reference

    category: lists at 10
    system                        coverage    Gini  invalid
    ───────────────────────────────────────────────────────
    a system with a very long n…    0.5000  0.5000   0.0000
    half                            1.0000  0.1667   0.0000
    HKFR                            1.0000  0.0000   0.0000

    category: NDCG@10 by segment (cases)
    system                        all (8)   cold (3)   warm (5)
    ────────────────────────────────────────────────────────────
    a system with a very long n…   0.0000     0.0000     0.0000
    half                           0.3155     0.4206     0.2524
    HKFR                           1.0000*    1.0000*    1.0000*

    * best of the column · ± half of the 95 % bootstrap interval (500 resamples) · repeats: allowed
    = ties count against the targets
    Δ paired difference to HKFR, p of the randomisation test after Holm's correction; † p < .05
    ! category: the runs do not cover the same cases; a case without a list scores 0.
    ! category: `a system with a very long name, indeed` has no list for 1 of 8 cases.
    "#);
}

#[test]
fn every_table_says_what_becomes_of_repeats() {
    let (truth, runs) = drawn("item", 20, &[("HKFR", 8.0)], 2);
    for (repeats, said) in [
        (Repeats::Allow, "repeats: allowed"),
        (Repeats::Exclude, "items consumed before are excluded"),
    ] {
        let cfg = EvalConfig {
            repeats,
            ..config(None)
        };
        let report = evaluate(std::slice::from_ref(&truth), &runs, &cfg).unwrap();
        let page = html::ReportPage {
            report: report.clone(),
            ..html::ReportPage::default()
        };
        for table in [
            table::text(&report),
            table::markdown(&report),
            table::latex(&report),
            html::render(&page).unwrap(),
        ] {
            assert!(table.contains(said), "{table}");
        }
        assert!(
            table::text(&report)
                .lines()
                .all(|l| l.chars().count() <= 120)
        );
    }
}

#[test]
fn fits_a_terminal_of_120_columns() {
    let names = [
        "a system with a name that is much too long for any table",
        "HKFR",
    ];
    let (truth, runs) = drawn("item", 60, &[(names[0], 30.0), (names[1], 8.0)], 2);
    let report = evaluate(&[truth], &runs, &config(Some("HKFR"))).unwrap();
    let text = table::text(&report);
    let widest = text.lines().map(|l| l.chars().count()).max().unwrap();
    assert!(widest <= 120, "{widest} columns:\n{text}");
}

#[test]
fn markdown_escapes_and_marks() {
    let (truth, runs) = drawn("item", 60, &[("a|b_c", 30.0), ("HKFR", 8.0)], 2);
    let report = evaluate(&[truth], &runs, &config(None)).unwrap();
    let md = table::markdown(&report);
    assert!(md.contains(r"| a\|b\_c | "), "{md}");
    assert!(md.contains("|---|---:|---:|---:|---:|\n"), "{md}");
    let hkfr = md.lines().find(|l| l.starts_with("| HKFR")).unwrap();
    assert_eq!(hkfr.matches("**").count(), 8, "{hkfr}");
    assert!(hkfr.contains("[0."), "{hkfr}");
}

/// Two seeds of `gru_4`, one of the others, and what they took.
fn compared() -> Report {
    let (truth, mut runs) = drawn(
        "item",
        120,
        &[("pop", 20.0), ("gru_4", 8.0), ("twin", 20.0)],
        2,
    );
    let (_, mut more) = drawn("item", 120, &[("gru_4", 9.0)], 2);
    more[0].seed = Some(8);
    runs.append(&mut more);
    let cfg = EvalConfig {
        main: Some("hr@5".parse().unwrap()),
        ..config(Some("pop"))
    };
    let mut report = evaluate(&[truth], &runs, &cfg).unwrap();
    report.tasks[0].segments.truncate(1);
    report.costs.push(SystemCost {
        system: "gru_4".into(),
        task: "item".into(),
        fit_seconds: Some(725.2),
        peak_mb: Some(1234.0),
        ..SystemCost::default()
    });
    report
}

#[test]
fn markdown_of_a_comparison() {
    insta::assert_snapshot!(table::markdown(&compared()), @r#"
    ### item · all · 120 cases · 40 in the catalogue

    | system | HR@5 | NDCG@5 | HR@10 | NDCG@10 | ΔHR@5 |
    |---|---:|---:|---:|---:|---:|
    | pop | 0.2750 [0.1917, 0.3583] | 0.1803 [0.1209, 0.2442] | 0.5417 [0.4500, 0.6294] | 0.2646 [0.2097, 0.3238] | reference |
    | gru\_4 | **0.3792**† [0.3333, 0.4272] | **0.2240** [0.1849, 0.2633] | **0.6125** [0.5792, 0.6500] | **0.3019** [0.2695, 0.3351] | +0.1042, p .024 |
    | twin | 0.2417 [0.1667, 0.3250] | 0.1604 [0.1028, 0.2231] | 0.5083 [0.4167, 0.5917] | 0.2430 [0.1904, 0.2991] | −0.0333, p .427 |

    #### item: seeds, effect and cost

    | system | seeds | sd of seeds, HR@5 | d\_z, HR@5 | fit | peak memory |
    |---|---:|---:|---:|---:|---:|
    | pop | 1 | – | – | – | – |
    | gru\_4 | 2 | 0.4066 | .25 | 12 min 05 s | 1,234 MB |
    | twin | 1 | – | −.09 | – | – |

    #### item: lists at 10

    | system | coverage | Gini | invalid |
    |---|---:|---:|---:|
    | pop | 0.8750 | 0.7293 | 0.0000 |
    | gru\_4 | 0.9750 | 0.7088 | 0.0000 |
    | twin | 0.9000 | 0.7289 | 0.0000 |

    In brackets: the 95 % bootstrap interval; repeats: allowed; ties count against the targets.

    Δ: paired difference to pop, p of the randomisation test after Holm's correction; † p < .05.
    "#);
}

#[test]
fn latex_of_a_comparison() {
    insta::assert_snapshot!(table::latex(&compared()), @r#"
    % needs \usepackage{booktabs}

    \begin{table}
    \centering
    \caption{Task item, 120 cases, catalogue of 40, means over seeds where there are several (gru\_4: 2). In brackets the 95 \% bootstrap interval over cases (500 resamples); the best of a column is bold; repeats: allowed; ties count against the targets. $\dagger$: differs from pop, $p < .05$ in a paired randomisation test after Holm's correction over 2 comparisons.}
    \begin{tabular}{lrrrrr}
    \toprule
    system & HR@5 & NDCG@5 & HR@10 & NDCG@10 & $\Delta$HR@5 \\
    \midrule
    pop & 0.2750 {\scriptsize [0.1917, 0.3583]} & 0.1803 {\scriptsize [0.1209, 0.2442]} & 0.5417 {\scriptsize [0.4500, 0.6294]} & 0.2646 {\scriptsize [0.2097, 0.3238]} & reference \\
    gru\_4 & \textbf{0.3792}$^\dagger$ {\scriptsize [0.3333, 0.4272]} & \textbf{0.2240} {\scriptsize [0.1849, 0.2633]} & \textbf{0.6125} {\scriptsize [0.5792, 0.6500]} & \textbf{0.3019} {\scriptsize [0.2695, 0.3351]} & +0.1042 ($p = .024$) \\
    twin & 0.2417 {\scriptsize [0.1667, 0.3250]} & 0.1604 {\scriptsize [0.1028, 0.2231]} & 0.5083 {\scriptsize [0.4167, 0.5917]} & 0.2430 {\scriptsize [0.1904, 0.2991]} & $-$0.0333 ($p = .427$) \\
    \bottomrule
    \end{tabular}
    \end{table}

    \begin{table}
    \centering
    \caption{item: seeds, effect and cost.}
    \begin{tabular}{lrrrrr}
    \toprule
    system & seeds & sd of seeds, HR@5 & $d_z$, HR@5 & fit & peak memory \\
    \midrule
    pop & 1 & -- & -- & -- & -- \\
    gru\_4 & 2 & 0.4066 & .25 & 12 min 05 s & 1,234 MB \\
    twin & 1 & -- & $-$.09 & -- & -- \\
    \bottomrule
    \end{tabular}
    \end{table}
    "#);
}

#[test]
fn verdicts_say_what_is_significant() {
    let report = compared();
    insta::assert_snapshot!(verdicts(&report, &report.tasks[0]).join("\n"), @r#"
    gru_4 is above pop in HR@5 by .1042 (95 % .0311 to .1814), p .024 after Holm, d_z .25.
    twin: no significant difference to pop in HR@5: −.0333 (95 % −.1000 to .0333), p .427 after Holm, d_z −.09.
    "#);
}

#[test]
fn latex_prints_any_name_as_it_is() {
    let (truth, runs) = drawn("item", 20, &[(r"a&b_c%$#{}~^\<|>", 8.0)], 2);
    let report = evaluate(&[truth], &runs, &config(None)).unwrap();
    let tex = table::latex(&report);
    let name = r"a\&b\_c\%\$\#\{\}\textasciitilde{}\textasciicircum{}\textbackslash{}\textless{}\textbar{}\textgreater{} & ";
    assert!(tex.contains(name), "{tex}");
    assert!(!tex.contains("dagger"), "nothing was compared: {tex}");
    // After a line break these would be its own.
    for name in ["[s]", "*z"] {
        let (truth, runs) = drawn("item", 20, &[(name, 8.0)], 2);
        let report = evaluate(&[truth], &runs, &config(None)).unwrap();
        let tex = table::latex(&report);
        assert!(tex.contains(&format!("\n{{}}{name} & ")), "{tex}");
    }
}

/// 120 draws and 2 comparisons cannot give less than 2/121.
#[test]
fn the_smallest_p_value_that_the_test_can_give_is_told_as_a_bound() {
    let (truth, runs) = drawn(
        "item",
        200,
        &[("best", 4.0), ("worst", 40.0), ("twin", 4.0)],
        5,
    );
    let cfg = EvalConfig {
        draws: 120,
        ..config(Some("best"))
    };
    let report = evaluate(&[truth], &runs, &cfg).unwrap();
    let row = |system| report.tasks[0].segments[0].system(system).unwrap();
    let of = |system| row(system).difference(Metric::Ndcg, 10).unwrap();
    assert!((of("worst").p_holm - 2.0 / 121.0).abs() < 1e-12);
    assert!(of("worst").p_is_floor && !of("twin").p_is_floor);
    let json = serde_json::to_string(of("worst")).unwrap();
    assert!(json.contains("\"p_is_floor\":true"), "{json}");
    let page = html::ReportPage {
        report: report.clone(),
        ..html::ReportPage::default()
    };
    for text in [
        table::text(&report),
        table::markdown(&report),
        html::render(&page).unwrap(),
        verdicts(&report, &report.tasks[0]).join("\n"),
    ] {
        assert!(text.contains("p ≤ .017"), "{text}");
        assert!(!text.contains("p .017"), "{text}");
    }
    let latex = table::latex(&report);
    assert!(latex.contains("($p \\le .017$)"), "{latex}");
}
