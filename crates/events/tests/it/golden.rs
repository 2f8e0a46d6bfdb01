//! Logs that pyarrow, pandas, polars, DuckDB and Spark wrote, in every type that they have, are read back equal
//! (`tests/golden/make.py`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hkfr_events::adapters::{IngestConfig, IngestLimits, ingest, load};
use hkfr_events::{AsOf, Dataset, IngestReport, store};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Expected {
    files: BTreeMap<String, File>,
}

#[derive(Deserialize)]
struct File {
    options: serde_json::Map<String, Value>,
    /// User, item, seconds, value, text.
    events: Vec<Row>,
}

type Row = (String, String, i64, Option<f32>, Option<String>);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/logs")
}

fn config(file: &str, options: &serde_json::Map<String, Value>) -> IngestConfig {
    let mut events = serde_json::json!({
        "path": file, "user": "user", "item": "item", "time": "at", "value": "value", "text": "text",
        "subject": "thing", "action": "buy", "scenario": "shop",
    });
    let table = events.as_object_mut().unwrap();
    table.extend(options.clone());
    let config = serde_json::json!({
        "format": "mapping", "dir": folder(), "target_actions": ["buy"], "events": [events],
    });
    serde_json::from_value(config).unwrap()
}

/// The rows of each user, in the order of the data set.
fn by_user(dataset: &Dataset) -> BTreeMap<String, Vec<Row>> {
    let users = 0..dataset.n_users() as u32;
    users
        .map(|user| {
            let history = dataset.history(user, AsOf::new(i64::MAX));
            let id = history.profile().id.clone();
            let row = |e: &hkfr_events::Event| {
                let item = dataset.items[e.item.unwrap() as usize].id.clone();
                let text = e.text.as_deref().map(str::to_owned);
                (id.clone(), item, e.ts, e.value, text)
            };
            let rows = history.events().iter().map(row).collect();
            (id, rows)
        })
        .collect()
}

#[test]
fn what_other_programs_write_is_read_back_equal() {
    let json = fs_err::read_to_string(folder().join("expected.json")).unwrap();
    let expected: Expected = serde_json::from_str(&json).unwrap();
    assert!(expected.files.len() > 60, "{}", expected.files.len());
    let mut wrong = Vec::new();
    for (file, of) in &expected.files {
        let mut rows: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for row in &of.events {
            rows.entry(row.0.clone()).or_default().push(row.clone());
        }
        let config = config(file, &of.options);
        let mut report = IngestReport::new(true);
        match load(&config, &mut report) {
            Err(e) => wrong.push(e.to_string()),
            Ok(dataset) => {
                if by_user(&dataset) != rows {
                    wrong.push(format!(
                        "{file}: {:?}\n  expected {rows:?}",
                        by_user(&dataset)
                    ));
                }
            }
        }
        // The way through the sort on disk, with a buffer that holds a few rows.
        let dir = tempfile::tempdir().unwrap();
        let limits = IngestLimits {
            memory: 500,
            shard: None,
            now: None,
            forgotten: None,
            go_on: &mut |_| true,
        };
        match ingest(&config, dir.path(), limits, &mut IngestReport::new(true)) {
            Err(e) => wrong.push(e.to_string()),
            Ok(_) => {
                let read = store::read(dir.path()).unwrap();
                if by_user(&read) != rows {
                    wrong.push(format!("{file}, sorted on disk: {:?}", by_user(&read)));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
