//! Settings, and how well a system does with them.

use std::ops::ControlFlow;

use hkfr_events::split::build;
use hkfr_events::{Phase, SplitConfig, SplitKind};
use hkfr_rec::baselines::{Entities, RepeatPolicy};
use hkfr_rec::systems::{Accuracy, Fitting, Progress, SYSTEMS, Settings, accuracy, recipe};
use serde_json::{Value, json};

use crate::fixtures::{dataset, go_on, split};

fn settings(value: Value) -> Settings {
    serde_json::from_value(value).unwrap()
}

fn error(system: &str, value: Value) -> String {
    let found = recipe(system, &settings(value), 1);
    found.err().expect("settings that cannot be").to_string()
}

#[test]
fn settings_that_cannot_be_name_the_key() {
    let about = |system, value, part: &str| {
        let error = error(system, value);
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    };
    about(
        "ease",
        json!({ "lambda": 1.0 }),
        "lambda = 1: must be at least 50",
    );
    about(
        "ease",
        json!({ "lamda": 100 }),
        "unknown field `lamda`, expected `lambda` or",
    );
    about(
        "sasrec",
        json!({ "dims": 8 }),
        "unknown field `dims`, expected one of ",
    );
    about(
        "sasrec",
        json!({ "dim": 10, "n_heads": 4 }),
        "not a multiple",
    );
    about(
        "sasrec",
        json!({ "dropout": 1.5 }),
        "dropout is out of its range",
    );
    about(
        "sasrec-bce",
        json!({ "loss": "softmax" }),
        "the loss of \"sasrec-bce\" is \"bce\"; leave the key out",
    );
    about(
        "sasrec",
        json!({ "text_dim": 5000 }),
        "text_dim = 5000: at most 4096",
    );
    about(
        "sasrec-text",
        json!({ "attributes": false }),
        "attributes = false: \"sasrec-text\" reads texts and attributes; leave the key out",
    );
    about("popularity", json!({ "k": 1 }), "unknown field `k`");
    about("sasrex", json!({}), "there is no system \"sasrex\"");
}

#[test]
fn all_settings_make_the_same_system_again() {
    for system in SYSTEMS {
        let all = recipe(system, &Settings::new(), 7).unwrap().settings();
        let again = recipe(system, &all, 8).unwrap().settings();
        assert_eq!(all, again, "{system}");
        if let Some(seed) = all.get("seed") {
            assert_eq!(*seed, json!(7), "{system}");
        }
    }
}

/// Everybody buys one product of their own every fourth day: repeats are everything.
#[test]
fn accuracy_tells_settings_apart() {
    let events: Vec<_> = (0..6u32)
        .flat_map(|u| (0..20).map(move |k| (u, u, i64::from(u % 2) + 4 * k, 0)))
        .collect();
    let ds = dataset(7, &events);
    let validation = split(&ds, Phase::Validation, 10).unwrap();
    let entities = Entities::items(&ds, &validation.catalogue);
    let of = |repeats, value| {
        let from = Fitting::new(&ds, &validation, &entities, repeats, 2);
        let recipe = recipe("item-knn", &settings(value), 1).unwrap();
        let scorer = recipe.fit(&from, &mut go_on).unwrap();
        accuracy(&*scorer, &from).unwrap()
    };
    let right = Accuracy {
        hr_at_10: 1.0,
        ndcg_at_10: 1.0,
    };
    assert_eq!(
        of(RepeatPolicy::Allow, json!({ "include_self": true })),
        right
    );
    let without = of(RepeatPolicy::Allow, json!({ "include_self": false }));
    assert!(without.ndcg_at_10 < 1.0, "{without:?}");
    // What may not be repeated cannot be hit.
    let excluded = of(RepeatPolicy::Exclude, json!({}));
    assert_eq!(excluded, Accuracy::default());
}

/// A ring of seven: who walked to i goes on to i + 1. Learning from the last choices too can only
/// be told by the epochs; the order is learnt either way.
#[test]
fn a_sequence_model_learns_from_a_split() {
    let mut events: Vec<_> = (0..20u32)
        .flat_map(|u| (0..9).map(move |k| (u, (u + k) % 7, i64::from(4 * k), 0)))
        .collect();
    events.push((0, 0, 40, 2));
    let ds = dataset(7, &events);
    let test = split(&ds, Phase::Test, 3).unwrap();
    let entities = Entities::items(&ds, &test.catalogue);
    for refit in [false, true] {
        let from = Fitting::new(&ds, &test, &entities, RepeatPolicy::Allow, 1);
        let small = settings(json!({
            "dim": 16, "n_layers": 1, "max_epochs": 40, "batch_size": 10, "refit": refit,
            "dropout": 0.0, "item_dropout": 0.0, "loss": "softmax", "learning_rate": 0.01,
        }));
        let scorer = recipe("sasrec", &small, 1).unwrap();
        let scorer = scorer.fit(&from, &mut go_on).unwrap();
        let found = accuracy(&*scorer, &from).unwrap();
        assert!(found.ndcg_at_10 > 0.95, "refit {refit}: {found:?}");
    }
}

