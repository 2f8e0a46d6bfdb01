//! `RIVAL+own`: what it reads, and what it reads not.

use hkfr_events::{Dataset, Phase};
use hkfr_rec::baselines::{Entities, RepeatPolicy, Scorer};
use hkfr_rec::method::{WITH_OWN, WithOwnConfig, rival_with_own};
use hkfr_rec::systems::{Accuracy, Fitting, SYSTEMS, Settings, accuracy, recipe};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::baselines::{fit, fitting};
use crate::fixtures::{dataset, go_on, split};

const ITEMS: u32 = 40;

fn settings(value: Value) -> Settings {
    serde_json::from_value(value).unwrap()
}

/// 60 users who every fourth day buy one of two things of their own, and something that is drawn for the day.
fn habits() -> Dataset {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut events = Vec::new();
    for user in 0..60 {
        let own: [u32; 2] = [rng.random_range(0..ITEMS), rng.random_range(0..ITEMS)];
        for visit in 0..12 {
            let day = 4 * visit + i64::from(user % 4);
            events.push((user, own[visit as usize % 2], day, 0));
            events.push((user, rng.random_range(0..ITEMS), day, 0));
        }
    }
    // Looks, of which there is one more user.
    events.push((60, 3, 1, 2));
    dataset(ITEMS, &events)
}

#[test]
fn the_name_is_a_rivals_with_a_suffix() {
    for system in SYSTEMS {
        let rival = rival_with_own(&format!("{system}{WITH_OWN}"));
        assert_eq!(rival, (system != "hkfr").then_some(system));
        assert_eq!(rival_with_own(system), None);
    }
    for none in ["+own", "sasrex+own", "ease+owned", "ease+own+own", "p5+own"] {
        assert_eq!(rival_with_own(none), None, "{none}");
    }
}

#[test]
fn own_choices_decide_where_the_rival_does_not_see_them() {
    let ds = habits();
    let validation = split(&ds, Phase::Validation, 8).unwrap();
    let entities = Entities::items(&ds, &validation.catalogue);
    let from = Fitting::new(&ds, &validation, &entities, RepeatPolicy::Allow, 2);
    let of = |system: &str| -> Accuracy {
        let scorer = recipe(system, &Settings::new(), 1).unwrap();
        accuracy(&*scorer.fit(&from, &mut go_on).unwrap(), &from).unwrap()
    };
    let (plain, own, hkfr) = (of("popularity"), of("popularity+own"), of("hkfr"));
    assert!(
        plain.ndcg_at_10 < 0.2 && own.ndcg_at_10 > 0.4,
        "{plain:?} {own:?} {hkfr:?}"
    );
    // It is not HKFR by another name.
    assert!(own != hkfr, "{hkfr:?}");
}

/// All that it knows of a candidate is the rival's score and what the user chose: of who chose nothing, candidates
/// that the rival ranks alike are ranked alike.
#[test]
fn without_choices_nothing_but_the_rivals_score_tells_candidates_apart() {
    let ds = habits();
    let split = split(&ds, Phase::Test, 8).unwrap();
    let entities = Entities::items(&ds, &split.catalogue);
    let from = fitting(&ds, &split, &entities);
    let nothing = ds.history(60, split.fit_before[60].unwrap());
    let scores = |scorer: &dyn Scorer| {
        let mut out = vec![0.0; entities.n()];
        scorer.score(&ds, &nothing, &mut out);
        out
    };
    // Those that rank by counts have equal scores.
    let rival = scores(&*fit("popularity", json!({}), &from));
    let own = scores(&*fit("popularity+own", json!({}), &from));
    let hkfr = scores(&*fit("hkfr", json!({}), &from));
    let mut n_alike = 0;
    let mut differs = false;
    for (i, j) in (0..entities.n()).flat_map(|i| (0..i).map(move |j| (i, j))) {
        if rival[i] == rival[j] {
            n_alike += 1;
            assert_eq!(own[i], own[j], "{i} and {j}");
            differs |= hkfr[i] != hkfr[j];
        }
    }
    assert!(n_alike > 10 && differs, "{n_alike} pairs");
}

#[test]
fn its_settings_are_those_of_the_rival_and_of_hkfr() {
    let hkfr =
        json!({ "candidates": 30, "trees": { "rounds": 7 }, "without": ["own"], "sources": [] });
    let of_config = WithOwnConfig::settings(settings(json!({ "lambda": 70.0 })), settings(hkfr));
    let all = recipe("ease+own", &of_config, 9).unwrap().settings();
    assert_eq!(all["candidates"], json!(30));
    assert_eq!(all["trees"]["rounds"], json!(7));
    assert_eq!(all["rival"]["lambda"], json!(70.0));
    assert_eq!(all["seed"], json!(9));
    assert!(!all.contains_key("without") && !all.contains_key("sources"));
    let error = |system: &str, value: Value| {
        let found = recipe(system, &settings(value), 1);
        found.err().expect("settings that cannot be").to_string()
    };
    let error_of = error("ease+own", json!({ "rival": { "lamda": 70 } }));
    assert!(error_of.contains("unknown field `lamda`"), "{error_of}");
    let error_of = error("ease+own", json!({ "lambda": 70 }));
    assert!(error_of.contains("unknown field `lambda`"), "{error_of}");
    let error_of = error("ease+own", json!({ "candidates": 0 }));
    assert!(error_of.contains("candidates"), "{error_of}");
    let error_of = error("ease+nonsense", json!({}));
    assert!(error_of.contains("no system \"ease+nonsense\"") && error_of.contains("\"+own\""));
}

/// A system that says that no seed decides its scores has the same of every seed, and one that a seed decides has others.
#[test]
fn whether_a_seed_decides_is_told() {
    let ds = habits();
    let split = split(&ds, Phase::Test, 8).unwrap();
    let entities = Entities::items(&ds, &split.catalogue);
    let from = fitting(&ds, &split, &entities);
    let history = ds.history(1, split.fit_before[1].unwrap());
    let few = json!({ "dim": 8, "max_epochs": 2, "n_epochs": 2, "refit": false });
    let few = settings(few);
    let all = SYSTEMS.map(str::to_owned).into_iter();
    for system in all.chain(["item-knn+own".to_owned()]) {
        let known = recipe(&system, &Settings::new(), 1).unwrap().settings();
        let few: Settings = few
            .clone()
            .into_iter()
            .filter(|(k, _)| known.contains_key(k))
            .collect();
        let of = |seed| {
            let recipe = recipe(&system, &few, seed).unwrap();
            let mut out = vec![0.0; entities.n()];
            let scorer = recipe.fit(&from, &mut go_on).unwrap();
            scorer.score(&ds, &history, &mut out);
            (recipe.is_random(), out)
        };
        let ((is_random, a), (_, b)) = (of(1), of(2));
        // Where no tree helps to rank so few lists, the seed of a ranker that learns from lists decides nothing.
        let learns_from_lists = system == "hkfr" || system.ends_with("+own");
        if learns_from_lists {
            assert!(is_random, "{system}");
        } else {
            assert_eq!(is_random, a != b, "{system}");
        }
    }
}
