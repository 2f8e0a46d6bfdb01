use std::path::Path;

use hkfr_events::Kind;
use hkfr_fuse::TemplateSet;

fn with_file(name: &str, text: impl AsRef<[u8]>) -> Result<TemplateSet, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    let prefix = format!("{}{}", dir.path().display(), std::path::MAIN_SEPARATOR);
    TemplateSet::load("grocery", Some(dir.path())).map_err(|e| e.to_string().replace(&prefix, ""))
}

#[track_caller]
fn check_error(name: &str, text: impl AsRef<[u8]>, expected: &str) {
    let error = with_file(name, text)
        .err()
        .expect("the template is accepted");
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn an_error_names_file_line_and_the_nearest_name() {
    check_error(
        "profile.jinja",
        "a\n{{ profil }}",
        "profile.jinja:2: unknown variable \"profil\", did you mean \"profile\"?; known here: profile",
    );
    check_error(
        "behaviour.jinja",
        "\n\n{{ facts.n_order }}",
        "behaviour.jinja:3: undefined value",
    );
    check_error(
        "events/product.purchase.jinja",
        "{% if %}",
        "events/product.purchase.jinja:1: syntax error",
    );
    check_error(
        "behavior.jinja",
        "x",
        "behavior.jinja:1: no template has this name, did you mean \"behaviour.jinja\"?",
    );
    check_error(
        "profile.jinja",
        b"ok\nbad \xff",
        "profile.jinja:2: is not UTF-8",
    );
    check_error(
        "raw.jinja",
        "{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}",
        "raw.jinja:",
    );
    let unknown = TemplateSet::load("grocery2", None)
        .err()
        .unwrap()
        .to_string();
    assert!(unknown.contains("did you mean \"grocery\"?"), "{unknown}");
    assert!(TemplateSet::load("grocery", Some(Path::new("/no/such/dir"))).is_err());
}

#[test]
fn a_users_file_replaces_the_built_in_one_and_changes_the_hash() {
    let builtin = TemplateSet::load("grocery", None).unwrap();
    let own = with_file("events/product.purchase.jinja", "took {{ items[0].title }}").unwrap();
    assert_ne!(own.hash(), builtin.hash());
    assert_eq!(
        TemplateSet::load("grocery", None).unwrap().hash(),
        builtin.hash()
    );
}

#[test]
fn a_kind_finds_its_most_special_template() {
    let set = with_file("events/product.purchase.night-visit.jinja", "x").unwrap();
    let name = |subject: &str, action: &str, scenario: &str| {
        set.event_template(&Kind {
            subject: subject.into(),
            action: action.into(),
            scenario: scenario.into(),
        })
    };
    assert_eq!(
        name("product", "purchase", "Night visit"),
        "events/product.purchase.night-visit.jinja"
    );
    assert_eq!(
        name("product", "purchase", "morning"),
        "events/product.purchase.jinja"
    );
    assert_eq!(name("robot", "dance", "stage"), "events/default.jinja");
}
