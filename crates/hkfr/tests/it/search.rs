//! `hkfr search` on the small log of the walk.

use crate::walk::{run, toy};

/// Values in place of the built-in ones, a single one where there is nothing to choose, and a key of its own.
const SPACE: &str = "[item-knn]\ninclude_self = [false, true]\nneighbours = [2]\nshrinkage = [5.0]\n\
                     [sasrec]\ndim = [8]\nmax_epochs = [2, 4]\nn_heads = [1]\n";

fn search(dir: &std::path::Path, more: &[&str]) -> (Option<i32>, String, String) {
    let args = [
        "search",
        "toy.toml",
        "--systems",
        "popularity,item-knn,sasrec",
        "--space",
        "space.toml",
    ];
    run(dir, &[&args[..], more].concat())
}

#[test]
fn chosen_settings_are_written_and_read_and_trials_are_not_made_twice() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    toy(dir);
    std::fs::write(dir.join("space.toml"), SPACE).unwrap();
    let (code, out, err) = search(dir, &["--trials", "3", "--write", "tuned.toml"]);
    assert_eq!(code, Some(0), "{err}");
    // Both tasks; popularity has one setting, item-knn two of two, sasrec three of the built-in keys' many.
    let lines = || std::fs::read_to_string(dir.join("out/toy/search/trials.jsonl")).unwrap();
    assert_eq!(lines().lines().count(), 2 * (1 + 2 + 3), "{}", lines());
    let sasrec = lines()
        .lines()
        .filter(|l| l.contains("\"sasrec\""))
        .map(str::to_owned)
        .collect::<Vec<_>>();
    assert!(
        sasrec
            .iter()
            .all(|l| l.contains("\"dim\":8") && l.contains("\"item_dropout\"")),
        "{sasrec:?}"
    );
    assert_eq!(out.lines().count(), 1 + 2 * 3, "{out}");
    assert!(
        out.lines()
            .any(|l| l.starts_with("item       sasrec") && l.contains("max_epochs = ")),
        "{out}"
    );
    let tuned = std::fs::read_to_string(dir.join("tuned.toml")).unwrap();
    assert!(
        tuned.contains("[item.item-knn]\ninclude_self = "),
        "{tuned}"
    );
    assert!(
        !dir.join("out/toy/split").exists(),
        "no test split is needed"
    );

    // Of the others the settings stay, with what is said of them.
    let args = [
        "search",
        "toy.toml",
        "--systems",
        "popularity",
        "--trials",
        "1",
    ];
    let (code, _, err) = run(dir, &[&args[..], &["--write", "tuned.toml"]].concat());
    assert_eq!(code, Some(0), "{err}");
    let again = std::fs::read_to_string(dir.join("tuned.toml")).unwrap();
    assert_ne!(again, tuned);
    let tables = |text: &str| {
        let tables = text.split("\n\n").skip(1).map(|t| t.trim().to_owned());
        let timeless = |t: String| t.split(" s in all").last().unwrap().to_owned();
        let mut tables: Vec<String> = tables.map(timeless).collect();
        tables.sort();
        tables
    };
    assert_eq!(tables(&again), tables(&tuned));

    // A line is taken away, as if the search had been stopped: one trial is made, the same one.
    let before = lines();
    let cut = before.trim_end().rfind('\n').unwrap() + 20;
    std::fs::write(dir.join("out/toy/search/trials.jsonl"), &before[..cut]).unwrap();
    let (code, again, err) = search(dir, &["--trials", "3"]);
    assert_eq!(code, Some(0), "{err}");
    let accuracy = |text: &str| -> Vec<String> {
        let field = |l: &str| l.split("\"seconds\"").next().unwrap().to_owned();
        text.lines().map(field).collect()
    };
    assert_eq!(accuracy(&lines()), accuracy(&before));
    assert_eq!(again.lines().count(), out.lines().count());

    // Trials learn once: one that says so is the first one, which is there.
    let before = lines();
    std::fs::write(dir.join("once.toml"), format!("{SPACE}refit = [false]\n")).unwrap();
    let once = [
        "--systems",
        "sasrec",
        "--trials",
        "1",
        "--space",
        "once.toml",
    ];
    let (code, _, err) = run(dir, &[&["search", "toy.toml"], &once[..]].concat());
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(lines(), before);

    let config = std::fs::read_to_string(dir.join("toy.toml")).unwrap();
    let config = config.replace(
        "systems = [\"popularity\", \"own-frequency\"]",
        "systems = [\"popularity\", \"sasrec\"]\nsettings = \"tuned.toml\"\ntasks = [\"item\"]",
    );
    std::fs::write(dir.join("toy.toml"), config).unwrap();
    let (code, table, err) = run(dir, &["run", "toy.toml", "--seed", "5"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(table.contains("sasrec"), "{table}");
    let cost =
        std::fs::read_to_string(dir.join("out/toy/recommend/sasrec.item.cost.json")).unwrap();
    assert!(
        cost.contains("\"dim\": 8") && cost.contains("\"seed\": 5"),
        "{cost}"
    );
    assert!(!dir.join("out/toy/recommend/sasrec.category.jsonl").exists());
    // Lists are made by what learnt a second time, and the run says so.
    let read = |file: &str| std::fs::read_to_string(dir.join("out/toy").join(file)).unwrap();
    assert!(cost.contains("\"refit\": true"), "{cost}");
    assert!(read("recommend/manifest.json").contains("\"refit\": true"));
    assert!(
        read("evaluate/report.html")
            .contains("learn again from everything, for as many epochs as were best: sasrec.")
    );
}

/// With time to fill a system has up to ten times the trials, the same ones first; none is begun after it.
#[test]
fn quick_systems_fill_the_time_with_more_trials() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    toy(dir);
    std::fs::write(dir.join("space.toml"), SPACE).unwrap();
    let trials = |seconds: &str| {
        let (code, _, err) = search(dir, &["--trials", "1", "--seconds", seconds]);
        assert_eq!(code, Some(0), "{err}");
        std::fs::read_to_string(dir.join("out/toy/search/trials.jsonl")).unwrap()
    };
    let one = trials("1e-9");
    assert_eq!(one.lines().count(), 2 * 3);
    let more = trials("1000");
    assert!(more.starts_with(&one), "{more}");
    // What was drawn from can be drawn from again.
    let space = std::fs::read_to_string(dir.join("out/toy/search/space.toml")).unwrap();
    assert!(space.contains("neighbours = [2]"), "{space}");
    std::fs::write(dir.join("space.toml"), space).unwrap();
    assert_eq!(more.lines().count(), 2 * (1 + 2 + 10));
    assert_eq!(trials("1000"), more);
}

