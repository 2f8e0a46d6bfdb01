//! A user who leaves: nothing of them is in any file, the run goes on without them, and they stay out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use assert_cmd::cargo::CommandCargoExt;
use hkfr::verify;

use crate::models::{change, prepare};
use crate::server::{Server, good, say};
use crate::walk::run;

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
            "[fusion]\nmode = \"service\"\ntemplates = \"generic\"\nbase_url = \"{}\"\nmodel = \"small\"\n[tuning]",
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
    assert!(
        report.damaged.is_empty() && report.notes.is_empty(),
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
        "instruct/fusion.messages.jsonl",
        "instruct/fusion.alpaca.jsonl",
        "recommend/hkfr.item.jsonl",
        "recommend/hkfr.features.parquet",
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
        "left: logs: the logs hold the user",
    ] {
        assert!(out.contains(part), "{out} does not say {part}");
    }
    assert!(!out.contains(MARK), "{out}");
    assert_eq!(holding(dir), Vec::<PathBuf>::new());
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
