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
        "behaviour.jinja:3: unknown variable \"facts.n_order\", did you mean \"facts.n_orders\"?; known here: facts.",
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
fn every_mistake_of_every_file_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "behaviour.jinja",
        b"{{ facts.n_orders }} {{ facts.n_order }}\n{{ profil_text }}\n{% if recent %}x{% else %}{{ recnt }}{% endif %}",
    );
    write(
        "knowledge.jinja",
        b"{% for c in chosen.favourite %}\n{{ c.nam }},\n{{ c.percnt }}%{% endfor %}\n{{ chosen.weekday | wrod }}",
    );
    write("raw.jinja", b"ok\n{% for %}");
    write(
        "profile.jinja",
        b"{% if profile.city is defined %}{{ profile.city }}{% endif %}",
    );
    write("statements/brand.jinja", b"\n \n");
    write("statements/price.jinja", b"\n\xe4");
    write("statements/prices.jinja", b"x");
    write("events/Product.purchase.jinja", b"x");
    write(
        "events/cart.jinja",
        b"{{ items[0].titel }}\n{{ x }} {{ wekday }}",
    );
    write("events/robot.dance.jinja", b"{{ weekday | word }}");
    write("words.json", b"{\n\"yes\": \"ja\",\n\"no\": \"ja\"}");
    write("tasks/next_item.jinja", b"{{ another_check }}");
    write("notes.txt", b"{{ not a template }}");
    let (files, mistakes) = TemplateSet::mistakes("grocery", Some(dir.path())).unwrap();
    let root = format!("{}{}", dir.path().display(), std::path::MAIN_SEPARATOR);
    let mut told: Vec<String> = mistakes
        .iter()
        .map(|m| m.to_string().replace(&root, ""))
        .map(|m| m.chars().take(100).collect::<String>().trim().to_owned())
        .filter(|m| !m.contains("has no word for"))
        .collect();
    told.sort();
    insta::assert_snapshot!(told.join("\n"), @r#"
    behaviour.jinja:1: unknown variable "facts.n_order", did you mean "facts.n_orders"?; known here: fac
    behaviour.jinja:2: unknown variable "profil_text", did you mean "profile_text"?; known here: profile
    behaviour.jinja:3: unknown variable "recnt", did you mean "recent"?; known here: profile_text, facts
    events/Product.purchase.jinja:1: no kind of behaviour asks for this name; write it as "events/produc
    events/cart.jinja:1: undefined value "items[0].titel", did you mean "title"?
    events/cart.jinja:2: unknown variable "wekday", did you mean "weekday"?; known here: subject, action
    events/cart.jinja:2: unknown variable "x"; known here: subject, action, scenario, items, more, texts
    knowledge.jinja:2: undefined value "c.nam", did you mean "name"?
    knowledge.jinja:3: undefined value "c.percnt", did you mean "percent"?
    knowledge.jinja:4: unknown filter: filter wrod is unknown
    raw.jinja:2: syntax error: unexpected end of block, expected in
    statements/brand.jinja:1: renders to nothing; write what is to be said, or delete the file
    statements/price.jinja:2: is not UTF-8; save it as UTF-8
    statements/prices.jinja:1: no template has this name, did you mean "statements/price.jinja"?
    words.json:3: says "yes" and "no" alike ("ja"); as answers they must differ
    "#);
    assert!(files.iter().any(|f| f.ends_with("robot.dance.jinja")));
    // What is found is what loading refuses.
    assert!(TemplateSet::load("grocery", Some(dir.path())).is_err());
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
