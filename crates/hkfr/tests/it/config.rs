//! Configs: the defaults file, and errors that say where and what was meant.

use std::path::Path;

use hkfr::config::{Config, DEFAULTS, SYSTEMS, TASKS, load, parse};
use hkfr::rec::systems::{Settings, recipe};

fn error(text: &str) -> String {
    parse(text, Path::new("configs/x.toml"))
        .expect_err("must be refused")
        .to_string()
}

#[test]
fn the_defaults_file_is_the_default_config() {
    assert_eq!(
        parse(DEFAULTS, Path::new("defaults.toml")).unwrap(),
        Config::default()
    );
    assert_eq!(
        parse("", Path::new("empty.toml")).unwrap(),
        Config::default()
    );
}

/// Each key of the config occurs in the file, in its section, right below a comment.
#[test]
fn every_key_of_the_config_is_explained() {
    // What serde says it expects is the complete list of keys, optional ones included.
    let keys = |section: &str| -> Vec<String> {
        let header = if section.is_empty() {
            String::new()
        } else {
            format!("[{section}]\n")
        };
        let e = toml::from_str::<Config>(&format!("{header}zzz = 1")).unwrap_err();
        e.message()
            .split('`')
            .skip(3)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let mut explained = Vec::new();
    let (mut section, mut comment) = (String::new(), false);
    for line in DEFAULTS.lines() {
        let bare = line.trim_start_matches("# ");
        let key = bare.split('=').next().unwrap_or("").trim();
        let is_key =
            bare.contains(" = ") && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).to_owned();
        } else if is_key && section != "data.options" {
            assert!(comment, "[{section}] {key} has no comment above it");
            explained.push((section.clone(), key.to_owned()));
            comment = false;
        } else {
            comment = line.starts_with('#') || (comment && !line.is_empty());
        }
    }
    // Open tables: their keys are the adapter's and the systems'.
    explained.push(("data".into(), "options".into()));
    for task in TASKS {
        explained.push(("systems".into(), task.into()));
    }
    let sections = keys("");
    let mut expected = Vec::new();
    for name in &sections {
        if DEFAULTS.contains(&format!("[{name}]")) {
            expected.extend(keys(name).into_iter().map(|k| (name.clone(), k)));
        } else {
            expected.push((String::new(), name.clone()));
        }
    }
    assert!(expected.len() > 50, "{expected:?}");
    explained.sort();
    expected.sort();
    assert_eq!(explained, expected);
}

#[test]
fn the_defaults_name_every_setting_of_every_system() {
    let (_, about) = DEFAULTS.split_once("# Settings of the systems").unwrap();
    for system in SYSTEMS {
        let settings = recipe(system, &Settings::new(), 42).unwrap().settings();
        for key in settings.keys() {
            assert!(about.contains(key), "{system}: {key} is not explained");
        }
    }
}

#[test]
fn settings_of_systems_are_checked_where_they_stand() {
    assert_eq!(
        error("[systems.item.ease]\nlamda = 100"),
        "configs/x.toml:2: [systems.item.ease] lamda: no key of ease; did you mean \"lambda\"?"
    );
    assert_eq!(
        error("[systems.item.ease]\nlambda = 1"),
        "configs/x.toml:2: [systems.item.ease] lambda: lambda = 1: must be at least 50"
    );
    assert_eq!(
        error("[systems.item.sasrek]\ndim = 1"),
        "configs/x.toml:1: [systems.item.sasrek]: no system of this name has settings; did you mean \"sasrec\"?"
    );
}

