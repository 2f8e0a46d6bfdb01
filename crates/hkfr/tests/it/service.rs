//! Knowledge from a service: what it costs is known before and kept to, and nothing is paid twice.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use assert_cmd::cargo::CommandCargoExt;
use serde_json::{Value, json};

use crate::models::{change, prepare};
use crate::server::{Server, good, say};
use crate::walk::run;

const SYSTEMS: &str = r#"systems = ["popularity", "llm-untuned", "hkfr"]"#;
const SYSTEMS_FUSED: &str = r#"systems = ["popularity", "hkfr-no-tuning"]"#;

/// A run whose knowledge a service writes; `keys` are further ones of `[fusion]`.
pub fn served(dir: &Path, url: &str, keys: &str) {
    // What is answered is of no use in most tests, which are about something else.
    let least = if keys.contains("min_useful") {
        ""
    } else {
        "min_useful = 0.0"
    };
    let keys = format!("{least}\n{keys}");
    prepare(dir);
    change(dir, "toy.toml", |text| {
        let fusion = format!(
            "[fusion]\nmode = \"service\"\ntemplates = \"generic\"\nbase_url = \"{url}\"\nmodel = \"small\"\nretries = 1\nbudget_tokens = 2000\n{keys}\n[tuning]"
        );
        text.replace(SYSTEMS, SYSTEMS_FUSED)
            .replace("[tuning]", &fusion)
    });
}

/// An answer in form, about nobody.
const SAID: &str = r#"{"claims": [], "text": "They like things."}"#;

fn good_server() -> Server {
    Server::start(|_| say(200, good("small-2024", SAID)))
}

pub fn fuse(dir: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    run(dir, &[&["fuse", "toy.toml"], more].concat())
}

pub fn knowledge(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("out/toy/fuse/knowledge.jsonl")).unwrap()
}

/// Files with their contents, but for the lock.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut files, mut todo) = (BTreeMap::new(), vec![dir.to_owned()]);
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            todo.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else if !path.ends_with(".lock") {
            files.insert(path.display().to_string(), std::fs::read(&path).unwrap());
        }
    }
    files
}

const PRICES: &str = "prices = { small = { input = 1000.0, output = 2000.0 } }";

#[test]
fn a_dry_run_tells_the_cost_and_leaves_no_trace() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let server = good_server();
    served(dir, &server.url, PRICES);
    let (code, _, err) = fuse(dir, &["--dry-run"]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains("stage ingest is not finished in out/toy; run `hkfr split CONFIG` first"),
        "{err}"
    );
    assert!(!dir.join("out").exists());
    run(dir, &["split", "toy.toml"]);
    let before = files(dir);
    let (code, out, err) = fuse(dir, &["--dry-run"]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(files(dir), before);
    assert_eq!(server.total(), 0);
    let numbers = |out: &str| -> Vec<f64> {
        let words = out.split(|c: char| !c.is_ascii_digit() && c != '.');
        words.filter_map(|w| w.parse().ok()).collect()
    };
    let [histories, requests, 0.0, open, input, output, cost] = numbers(&out)[..] else {
        panic!("{out}")
    };
    assert!(histories >= requests && requests == open, "{out}");
    assert!(output == open * (2.0 * 160.0 + 64.0 * 16.0), "{out}");
    assert!(
        (cost - (input + 2.0 * output) / 1000.0).abs() < 1e-3,
        "{out}"
    );

    let (code, _, err) = fuse(dir, &[]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(server.total() as f64, requests);
    assert!(
        err.contains(&format!("{requests} answers, ")) && err.contains(" paid answers"),
        "{err}"
    );
    let (_, out, _) = fuse(dir, &["--dry-run"]);
    assert!(
        out.contains(&format!("{requests} requests, {requests} of them answered")),
        "{out}"
    );
    let spent = format!(
        "spent  small: {requests} answers, {} + {} tokens, cost {:.4}",
        10.0 * requests,
        5.0 * requests,
        0.02 * requests
    );
    assert!(out.contains(&spent), "{out} does not say {spent}");

    // Made anew, it costs nothing again.
    let written = knowledge(dir);
    let (code, _, err) = fuse(dir, &["--force", "fuse"]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!((server.total() as f64, knowledge(dir)), (requests, written));
    // How it is asked does not decide what it says.
    change(dir, "toy.toml", |t| t.replace("retries = 1", "retries = 2"));
    assert!(fuse(dir, &[]).2.contains("fuse: up to date"));
    change(dir, "toy.toml", |t| {
        t.replace("\"service\"", "\"embedded\"")
    });
    let (_, _, err) = fuse(dir, &["--dry-run"]);
    assert!(err.contains("no service is asked"), "{err}");
}

#[test]
fn a_run_stops_at_the_cap_and_goes_on_when_it_is_raised() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let server = good_server();
    served(
        dir,
        &server.url,
        &format!("{PRICES}\nmax_claims = 1\nmax_cost = 2.8"),
    );
    let (code, _, err) = fuse(dir, &[]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains("the cap max_cost = 2.8 is reached: ")
            && err.contains("raise [fusion] max_cost"),
        "{err}"
    );
    let paid = server.total();
    assert!((5..50).contains(&paid), "{paid}");
    // Each costs 0.02. A shorter question than the one that did not fit may still fit.
    let (_, _, err) = fuse(dir, &[]);
    assert!(err.contains("is reached"), "{err}");
    assert!((paid..=50).contains(&server.total()), "{}", server.total());
    change(dir, "toy.toml", |t| {
        t.replace("max_cost = 2.8", "max_cost = 1000.0")
    });
    let (code, _, err) = fuse(dir, &[]);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("fuse (continued)"), "{err}");
    assert!(server.asked.lock().unwrap().values().all(|n| *n == 1));
}

