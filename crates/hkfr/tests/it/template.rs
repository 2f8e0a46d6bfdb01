//! Templates checked and previewed, on a log that the program makes.

use std::path::Path;

use crate::walk::run;

fn generate(dir: &Path) {
    let args = ["generate", "food-delivery", "--users", "80", "--out", "fd"];
    let (code, out, err) = run(dir, &args);
    assert_eq!(code, Some(0), "{err}");
    assert!(
        out.starts_with("synthetic: 80 users, 48 merchants"),
        "{out}"
    );
    assert!(out.ends_with("hkfr run fd/food-delivery.toml\n"), "{out}");
    let (code, _, err) = run(dir, &["split", "fd/food-delivery.toml"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(
        err.contains("0 bad rows") && err.contains("16 catalogue categories"),
        "{err}"
    );
    // Its results are no part of its log.
    let (_, _, err) = run(dir, &["split", "fd/food-delivery.toml"]);
    assert_eq!(
        err,
        "ingest: up to date\nsplit: up to date\nall up to date\n"
    );
}

#[test]
fn a_generated_log_is_read_by_its_config_and_previewed() {
    let dir = tempfile::tempdir().unwrap();
    let config = "fd/food-delivery.toml";
    let preview = |more: &[&str]| {
        run(
            dir.path(),
            &[&["template", "preview", config, "--user"], more].concat(),
        )
    };
    generate(dir.path());
    // Somebody who ordered within the first five weeks, and after.
    let events = std::fs::read_to_string(dir.path().join("fd/log/events.csv")).unwrap();
    let orders = |line: &&str| line.contains(",order,");
    let first = events
        .lines()
        .find(orders)
        .unwrap()
        .split(',')
        .next()
        .unwrap();
    let (code, out, err) = preview(&[first, "--as-of", "2024-02-01 12:30"]);
    assert_eq!(code, Some(0), "{err}");
    for part in [
        &format!("customer {first}, as of 2024-02-01 12:30: "),
        "lengths in words, and so are the budgets: smollm2-135m-instruct is not at hand",
        "\nBehaviour text, ",
        "\nFusion prompt, ",
        "You study one customer of a food-delivery app.",
        "\nKnowledge, had the model no preference, ",
        "\nRaw text, ",
        "\nInstruction rows about the order of 2024-02-",
        "Which category does this customer order next? → ",
    ] {
        assert!(out.contains(part), "{part}:\n{out}");
    }
    // The same in Chinese.
    let text = std::fs::read_to_string(dir.path().join(config)).unwrap();
    let chinese = text.replace(
        "templates = \"food-delivery\"",
        "templates = \"food-delivery-zh\"",
    );
    std::fs::write(dir.path().join(config), chinese).unwrap();
    let (_, out, err) = preview(&[first]);
    assert!(out.contains("这位顾客接下来点哪个品类？ → "), "{out}{err}");
    let (_, out, _) = preview(&[first, "--as-of", "2030-01-01"]);
    assert!(out.contains("No order from then on"), "{out}");
    let (code, _, err) = preview(&["nobody"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("no customer \"nobody\" among 80"), "{err}");
    let (code, _, err) = preview(&[first, "--as-of", "2024-02-30"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("write it as 2024-01-31"), "{err}");
    let (code, _, err) = preview(&[first, "--out", "elsewhere"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("`hkfr ingest CONFIG` comes first"), "{err}");
}

#[test]
fn every_built_in_set_is_sound() {
    let dir = tempfile::tempdir().unwrap();
    for set in hkfr::fuse::TemplateSet::builtin_sets() {
        let (code, out, err) = run(dir.path(), &["template", "check", "--set", set]);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
        assert!(
            out.ends_with(&format!("built-in files of the set {set}\n")),
            "{out}"
        );
    }
    let (code, _, err) = run(dir.path(), &["template", "check", "--set", "food"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("did you mean \"food-delivery\"?"), "{err}");
}

#[test]
fn all_mistakes_of_own_templates_are_told() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("profile.jinja", "good"),
        ("fusion.jinja", "{{ behavour }}"),
        ("tasks/weekday.jinja", "\n{{ x }} {% if %}"),
        ("tasks/yes_no.jinja", "Will they?"),
        ("tasks/day.jinja", "x"),
        ("notes.md", ""),
    ] {
        let path = dir.path().join("own").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let (code, out, err) = run(dir.path(), &["template", "check", "own"]);
    assert_eq!(
        (code, err.as_str()),
        (Some(1), "error: 4 mistakes in the templates\n")
    );
    insta::assert_snapshot!(out, @r#"
    fine    own/profile.jinja
    fine    48 built-in files of the set grocery
    unread  own/notes.md: only .jinja files are read, words.json and tasks/words.json
    wrong   own/fusion.jinja:1: unknown variable "behavour", did you mean "behaviour"?; known here: behaviour
    wrong   own/tasks/day.jinja:1: no template has this name, did you mean "tasks/weekday.jinja"?
    wrong   own/tasks/weekday.jinja:2: syntax error: unexpected end of block
    wrong   own/tasks/yes_no.jinja:1: does not name the item; write {{ title }} where it belongs
    "#);
}