#[test]
fn own_choices_are_added_to_rivals_and_to_nothing_else() {
    let of = |system: &str| {
        format!("[recommend]\nsystems = [\"{system}\"]\n[evaluate]\nreference = \"{system}\"")
    };
    for good in ["popularity+own", "sasrec+own", "text-knn+own"] {
        parse(&of(good), Path::new("x.toml")).unwrap();
    }
    for (bad, reason) in [
        ("popularity+nonsense", "; did you mean \"popularity+own\"?"),
        ("sasrek+own", "; did you mean \"sasrec\"?"),
        (
            "hkfr+own",
            ": own choices are added to rankers that are neither HKFR nor a language model; write \"hkfr\"",
        ),
        (
            "p5+own",
            ": own choices are added to rankers that are neither HKFR nor a language model; write \"p5\"",
        ),
    ] {
        assert_eq!(
            error(&of(bad)),
            format!("configs/x.toml:2: [recommend] systems: unknown system \"{bad}\"{reason}")
        );
    }
    assert_eq!(
        error("\n[systems.item.\"ease+own\"]\nlambda = 100"),
        "configs/x.toml:2: [systems.item.\"ease+own\"]: its settings are those of ease and of hkfr: set [systems.item.ease] and [systems.item.hkfr]"
    );
    let text =
        "[systems.item.ease]\nlambda = 70.0\n[systems.item.hkfr]\nwindows = 2\nwithout = [\"own\"]";
    let settings = parse(text, Path::new("x.toml"))
        .unwrap()
        .systems
        .of("item", "ease+own");
    let text = serde_json::to_string(&settings).unwrap();
    assert_eq!(text, r#"{"rival":{"lambda":70.0},"windows":2}"#);
}

#[test]
fn a_file_of_settings_fills_what_the_config_leaves_open() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("x.toml");
    let tuned = dir.path().join("tuned.toml");
    std::fs::write(&tuned, "[item.ease]\nlambda = 70.0\nmax_entities = 5\n").unwrap();
    std::fs::write(
        &config,
        "[recommend]\nsettings = \"tuned.toml\"\n[systems.item.ease]\nlambda = 90.0\n",
    )
    .unwrap();
    let systems = load(&config).unwrap().systems;
    let ease = systems.of("item", "ease");
    assert_eq!(
        (&ease["lambda"], &ease["max_entities"]),
        (&90.0.into(), &5.into())
    );
    assert!(systems.of("category", "ease").is_empty());
    std::fs::write(&tuned, "\n[item.ease]\nlamda = 70.0\n").unwrap();
    let error = load(&config).unwrap_err().to_string();
    assert!(
        error
            .ends_with("tuned.toml:3: [item.ease] lamda: no key of ease; did you mean \"lambda\"?"),
        "{error}"
    );
}

#[test]
fn a_misspelt_key_names_file_line_and_the_nearest_key() {
    assert_eq!(
        error("name = \"a\"\n\n[split]\nseed = 1\nhorizn_days = 3\n"),
        "configs/x.toml:5: unknown key \"horizn_days\" in [split]; did you mean \"horizon_days\"?"
    );
    assert_eq!(
        error("sed = 3"),
        "configs/x.toml:1: unknown key \"sed\" at the top level; did you mean \"seed\"?"
    );
    // Nothing is near: no guess.
    assert_eq!(
        error("[data]\nqqqqqqqq = 3"),
        "configs/x.toml:2: unknown key \"qqqqqqqq\" in [data]"
    );
}

#[test]
fn a_misspelt_section_or_value_names_the_nearest_one() {
    assert_eq!(
        error("seed = 1\n[splt]\nseed = 1"),
        "configs/x.toml:2: unknown section [splt]; did you mean \"split\"?"
    );
    assert_eq!(
        error("[fusion]\nmode = \"embeded\""),
        "configs/x.toml:2: [fusion] mode: unknown value \"embeded\"; did you mean \"embedded\"? (one of embedded, service, none)"
    );
    assert_eq!(
        error("[recommend]\nsystems = [\"hkfr\", \"popularty\"]"),
        "configs/x.toml:2: [recommend] systems: unknown system \"popularty\"; did you mean \"popularity\"?"
    );
}

