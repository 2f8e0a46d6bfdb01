//! The walk over real stages on a small log of the test's own.

use std::fmt::Write;
use std::path::Path;

use assert_cmd::Command;

const CONFIG: &str = r#"
name = "toy"
[data]
adapter = "mapping"
path = "logs"
[data.options]
target_actions = ["buy"]
user_noun = "customer"
[[data.options.events]]
path = "log.csv"
user = "user"
item = "item"
time = "at"
subject = "product"
action = "buy"
scenario = "shop"
[data.options.items]
path = "items.csv"
id = "item"
title = "title"
categories = ["category"]
[split]
horizon_days = 10
min_item_buyers = 1
simulated_users = 2
[recommend]
systems = ["popularity", "own-frequency"]
depth = 10
[evaluate]
reference = "popularity"
resamples = 100
"#;

/// 12 customers, 10 items, a purchase every five days for 100 days.
pub fn toy(dir: &Path) {
    let logs = dir.join("logs");
    std::fs::create_dir_all(&logs).unwrap();
    let mut log = "user,item,at\n".to_owned();
    for user in 0..12 {
        for n in 0..20 {
            let item = (user + n * (1 + user % 3)) % 10;
            writeln!(
                log,
                "u{user},i{item},{}",
                1_700_000_000 + n * 5 * 86_400 + user * 60
            )
            .unwrap();
        }
    }
    std::fs::write(logs.join("log.csv"), log).unwrap();
    let mut items = "item,title,category\n".to_owned();
    for i in 0..10 {
        writeln!(items, "i{i},Thing number {i},category {}", i % 3).unwrap();
    }
    std::fs::write(logs.join("items.csv"), items).unwrap();
    std::fs::write(dir.join("toy.toml"), CONFIG).unwrap();
}

pub fn run(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::cargo_bin("hkfr")
        .unwrap()
        .current_dir(dir)
        .env("HKFR_CACHE", dir.join("cache"))
        .arg("--offline")
        .args(args)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn stages_are_walked_once_and_again_only_after_a_change() {
    let dir = tempfile::tempdir().unwrap();
    toy(dir.path());
    let (code, _, err) = run(dir.path(), &["split", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(
        err.contains("12 users") && err.contains("240 events"),
        "{err}"
    );
    assert!(err.contains("10 catalogue items"), "{err}");
    let (_, _, err) = run(dir.path(), &["split", "toy.toml"]);
    assert_eq!(
        err,
        "ingest: up to date\nsplit: up to date\nall up to date\n"
    );
    // A key of the split: only the split is made again.
    let changed = CONFIG.replace("horizon_days = 10", "horizon_days = 20");
    std::fs::write(dir.path().join("toy.toml"), changed).unwrap();
    let (_, _, err) = run(dir.path(), &["split", "toy.toml"]);
    assert!(err.starts_with("ingest: up to date\nsplit\n"), "{err}");
    // The log: everything.
    let log = dir.path().join("logs/log.csv");
    let text = std::fs::read_to_string(&log).unwrap() + "u0,i1,1700000001\n";
    std::fs::write(&log, text).unwrap();
    let (_, _, err) = run(dir.path(), &["split", "toy.toml"]);
    assert!(
        err.starts_with("ingest\n") && err.contains("241 events"),
        "{err}"
    );
    // By force: one stage, and with the same result nothing after it.
    let (_, _, err) = run(dir.path(), &["split", "toy.toml", "--force", "ingest"]);
    assert!(
        err.starts_with("ingest\n") && err.contains("split: up to date"),
        "{err}"
    );
}

#[test]
fn bad_logs_are_named() {
    let dir = tempfile::tempdir().unwrap();
    toy(dir.path());
    let log = dir.path().join("logs/log.csv");
    let good = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, good.replacen("1700000000", "yesterday", 1)).unwrap();
    let (code, _, err) = run(dir.path(), &["ingest", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(
        err.contains("log.csv:2:") && err.contains("1 bad rows"),
        "{err}"
    );
    let (code, _, err) = run(dir.path(), &["ingest", "toy.toml", "--strict"]);
    assert_eq!(code, Some(1), "{err}");
    assert!(
        err.contains("error: stage ingest: ") && err.contains("log.csv:2:"),
        "{err}"
    );
    std::fs::write(&log, "").unwrap();
    let (code, _, err) = run(dir.path(), &["ingest", "toy.toml"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("log.csv"), "{err}");
    std::fs::remove_dir_all(dir.path().join("logs")).unwrap();
    let (code, _, err) = run(dir.path(), &["ingest", "toy.toml"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("logs does not exist"), "{err}");
}

#[test]
fn one_person_can_be_shown() {
    let dir = tempfile::tempdir().unwrap();
    toy(dir.path());
    let show = |id: &str| run(dir.path(), &["show", "user", id, "--config", "toy.toml"]);
    let (code, _, err) = show("u1");
    assert_eq!(code, Some(1));
    assert!(err.contains("`hkfr ingest CONFIG` comes first"), "{err}");
    run(dir.path(), &["split", "toy.toml"]);
    let (code, _, err) = show("nobody");
    assert_eq!(code, Some(1));
    assert!(err.contains("no customer \"nobody\" among 12"), "{err}");
    let (code, out, err) = show("u1");
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("customer u1\n═══════════\n"), "{out}");
    assert!(
        out.contains("Events before 20") && out.contains("buy Thing number"),
        "{out}"
    );
    assert!(out.contains("What came next, 20"), "{out}");
    assert!(out.lines().all(|l| l.chars().count() <= 96), "{out}");
}
