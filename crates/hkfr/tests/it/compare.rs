//! `hkfr compare` as a person runs it.

use std::path::Path;

use crate::models::change;
use crate::walk::{run, toy};

/// Run directories `toy` (seed 42) and `other` (seed 43, and a further system) in `out/`.
fn two_runs(dir: &Path) {
    toy(dir);
    let (code, _, err) = run(dir, &["run", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    change(dir, "toy.toml", |text| {
        text.replace(r#"name = "toy""#, "name = \"other\"\nseed = 43")
            .replace(r#""own-frequency"]"#, r#""own-frequency", "item-knn"]"#)
    });
    let (code, _, err) = run(dir, &["run", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");
}

#[test]
fn runs_become_one_table_with_sentences_and_files() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    two_runs(dir);
    std::fs::write(
        dir.join("out/other/recommend/item-knn.item.cost.json"),
        r#"{"fit_seconds": 1.5, "score_seconds": 90, "peak_mb": 12.0, "settings": {"neighbours": 5}}"#,
    )
    .unwrap();
    let (code, out, err) = run(
        dir,
        &[
            "compare",
            "out/toy",
            "out/other",
            "--metric",
            "hr@3",
            "--out",
            "report",
        ],
    );
    assert_eq!(code, Some(0), "{err}");
    for part in [
        "category · all · ",
        "ΔHR@3",
        "HR@3",
        "NDCG@10",
        "seeds  sd of seeds, HR@3  d_z, HR@3     fit   score  peak memory",
        "1.50 s  90.0 s        12 MB",
        "Δ paired difference to popularity",
        "\nitem:\n",
        "own-frequency: no significant difference to popularity in HR@3: −.3000 (95 % ",
        " after Holm, d_z ",
    ] {
        assert!(out.contains(part), "`{part}` is not in\n{out}");
    }
    // popularity and own-frequency have two seeds, item-knn has one.
    let seeds = |system: &str| {
        let (_, table) = out.split_once("item: seeds, effect and cost").unwrap();
        let row = table.lines().find(|l| l.starts_with(system)).unwrap();
        row.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!([seeds("popularity"), seeds("item-knn")], ["2", "1"]);
    let file = |name: &str| std::fs::read_to_string(dir.join("report").join(name)).unwrap();
    let (html, md, tex) = (file("report.html"), file("table.md"), file("table.tex"));
    assert!(html.contains("<svg ") && html.contains("What the lists are like at 10"));
    assert!(html.contains("difference to popularity in HR@3") && html.contains("2 seeds"));
    assert!(html.contains("1.50 s"), "the cost is not in the page");
    assert!(md.contains("#### item: what is significant"), "{md}");
    assert!(
        tex.contains("\\toprule") && tex.contains("(popularity: 2, own-frequency: 2)"),
        "{tex}"
    );
    assert!(file("report.json").contains("\"seed_sd\""));

    let (_, out, _) = run(dir, &["compare", "out/toy", "--format", "latex"]);
    assert!(out.starts_with("% needs \\usepackage{booktabs}"), "{out}");
    let (_, out, _) = run(
        dir,
        &[
            "compare",
            "out/toy",
            "--format",
            "markdown",
            "--reference",
            "own-frequency",
        ],
    );
    assert!(out.contains("paired difference to own-frequency"), "{out}");
    // Named, they stand side by side instead.
    let (_, out, err) = run(dir, &["compare", "a=out/toy", "b=out/other"]);
    assert!(
        out.contains("b/own-frequency") && out.contains("to a/popularity"),
        "{out}{err}"
    );
}

#[test]
fn runs_that_asked_other_questions_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    two_runs(dir);
    let refuse = |args: &[&str]| {
        let (code, _, err) = run(dir, &[&["compare"], args].concat());
        assert_eq!(code, Some(1), "{err}");
        err
    };
    let truth = "out/other/evaluate/truth.item.jsonl";
    let good = std::fs::read_to_string(dir.join(truth)).unwrap();
    change(dir, truth, |t| {
        t.replacen(r#""targets":["#, r#""targets":["i9999","#, 1)
    });
    let err = refuse(&["out/toy", "out/other"]);
    for part in [
        "out/toy and out/other",
        "in task `item` case `u",
        "has other targets",
    ] {
        assert!(err.contains(part), "{err}");
    }
    std::fs::write(dir.join(truth), good).unwrap();
    change(dir, "out/other/evaluate/report.json", |t| {
        t.replace("\"allow\"", "\"exclude\"")
    });
    let err = refuse(&["out/toy", "out/other"]);
    assert!(
        err.contains("allows repeated choices, the second excludes them"),
        "{err}"
    );
    change(dir, "out/other/evaluate/report.json", |t| {
        t.replace("\"exclude\"", "\"allow\"")
    });

    // The same system and seed with other lists: not two seeds.
    let lists = "out/other/recommend/popularity.item.jsonl";
    change(dir, lists, |t| {
        t.replace("\"seed\":43", "\"seed\":42")
            .replace("\"i1\"", "\"i1x\"")
    });
    let err = refuse(&["out/toy", "out/other"]);
    assert!(
        err.contains("`popularity`") && err.contains("NAME=RUN"),
        "{err}"
    );

    let err = refuse(&["out/nowhere"]);
    assert!(err.contains("out/nowhere does not exist"), "{err}");
    let err = refuse(&["out"]);
    assert!(
        err.contains("no recommend/manifest.json") && err.contains("hkfr evaluate"),
        "{err}"
    );
    let err = refuse(&["toy.toml"]);
    assert!(
        err.contains("toy.toml is a file") && err.contains("--qrels"),
        "{err}"
    );
    let err = refuse(&["out/toy", "--task", "item"]);
    assert!(err.contains("--task is of run files"), "{err}");
    let err = refuse(&["out/toy", "--out", "out/toy/evaluate"]);
    assert!(err.contains("directory of `hkfr run`"), "{err}");
    let err = refuse(&["out/toy", "--reference", "nobody"]);
    assert!(
        err.contains("`nobody`") && err.contains("popularity"),
        "{err}"
    );
    std::fs::write(dir.join("out/toy/recommend/popularity.item.cost.json"), "{").unwrap();
    let err = refuse(&["out/toy"]);
    assert!(
        err.contains("popularity.item.cost.json is damaged; delete it"),
        "{err}"
    );
}

#[test]
fn a_run_that_was_asked_a_sample_is_compared_on_it() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    toy(dir);
    let (code, _, err) = run(dir, &["run", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    change(dir, "toy.toml", |text| {
        text.replace(r#"name = "toy""#, r#"name = "sample""#)
            .replace("[split]", "[split]\nmax_cases = 4")
            .replace(r#""own-frequency"]"#, r#""own-frequency", "item-knn"]"#)
    });
    let (code, _, err) = run(dir, &["run", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    let (code, _, err) = run(dir, &["compare", "out/toy", "out/sample"]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains("cases are only in the first") && err.contains("--common-cases"),
        "{err}"
    );
    let args = ["compare", "out/toy", "out/sample", "--common-cases"];
    let (code, out, err) = run(dir, &args);
    assert_eq!(code, Some(0), "{err}");
    for part in [
        "item · all · 4 cases",
        "item-knn",
        "! item: compared on 10 cases, which all runs were asked, of 16.",
    ] {
        assert!(out.contains(part), "`{part}` is not in\n{out}");
    }
}

#[test]
fn files_of_another_tool_stand_beside_a_run() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    toy(dir);
    let (code, _, err) = run(dir, &["evaluate", "toy.toml", "--export", "lists"]);
    assert_eq!(code, Some(0), "{err}");
    let file = "lists/own-frequency.item.run.trec";
    let refuse = |args: &[&str], expected: &str| {
        let (code, _, err) = run(dir, &[&["compare"], args].concat());
        assert_eq!(code, Some(1), "{err}");
        assert!(err.contains(expected), "{err}\ndoes not say {expected}");
    };
    refuse(
        &["out/toy", file],
        "of which task are the lists? Say it with --task (category, item)",
    );
    refuse(
        &["out/toy", file, "--task", "itme"],
        "--task itme is none of the runs' tasks (category, item)",
    );
    refuse(
        &["out/toy", file, "--task", "item"],
        "`own-frequency` is a system of out/toy and of a file; name the file's: NAME=FILE",
    );
    std::fs::write(dir.join("alien.trec"), "q1 Q0 i1 1 1 alien\n").unwrap();
    refuse(
        &["out/toy", "alien.trec", "--task", "item"],
        "alien.trec: `alien` has no list for any case of the truth",
    );
    let mine = format!("mine={file}");
    let (code, out, err) = run(dir, &["compare", &mine, "out/toy", "--task", "item"]);
    assert_eq!(code, Some(0), "{err}");
    // The same lists, against the same truth.
    let (_, table) = out.split_once("item · all · ").unwrap();
    let row = |system: &str| {
        let row = table.lines().find(|l| l.starts_with(system)).unwrap();
        row[system.len()..].trim().to_owned()
    };
    assert_eq!(row("mine"), row("own-frequency"), "{out}");
    assert!(out.contains("paired difference to popularity"), "{out}");
    let (category, _) = out.split_once("item · all · ").unwrap();
    assert!(!category.contains("mine"), "{out}");
    // Of a run with one task, none need be named.
    change(dir, "toy.toml", |text| {
        text.replace("[recommend]\n", "[recommend]\ntasks = [\"item\"]\n")
    });
    let (code, _, err) = run(dir, &["run", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    let (code, out, err) = run(dir, &["compare", "out/toy", &mine]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("\nmine "), "{out}");
}

#[test]
fn files_of_anyones_lists_are_compared() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let write = |name: &str, lines: Vec<String>| {
        std::fs::write(dir.join(name), lines.join("\n") + "\n").unwrap();
    };
    write("truth", (0..40).map(|q| format!("q{q} 0 a 1")).collect());
    let list = |bad: usize| {
        let item = move |q: usize| if q % 8 < bad { "b" } else { "a" };
        (0..40)
            .map(|q| format!("q{q} Q0 {} 1 1 same_tag", item(q)))
            .collect()
    };
    write("1.trec", list(2));
    write("2.trec", list(3));
    write("3.trec", list(7));
    let files = ["compare", "--qrels", "truth"];
    let (code, _, err) = run(dir, &[&files[..], &["1.trec", "2.trec"]].concat());
    assert_eq!(code, Some(1));
    assert!(
        err.contains("another file, 1.trec, holds lists of `same_tag` too")
            && err.contains("NAME=2.trec"),
        "{err}"
    );
    // A tag is no name of seeds, before or after one; and a file is one seed.
    for mixed in [["1.trec", "same_tag=2.trec"], ["same_tag=2.trec", "1.trec"]] {
        let (code, _, err) = run(dir, &[&files[..], &mixed].concat());
        assert_eq!(code, Some(1), "{mixed:?}");
        assert!(
            err.contains("holds lists of `same_tag` too; name them"),
            "{err}"
        );
    }
    let (code, _, err) = run(dir, &[&files[..], &["x=1.trec", "x=./1.trec"]].concat());
    assert_eq!(code, Some(1));
    assert!(err.contains("./1.trec is given twice as `x`"), "{err}");
    let named = ["good=1.trec", "good=2.trec", "weak=3.trec", "--k", "1"];
    let (code, out, err) = run(dir, &[&files[..], &named].concat());
    assert_eq!(code, Some(0), "{err}");
    assert!(
        out.contains("weak is below good in NDCG@1 by .5625"),
        "{out}"
    );
    // The seeds lie at 6/8 and 5/8.
    assert!(out.contains("0.0884"), "{out}");
    let (code, _, err) = run(
        dir,
        &[&files[..], &["1.trec", "--metric", "ndgc@5"]].concat(),
    );
    assert_eq!(code, Some(2));
    assert!(
        err.contains("`ndgc@5` is no metric") && err.contains("MAP"),
        "{err}"
    );
}
