//! The stage that makes instruction rows: what it writes, what it tells, and what it leaves out.

use std::collections::BTreeMap;
use std::path::Path;

use hkfr::rec::tasks::{
    InstructionRow, LABEL_TASKS, TaskSet, read_alpaca, read_messages, read_sharegpt,
};
use serde_json::Value;

use crate::models::{change, prepare};
use crate::walk::run;

fn instruct(dir: &Path) -> (String, String) {
    let (code, out, err) = run(dir, &["instruct", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    (out, err)
}

fn json(dir: &Path, file: &str) -> Value {
    let path = dir.join("out/toy/instruct").join(file);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn rows(dir: &Path) -> Vec<InstructionRow> {
    read_messages(&dir.join("out/toy/instruct/fusion.messages.jsonl")).unwrap()
}

#[test]
fn rows_are_written_in_three_forms_and_reported() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    prepare(dir);
    change(dir, "toy.toml", |text| {
        text.replace(r#""hkfr"]"#, r#""hkfr", "p5"]"#)
            .replace("[split]\n", "[split]\ninstances_per_user = 6\n")
    });
    let (out, _) = instruct(dir);
    for part in [
        "fusion: ",
        "\nnumbers: ",
        " instances; tokens ",
        "next_brand             0  skipped: the data have no answer",
        "dataset_info.json for LLaMA-Factory",
    ] {
        assert!(out.contains(part), "{part}:\n{out}");
    }
    assert!(out.lines().all(|l| l.chars().count() < 200), "{out}");
    // Told again, and nothing made again.
    let (again, err) = instruct(dir);
    assert_eq!(out, again);
    assert!(err.contains("instruct: up to date"), "{err}");

    let files = dir.join("out/toy/instruct");
    let rows = rows(dir);
    assert_eq!(
        read_alpaca(&files.join("fusion.alpaca.jsonl")).unwrap(),
        rows
    );
    assert_eq!(
        read_sharegpt(&files.join("fusion.sharegpt.jsonl")).unwrap(),
        rows
    );
    let info = json(dir, "dataset_info.json");
    let info = info.as_object().unwrap();
    assert_eq!(info.len(), 6);
    for entry in info.values() {
        assert!(
            files.join(entry["file_name"].as_str().unwrap()).exists(),
            "{entry}"
        );
    }
    let axolotl = std::fs::read_to_string(files.join("axolotl.yml")).unwrap();
    assert!(axolotl.contains("path: fusion.messages.jsonl"), "{axolotl}");

    // The report counts what is in the files.
    let report = &json(dir, "report.json")["variants"]["fusion"];
    assert_eq!(report["rows"], rows.len());
    let n_instances = report["instances"].as_u64().unwrap();
    assert_eq!(
        json(dir, "report.json")["variants"]["numbers"]["tasks"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let mut by_task: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &rows {
        *by_task.entry(&row.task).or_default() += 1;
    }
    for task in report["tasks"].as_array().unwrap() {
        let (name, task) = (task[0].as_str().unwrap(), &task[1]);
        let n = by_task.get(name).copied().unwrap_or(0);
        assert_eq!(task["rows"], n, "{name}");
        let share = task["largest_share"].as_f64().unwrap();
        assert!(
            share <= 0.5 || LABEL_TASKS.contains(&name),
            "{name}: {task}"
        );
        if n == 0 {
            let dropped = &task["dropped"];
            let left = [
                &task["without_answer"],
                &dropped["too_common"],
                &dropped["duplicates"],
            ];
            let left: u64 = left.iter().map(|v| v.as_u64().unwrap()).sum();
            assert_eq!(left, n_instances, "{name}: {task}");
        }
    }
    let checked = report["checks"]["labels_in_training"].as_u64().unwrap();
    assert!(checked >= rows.len() as u64);
    assert!(report["checks"]["cited_before_as_of"].as_u64().unwrap() > 0);

    // What is served is in the training mix, and not alone.
    let set = TaskSet::load("grocery", None).unwrap();
    for task in LABEL_TASKS {
        let served = set.instruction(task).unwrap();
        let of_task: Vec<&InstructionRow> = rows.iter().filter(|r| r.task == task).collect();
        let n = of_task.iter().filter(|r| r.instruction == served).count();
        let share = n as f64 / of_task.len() as f64;
        assert!(
            (0.25..0.75).contains(&share),
            "{task}: {share} of {}",
            of_task.len()
        );
    }
}

#[test]
fn rows_that_are_too_long_are_left_out_whole_and_counted() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    prepare(dir);
    instruct(dir);
    let before = rows(dir);
    let tokens = json(dir, "report.json")["variants"]["fusion"]["tokens"].clone();
    let limit = tokens["median"].as_u64().unwrap();
    change(dir, "toy.toml", |text| {
        text.replace(
            "[tuning]",
            &format!("[instructions]\nmax_tokens = {limit}\nmax_label_share = 1.0\n[tuning]"),
        )
    });
    let (out, _) = instruct(dir);
    let report = json(dir, "report.json")["variants"]["fusion"].clone();
    assert_eq!(report["max_tokens"], limit);
    assert!(report["tokens"]["max"].as_u64().unwrap() <= limit);
    let left_out = |t: &Value| t[1]["dropped"]["too_long"].as_u64().unwrap();
    let n: u64 = report["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(left_out)
        .sum();
    assert!(n > 0 && out.contains(" too long"), "{out}");
    // What stays is as it was.
    let same = rows(dir).into_iter().filter(|r| before.contains(r)).count();
    assert!(same > 0);
    for (wrong, part) in [
        ("max_label_share = 0.0", "must lie in (0, 1]"),
        ("wordings = 0", "must be at least 1"),
        (
            r#"tasks = ["next_item", "next_item"]"#,
            "names \"next_item\" twice",
        ),
        (r#"tasks = ["next_itm"]"#, "did you mean \"next_item\"?"),
    ] {
        change(dir, "toy.toml", |text| {
            let end = text.find("[tuning]").unwrap();
            let begin = text.find("[instructions]").unwrap();
            format!(
                "{}[instructions]\n{wrong}\n{}",
                &text[..begin],
                &text[end..]
            )
        });
        let (code, _, err) = run(dir, &["instruct", "toy.toml"]);
        assert!(
            code != Some(0) && err.contains("toml:") && err.contains(part),
            "{err}"
        );
    }
}
