//! Logs larger than memory, and shards on machines of their own, through the command line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hkfr::stage::Manifest;

use crate::models::{change, prepare};
use crate::server::{Server, good as answered, say};
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
    // The program itself is a third of it.
    for (name, most) in [("ingest", 60.0), ("prompts", 70.0)] {
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

/// Whoever was forgotten in one run is in the shards of machines that know nothing of it.
#[test]
fn a_merge_brings_no_forgotten_user_back() {
    let holds = |dir: &Path, mark: &[u8]| {
        let mut files = files(dir).into_iter();
        files.find(|f| f.1.windows(mark.len()).any(|w| w == mark))
    };
    for own_place in [false, true] {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        toy(dir);
        change(dir, "logs/log.csv", |text| {
            let mut lines = text.lines();
            let mut out = format!("{},where\n", lines.next().unwrap());
            for line in lines {
                let marked = line.starts_with("u3,");
                out += &match marked && own_place {
                    true => format!("{line},Marked Street 5\n"),
                    false => format!("{line},Main Street 1\n"),
                }
                .replace("u3,", "Marked-3,");
            }
            out
        });
        change(dir, "toy.toml", |text| {
            text.replace("time = \"at\"", "time = \"at\"\nplace = \"where\"")
        });
        let prompts = ["prompts", "toy.toml", "--count-bytes"];
        for k in ["1", "2"] {
            let shard = format!("{k}/2");
            good(
                dir,
                &[&prompts[..], &["--shard", &shard, "--out", k]].concat(),
            );
        }
        good(dir, &[&prompts[..], &["--out", "main"]].concat());
        let forget = ["forget", "toy.toml", "--user", "Marked-3", "--out", "main"];
        good(dir, &forget);
        // What one machine writes without the user.
        good(dir, &[&prompts[..], &["--out", "main"]].concat());
        let main = dir.join("main/toy");
        let expected = files(&main.join("prompts"));
        for stage in ["ingest", "prompts"] {
            std::fs::remove_dir_all(main.join(stage)).unwrap();
        }

        let merge = ["--out", "main", "--from", "1/toy", "2/toy"];
        let ingest = [&["merge", "toy.toml", "ingest"][..], &merge].concat();
        let err = good(dir, &ingest);
        for part in [
            "1 forgotten users left out",
            "skipped 20: events of users who were forgotten",
            "11 users",
            "220 events",
        ] {
            assert!(err.contains(part), "{err} does not say {part}");
        }
        assert_eq!(holds(&main, b"Marked"), None);
        let of_prompts = ["merge", "toy.toml", "prompts", "--count-bytes"];
        let of_prompts = [&of_prompts[..], &merge].concat();
        if own_place {
            // The shards' prompts may have been made from the place's name.
            let (code, _, err) = run(dir, &of_prompts);
            assert_eq!(code, Some(1));
            assert!(
                err.contains("before a user was forgotten") && err.contains("forgotten.json"),
                "{err}"
            );
            continue;
        }
        let err = good(dir, &of_prompts);
        assert!(err.contains("1 forgotten users left out"), "{err}");
        assert!(files(&main.join("prompts")) == expected);
        // Nor does the run take the user for one who never was.
        let (_, out, _) = run(dir, &forget);
        assert!(out.contains("nothing of theirs is left"), "{out}");
    }
}

#[test]
fn answers_under_another_key_are_refused_and_those_of_one_key_are_found() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let said = r#"{"claims": [], "text": "They like things."}"#;
    let server = Server::start(|_| say(200, answered("small", said)));
    prepare(dir);
    change(dir, "toy.toml", |text| {
        let fusion = format!(
            "[fusion]\nmode = \"service\"\ntemplates = \"generic\"\nbase_url = \"{}\"\nmodel = \"small\"\nmin_useful = 0.0\n[tuning]",
            server.url
        );
        text.replace(r#""llm-untuned", "hkfr""#, r#""hkfr-no-tuning""#)
            .replace("[tuning]", &fusion)
    });
    let shard = |k: &str, out: &str| {
        let shard = format!("{k}/2");
        good(dir, &["fuse", "toy.toml", "--shard", &shard, "--out", out]);
    };
    // Each machine made a key of its own.
    shard("1", "one");
    shard("2", "other");
    good(dir, &["split", "toy.toml", "--out", "main"]);
    let key = |out: &str| dir.join(out).join("toy/pseudonym.key");
    let merge = |second: &str| {
        let second = format!("{second}/toy");
        run(
            dir,
            &[
                "merge", "toy.toml", "fuse", "--out", "main", "--from", "one/toy", &second,
            ],
        )
    };
    let (code, _, err) = merge("other");
    assert_eq!(code, Some(1));
    assert!(
        err.contains("one/toy/fuse-shard-1-of-2/answers.sqlite: "),
        "{err}"
    );
    std::fs::copy(key("one"), key("main")).unwrap();
    let (code, _, err) = merge("other");
    assert_eq!(code, Some(1));
    assert!(
        err.contains("other/toy/fuse-shard-2-of-2/answers.sqlite: ")
            && err.contains("another pseudonym key")
            && err.contains("copy one pseudonym.key to every machine"),
        "{err}"
    );
    assert!(!dir.join("main/toy/fuse/knowledge.jsonl").exists());
    // The key was there first.
    std::fs::create_dir_all(dir.join("same/toy")).unwrap();
    std::fs::copy(key("one"), key("same")).unwrap();
    shard("2", "same");
    let (code, _, err) = merge("same");
    assert_eq!(code, Some(0), "{err}");
    for user in ["u1", "u2", "u3", "u4"] {
        let forget = ["forget", "toy.toml", "--user", user, "--out", "main"];
        let (code, out, err) = run(dir, &forget);
        assert_eq!(code, Some(0), "{err}");
        assert!(
            out.contains(" paid answers\n") && !out.contains("another pseudonym key"),
            "{out}"
        );
    }
}
