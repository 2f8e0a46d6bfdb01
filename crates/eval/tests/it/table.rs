//! What people read on a terminal and in Markdown.

use hkfr_eval::{evaluate, table};

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
    system                                 HR@5          NDCG@5           HR@10         NDCG@10          ΔNDCG@10
    ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
    a system with a very long n…  0.0000 ±.0000   0.0000 ±.0000   0.0000 ±.0000   0.0000 ±.0000   −1.0000  p .008
    half                          0.5000 ±.3453   0.3155 ±.2179   0.5000 ±.3453   0.3155 ±.2179   −0.6845  p .008
    HKFR                          1.0000 ±.0000*  1.0000 ±.0000*  1.0000 ±.0000*  1.0000 ±.0000*        reference

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

    * best of the column · ± half of the 95 % bootstrap interval (500 resamples)
    Δ paired difference to HKFR, p of the randomisation test after Holm's correction
    ! category: the runs do not cover the same cases; a case without a list scores 0.
    ! category: `a system with a very long name, indeed` has no list for 1 of 8 cases.
    "#);
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
