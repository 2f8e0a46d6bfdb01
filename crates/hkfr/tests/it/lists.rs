//! `hkfr evaluate --run`: lists of other tools, as those tools write them.

use std::path::Path;

use serde_json::Value;

use crate::cli::run;

const TIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../eval/tests/golden/ties/big");

fn write(dir: &Path, name: &str, text: impl AsRef<[u8]>) {
    std::fs::write(dir.join(name), text).unwrap();
}

/// Exit code, output and messages of an evaluation in `dir`.
fn evaluate(dir: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    run(dir, &[&["evaluate"], more].concat())
}

#[test]
fn the_rule_for_ties_is_chosen_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let files = [
        "--run",
        &format!("{TIES}.trec.gz"),
        "--qrels",
        &format!("{TIES}.qrels.gz"),
    ];
    for (ties, ndcg) in [
        ("against", 0.066_797),
        ("trec", 0.100_510),
        ("random", 0.102_251),
    ] {
        let asked = [&files[..], &["--ties", ties, "--format"]].concat();
        let (_, json, err) = evaluate(dir.path(), &[&asked[..], &["json"]].concat());
        let json: Value = serde_json::from_str(&json).expect(&err);
        assert!(
            (json["ndcg@10"].as_f64().unwrap() - ndcg).abs() < 1e-6,
            "{json}"
        );
        assert_eq!(json["ties"], ties);
        let told = ".0668 with ties against the targets";
        assert!(
            err.contains(told) && err.contains(".1005 in trec_eval's order"),
            "{err}"
        );
        let (_, table, _) = evaluate(dir.path(), &[&asked[..], &["table"]].concat());
        assert!(
            table.contains(told) && table.contains("\n= ties "),
            "{table}"
        );
        let (_, report, _) = evaluate(dir.path(), &[&asked[..], &["report"]].concat());
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["config"]["ties"], ties);
        let lists = format!("big={TIES}.trec.gz");
        let compare = ["compare", &lists, "--qrels", files[3], "--ties", ties];
        let (_, compared, err) = run(dir.path(), &compare);
        assert!(compared.contains(&format!("{ndcg:.4}")), "{compared}{err}");
    }
    let (code, _, err) = evaluate(dir.path(), &[&files[..], &["--ties", "best"]].concat());
    assert_eq!(code, Some(2));
    assert!(
        err.contains("possible values: against, trec, random"),
        "{err}"
    );
}

#[test]
fn ids_of_two_files_that_hardly_match_are_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        "truth.trec",
        "1000 0 a1 1\n1001 0 a2 1\n1002 0 a3 1\n",
    );
    let refuse = |lists: &str, more: &[&str], said: &[&str]| {
        write(dir.path(), "s.trec", lists);
        let files = ["--run", "s.trec", "--qrels", "truth.trec"];
        let (code, _, err) = evaluate(dir.path(), &[&files[..], more].concat());
        assert_eq!(code, Some(1), "{err}");
        for part in said {
            assert!(err.contains(part), "{err}\ndoes not say {part}");
        }
    };
    refuse(
        "1000.0 Q0 a1 1 1 s\n1001.0 Q0 a2 1 1 s\n",
        &[],
        &[
            "error: s.trec: its queries are not those of the truth: 0 of 2 ids match, such as `1000.0`, which is \
             `1000` there",
            "write them as integers or text",
        ],
    );
    refuse(
        "1000 Q0 A1 1 1 s\n1001 Q0 A2 1 1 s\n",
        &[],
        &[
            "its items are not those of the truth",
            "upper and lower case",
        ],
    );
    let good = "1000 Q0 a1 1 1 s\n";
    write(dir.path(), "items.txt", "item_a1 3\nitem_a2 1\nitem_a3 1\n");
    let said = [
        "items.txt: its items are not those of truth.trec",
        "`item_` stands before",
    ];
    refuse(good, &["--catalogue", "items.txt"], &said);
    write(dir.path(), "seen.trec", "01000 0 a9 1\n01002 0 a9 1\n");
    let said = [
        "seen.trec: its queries are not those of truth.trec",
        "leading zeros",
    ];
    refuse(good, &["--consumed", "seen.trec"], &said);
}

/// Whatever an id holds, a terminal gets none of its control characters.
#[test]
fn an_escape_sequence_in_a_file_does_not_reach_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let evil = "\u{1b}[31mq\u{7}1\u{9b}2J";
    write(
        dir.path(),
        "truth.trec",
        format!("{evil} 0 {evil} 1\nq2 0 a 1\n"),
    );
    let check = |lists: &str, says: &str| {
        write(dir.path(), "s.trec", lists);
        for format in ["table", "json"] {
            let args = [
                "--run",
                "s.trec",
                "--qrels",
                "truth.trec",
                "--format",
                format,
            ];
            let (_, out, err) = evaluate(dir.path(), &args);
            assert!((out.clone() + &err).contains(says), "{out}{err}");
            for text in [out, err] {
                let raw = |c: char| c.is_control() && c != '\n';
                assert!(!text.contains(raw), "{text:?}");
            }
        }
    };
    // In a warning, in the name of a system, and in errors.
    check(
        &format!("{evil} Q0 {evil} 1 1 {evil}\n"),
        "has no list for 1 of 2 cases",
    );
    check(&format!("other Q0 {evil} 1 1 s\n"), "the ids do not match");
    check(
        &format!("{evil} Q0 a 1 {evil} s\n"),
        "is not a number (field score)",
    );
    check(
        &format!("{evil} Q0 a 1 1 s\n{evil} Q0 a 1 1 {evil}\n"),
        "differs from `s`",
    );
}
