//! The page: complete, self-contained, and nobody's title acts in it.

use hkfr_eval::html::{Histogram, ReportPage, Sample, Series, StageRow, render, write};
use hkfr_eval::{SystemCost, evaluate};

use crate::fixtures::{config, drawn};

const EVIL: &str = "\u{1b}<script>alert(\"x\")</script> & <|im_start|>";

fn page() -> ReportPage {
    let systems = [("HKFR", 8.0), (EVIL, 30.0), ("popularity", 20.0)];
    let (truth, runs) = drawn("item", 60, &systems, 5);
    let (category, category_runs) = drawn("category", 60, &systems, 6);
    let runs = [runs, category_runs].concat();
    let mut again = runs[2].clone();
    again.seed = Some(8);
    again.lists[0].items.swap(0, 9);
    let runs = [runs, vec![again]].concat();
    let mut report = evaluate(&[category, truth], &runs, &config(Some("HKFR"))).unwrap();
    report.costs.push(SystemCost {
        system: EVIL.into(),
        task: "item".into(),
        fit_seconds: Some(61.25),
        ..SystemCost::default()
    });
    let pair = |s: &str| (s.to_owned(), EVIL.to_owned());
    ReportPage {
        title: EVIL.into(),
        subtitle: EVIL.into(),
        facts: vec![pair("users")],
        config: vec![pair("seed")],
        report,
        loss_curves: vec![Series {
            name: EVIL.into(),
            train: (0..3000)
                .map(|i| (i, if i == 7 { f64::NAN } else { 2.0 }))
                .collect(),
            validation: vec![(100, 2.5)],
        }],
        length_histograms: vec![
            Histogram {
                title: EVIL.into(),
                unit: "tokens".into(),
                values: vec![1, 2, 300, 301, 400],
                limit: Some(350),
            },
            Histogram {
                title: "none".into(),
                ..Histogram::default()
            },
        ],
        stages: vec![StageRow {
            name: EVIL.into(),
            wall_seconds: 83.25,
            peak_mb: Some(1234.0),
            counts: vec![("events".into(), 1_469_307)],
        }],
        notes: vec![EVIL.into()],
        samples: vec![Sample {
            title: EVIL.into(),
            blocks: vec![("knowledge".into(), format!("{EVIL}\u{1b}[31m"))],
        }],
    }
}

#[test]
fn all_text_is_escaped() {
    let html = render(&page()).unwrap();
    assert!(!html.contains("<script"), "a script tag got through");
    assert!(!html.contains("<|im_start|>"));
    assert!(!html.contains('\u{1b}'));
    // Title twice, subtitle, two facts, curve, histogram, stage, note, sample twice; tables and
    // plots of two tasks and their segments.
    let n = html.matches("&lt;script&gt;").count();
    assert!(n >= 11 + 2 * 3 + 4, "{n} escaped titles");
}

#[test]
fn every_part_is_there_in_one_file() {
    let html = render(&page()).unwrap();
    for part in [
        "Results: item",
        "Results: category",
        "By segment",
        "cold",
        "warm",
        "HKFR",
        "popularity",
        "HR@5",
        "NDCG@10",
        "Tuning",
        "Lengths",
        "1 above the budget",
        "What it took",
        "83.2 s",
        "1,234 MB",
        "1,469,307",
        "Sample cases",
        "What the lists are like at 10",
        "<td class=\"num\">61.2 s</td>",
        "popularity is below HKFR in NDCG@10 by ",
        "d<sub>z</sub> −",
        "2 seeds",
        "seeds ±.0",
        "@media (prefers-color-scheme: dark)",
    ] {
        assert!(html.contains(part), "`{part}` is missing");
    }
    // Two of metrics, two of segments, the loss, two histograms.
    assert_eq!(html.matches("<svg ").count(), 7);
    assert!(!html.contains("src=") && !html.contains("href=") && !html.contains("url("));
    assert!(!html.contains("#010203"), "a stand-in colour got through");
    assert!(!html.contains("NaN"));
    assert!(html.len() < 400_000, "{} bytes", html.len());
}

#[test]
fn an_empty_page_is_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report.html");
    write(
        &ReportPage {
            title: "Nothing yet".into(),
            ..ReportPage::default()
        },
        &path,
    )
    .unwrap();
    let html = std::fs::read_to_string(&path).unwrap();
    assert!(html.starts_with("<!DOCTYPE html>") && html.ends_with("</html>"));
    assert!(!html.contains("Sample cases") && !html.contains("<svg "));
}