/// Everybody's last order is an item that nobody chose before. Whoever chose nothing is shown how often each was learnt.
#[test]
fn what_stops_by_the_last_orders_learns_from_them_too_unless_told_otherwise() {
    let mut events: Vec<_> = (0..20u32)
        .flat_map(|u| (0..4).map(move |k| (u, (u + k) % 6, i64::from(k), 0)))
        .collect();
    events.extend((0..20).map(|u| (u, 6, 9, 0)));
    // Asked for after the cut-off; the last user has only looked.
    events.extend([(0, 0, 40, 0), (20, 0, 1, 2)]);
    let ds = dataset(7, &events);
    let test = split(&ds, Phase::Test, 10).unwrap();
    let entities = Entities::items(&ds, &test.catalogue);
    let last = (0..7).find(|&e| entities.id(e) == "i6").unwrap() as usize;
    let from = Fitting::new(&ds, &test, &entities, RepeatPolicy::Allow, 1);
    let learnt = |system: &str, refit: Option<bool>| {
        let mut few = settings(json!({ "max_epochs": 2 }));
        few.extend(refit.map(|refit| ("refit".to_owned(), refit.into())));
        let scorer = recipe(system, &few, 1).unwrap();
        let scorer = scorer.fit(&from, &mut go_on).unwrap();
        let mut scores = vec![0.0; entities.n()];
        scorer.score(
            &ds,
            &ds.history(20, test.fit_before[20].unwrap()),
            &mut scores,
        );
        scores[last]
    };
    let stopped: Vec<&str> = SYSTEMS
        .into_iter()
        .filter(|s| {
            let all = recipe(s, &Settings::new(), 1).unwrap().settings();
            all.contains_key("refit")
        })
        .collect();
    assert_eq!(stopped.len(), 10, "{stopped:?}");
    for system in stopped {
        assert_eq!(learnt(system, Some(false)), 0.0, "{system}");
        assert_eq!(learnt(system, None), 20.0, "{system}");
    }
}

/// What a model is stopped by is what it is served with: the figure of the best epoch is the accuracy of the
/// system for the choices that were held out.
#[test]
fn a_model_is_stopped_by_the_lists_that_it_serves() {
    let events: Vec<_> = (0..30u32)
        .flat_map(|u| (0..8u32).map(move |k| (u, (u % 5) * 3 + (k * (u + 3)) % 11, k.into(), 0)))
        .collect();
    let ds = dataset(25, &events);
    let [test, validation] = [Phase::Test, Phase::Validation].map(|phase| {
        let config = SplitConfig {
            phase,
            kind: SplitKind::LeaveOneOut,
            min_item_buyers: 1,
            simulated_users: 0,
            ..SplitConfig::default()
        };
        build(&ds, &config).unwrap()
    });
    let entities = Entities::items(&ds, &test.catalogue);
    let from = |split| Fitting::new(&ds, split, &entities, RepeatPolicy::Allow, 2);
    let small = [
        (
            "bpr-mf",
            json!({ "dim": 8, "max_epochs": 40, "validate_steps": 1, "refit": false }),
        ),
        (
            "lightgcn",
            json!({ "dim": 8, "max_epochs": 40, "validate_steps": 1, "refit": false }),
        ),
        (
            "sasrec",
            json!({ "dim": 8, "max_epochs": 10, "validate_steps": 1, "loss": "softmax", "refit": false }),
        ),
    ];
    for (system, value) in small {
        let mut best = 0.0;
        let mut watch = |progress| {
            if let Progress::Validated { accuracy, .. } = progress {
                best = f64::max(best, accuracy.ndcg_at_10);
            }
            ControlFlow::Continue(())
        };
        let recipe = recipe(system, &settings(value), 3).unwrap();
        let scorer = recipe.fit(&from(&test), &mut watch).unwrap();
        let served = accuracy(&*scorer, &from(&validation)).unwrap();
        assert!(best > 0.0 && best < 1.0, "{system}: {best}");
        let far = (served.ndcg_at_10 - best).abs();
        assert!(far < 1e-9, "{system}: stopped at {best}, serves {served:?}");
    }
}