#[test]
fn what_fails_is_listed_and_asked_again_and_a_fallback_is_named() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let stubborn = Server::start(|asked| {
        let first = asked.before < 2 && asked.prompt.contains("Thing number 3");
        match first {
            true => say(500, "out of order"),
            false => say(200, good("small", SAID)),
        }
    });
    let key = "api_key_env = \"HKFR_TEST_NO_KEY\"\nbreaker_failures = 1000\nconcurrency = 16";
    served(dir, &stubborn.url, key);
    let (code, _, err) = fuse(dir, &[]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains("histories were not answered:\n  user u")
            && err.contains("status 500: out of order (after 2 attempts)")
            && err.contains("the same command asks for these again"),
        "{err}"
    );
    let (code, _, err) = fuse(dir, &[]);
    assert_eq!(code, Some(0), "{err}");
    assert!(!knowledge(dir).contains("other"));

    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let broken = Server::start(|_| say(503, "restarting"));
    let other = Server::start(|asked| {
        assert_eq!(asked.body["model"], "large");
        assert_eq!(asked.authorization, None);
        say(200, good("large", SAID))
    });
    // The first service's key is no business of the other's.
    let keys = format!(
        "api_key_env = \"PATH\"\nbreaker_failures = 1\nfallbacks = [{{ model = \"large\", base_url = \"{}\" }}]",
        other.url
    );
    served(dir, &broken.url, &keys);
    let (code, _, err) = run(dir, &["run", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    let lines = knowledge(dir);
    assert!(lines.lines().all(|l| l.contains(r#""model":"large""#)));
    assert!(broken.total() < 10, "{}", broken.total());
}

/// The data of a question: its last line, with and without a schema.
fn data(prompt: &str) -> String {
    prompt.lines().last().unwrap().to_owned()
}

#[test]
fn one_history_that_is_refused_does_not_keep_the_others_from_being_fused() {
    for status in [400, 413] {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        // The very first one, before anything was answered.
        let first = std::sync::Mutex::new(None);
        let server = Server::start(move |asked| {
            let mut first = first.lock().unwrap();
            let refused = first.get_or_insert_with(|| data(&asked.prompt));
            match *refused == data(&asked.prompt) {
                true => say(status, "content_filter"),
                false => say(200, good("small", SAID)),
            }
        });
        served(dir, &server.url, "concurrency = 1");
        for again in [false, true] {
            let before = server.total();
            let (code, _, err) = fuse(dir, &[]);
            assert_eq!(code, Some(1), "{err}");
            assert!(
                err.contains("histories were not answered:\n  user u")
                    && err.contains(&format!("status {status}, the service does not take"))
                    && err.contains("content_filter"),
                "{err}"
            );
            assert_eq!(again, server.total() - before < 10, "{err}");
        }
    }
    // Nobody was ever answered: it is not the histories.
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let server = Server::start(|_| say(400, "no such model"));
    served(dir, &server.url, "concurrency = 1");
    let (code, _, err) = fuse(dir, &[]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains("check the model \"small\"") && !err.contains("were not answered"),
        "{err}"
    );
    assert!(server.total() < 30, "{}", server.total());
}

/// Says what the latest behaviour was of, and that all of them are of category 0 on a Sunday.
fn half_a_liar() -> Server {
    Server::start(|asked| {
        let data: Value = serde_json::from_str(asked.prompt.lines().last().unwrap()).unwrap();
        let columns = data["columns"].as_array().unwrap();
        let category = columns.iter().position(|c| c == "category").unwrap();
        let latest = &data["events"][0];
        let truth = json!({"kind": "category", "value": latest[category], "events": [latest[0]]});
        let lie = json!({"kind": "category", "value": "category 9", "events": [latest[0]]});
        let text = "They like things. They like category 9.";
        let answer = json!({"claims": [truth, lie], "text": text});
        say(200, good("small", &answer.to_string()))
    })
}

#[test]
fn the_report_tells_how_good_the_claims_are() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let server = half_a_liar();
    served(dir, &server.url, "repeats = 2\nreport_users = 6");
    run(dir, &["split", "toy.toml"]);
    let (_, out, err) = fuse(dir, &["--dry-run"]);
    let (code, _, err_of_run) = fuse(dir, &[]);
    assert_eq!(code, Some(0), "{err_of_run}");
    assert!(err_of_run.contains("0.500 precision"), "{err_of_run}");
    // The repeats of six users were among what was foretold.
    let foretold = format!("{} requests, 0 of them answered", server.total());
    assert!(out.contains(&foretold), "{out}{err}");
    let report = std::fs::read(dir.join("out/toy/fuse/report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    let report = &report[0];
    assert_eq!(
        (&report["model"], &report["precision"]),
        (&json!("small"), &json!(0.5))
    );
    assert_eq!(
        report["cut"],
        json!({"not-in-catalogue": report["histories"]})
    );
    assert_eq!(
        report["consistency"],
        json!({"users": 6, "repeats": 2, "mean": 1.0})
    );
    assert_eq!(report["similarity"]["users"], 6);
    // Whatever the facts, the text is the same.
    assert_eq!(report["similarity"]["text"]["mean"], 1.0);
    assert!(
        err_of_run.contains("says the same of different users: their texts"),
        "{err_of_run}"
    );
    let table = std::fs::read_to_string(dir.join("out/toy/fuse/report.md")).unwrap();
    assert!(table.contains("- cut: not-in-catalogue "), "{table}");
    // Nothing is asked for the report of a run that is made anew.
    let (asked, written) = (server.total(), knowledge(dir));
    fuse(dir, &["--force", "fuse"]);
    assert_eq!((server.total(), knowledge(dir)), (asked, written));
    // About fewer users: the report is made anew, and nothing is asked.
    change(dir, "toy.toml", |t| {
        t.replace("report_users = 6", "report_users = 5")
    });
    let (_, _, err) = fuse(dir, &[]);
    assert!(!err.contains("fuse: up to date"), "{err}");
    let report = std::fs::read_to_string(dir.join("out/toy/fuse/report.json")).unwrap();
    assert!(report.contains("\"users\": 5"), "{report}");
    assert_eq!(server.total(), asked);
    // One person: what stands of two claims.
    let (_, out, err) = run(dir, &["show", "user", "u0", "--config", "toy.toml"]);
    let out = out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        out.contains("Of 2 claims of the service 1 stand, of 2 sentences 0;"),
        "{out}{err}"
    );
    assert!(out.contains("Cut: not-in-catalogue 1."), "{out}");
}

/// What is asked for the report alone ends nothing.
#[test]
fn a_user_whose_repeat_is_refused_is_left_out_of_the_consistency() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let first = std::sync::Mutex::new(None);
    let server = Server::start(move |asked| {
        let is_repeat = asked.body["seed"] == 1;
        let mut first = first.lock().unwrap();
        if is_repeat && *first.get_or_insert_with(|| data(&asked.prompt)) == data(&asked.prompt) {
            return say(400, "content_filter");
        }
        say(200, good("small", SAID))
    });
    served(dir, &server.url, "repeats = 2\nreport_users = 6");
    let (code, _, err) = fuse(dir, &[]);
    assert_eq!(code, Some(0), "{err}");
    assert!(
        err.contains("repeat 1: ") && err.contains("content_filter"),
        "{err}"
    );
    let report = std::fs::read(dir.join("out/toy/fuse/report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report[0]["consistency"]["users"], 5);
    assert_eq!(report[0]["similarity"]["users"], 6);
}

/// Batch files hold what is to be asked again, once the answers that cannot be read are there.
#[test]
fn what_is_asked_again_goes_out_with_the_next_batch() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    served(dir, "http://127.0.0.1:9/v1", "");
    let answered = |text: &str| {
        let (_, out, err) = fuse(dir, &["--batch-out", "batch.jsonl"]);
        assert!(out.starts_with("batch.jsonl: "), "{out}{err}");
        let batch = std::fs::read_to_string(dir.join("batch.jsonl")).unwrap();
        let mut output = String::new();
        for line in batch.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let body: Value = serde_json::from_str(&good("small", text)).unwrap();
            let response = json!({"status_code": 200, "body": body});
            output += &format!(
                "{}\n",
                json!({"custom_id": line["custom_id"], "response": response, "error": null})
            );
        }
        std::fs::write(dir.join("output.jsonl"), output).unwrap();
        let (code, _, err) = fuse(dir, &["--batch-in", "output.jsonl"]);
        assert_eq!(code, Some(0), "{err}");
        batch.lines().count()
    };
    let first = answered("What do you mean?");
    assert_eq!(answered(SAID), first);
    let (code, _, err) = fuse(dir, &[]);
    assert_eq!(code, Some(0), "{err}");
    // Two histories may have one question.
    assert!(knowledge(dir).matches(r#""reasks":1"#).count() >= first);
}

#[test]
fn batch_files_go_out_and_come_in_as_paid() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let server = good_server();
    served(dir, &server.url, "");
    let (code, out, err) = fuse(dir, &["--batch-out", "batch.jsonl"]);
    assert_eq!(code, Some(0), "{err}");
    let batch = std::fs::read_to_string(dir.join("batch.jsonl")).unwrap();
    let n = batch.lines().count();
    assert!(
        out.contains(&format!("batch.jsonl: {n} requests of model small; 0 are")),
        "{out}"
    );
    let mut output = String::from("noise\n");
    for line in batch.lines().skip(1) {
        let line: Value = serde_json::from_str(line).unwrap();
        let body: Value = serde_json::from_str(&good("small", SAID)).unwrap();
        let response = json!({"status_code": 200, "body": body});
        let line = json!({"custom_id": line["custom_id"], "response": response, "error": null});
        output += &format!("{line}\n");
    }
    std::fs::write(dir.join("output.jsonl"), output).unwrap();
    let first: Value = serde_json::from_str(batch.lines().next().unwrap()).unwrap();
    let failed = json!({"custom_id": first["custom_id"], "response": null, "error": {"code": "batch_expired"}});
    std::fs::write(dir.join("error.jsonl"), failed.to_string()).unwrap();
    let (code, out, err) = fuse(dir, &["--batch-in", "output.jsonl", "error.jsonl"]);
    assert_eq!(code, Some(0), "{err}");
    for part in [
        &format!(
            "output.jsonl: {} answers taken, 0 there before, 0 requests failed, 1 bad lines",
            n - 1
        ),
        "error.jsonl: 0 answers taken, 0 there before, 1 requests failed, 0 bad lines",
        &format!("{} of {n} requests are answered", n - 1),
    ] {
        assert!(out.contains(part), "{out} does not say {part}");
    }
    assert!(
        err.contains("output.jsonl:1: damaged: ") && err.contains("error.jsonl:1: not answered: "),
        "{err}"
    );
    let (code, _, err) = fuse(dir, &[]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(server.total(), 1);
    let (_, out, _) = fuse(dir, &["--batch-out", "batch.jsonl"]);
    assert!(out.contains(": 0 requests"), "{out}");
    let (code, _, err) = fuse(dir, &["--dry-run", "--batch-out", "batch.jsonl"]);
    assert_eq!(code, Some(2), "{err}");
}

#[test]
fn a_cassette_repeats_a_run_without_the_service() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let server = good_server();
    let keys = "cassette = \"answers.jsonl\"\ncassette_mode = \"record\"";
    served(dir, &server.url, keys);
    let (code, _, err) = fuse(dir, &[]);
    assert_eq!(code, Some(0), "{err}");
    let (asked, written) = (server.total(), knowledge(dir));
    change(dir, "toy.toml", |t| {
        t.replace("\"record\"", "\"replay\"")
            .replace(&server.url, "http://127.0.0.1:9/v1")
    });
    let (code, _, err) = fuse(dir, &["--out", "elsewhere"]);
    assert_eq!(code, Some(0), "{err}");
    let replayed = dir.join("elsewhere/toy/fuse/knowledge.jsonl");
    assert_eq!(std::fs::read_to_string(replayed).unwrap(), written);
    assert_eq!(server.total(), asked);
    let (_, _, err) = fuse(dir, &["--dry-run"]);
    assert!(err.contains("no service is asked"), "{err}");
    // A line less, and what it answered is named.
    change(dir, "answers.jsonl", |t| {
        t.split_once('\n').unwrap().1.to_owned()
    });
    let (code, _, err) = fuse(dir, &["--out", "elsewhere"]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains("answers.jsonl: request ") && err.contains("is not on the cassette"),
        "{err}"
    );
}

/// The command, with nobody at its standard error.
fn start(dir: &Path) -> std::process::Child {
    std::process::Command::cargo_bin("hkfr")
        .unwrap()
        .current_dir(dir)
        .env("HKFR_CACHE", dir.join("cache"))
        .args(["--offline", "fuse", "toy.toml"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

#[cfg(unix)]
#[test]
fn a_stop_does_not_wait_for_a_service_that_is_away() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let server = Server::start(|_| {
        crate::server::Reply::Say(503, "retry-after: 60\r\n".into(), "restarting".into())
    });
    served(dir, &server.url, "");
    run(dir, &["split", "toy.toml"]);
    let mut child = start(dir);
    while server.total() == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let stopped = std::time::Instant::now();
    let pid = child.id().to_string();
    std::process::Command::new("kill")
        .arg(pid)
        .status()
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(stopped.elapsed() < Duration::from_secs(10));
}

/// The command itself, killed at seeded moments of the stage.
#[test]
fn a_killed_run_pays_for_nothing_twice() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let server = Server::start(|_| {
        std::thread::sleep(Duration::from_millis(10));
        say(200, good("small", SAID))
    });
    served(dir, &server.url, "concurrency = 2");
    run(dir, &["split", "toy.toml"]);
    let store = dir.join("out/toy/fuse/answers.sqlite");
    let stored = || -> usize {
        if !store.exists() {
            return 0;
        }
        let db = rusqlite::Connection::open(&store).unwrap();
        let check: String = db
            .query_row("PRAGMA integrity_check", [], |r| r.get(0))
            .unwrap();
        assert_eq!(check, "ok");
        let n = db.query_row("SELECT count(*) FROM answers", [], |r| r.get::<_, i64>(0));
        n.unwrap_or(0) as usize
    };
    let mut killed = 0;
    for round in 0..8_u64 {
        let mut child = start(dir);
        // From when it asks: how long it takes until then is the machine's business.
        let asked = server.total();
        while server.total() == asked && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(round * 37 % 60));
        killed += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        std::thread::sleep(Duration::from_millis(30));
        // What was asked more than once was under way when the process died: at most two a round.
        let again: usize = server.asked.lock().unwrap().values().map(|n| n - 1).sum();
        assert!(
            again <= 2 * (round as usize + 1),
            "{again} were asked again"
        );
        assert!(server.total() <= stored() + 2 * (round as usize + 1));
    }
    let (code, _, err) = fuse(dir, &[]);
    assert_eq!(code, Some(0), "{err}");
    println!(
        "{killed} kills, {} attempts for {} answers",
        server.total(),
        stored()
    );
    assert!(killed >= 3);
    assert_eq!(stored(), server.asked.lock().unwrap().len());
}

#[test]
fn shards_are_fused_apart_and_merged() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let server = good_server();
    served(dir, &server.url, PRICES);
    let (code, _, err) = fuse(dir, &["--out", "whole"]);
    assert_eq!(code, Some(0), "{err}");
    let asked = server.total();
    for shard in ["1/3", "2/3", "3/3"] {
        let (code, _, err) = run(dir, &["merge", "toy.toml", "fuse"]);
        assert_eq!(code, Some(1), "{err}");
        let (code, _, err) = fuse(dir, &["--shard", shard]);
        assert_eq!(code, Some(0), "{err}");
    }
    // Two shards may ask the same about two users.
    assert!(server.total() >= 2 * asked);
    let (code, _, err) = run(dir, &["merge", "toy.toml", "fuse"]);
    assert_eq!(code, Some(0), "{err}");
    let whole = std::fs::read_to_string(dir.join("whole/toy/fuse/knowledge.jsonl")).unwrap();
    assert_eq!(knowledge(dir), whole);
    // What was paid is there, too, and the run goes on.
    let (_, _, err) = fuse(dir, &[]);
    assert!(err.contains("fuse: up to date"), "{err}");
    let (_, out, _) = fuse(dir, &["--dry-run"]);
    assert!(
        out.contains(&format!("{asked} requests, {asked} of them answered")),
        "{out}"
    );
}
