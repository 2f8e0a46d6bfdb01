//! `hkfr ablate`: who stands in the table, and what a second start does.

use std::path::Path;

use serde_json::Value;

use crate::models::change;
use crate::walk::{run, toy};

fn prepare(dir: &Path) {
    toy(dir);
    change(dir, "toy.toml", |text| {
        text.replace(
            r#"["popularity", "own-frequency"]"#,
            r#"["popularity", "own-frequency", "item-knn", "ials"]"#,
        ) + "draws = 100\n[systems.item.hkfr.trees]\nrounds = 5\n[systems.category.hkfr.trees]\nrounds = 5\n"
    });
}

fn ablate(dir: &Path, more: &[&str]) -> (String, String) {
    let (code, out, err) = run(dir, &[&["ablate", "toy.toml"], more].concat());
    assert_eq!(code, Some(0), "{err}");
    (out, err)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// (name, kind) of all systems.
fn systems(about: &Value) -> Vec<(&str, &str)> {
    about["systems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| (s["name"].as_str().unwrap(), s["kind"].as_str().unwrap()))
        .collect()
}

/// Runs of one seed, and of two: the second start goes on where the first ended, the third finds nothing to do.
#[test]
fn every_rival_and_every_part_of_hkfr_has_a_row() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    prepare(dir);
    ablate(dir, &["--seeds", "42"]);
    let (out, err) = ablate(dir, &["--seeds", "42,43"]);
    let (_, of_first) = err.split_once("── seed 42").unwrap();
    let (of_first, of_second) = of_first.split_once("── seed 43").unwrap();
    for stage in ["ingest", "split", "recommend", "evaluate"] {
        let told = format!("{stage}: up to date");
        assert!(of_first.contains(&told), "{stage} of the first seed: {err}");
    }
    // Nothing is read twice.
    assert!(
        of_second.contains("ingest: up to date\nsplit: up to date\n"),
        "{err}"
    );
    assert!(of_second.contains("\nrecommend\n"), "{err}");

    let table = dir.join("out/toy/ablate");
    let about = json(&table.join("ablate.json"));
    let expected = [
        ("popularity", "rival"),
        ("own-frequency", "rival"),
        ("item-knn", "rival"),
        ("item-knn+own", "with-own"),
        ("ials", "rival"),
        ("ials+own", "with-own"),
        ("hkfr-no-own", "ablation"),
        ("hkfr-no-counts", "ablation"),
        ("hkfr-no-neighbours", "ablation"),
        ("hkfr-no-order", "ablation"),
        ("hkfr-no-text", "ablation"),
        ("hkfr-no-behaviours", "ablation"),
        ("hkfr", "hkfr"),
    ];
    assert_eq!(systems(&about), expected);
    assert_eq!(about["seeds"], serde_json::json!([42, 43]));
    let kept = about["results"][0]["segments"][0]["systems"][0]["metrics"].to_string();
    assert!(kept.contains("NDCG") && !kept.contains("MRR"), "{kept}");
    assert!(
        about["costs"]
            .as_array()
            .unwrap()
            .iter()
            .any(|c| c["system"] == "hkfr")
    );
    let report = json(&table.join("report.json"));
    let task = report["tasks"].as_array().unwrap();
    let task = task.iter().find(|t| t["task"] == "item").unwrap();
    let all = &task["segments"][0];
    assert_eq!(all["segment"], "all");
    let rows: Vec<&Value> = all["systems"].as_array().unwrap().iter().collect();
    assert_eq!(rows.len(), expected.len());
    for (name, _) in expected {
        let row = rows.iter().find(|r| r["system"] == name);
        let row = row.unwrap_or_else(|| panic!("no row of {name}"));
        let drawn = !["popularity", "own-frequency", "item-knn"].contains(&name);
        let n_seeds = row["n_seeds"].as_u64().unwrap();
        assert_eq!(n_seeds, 1 + u64::from(drawn), "{name}");
        let is_compared = !row["versus_reference"].as_array().unwrap().is_empty();
        assert_eq!(is_compared, name != "hkfr", "{name}");
    }
    for part in [
        "Nothing of these is drawn, so that they have one seed: popularity, own-frequency, item-knn.",
        "No system asked a language model.",
        "These have no semantic features, since no language model was tuned",
        "RIVAL+own: ",
        "item-knn+own",
        "paired difference to hkfr",
    ] {
        assert!(out.contains(part), "{part:?} is not in\n{out}");
    }
    for file in ["table.md", "table.txt", "table.tex", "report.html"] {
        let text = std::fs::read_to_string(table.join(file)).unwrap();
        assert!(text.contains("hkfr-no-own"), "{file}");
    }

    let (again, err) = ablate(dir, &["--seeds", "42,43"]);
    assert!(err.contains("\nall up to date\n"), "{err}");
    assert_eq!(again, out);
    let ran = |stage: &str| err.lines().any(|line| line == stage);
    assert!(
        !ran("ingest") && !ran("recommend") && !ran("ablate"),
        "{err}"
    );

    // A file that is lost is made again, and nothing beside it.
    std::fs::remove_file(dir.join("out/toy/ablate-runs/seed-43/recommend/hkfr.item.jsonl"))
        .unwrap();
    let (again, err) = ablate(dir, &["--seeds", "42,43"]);
    assert_eq!(
        err.lines().filter(|line| *line == "recommend").count(),
        1,
        "{err}"
    );
    assert!(again.contains("item-knn+own"));

    let (code, _, err) = run(dir, &["ablate", "toy.toml", "--seeds", "7,7"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("--seeds names one twice"), "{err}");
}

/// A changed log reaches every seed; and a user who is forgotten is in no table.
#[test]
fn what_is_derived_follows_the_log() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    prepare(dir);
    change(dir, "toy.toml", |text| {
        text.replace(r#", "item-knn", "ials""#, "")
    });
    ablate(dir, &["--seeds", "1"]);
    change(dir, "logs/log.csv", |text| {
        text.to_owned() + "u0,i1,1700000001\n"
    });
    let (_, err) = ablate(dir, &["--seeds", "1"]);
    assert!(err.contains("241 events"), "{err}");
    let (_, of_seed) = err.split_once("── seed 1").unwrap();
    assert!(
        of_seed.contains("ingest: up to date") && of_seed.contains("\nrecommend\n"),
        "{err}"
    );

    let (code, _, err) = run(dir, &["forget", "toy.toml", "--user", "u3"]);
    assert_eq!(code, Some(0), "{err}");
    for gone in ["ablate", "ablate-runs"] {
        assert!(!dir.join("out/toy").join(gone).exists(), "{gone}");
    }
}