#[test]
fn a_wrong_type_or_broken_syntax_names_the_line() {
    let text = error("[tuning]\nmode = \"lora\"\nrank = \"eight\"");
    assert!(
        text.starts_with("configs/x.toml:3: [tuning] rank: invalid type: string"),
        "{text}"
    );
    let text = error("seed = 1\nname = \n");
    assert!(text.starts_with("configs/x.toml:2: "), "{text}");
    let text = error("seed = -1");
    assert!(text.starts_with("configs/x.toml:1: seed: "), "{text}");
}

#[test]
fn values_that_cannot_be_meant_are_refused() {
    for (text, line, says) in [
        ("name = \"../x\"", 1, "name: is a directory's name"),
        (
            "[data]\nadapter = \"entree\"",
            1,
            "[data] path: is required",
        ),
        (
            "[data]\nstrict = true\n[data.options]\nmax_user = 3",
            4,
            "[data.options] max_user: no key of adapter \"complete-journey\"; did you mean \"max_users\"?",
        ),
        (
            "[tuning]\nepochs = 1\nrank = 0",
            3,
            "[tuning] rank: must be at least 1",
        ),
        (
            "[tuning]\nlearning_rate = nan",
            2,
            "must be a finite number above 0",
        ),
        (
            "[tuning]\ndropout = 1",
            2,
            "[tuning] dropout: must lie in [0, 1)",
        ),
        (
            "[tuning]\ntargets = []",
            2,
            "[tuning] targets: names no projection",
        ),
        (
            "[tuning]\nrank = 8\ntargets = [\"q_proj\", \"lm_head\"]",
            3,
            "[tuning] targets: target module \"lm_head\" is not supported; q_proj, k_proj",
        ),
        (
            "[recommend]\nevidence_weight = -1",
            2,
            "[recommend] evidence_weight: must be a finite number, at least 0",
        ),
        (
            "[models]\ndecoder_bits = 16",
            2,
            "[models] decoder_bits: must be 4, 8 or 32",
        ),
        ("[models]\nllm = \"\"", 2, "[models] llm: names no model"),
        (
            "[fusion]\nmode = \"none\"\nrequests_per_minute = 0",
            3,
            "[fusion] requests_per_minute: must be at least 1",
        ),
        (
            "[fusion]\ntokens_per_minute = 0",
            2,
            "[fusion] tokens_per_minute: must be at least 1",
        ),
        (
            "[fusion]\nmax_cost = 0",
            2,
            "[fusion] max_cost: must be a finite number above 0",
        ),
        (
            "[fusion]\nmin_useful = 1.5",
            2,
            "[fusion] min_useful: must lie in [0, 1]",
        ),
        (
            "[fusion]\nmodel = \"small\"\nmax_cost = 1\nprices = { smal = { input = 1, output = 1 } }",
            3,
            "[fusion] max_cost: cannot be held: prices has none of model \"small\"; did you mean \"smal\"?",
        ),
        (
            "[fusion]\nprices = { m = { input = -1, output = 1 } }",
            2,
            "[fusion] prices: the price of \"m\" must be finite",
        ),
        (
            "[fusion]\nprices = { m = { inputs = 1, output = 1 } }",
            2,
            "unknown key \"inputs\" in [fusion]; did you mean \"input\"?",
        ),
        (
            "[[fusion.fallbacks]]\nmodl = \"m\"",
            2,
            "unknown key \"modl\" in [fusion.fallbacks]; did you mean \"model\"?",
        ),
        (
            "[fusion]\ncassette_mode = \"play\"",
            2,
            "unknown value \"play\"",
        ),
        ("[evaluate]\nks = []", 2, "[evaluate] ks: must be rising"),
        ("[evaluate]\nks = [5, 50]", 2, "asks for the top 50"),
        ("[evaluate]\nresamples = 1", 2, "at least 100"),
        ("[evaluate]\ndraws = 1", 2, "at least 100"),
        (
            "[evaluate]\nreference = \"x\"",
            2,
            "not among [recommend] systems",
        ),
        ("[recommend]\nsystems = [\"hkfr\", \"hkfr\"]", 2, "twice"),
    ] {
        let e = error(text);
        assert!(e.starts_with(&format!("configs/x.toml:{line}: ")), "{e}");
        assert!(e.contains(says), "{e} does not say {says}");
    }
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing.toml");
    let text = load(&missing).unwrap_err().to_string();
    assert!(
        text.contains("missing.toml") && text.contains("config --defaults"),
        "{text}"
    );
    let latin1 = dir.path().join("latin1.toml");
    std::fs::write(&latin1, b"seed = 1\nname = \"caf\xe9\"").unwrap();
    let text = load(&latin1).unwrap_err().to_string();
    assert!(text.contains("latin1.toml:2: is not UTF-8"), "{text}");
}

