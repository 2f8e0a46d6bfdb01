//! A user who leaves: nothing of them is in any file, the run goes on without them, and they stay out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use assert_cmd::cargo::CommandCargoExt;
use hkfr::stage::RunLock;
use hkfr::verify;
use hkfr_fuse::{Answers, COHORT_SLOT, ChatAnswer, KnowledgeRecord, StoredAnswer, Usage};

use crate::models::{change, prepare};
use crate::server::{Server, good, say};
use crate::walk::{run, toy};

/// In the id, the profile, the texts, the place and the answers about the user.
const MARK: &str = "Marked";
const ID: &str = "Marked-77";

/// A finished run in which the user `u3` of the toy log is the marked one, and cases are cut short.
fn marked_run(dir: &Path) -> Server {
    prepare(dir);
    change(dir, "logs/log.csv", |text| {
        let mut out = "user,item,at,words,where\n".to_owned();
        for line in text.lines().skip(1) {
            match line.strip_prefix("u3,") {
                Some(rest) => out += &format!("{ID},{rest},Marked words,Marked Street 5\n"),
                None => out += &format!("{line},,Main Street 1\n"),
            }
        }
        // A bad row that is shown.
        out + &format!("{ID},i1,{ID} at noon,,\n")
    });
    std::fs::write(
        dir.join("logs/users.csv"),
        format!("user,note\n{ID},Marked note\nu1,a note\n"),
    )
    .unwrap();
    let server = Server::start(|asked| {
        let about = match asked.prompt.contains("Marked") {
            true => "They like Marked things.",
            false => "They like things.",
        };
        say(200, good("small", about))
    });
    change(dir, "toy.toml", |text| {
        let fusion = format!(
            "[fusion]\nmode = \"service\"\ntemplates = \"generic\"\nrefresh_threshold = 0.35\nbase_url = \"{}\"\nmodel = \"small\"\nmin_useful = 0.0\n[tuning]",
            server.url
        );
        let columns = "time = \"at\"\ntext = \"words\"\nplace = \"where\"";
        let users = "[data.options.users]\npath = \"users.csv\"\nid = \"user\"\nattributes = [\"note\"]\n[split]\nmin_history = 1";
        text.replace("[tuning]", &fusion)
            .replace("time = \"at\"", columns)
            .replace("[split]", users)
            .replace("simulated_users = 2", "simulated_users = 0")
    });
    let (code, _, err) = run(dir, &["run", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    server
}

/// Files of the run that hold the mark, as it is or in the escapes of JSON and HTML.
fn holding(dir: &Path) -> Vec<PathBuf> {
    let mut files = hkfr::forget::files(&dir.join("out")).unwrap();
    files.retain(|file| {
        let bytes = std::fs::read(file).unwrap();
        let mark = MARK.as_bytes();
        bytes
            .windows(mark.len())
            .any(|w| w.eq_ignore_ascii_case(mark))
    });
    files
}

fn forget(dir: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    run(dir, &[&["forget", "toy.toml", "--user", ID], more].concat())
}

fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = hkfr::forget::files(&dir.join("out")).unwrap().into_iter();
    files
        .map(|f| (f.clone(), std::fs::read(f).unwrap()))
        .collect()
}

fn verified(dir: &Path) {
    let report = verify::directory(&dir.join("out/toy")).unwrap();
    // Knowledge for a later run (`fuse/earlier.jsonl`) outlives its stage's manifest.
    let is_kept = |note: &String| note.ends_with("toy/fuse: 1 files are not of its manifest");
    assert!(
        report.damaged.is_empty() && report.notes.iter().all(is_kept),
        "{}",
        report.told()
    );
}

#[test]
fn nothing_is_left_of_a_user_who_was_forgotten() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let server = marked_run(dir);
    // Beside the stages.
    for args in [
        &["prompts", "toy.toml"][..],
        &["ingest", "toy.toml", "--shard", "1/1"],
    ] {
        let (code, _, err) = run(dir, args);
        assert_eq!(code, Some(0), "{err}");
    }
    let held: Vec<String> = holding(dir)
        .iter()
        .map(|f| {
            f.strip_prefix(dir.join("out/toy"))
                .unwrap()
                .display()
                .to_string()
        })
        .collect();
    for file in [
        "ingest/users.parquet",
        "ingest-shard-1-of-1/users.parquet",
        "ingest/info.json",
        "ingest/rows.json",
        "split/split.json",
        "fuse/knowledge.sqlite",
        "fuse/knowledge.jsonl",
        "fuse/answers.sqlite",
        "fuse/earlier.jsonl",
        "instruct/fusion.messages.jsonl",
        "instruct/fusion.alpaca.jsonl",
        "recommend/hkfr.item.jsonl",
        "recommend/hkfr.features.parquet",
        "recommend/models/hkfr.item.ranker",
        "evaluate/truth.item.jsonl",
    ] {
        assert!(held.iter().any(|h| h == file), "{file} is not of {held:?}");
    }

    let before = contents(dir);
    let (code, plan, err) = forget(dir, &["--dry-run"]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(contents(dir), before, "a dry run changes nothing");
    let (code, _, err) = run(dir, &["forget", "toy.toml", "--user", "nobody"]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains("no user of this id") && !err.contains("u1"),
        "{err}"
    );
    assert_eq!(contents(dir), before);

    let asked = server.total();
    let (code, out, err) = forget(dir, &[]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(out, plan.replace("would go", "is gone"));
    for part in [
        "ingest    20 events, a profile",
        "knowledge.sqlite: ",
        " paid answers",
        "fusion.messages.jsonl: ",
        "up to date without the user: ingest, split, fuse, instruct\n",
        "`hkfr run CONFIG` makes anew: tune, recommend, evaluate\n",
        "tuned on the user: out/toy/tune/fusion, on ",
        "fitted on all users: 4 rankers in out/toy/recommend/models, which go too",
        "left: logs: the logs hold the user",
    ] {
        assert!(out.contains(part), "{out} does not say {part}");
    }
    assert!(!out.contains(MARK), "{out}");
    assert_eq!(holding(dir), Vec::<PathBuf>::new());
    let rankers = || std::fs::read_dir(dir.join("out/toy/recommend/models"));
    assert_eq!(rankers().unwrap().count(), 0);
    verified(dir);

    // Again, it says so, and names the adapters that are still the old ones.
    let (code, out, err) = forget(dir, &[]);
    assert_eq!(code, Some(0), "{err}");
    assert!(
        out.contains("was forgotten on 20") && out.contains("tune/fusion, on "),
        "{out}"
    );

    // The run goes on: nothing is asked or condensed again, what was fitted is fitted anew.
    let (code, _, err) = run(dir, &["run", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    for stage in ["ingest", "split", "fuse", "instruct"] {
        assert!(err.contains(&format!("{stage}: up to date")), "{err}");
    }
    for stage in ["\ntune\n", "\nrecommend\n", "\nevaluate\n"] {
        assert!(err.contains(stage), "{err}");
    }
    assert_eq!(server.total(), asked);
    assert_eq!(holding(dir), Vec::<PathBuf>::new());
    assert_eq!(rankers().unwrap().count(), 4);
    verified(dir);
    let (_, out, _) = forget(dir, &[]);
    assert!(
        out.contains("nothing of theirs is left") && !out.contains("tune/fusion"),
        "{out}"
    );

    // The same logs, read again, leave the user out.
    let (code, _, err) = run(dir, &["run", "toy.toml", "--force", "ingest"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(
        err.contains("skipped 20: events of users who were forgotten"),
        "{err}"
    );
    assert!(err.contains("1 forgotten users left out"), "{err}");
    let left: Vec<_> = holding(dir);
    // The bad row that names the user has no user, and is shown again.
    assert!(left.iter().all(|f| f.ends_with("rows.json")), "{left:?}");
}

#[test]
fn a_killed_forget_is_finished_by_the_same_command() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let _server = marked_run(dir);
    let start = || {
        std::process::Command::cargo_bin("hkfr")
            .unwrap()
            .current_dir(dir)
            .env("HKFR_CACHE", dir.join("cache"))
            .args(["--offline", "forget", "toy.toml", "--user", ID])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    let pending = dir.join("out/toy/forgetting.json");
    let mut interrupted = 0;
    for round in 0..12_u64 {
        let mut child = start();
        // From when something is changed: how long counting takes is the machine's business.
        while !pending.exists() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(200));
        }
        std::thread::sleep(Duration::from_micros(round * 13_100 % 60_000));
        child.kill().unwrap();
        child.wait().unwrap();
        if !pending.exists() {
            break;
        }
        interrupted += 1;
        if round == 0 {
            let (code, _, err) = run(dir, &["run", "toy.toml"]);
            assert_eq!(code, Some(1));
            assert!(err.contains("with the same user finishes it"), "{err}");
            let (code, _, err) = run(dir, &["forget", "toy.toml", "--user", "u1"]);
            assert_eq!(code, Some(1));
            assert!(err.contains("another user was being forgotten"), "{err}");
            assert_eq!(run(dir, &["verify", "out/toy"]).0, Some(1));
        }
    }
    let (code, out, err) = forget(dir, &[]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("tune/fusion, on "), "{out}");
    println!("{interrupted} interruptions");
    assert!(interrupted > 0);
    assert_eq!(holding(dir), Vec::<PathBuf>::new());
    verified(dir);
    let (code, _, err) = run(dir, &["instruct", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("all up to date"), "{err}");
    let (code, _, err) = run(dir, &["run", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(holding(dir), Vec::<PathBuf>::new());
}

/// Prompts and shards are made once and may be older than the log; paid answers outlive it.
#[test]
fn what_is_left_of_a_user_whom_the_log_no_longer_holds_goes_too() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let server = marked_run(dir);
    let good = |args: &[&str]| {
        let (code, _, err) = run(dir, args);
        assert_eq!(code, Some(0), "{args:?}: {err}");
        err
    };
    good(&["prompts", "toy.toml"]);
    good(&["ingest", "toy.toml", "--shard", "1/1"]);
    let logged = std::fs::read_to_string(dir.join("logs/log.csv")).unwrap();
    for file in ["logs/log.csv", "logs/users.csv"] {
        change(dir, file, |text| {
            let others = text.lines().filter(|l| !l.contains(ID));
            others.map(|l| format!("{l}\n")).collect()
        });
    }
    good(&["run", "toy.toml"]);
    let asked = server.total();
    // Under another key, as a merge of other machines once left them.
    let path = dir.join("out/toy/fuse/answers.sqlite");
    let foreign = StoredAnswer {
        hash: "f".repeat(64),
        model: "small".into(),
        answer: ChatAnswer {
            text: "They like things.".into(),
            usage: None,
            model: None,
            ..ChatAnswer::default()
        },
        usage: Usage {
            prompt_tokens: 1,
            completion_tokens: 1,
        },
        answered_at: 1,
    };
    let answers = Answers::open(&path).unwrap();
    answers.put(foreign.clone(), Some("user-foreign")).unwrap();
    drop(answers);
    let held = holding(dir);
    for part in ["fuse/answers.sqlite", "prompts/", "ingest-shard-1-of-1/"] {
        let is_part = |h: &PathBuf| h.to_string_lossy().contains(part);
        assert!(held.iter().any(is_part), "{part} is not of {held:?}");
    }

    let before = contents(dir);
    let (code, _, err) = run(dir, &["forget", "toy.toml", "--user", "nobody"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("no user of this id"), "{err}");
    assert_eq!(contents(dir), before);
    let (code, out, err) = forget(dir, &[]);
    assert_eq!(code, Some(0), "{err}");
    for part in [
        " paid answers\n",
        "emptied   evaluate, ingest-shard-1-of-1, prompts\n",
        "up to date without the user: ingest, split, fuse, instruct\n",
        "left: out/toy/fuse/answers.sqlite: 1 paid answers are about users whom the log no longer holds",
        "left: logs: the logs may hold the user",
    ] {
        assert!(out.contains(part), "{out} does not say {part}");
    }
    assert_eq!(holding(dir), Vec::<PathBuf>::new());
    let answers = Answers::open_read_only(&path).unwrap().unwrap();
    assert_eq!(answers.get(&foreign.hash).unwrap(), Some(foreign));
    drop(answers);
    let (_, out, _) = forget(dir, &[]);
    assert!(out.contains("nothing of theirs is left"), "{out}");

    // The run goes on, and the user does not come back with the log.
    let err = good(&["run", "toy.toml"]);
    assert!(err.contains("fuse: up to date"), "{err}");
    std::fs::write(dir.join("logs/log.csv"), logged).unwrap();
    let err = good(&["split", "toy.toml"]);
    assert!(err.contains("1 forgotten users left out"), "{err}");
    assert_eq!(server.total(), asked);
}

#[test]
fn nobody_is_forgotten_while_a_shard_is_at_work() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    toy(dir);
    let (code, _, err) = run(dir, &["ingest", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    let forget = || run(dir, &["forget", "toy.toml", "--user", "u3"]);
    let shard = RunLock::named(&dir.join("out/toy"), ".lock-shard-2-of-3").unwrap();
    let users = std::fs::read(dir.join("out/toy/ingest/users.parquet")).unwrap();
    let (code, _, err) = forget();
    assert_eq!(code, Some(1));
    let at_work = format!("process {} is at work in out/toy", std::process::id());
    assert!(
        err.contains(&at_work) && err.contains("out/toy/.lock-shard-2-of-3"),
        "{err}"
    );
    let after = std::fs::read(dir.join("out/toy/ingest/users.parquet")).unwrap();
    assert!(users == after && !dir.join("out/toy/forgetting.json").exists());
    drop(shard);
    let (code, _, err) = forget();
    assert_eq!(code, Some(0), "{err}");
}

#[test]
fn what_others_were_told_of_a_cohort_is_made_anew_without_the_user() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    prepare(dir);
    change(dir, "toy.toml", |text| {
        let fusion = "[fusion]\ntemplates = \"generic\"\nknowledge_tokens = 400\ncohort_below = 5\ncohort_min = 4\n[tuning]";
        text.replace("[tuning]", fusion)
    });
    let (code, _, err) = run(dir, &["run", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    // Users whose events others are told of: of 20 events each, in the order of the log.
    let cited = || -> Vec<String> {
        let text = std::fs::read_to_string(dir.join("out/toy/fuse/knowledge.jsonl")).unwrap();
        let records = text.lines().map(|l| serde_json::from_str(l).unwrap());
        let claims = records.flat_map(|r: KnowledgeRecord| r.claims);
        let told = claims.filter(|c| c.slot == COHORT_SLOT);
        let rows = told.flat_map(|c| c.evidence);
        rows.map(|row| format!("u{}", row / 20)).collect()
    };
    let user = cited().swap_remove(0);
    let (code, out, err) = run(dir, &["forget", "toy.toml", "--user", &user]);
    assert_eq!(code, Some(0), "{err}");
    for part in [
        "up to date without the user: ingest, split\n",
        "`hkfr run CONFIG` makes anew: fuse, instruct, tune, recommend, evaluate\n",
    ] {
        assert!(out.contains(part), "{out} does not say {part}");
    }
    let (code, _, err) = run(dir, &["run", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    let cited = cited();
    assert!(!cited.is_empty() && !cited.contains(&user), "{cited:?}");
}
