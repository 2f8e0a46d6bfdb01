//! `hkfr features` and `hkfr ctr` on the toy log.

use std::collections::{BTreeMap, BTreeSet};

use hkfr::events::store::FrameReader;
use serde_json::Value;

use crate::walk::{run, toy};

#[test]
fn features_are_written_with_their_schema_and_models_are_fitted_to_them() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    toy(dir);
    let (code, _, err) = run(dir, &["ctr", "toy.toml"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("run `hkfr features CONFIG` first"), "{err}");

    let (code, out, err) = run(dir, &["features", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.ends_with("out/toy/features\n"), "{out}");
    for task in ["item", "category"] {
        let of_task = dir.join("out/toy/features").join(task);
        let schema = std::fs::read_to_string(of_task.join("schema.json")).unwrap();
        let schema: Value = serde_json::from_str(&schema).unwrap();
        for file in ["pairs.parquet", "users.parquet", "items.parquet"] {
            let mut reader = FrameReader::open(&of_task.join(file)).unwrap();
            let described = schema["files"][file].as_array().unwrap();
            let columns = reader.columns();
            assert_eq!(described.len(), columns.len());
            for (column, (name, notes)) in described.iter().zip(&columns) {
                assert_eq!(column["name"], name.as_str());
                assert_eq!(column["meaning"], notes["meaning"].as_str());
                assert!(!notes["meaning"].is_empty(), "{name}");
            }
            assert!(reader.next_batch().unwrap().unwrap().n_rows() > 0);
        }
    }

    // The test part is what the cases ask, and every list is one user as of one time.
    let pairs = dir.join("out/toy/features/item/pairs.parquet");
    let mut reader = FrameReader::open(&pairs).unwrap();
    let mut lists: BTreeMap<String, BTreeSet<(String, i64, String)>> = BTreeMap::new();
    let mut chosen = 0;
    while let Some(batch) = reader.next_batch().unwrap() {
        let (ids, users) = (
            batch.texts("list_id").unwrap(),
            batch.texts("user_id").unwrap(),
        );
        let (parts, at) = (
            batch.texts("part").unwrap(),
            batch.integers("as_of").unwrap(),
        );
        let labels = batch.integers("label").unwrap();
        for row in 0..batch.n_rows() {
            let part = parts[row].unwrap().to_owned();
            let of = (users[row].unwrap().to_owned(), at[row].unwrap(), part);
            chosen += usize::from(labels[row] == Some(1) && of.2 == "test");
            lists
                .entry(ids[row].unwrap().into())
                .or_default()
                .insert(of);
        }
    }
    assert!(lists.values().all(|of| of.len() == 1));
    let test: Vec<&String> = lists
        .keys()
        .filter(|id| !id.starts_with("train/"))
        .collect();
    // Ten users, and two that are held out, with each of three cuts.
    assert_eq!(test.len(), 10 + 6, "{test:?}");
    assert!(chosen >= 10);
    let qrels = pairs.with_file_name("truth.item.qrels.trec");
    assert_eq!(std::fs::read_to_string(qrels).unwrap().lines().count(), 10);

    let (_, _, err) = run(dir, &["features", "toy.toml"]);
    assert!(err.contains("features: up to date"), "{err}");

    let (code, table, err) = run(dir, &["ctr", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    for part in [
        "item, all: ",
        "category, all: ",
        "LR, all",
        "DCN-v2, no text",
        "DCN-v2, own + counts only",
    ] {
        assert!(table.contains(part), "`{part}` is not in\n{table}");
    }
    // Nobody asked a language model.
    assert!(!table.contains("no semantic"), "{table}");
    let json = std::fs::read_to_string(dir.join("out/toy/ctr/ctr.json")).unwrap();
    let figures: Value = serde_json::from_str(&json).unwrap();
    let auc = &figures[0]["segments"][0]["models"][0]["figures"]["auc"];
    let (value, lo) = (
        auc["value"].as_f64().unwrap(),
        auc["interval"]["lo"].as_f64().unwrap(),
    );
    assert!(lo <= value && value <= 1.0, "{auc}");
    let (_, again, err) = run(dir, &["ctr", "toy.toml"]);
    assert_eq!(table, again);
    assert!(err.contains("ctr: up to date"), "{err}");
}

#[test]
fn a_list_keeps_as_many_negatives_as_are_asked_for() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    toy(dir);
    let args = ["features", "toy.toml", "--task", "item", "--negatives", "2"];
    let (code, _, err) = run(dir, &args);
    assert_eq!(code, Some(0), "{err}");
    let features = dir.join("out/toy/features");
    assert!(!features.join("category").exists());
    let mut reader = FrameReader::open(&features.join("item/pairs.parquet")).unwrap();
    let mut of_list: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    while let Some(batch) = reader.next_batch().unwrap() {
        let ids = batch.texts("list_id").unwrap();
        for (id, label) in ids.into_iter().zip(batch.integers("label").unwrap()) {
            let counts = of_list.entry(id.unwrap().to_owned()).or_default();
            counts[label.unwrap() as usize] += 1;
        }
    }
    assert!(of_list.values().all(|counts| counts[0] == 2), "{of_list:?}");
    assert!(of_list.values().any(|counts| counts[1] == 1));
}

#[test]
fn a_forgotten_user_is_in_no_features() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    toy(dir);
    let (code, _, err) = run(dir, &["features", "toy.toml", "--task", "item"]);
    assert_eq!(code, Some(0), "{err}");
    let (code, out, err) = run(dir, &["forget", "toy.toml", "--user", "u3"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("features"), "{out}");
    let pairs = dir.join("out/toy/features/item/pairs.parquet");
    assert!(!pairs.exists());
}
