//! Logs larger than memory, and shards on machines of their own, through the command line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hkfr::stage::Manifest;

use crate::models::change;
use crate::walk::{run, toy};

fn good(dir: &Path, args: &[&str]) -> String {
    let (code, _, err) = run(dir, args);
    assert_eq!(code, Some(0), "{args:?}: {err}");
    err
}

/// Of a stage, without its manifest.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut files, mut todo) = (BTreeMap::new(), vec![dir.to_owned()]);
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            todo.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else if !path.ends_with("manifest.json") {
            let name = path.strip_prefix(dir).unwrap().to_owned();
            files.insert(name, std::fs::read(&path).unwrap());
        }
    }
    files
}

#[test]
fn memory_does_not_grow_with_the_log() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    good(
        dir,
        &[
            "generate",
            "food-delivery",
            "--users",
            "3200",
            "--out",
            "log",
        ],
    );
    // A million events are 56 MB in memory, and as much again for their duplicates.
    change(&dir.join("log"), "food-delivery.toml", |text| {
        text.replace("path = \"log\"\n", "path = \"log\"\nmemory_mb = 8\n")
    });
    let config = "log/food-delivery.toml";
    good(dir, &["prompts", config, "--count-bytes"]);
    let stage = |name: &str| dir.join("out/synthetic-food-delivery").join(name);
    for (name, most) in [("ingest", 60.0), ("prompts", 60.0)] {
        let manifest = Manifest::read(&stage(name)).unwrap().unwrap();
        if let Some(mb) = manifest.peak_memory_mb {
            assert!(mb < most, "{name}: {mb} MB");
        }
        assert_eq!(manifest.counts["users"], 3200);
    }
    let ingested = Manifest::read(&stage("ingest")).unwrap().unwrap();
    assert!(ingested.counts["events"].as_u64().unwrap() > 900_000);
    assert!(
        ingested.counts["MB written out for sorting"]
            .as_u64()
            .unwrap()
            > 10
    );
    assert!(!stage("ingest").join("sorting").exists());
}

#[test]
fn the_shards_of_several_machines_merge_into_the_run_of_one() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    toy(dir);
    let prompts = ["prompts", "toy.toml", "--count-bytes"];
    good(dir, &[&prompts[..], &["--out", "whole"]].concat());
    let whole = |stage: &str| files(&dir.join("whole/toy").join(stage));
    let line = std::fs::read_to_string(dir.join("whole/toy/prompts/part-000.jsonl")).unwrap();
    assert!(
        line.contains("\"prompt\":\"") && line.contains("Thing number"),
        "{line}"
    );
    for n in [1, 3, 8] {
        // Each in a place of its own, as machines are.
        let mut places = Vec::new();
        for k in 1..=n {
            let place = format!("{k}-of-{n}");
            let shard = format!("{k}/{n}");
            good(
                dir,
                &[&prompts[..], &["--shard", &shard, "--out", &place]].concat(),
            );
            places.push(format!("{place}/toy"));
        }
        let out = format!("merged-{n}");
        let merge = |stage: &str, places: &[String]| {
            let mut args = vec!["merge", "toy.toml", stage, "--out", &out, "--from"];
            args.extend(places.iter().map(String::as_str));
            if stage == "prompts" {
                args.push("--count-bytes");
            }
            run(dir, &args)
        };
        if n == 3 {
            let (code, _, err) = merge("ingest", &places[..2]);
            assert_eq!(code, Some(1));
            assert!(err.contains("shard 3/3 is missing"), "{err}");
            let doubled = [&places[..], &places[1..2]].concat();
            let (_, _, err) = merge("ingest", &doubled);
            assert!(err.contains("more than one of shard 2/3"), "{err}");
        }
        for stage in ["ingest", "prompts"] {
            let (code, _, err) = merge(stage, &places);
            assert_eq!(code, Some(0), "{err}");
            assert!(
                files(&dir.join(&out).join("toy").join(stage)) == whole(stage),
                "{stage} of {n}"
            );
        }
        // The run goes on from there.
        let err = good(dir, &["split", "toy.toml", "--out", &out]);
        assert!(err.starts_with("ingest: up to date\nsplit\n"), "{err}");
    }
    let shard = ["ingest", "toy.toml", "--shard", "4/3"];
    assert!(
        run(dir, &shard)
            .2
            .contains("the shards of 3 are 1/3 to 3/3")
    );
}