#[test]
fn what_cannot_be_searched_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    toy(dir);
    let error = |space: &str, args: &[&str]| {
        std::fs::write(dir.join("space.toml"), space).unwrap();
        let (code, _, err) = search(dir, args);
        assert_eq!(code, Some(1), "{err}");
        err
    };
    let err = error("[item-knn]\nneighbors = [1]\n", &[]);
    assert!(
        err.contains("space.toml: [item-knn] neighbors = 1: unknown field `neighbors`"),
        "{err}"
    );
    let err = error("[itemknn]\nneighbours = [1]\n", &[]);
    assert!(err.contains("[itemknn]: there is no such system"), "{err}");
    let (code, _, err) = run(dir, &["search", "toy.toml", "--systems", "easy"]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains("no system \"easy\" to search; did you mean \"ease\"?"),
        "{err}"
    );
}

/// Ties, targets that were chosen before, items that have no category, others that are in no catalogue: settings
/// are chosen by the figure that `hkfr evaluate` gives for the same cases.
#[test]
fn settings_are_chosen_by_what_evaluate_measures() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    toy(dir);
    let append = |file: &str, text: String| {
        let path = dir.join("logs").join(file);
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, before + &text).unwrap();
    };
    append(
        "items.csv",
        (10..16)
            .map(|i| match i % 2 {
                0 => format!("i{i},Thing number {i},\n"),
                _ => format!("i{i},Thing number {i},category {i}\n"),
            })
            .collect(),
    );
    let buys = |user: usize, item: usize, day: usize| {
        format!(
            "u{user},i{item},{}\n",
            1_700_000_030 + day * 86_400 + user * 60
        )
    };
    append(
        "log.csv",
        (0..12)
            .map(|u| buys(u, 10 + (u + 1) % 4, 20) + &buys(u, 10 + u % 6, 76))
            .collect(),
    );
    let config = std::fs::read_to_string(dir.join("toy.toml")).unwrap();
    for repeats in ["allow", "exclude"] {
        let config = config
            .replace("[split]", "[split]\nphase = \"validation\"")
            .replace(
                "depth = 10",
                &format!("depth = 50\nrepeats = \"{repeats}\""),
            );
        std::fs::write(dir.join("toy.toml"), config).unwrap();
        let out = format!("out-{repeats}");
        let systems = "popularity,own-frequency";
        for args in [
            &["run", "toy.toml", "--out", &out][..],
            &[
                "search",
                "toy.toml",
                "--out",
                &out,
                "--systems",
                systems,
                "--trials",
                "1",
            ],
        ] {
            let (code, _, err) = run(dir, args);
            assert_eq!(code, Some(0), "{err}");
        }
        let read =
            |file: &str| std::fs::read_to_string(dir.join(&out).join("toy").join(file)).unwrap();
        let report: serde_json::Value =
            serde_json::from_str(&read("evaluate/report.json")).unwrap();
        let trials = read("search/trials.jsonl");
        let (mut n, mut n_between) = (0, 0);
        for trial in trials.lines() {
            let trial: serde_json::Value = serde_json::from_str(trial).unwrap();
            let of = |list: &serde_json::Value, key: &str, name: &serde_json::Value| {
                let list = list.as_array().unwrap();
                list.iter().find(|x| x[key] == *name).unwrap().clone()
            };
            let task = of(&report["tasks"], "task", &trial["task"]);
            assert_eq!(task["segments"][0]["segment"], "all");
            let row = of(&task["segments"][0]["systems"], "system", &trial["system"]);
            for (key, metric) in [("hr@10", "HR"), ("ndcg@10", "NDCG")] {
                let metrics = row["metrics"].as_array().unwrap();
                let of = metrics
                    .iter()
                    .find(|m| m["metric"] == metric && m["k"] == 10);
                let measured = of.unwrap_or_else(|| panic!("{row}"))["mean"]
                    .as_f64()
                    .unwrap();
                let chosen_by = trial[key].as_f64().unwrap();
                assert!(
                    (measured - chosen_by).abs() < 1e-12,
                    "{repeats}: {trial} and {row}"
                );
                n_between += usize::from(measured > 0.0 && measured < 1.0);
                n += 1;
            }
        }
        assert!(
            n == 8 && n_between > 3,
            "{n_between} of {n} say something: {trials}"
        );
    }
}