#[test]
fn input_paths_are_relative_to_the_config_and_results_to_the_caller() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    std::fs::write(
        &path,
        "out = \"o\"\n[data]\nadapter = \"entree\"\npath = \"../logs\"\n[fusion]\ncassette = \"c.jsonl\"\n[models]\nllm = \"models/m\"",
    )
    .unwrap();
    let config = load(&path).unwrap();
    assert_eq!(
        config.data.path.as_deref(),
        Some(&*dir.path().join("../logs"))
    );
    let cassette = dir.path().join("c.jsonl");
    assert_eq!(config.fusion.cassette.as_deref(), Some(&*cassette));
    let llm = dir.path().join("models/m");
    assert_eq!(config.models.llm, llm.to_string_lossy());
    assert_eq!(config.run_dir(), Path::new("o/complete-journey"));
    assert_eq!(config.models.encoder, Config::default().models.encoder);
}

/// The committed configs are good, and none sets a key to no effect by misspelling it.
#[test]
fn the_committed_configs_load() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    for (dir, least) in [(dir.clone(), 5), (dir.join("baselines"), 2)] {
        let mut n = 0;
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                load(&path).unwrap_or_else(|e| panic!("{e}"));
                n += 1;
            }
        }
        assert!(n >= least, "only {n} configs");
    }
}

/// What is typed otherwise, or says how fast or about whom, pays for no knowledge anew.
#[test]
fn how_a_service_is_asked_decides_no_knowledge() {
    let fusion = |keys: &str| {
        let text = format!("[fusion]\nmode = \"service\"\n{keys}");
        parse(&text, Path::new("configs/x.toml")).unwrap().fusion
    };
    let decisive = |keys: &str| fusion(keys).decisive();
    for (one, other) in [
        ("template_dir = \"mine\"", "template_dir = \"./mine\""),
        (
            "fallbacks = [{ model = \"m\" }]",
            "base_url = \"http://127.0.0.1:8000/v1\"\nfallbacks = [{ model = \"m\", base_url = \"http://127.0.0.1:8000/v1\", requests_per_minute = 5, tokens_per_minute = 9, api_key_env = \"X\" }]",
        ),
        ("repeats = 1", "repeats = 3"),
        ("report_users = 1", "report_users = 3"),
    ] {
        assert_eq!(decisive(one), decisive(other), "{other}");
    }
    for other in [
        "fallbacks = [{ model = \"m\" }]",
        "fallbacks = [{ model = \"m\", base_url = \"http://127.0.0.1:9/v1\" }]",
        "fallbacks = [{ model = \"n\" }]",
    ] {
        let same = decisive(other) == decisive("fallbacks = [{ model = \"m\" }]");
        assert_eq!(same, other == "fallbacks = [{ model = \"m\" }]", "{other}");
    }
    // The report has them in its key.
    let report = |keys: &str| fusion(keys).decisive_of_report();
    assert_ne!(report("repeats = 1"), report("repeats = 3"));
    assert_ne!(report("report_users = 1"), report("report_users = 3"));
    assert_eq!(Config::default().fusion.decisive_of_report(), None);
}
