//! From ranked lists to `report.html`: draws a small world, measures nine rankers in it and
//! writes the page. `cargo run --release -p hkfr-eval --example sample_report -- report.html`

use hkfr_eval::html::{self, Histogram, ReportPage, Sample, Series, StageRow};
use hkfr_eval::{EvalConfig, RankedList, Run, Truth, TruthCase, evaluate, table};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Name and skill: the mean place of the target, for users with a long history and with a short one.
const SYSTEMS: [(&str, f64, f64); 9] = [
    ("Popularity", 60.0, 60.0),
    ("Recent popularity", 52.0, 54.0),
    ("Own frequency", 22.0, 70.0),
    ("ItemKNN", 26.0, 60.0),
    ("EASE", 21.0, 55.0),
    ("LLM untuned", 80.0, 80.0),
    ("HKFR without tuning", 45.0, 50.0),
    ("HKFR without fusion", 20.0, 40.0),
    ("HKFR", 16.0, 30.0),
];

fn main() -> hkfr_eval::Result<()> {
    let path = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "report.html".into());
    let (category, category_runs) = world("category", 120, 0.6, 1);
    let (item, item_runs) = world("item", 900, 2.2, 2);
    let cfg = EvalConfig {
        reference: Some("HKFR".into()),
        segment_order: vec!["cold-start".into(), "warm".into()],
        ..EvalConfig::default()
    };
    let runs = [category_runs, item_runs].concat();
    let report = evaluate(&[category, item], &runs, &cfg)?;
    print!("{}", table::text(&report));

    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut curve = |name: &str, floor: f64| Series {
        name: name.into(),
        train: (1..=400)
            .map(|i| {
                let noise = rng.random_range(-0.25..0.25);
                (i, floor + 1.9 * (-(i as f64) / 90.0).exp() + noise)
            })
            .collect(),
        validation: (1..=8)
            .map(|i| {
                (
                    i * 50,
                    floor + 0.05 + 1.9 * (-(i as f64) * 50.0 / 90.0).exp(),
                )
            })
            .collect(),
    };
    let loss_curves = vec![curve("HKFR", 1.4), curve("HKFR without fusion", 1.7)];
    let lengths = |mean: f64, rng: &mut ChaCha8Rng| -> Vec<u32> {
        (0..2469)
            .map(|_| {
                let spread: f64 = (0..6).map(|_| rng.random_range(-0.2..0.2)).sum();
                (mean * (1.0 + spread)) as u32
            })
            .collect()
    };
    let histogram = |title: &str, values, limit| Histogram {
        title: title.into(),
        unit: "tokens".into(),
        values,
        limit,
    };
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let stage = |name: &str, wall_seconds, peak_mb, counts: &[(&str, u64)]| StageRow {
        name: name.into(),
        wall_seconds,
        peak_mb: Some(peak_mb),
        counts: counts.iter().map(|&(n, c)| (n.to_owned(), c)).collect(),
    };
    let page = ReportPage {
        title: "HKFR on a drawn world".into(),
        subtitle: "An example page: nothing in it was measured on real users.".into(),
        facts: [("Users", "2,469"), ("Events", "1,469,307"), ("Items", "900 of 120 categories")]
            .map(pair)
            .into(),
        config: [("Seed", "20230"), ("Split", "global temporal"), ("Model", "SmolLM2-135M, LoRA r = 8")]
            .map(pair)
            .into(),
        report,
        loss_curves,
        length_histograms: vec![
            histogram("Prompts", lengths(310.0, &mut rng), Some(512)),
            histogram("Knowledge", lengths(140.0, &mut rng), Some(192)),
        ],
        stages: vec![
            stage("ingest", 4.2, 410.0, &[("events", 1_469_307), ("items", 68_509)]),
            stage("fuse", 118.0, 780.0, &[("users", 2469), ("claims", 31_204)]),
            stage("tune", 341.0, 1320.0, &[("rows", 9600), ("steps", 400)]),
            stage("recommend", 96.5, 905.0, &[("lists", 22_221)]),
        ],
        notes: vec!["The data set calls itself simulated.".into()],
        samples: vec![Sample {
            title: "household 1,204 (cold-start)".into(),
            blocks: [
                ("Knowledge", "Buys mostly on Saturday mornings. Half of the baskets hold fruit.\nReacts to coupons for dairy."),
                ("Recommendation", "1. fluid milk   0.31\n2. bananas      0.22\n3. <b>yoghurt</b>  0.08"),
                ("What came next", "bananas"),
            ]
            .map(pair)
            .into(),
        }],
    };
    html::write(&page, std::path::Path::new(&path))
}

/// A truth of 600 cases with one target each, and a run of every system.
fn world(task: &str, n_items: usize, hardness: f64, seed: u64) -> (Truth, Vec<Run>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut runs: Vec<Run> = SYSTEMS
        .iter()
        .map(|(system, ..)| Run {
            system: system.to_string(),
            task: task.into(),
            depth: 20,
            seed: Some(seed),
            ..Run::default()
        })
        .collect();
    let mut cases = Vec::new();
    for i in 0..600 {
        let cold = i % 4 == 0;
        let (case, target) = (
            format!("u{i}"),
            format!("i{}", rng.random_range(0..n_items)),
        );
        let luck: f64 = -rng.random_range(0.001f64..1.0).ln();
        for (run, &(_, warm_place, cold_place)) in runs.iter_mut().zip(&SYSTEMS) {
            let mean = hardness * if cold { cold_place } else { warm_place };
            let place = (mean * luck * rng.random_range(0.2..1.8)) as usize;
            let mut items: Vec<String> = (0..n_items)
                .map(|i| format!("i{i}"))
                .filter(|i| *i != target)
                .take(20)
                .collect();
            items.insert(place.min(20), target.clone());
            items.truncate(20);
            let scores = (0..20).map(|i| 1.0 - i as f64 / 20.0).collect();
            run.lists.push(RankedList {
                case: case.clone(),
                items,
                scores,
            });
        }
        let segment = if cold { "cold-start" } else { "warm" }.to_owned();
        cases.push(TruthCase {
            case,
            targets: vec![target],
            segment,
            ..TruthCase::default()
        });
    }
    let catalogue = (0..n_items).map(|i| format!("i{i}")).collect();
    (
        Truth {
            task: task.into(),
            cases,
            catalogue,
            ..Truth::default()
        },
        runs,
    )
}
