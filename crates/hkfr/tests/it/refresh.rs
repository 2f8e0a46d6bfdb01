//! Knowledge and time: what is later is refused, what still stands is taken again, and little history is
//! told of others.

use std::collections::BTreeMap;
use std::path::Path;

use hkfr_fuse::{KnowledgeRecord, KnowledgeStore};
use serde_json::{Value, json};

use crate::models::{change, prepare};
use crate::server::{Server, good, say};
use crate::walk::run;

const DAY: i64 = 86_400;

/// Only the knowledge; `keys` are further ones of `[fusion]`.
fn fused(dir: &Path, keys: &str) {
    prepare(dir);
    change(dir, "toy.toml", |text| {
        let fusion = format!("[fusion]\ntemplates = \"generic\"\n{keys}\n[tuning]");
        text.replace(r#""llm-untuned", "hkfr""#, r#""hkfr-no-tuning""#)
            .replace("[tuning]", &fusion)
    });
}

fn fuse(dir: &Path, more: &[&str]) -> String {
    let (code, _, err) = run(dir, &[&["fuse", "toy.toml"], more].concat());
    assert_eq!(code, Some(0), "{err}");
    err
}

fn knowledge(dir: &Path) -> Vec<KnowledgeRecord> {
    let text = std::fs::read_to_string(dir.join("out/toy/fuse/knowledge.jsonl")).unwrap();
    let records = text.lines().map(|l| serde_json::from_str(l).unwrap());
    records.collect()
}

fn count(dir: &Path, name: &str) -> Value {
    let manifest = std::fs::read(dir.join("out/toy/fuse/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    manifest["counts"][name].clone()
}

/// Puts other records into the store, and makes the manifest say that they were always there.
fn plant(dir: &Path, change: impl Fn(&mut KnowledgeRecord)) {
    let fuse = dir.join("out/toy/fuse");
    let path = fuse.join("knowledge.sqlite");
    let mut records = KnowledgeStore::open(&path).unwrap().all().unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(fuse.join(format!("knowledge.sqlite{suffix}")));
    }
    records.iter_mut().for_each(change);
    KnowledgeStore::open(&path).unwrap().put(&records).unwrap();
    let manifest = fuse.join("manifest.json");
    let mut sealed: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    let files = sealed["files"].as_array_mut().unwrap();
    files.retain(|f| f["path"].as_str().unwrap().ends_with(".jsonl"));
    std::fs::write(&manifest, sealed.to_string()).unwrap();
}

#[test]
fn knowledge_of_a_later_time_is_refused_wherever_it_is_used() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    prepare(dir);
    let (code, _, err) = run(dir, &["run", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    plant(dir, |r| r.as_of += 400 * DAY);
    for stage in ["instruct", "tune", "recommend", "evaluate"] {
        let (code, _, err) = run(dir, &[stage, "toy.toml", "--force", stage]);
        assert_eq!(code, Some(1), "{err}");
        assert!(
            err.contains(&format!("error: stage {stage}: "))
                && err.contains("the knowledge of user u")
                && err.contains(", later than 20"),
            "{err}"
        );
        // As before, so that the next stage is reached.
        plant(dir, |r| r.as_of -= 400 * DAY);
        let (code, _, err) = run(dir, &[stage, "toy.toml"]);
        assert_eq!(code, Some(0), "{err}");
        plant(dir, |r| r.as_of += 400 * DAY);
    }
    // The right time, but evidence of a later one.
    plant(dir, |r| {
        r.as_of -= 400 * DAY;
        r.claims.iter_mut().for_each(|c| c.evidence = vec![239]);
    });
    let (code, _, err) = run(dir, &["evaluate", "toy.toml", "--force", "evaluate"]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("rests on event 239"), "{err}");
}

#[test]
fn what_still_stands_is_taken_again_and_repeats_exactly() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    fused(dir, "refresh_threshold = 0.35");
    let err = fuse(dir, &[]);
    assert!(err.contains(" took earlier knowledge"), "{err}");
    let (anew, taken) = (
        count(dir, "fused anew").as_u64().unwrap(),
        count(dir, "took earlier knowledge").as_u64().unwrap(),
    );
    assert!(anew > 20 && taken > 20, "{anew} anew, {taken} taken");
    let first = knowledge(dir);
    assert_eq!(first.len() as u64, anew);
    // What comes after uses it, and holds every text to its time.
    let (code, _, err) = run(dir, &["run", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");

    // The same again: all of it is there.
    fuse(dir, &["--force", "fuse"]);
    assert_eq!(knowledge(dir), first);
    assert_eq!(
        count(dir, "fused anew"),
        first.iter().filter(|r| r.keep_last.is_some()).count()
    );

    // Further rows before all others give every event another id; one user has another past.
    change(dir, "logs/log.csv", |text| {
        let (head, rows) = text.split_once('\n').unwrap();
        let late = 1_700_000_000 + 100 * DAY;
        let rows = rows.replacen("u5,i5,", "u5,i6,", 1);
        format!("{head}\nu1,i1,{late}\nu2,i2,{late}\n{rows}")
    });
    let (code, _, err) = run(dir, &["run", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    let anew_of = |user: &str| {
        let of = |rs: &[KnowledgeRecord]| -> BTreeMap<(i64, Option<u32>), KnowledgeRecord> {
            let of_user = rs
                .iter()
                .filter(|r| r.user == user && r.keep_last.is_none());
            of_user
                .map(|r| ((r.as_of, r.keep_last), r.clone()))
                .collect()
        };
        (of(&first), of(&knowledge(dir)))
    };
    let (before, after) = anew_of("u3");
    let at = before.keys().find(|k| after.contains_key(k)).unwrap();
    assert_eq!(before[at].text, after[at].text);
    let evidence = |r: &KnowledgeRecord| r.claims[0].evidence[0];
    assert_eq!(evidence(&before[at]) + 2, evidence(&after[at]));
    let (before, after) = anew_of("u5");
    let same = before
        .iter()
        .filter(|(k, r)| after.get(k).is_some_and(|a| a.text == r.text));
    assert_eq!(same.count(), 0);

    change(dir, "out/toy/fuse/earlier.jsonl", |t| {
        t.replacen("\"as_of\"", "as_of", 1)
    });
    let (code, _, err) = run(dir, &["fuse", "toy.toml", "--force", "fuse"]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains("earlier.jsonl:2: damaged; delete the file"),
        "{err}"
    );
}

#[test]
fn a_service_is_asked_only_of_what_changed_and_the_dry_run_tells() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    // An item and a scenario, which no statement of the embedded model is about.
    let server = Server::start(|asked| {
        let data: Value = serde_json::from_str(asked.prompt.lines().last().unwrap()).unwrap();
        let columns = data["columns"].as_array().unwrap();
        let latest = &data["events"][0];
        let claim = |kind: &str| {
            let column = columns.iter().position(|c| c == kind).unwrap();
            json!({"kind": kind, "value": latest[column], "events": [latest[0]]})
        };
        let claims = [claim("item"), claim("scenario")];
        let answer = json!({"claims": claims, "text": "They like things."});
        say(200, good("small", &answer.to_string()))
    });
    let url = &server.url;
    let service = format!(
        "mode = \"service\"\nbase_url = \"{url}\"\nmodel = \"small\"\nbudget_tokens = 2000"
    );
    fused(dir, &format!("{service}\nrefresh_threshold = 0.35"));
    run(dir, &["split", "toy.toml"]);
    let (_, out, err) = run(dir, &["fuse", "toy.toml", "--dry-run"]);
    let told = out
        .lines()
        .find(|l| l.ends_with("% saved"))
        .unwrap_or_else(|| panic!("{err}"));
    let taken: u64 = told.split(' ').next().unwrap().parse().unwrap();
    assert!(taken > 20, "{out}");
    let requests: usize = out.split(' ').nth(2).unwrap().parse().unwrap();
    fuse(dir, &[]);
    assert_eq!(server.total(), requests);
    assert_eq!(count(dir, "took earlier knowledge"), taken);
    let first = knowledge(dir);
    let whole = |r: &&KnowledgeRecord| r.keep_last.is_none();
    assert!(first.iter().filter(whole).all(|r| r.claims.len() == 2));
    // The same again: but for histories that are cut, all of it is taken.
    let is_cut = |r: &&KnowledgeRecord| r.keep_last.is_some();
    let cut = first.iter().filter(is_cut).count();
    fuse(dir, &["--force", "fuse"]);
    assert_eq!(count(dir, "fused anew"), cut);
    assert_eq!(knowledge(dir), first);
    // Every line says at its top whom it is about.
    let earlier = std::fs::read_to_string(dir.join("out/toy/fuse/earlier.jsonl")).unwrap();
    for line in earlier.lines().skip(1) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["user"], line["record"]["user"]);
        assert!(line["user"].is_string(), "{line}");
    }
    // Further rows before all others give every event another id: evidence follows.
    change(dir, "logs/log.csv", |text| {
        let (head, rows) = text.split_once('\n').unwrap();
        let late = 1_700_000_000 + 99 * DAY;
        format!("{head}\nu1,i1,{late}\nu2,i2,{late}\n{rows}")
    });
    run(dir, &["split", "toy.toml"]);
    fuse(dir, &[]);
    let after = knowledge(dir);
    let of_u3 = |r: &&KnowledgeRecord| r.user == "u3" && r.keep_last.is_none();
    let mut n_same = 0;
    for before in first.iter().filter(of_u3) {
        for after in after
            .iter()
            .filter(of_u3)
            .filter(|r| r.as_of == before.as_of)
        {
            for (a, b) in after.claims.iter().zip(&before.claims) {
                assert_eq!((&a.value, a.evidence[0]), (&b.value, b.evidence[0] + 2));
                n_same += 1;
            }
        }
    }
    assert!(n_same > 0);
    let anew = count(dir, "fused anew").as_u64().unwrap() as usize;
    assert!(anew < first.len() / 2, "{anew} of {}", first.len());
    // A new cut-off for all: who did nothing new is not asked about.
    change(dir, "toy.toml", |t| {
        t.replace("horizon_days = 10", "horizon_days = 5")
    });
    run(dir, &["split", "toy.toml"]);
    let before = server.total();
    fuse(dir, &[]);
    let asked = server.total() - before;
    assert!(asked < requests / 2, "{asked} of {requests}");
    let mode = "refresh_threshold = 0.35";
    change(dir, "toy.toml", |t| {
        t.replace(mode, "refresh_threshold = 1.5")
    });
    let (_, _, err) = run(dir, &["fuse", "toy.toml"]);
    assert!(
        err.contains("[fusion] refresh_threshold: must lie in [0, 1]"),
        "{err}"
    );
}

#[test]
fn little_history_is_told_of_others_and_marked() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    fused(
        dir,
        "knowledge_tokens = 400\ncohort_below = 5\ncohort_min = 4",
    );
    let (code, _, err) = run(dir, &["run", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    let first = knowledge(dir);
    let is_told = |r: &KnowledgeRecord| r.claims.iter().any(|c| c.slot == "cohort");
    let told: Vec<_> = first.iter().filter(|r| is_told(r)).collect();
    assert!(told.iter().any(|r| r.keep_last == Some(1)), "{told:?}");
    assert!(told.iter().all(|r| {
        r.text
            .contains("Users like this one often choose category ")
    }));
    // Whoever has five choices is told nothing of others.
    for record in first.iter().filter(|r| r.keep_last.is_none()) {
        let own: u32 = record
            .claims
            .iter()
            .filter(|c| c.slot == "favourite")
            .map(|c| c.n)
            .sum();
        assert!(own < 5 || !is_told(record), "{record:?}");
    }
    fuse(dir, &["--force", "fuse"]);
    assert_eq!(knowledge(dir), first);

    // What others did on the day itself is not told: the histories of a day share their cohorts.
    let log = std::fs::read_to_string(dir.join("logs/log.csv")).unwrap();
    let times = log.lines().skip(1).map(|l| l.rsplit_once(',').unwrap().1);
    let times: Vec<i64> = times.map(|t| t.parse().unwrap()).collect();
    for record in &told {
        let day = record.as_of / DAY * DAY;
        assert!(times.iter().any(|t| (day..record.as_of).contains(t)));
        let of_others = record.claims.iter().filter(|c| c.slot == "cohort");
        for row in of_others.flat_map(|c| &c.evidence) {
            let at = times[*row as usize];
            assert!(at < day, "{at} is on the day of {}", record.as_of);
        }
    }

    let (code, out, err) = run(
        dir,
        &[
            "measure",
            "cohorts",
            "toy.toml",
            "--sizes",
            "4",
            "--strengths",
            "10",
            "--json",
            "c.json",
        ],
    );
    assert_eq!(code, Some(0), "{err}");
    assert!(
        out.contains("nearest 4, k 10") && out.contains("own alone"),
        "{out}"
    );
    let (code, out, err) = run(
        dir,
        &[
            "measure",
            "freshness",
            "toy.toml",
            "--steps",
            "4",
            "--days",
            "5",
            "--json",
            "f.json",
        ],
    );
    assert_eq!(code, Some(0), "{err}");
    assert!(
        out.contains("threshold 0.2") && out.contains("never"),
        "{out}"
    );
    let report: Value =
        serde_json::from_slice(&std::fs::read(dir.join("f.json")).unwrap()).unwrap();
    let policies = report["policies"].as_array().unwrap();
    let (always, never) = (&policies[0], policies.last().unwrap());
    assert_eq!(
        (&always["saved"], &never["saved"]),
        (&0.0.into(), &1.0.into())
    );
    for exact in ["recounted", "still_true", "coverage"] {
        assert_eq!(always[exact][0], 1.0, "{exact}");
        assert!(never[exact][0].as_f64() < Some(1.0), "{exact}");
    }
}
