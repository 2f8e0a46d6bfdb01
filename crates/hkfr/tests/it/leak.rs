//! Marked events through all stages: whatever stands at or after a cut-off in the log, no prompt, knowledge,
//! instruction, training instance, adapter, fitted score or list differs by a bit.

use std::collections::BTreeMap;
use std::path::Path;

use hkfr::config::{SYSTEMS, TASKS};
use hkfr_rec::method::System;
use hkfr_rec::systems::{Settings, recipe};
use serde_json::Value;

use crate::models::{change, prepare};
use crate::walk::run;

/// Of those with own choices added, one that counts and one that learns.
const WITH_OWN: [&str; 2] = ["item-knn+own", "sasrec+own"];

/// Every name that ranks, once.
fn names() -> Vec<&'static str> {
    let mut all = SYSTEMS.to_vec();
    all.retain(|s| System::named(s).is_none());
    all.extend(WITH_OWN);
    all.extend(System::ALL.map(|s| s.0));
    all
}

/// Whoever is in the tables of systems, in small: two epochs, vectors of eight.
fn systems() -> (String, String) {
    let all = names();
    let mut small = String::new();
    for task in TASKS {
        small += &format!("\n[systems.{task}]\n");
        for system in SYSTEMS {
            let has = recipe(system, &Settings::new(), 1).unwrap().settings();
            let keys = [("dim", 8), ("max_epochs", 2)].into_iter();
            let keys: Vec<String> = keys
                .filter(|(key, _)| has.contains_key(*key))
                .map(|(key, value)| format!("{key} = {value}"))
                .collect();
            small += &format!("{system} = {{ {} }}\n", keys.join(", "));
        }
    }
    (format!("systems = {all:?}"), small)
}

/// Visits of a user in the log; see [`crate::walk::toy`].
const VISITS: usize = 20;

/// The toy log. What a user buys on a visit from `from` on, by the user's number, is marked.
fn log(dir: &Path, from: impl Fn(usize) -> usize, strangers: bool) {
    change(dir, "logs/log.csv", |text| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for (i, line) in lines.iter_mut().enumerate().skip(1) {
            if (i - 1) % VISITS >= from((i - 1) / VISITS) {
                let fields: Vec<&str> = line.split(',').collect();
                *line = format!("{},MARKER,{}", fields[0], fields[2]);
            }
        }
        if strangers {
            // Between the first and the last second of the test period.
            lines.extend(
                (0..8).map(|n| format!("stranger,i{n},{}", 1_700_000_000 + 95 * 86_400 - n)),
            );
        }
        lines.join("\n") + "\n"
    });
}

/// The contents of what stages made, by path; logs, times and the data base of the knowledge (which is
/// there as JSON lines too) left out.
fn made(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut todo: Vec<_> = ["fuse", "instruct", "tune", "recommend"]
        .map(|s| dir.join("out/toy").join(s))
        .into();
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            todo.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
            continue;
        }
        let name = path
            .strip_prefix(dir)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let timed = ["manifest.json", "metrics.jsonl", ".cost.json"];
        if timed.iter().any(|t| name.ends_with(t))
            || name.contains("tfevents")
            || name.contains(".sqlite")
        {
            continue;
        }
        files.insert(name, std::fs::read(&path).unwrap());
    }
    let split = std::fs::read(dir.join("out/toy/split/split.json")).unwrap();
    let mut file: Value = serde_json::from_slice(&split).unwrap();
    let split = &mut file["split"];
    for case in split["cases"].as_array_mut().unwrap() {
        // What came next is what is asked, and nothing else of a case.
        let instance = case["instance"].as_object_mut().unwrap();
        for asked in ["targets", "target_ts", "target_scenario"] {
            instance.remove(asked).unwrap();
        }
    }
    // A user who comes later is a user of whom nothing is known.
    split["fit_before"].as_array_mut().unwrap().truncate(12);
    files.insert("split".into(), split.to_string().into_bytes());
    files
}

fn walk(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let (code, _, err) = run(dir, &["run", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    made(dir)
}

/// Runs the same config on the log as it is, with another future, and with another past.
fn check(kind: &str, future: usize, strangers: bool) {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    prepare(dir);
    change(dir, "toy.toml", |text| {
        let of_toy = r#"systems = ["popularity", "llm-untuned", "hkfr"]"#;
        assert!(text.contains(of_toy), "{text}");
        let (systems, small) = systems();
        (text.replace(of_toy, &systems) + &small)
            .replace("[split]\n", &format!("[split]\nkind = \"{kind}\"\n"))
    });
    change(dir, "logs/items.csv", |text| {
        text.to_owned() + "MARKER,A MARKER thing,MARKER category\n"
    });
    let logged = std::fs::read_to_string(dir.join("logs/log.csv")).unwrap();
    let before = walk(dir);
    for (system, task) in names().into_iter().flat_map(|s| TASKS.map(|t| (s, t))) {
        let lists = format!("out/toy/recommend/{system}.{task}.jsonl");
        assert!(before.contains_key(&lists), "no {lists}");
    }

    log(dir, |_| future, strangers);
    let after = walk(dir);
    let truth = std::fs::read_to_string(dir.join("out/toy/evaluate/truth.item.jsonl")).unwrap();
    assert!(truth.contains(r#""targets":["MARKER"]"#), "{truth}");
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        after.keys().collect::<Vec<_>>()
    );
    for (name, bytes) in &before {
        assert!(*bytes == after[name], "{kind}: the future is in {name}");
    }

    // The same mark one visit earlier, of every other user, is in the past, and shows nearly everywhere.
    std::fs::write(dir.join("logs/log.csv"), logged).unwrap();
    log(dir, |user| future - user % 2, false);
    let past = walk(dir);
    for stage in ["fuse/", "instruct/", "tune/", "recommend/", "split"] {
        let differs = |(name, bytes): (&String, &Vec<u8>)| {
            name.contains(stage) && past.get(name) != Some(bytes)
        };
        assert!(before.iter().any(differs), "{kind}: {stage} cannot tell");
    }
}

#[test]
fn the_future_of_a_global_cut_reaches_nothing() {
    check("global-temporal", VISITS - 2, true);
}

#[test]
fn the_last_order_reaches_nothing() {
    check("leave-one-out", VISITS - 1, false);
}
