//! What reads order by counting: against brute-force twins on tiny random data, and against what session-rec makes
//! of some sessions (`tests/golden/sessions.py`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hkfr_events::{AsOf, Phase};
use hkfr_rec::baselines::{Entities, Scorer};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::baselines::{N, choices, close, events, fit, fitting, lines};
use crate::fixtures::{DAY, dataset, split};

/// Of each user: by time, what was chosen then.
type Histories = BTreeMap<u32, BTreeMap<i64, BTreeSet<u32>>>;

fn orders(history: &BTreeMap<i64, BTreeSet<u32>>) -> Vec<&BTreeSet<u32>> {
    history.values().collect()
}

/// Orders from each that holds `e` to the end of `history`, the latest last.
fn ages(history: &[&BTreeSet<u32>], e: u32) -> Vec<usize> {
    let held = (0..history.len()).filter(|&i| history[i].contains(&e));
    held.map(|i| history.len() - 1 - i).collect()
}

fn rules(all: &Histories, user: u32, n: usize, backward: f64, same_order: f64) -> Vec<f64> {
    let (window, shrinkage) = (3i64, 2.0);
    let counts: Vec<f64> = (0..n as u32)
        .map(|e| all.values().map(|h| ages(&orders(h), e).len() as f64).sum())
        .collect();
    let rule = |j: u32, e: u32| {
        let mut sum = 0.0;
        for history in all.values() {
            let history = orders(history);
            for (a, b) in ages(&history, j)
                .into_iter()
                .flat_map(|a| ages(&history, e).into_iter().map(move |b| (a, b)))
            {
                let d = a as i64 - b as i64;
                sum += match d {
                    0 if j == e => 0.0,
                    0 => same_order,
                    _ if d.abs() > window => 0.0,
                    _ if d > 0 => (d as f64).powf(-0.6),
                    _ => backward * (-d as f64).powf(-0.6),
                };
            }
        }
        sum / (counts[j as usize].powf(0.5) * counts[e as usize].powf(0.2) + shrinkage)
    };
    let own = orders(&all[&user]);
    let weight = |j| {
        ages(&own, j)
            .iter()
            .map(|&age| 0.7f64.powi(age as i32))
            .sum::<f64>()
    };
    let score = |e| {
        (0..n as u32)
            .filter(|&j| weight(j) > 0.0)
            .map(|j| weight(j) * rule(j, e))
            .sum()
    };
    (0..n as u32).map(score).collect()
}

fn vsknn(all: &Histories, user: u32, n: usize) -> Vec<f64> {
    let own = orders(&all[&user]);
    let held = |history: &[&BTreeSet<u32>], e| !ages(history, e).is_empty();
    let distinct = (0..n as u32).filter(|&e| held(&own, e)).count() as f64;
    let mut scores = vec![0.0; n];
    for other in all.values().map(orders) {
        let shared: Vec<u32> = (0..n as u32)
            .filter(|&e| held(&own, e) && held(&other, e))
            .collect();
        let latest = |&e: &u32| *ages(&own, e).last().unwrap();
        let weight = |e| ((own.len() - latest(e)) as f64 / own.len() as f64).powi(2);
        let Some(age) = shared.iter().map(latest).min() else {
            continue;
        };
        let similarity = shared.iter().map(weight).sum::<f64>() / distinct;
        for e in (0..n as u32).filter(|&e| held(&other, e)) {
            let holders = all.values().filter(|h| held(&orders(h), e)).count() as f64;
            let idf = (all.len() as f64 / holders).ln();
            scores[e as usize] += similarity / (age as f64 + 2.7).log10() * (1.0 + 2.0 * idf);
        }
    }
    scores
}

fn stan(all: &Histories, user: u32, n: usize) -> Vec<f64> {
    let latest = |history: &[&BTreeSet<u32>], e| ages(history, e).last().copied();
    let own = orders(&all[&user]);
    let weight = |e| latest(&own, e).map_or(0.0, |age| (-(age as f64) / 1.5).exp());
    let norm: f64 = (0..n as u32).map(|e| weight(e) * weight(e)).sum();
    let mut scores = vec![0.0; n];
    for history in all.values() {
        let days = *history.keys().last().unwrap() as f64 / DAY as f64;
        let other = orders(history);
        let held: Vec<u32> = (0..n as u32)
            .filter(|&e| latest(&other, e).is_some())
            .collect();
        let shared = held.iter().filter(|&&e| latest(&own, e).is_some());
        let Some(near) = shared.filter_map(|&e| latest(&other, e)).min() else {
            continue;
        };
        let dot: f64 = held.iter().map(|&e| weight(e)).sum();
        let similarity = (days / 20.0).exp() * dot / (norm * held.len() as f64).sqrt();
        for e in held {
            let distance = latest(&other, e).unwrap().abs_diff(near) as f64;
            scores[e as usize] += similarity * (-distance / 2.0).exp();
        }
    }
    scores
}

/// The largest becomes 1.
fn scaled(scores: &[f64]) -> Vec<f64> {
    let most = scores.iter().copied().fold(1e-30, f64::max);
    scores.iter().map(|s| s / most).collect()
}

fn scored(
    scorer: &dyn Scorer,
    ds: &hkfr_events::Dataset,
    user: u32,
    as_of: AsOf,
    n: usize,
) -> Vec<f32> {
    let mut out = vec![f32::NAN; n];
    scorer.score(ds, &ds.history(user, as_of), &mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn what_reads_order_equals_its_brute_force_twin(events in events(), by_category: bool, backward in 0u8..3, same_order in 0u8..3) {
        let ds = dataset(N, &events);
        let split = split(&ds, Phase::Test, 10).unwrap();
        let entities = if by_category { Entities::categories(&ds, &split.catalogue) } else { Entities::items(&ds, &split.catalogue) };
        let from = fitting(&ds, &split, &entities);
        let (backward, same_order) = (f64::from(backward) / 2.0, f64::from(same_order) / 2.0);
        let fitted = [
            fit("sequential-rules", json!({ "window": 3, "shrinkage": 2.0, "history_decay": 0.7, "backward": backward, "same_order": same_order }), &from),
            fit("vsknn", json!({ "weighting": "quadratic", "score_weighting": "log", "idf_weight": 2.0 }), &from),
            fit("stan", json!({ "lambda_history": 1.5, "lambda_days": 20.0, "lambda_distance": 2.0 }), &from),
        ];
        let mut all = Histories::new();
        for (user, entity, ts, _) in choices(&lines(&ds, &split, &entities)) {
            all.entry(user).or_default().entry(ts).or_default().insert(entity);
        }
        let (n, cut) = (entities.n(), split.fit_before[0].unwrap());
        for &user in all.keys() {
            let score = |i: usize| scored(&*fitted[i], &ds, user, cut, n);
            prop_assert!(close(&score(0), &rules(&all, user, n, backward, same_order), 1e-5));
            prop_assert!(close(&score(1), &vsknn(&all, user, n), 1e-4));
            let of_system: Vec<f64> = score(2).into_iter().map(f64::from).collect();
            let of_system: Vec<f32> = scaled(&of_system).into_iter().map(|s| s as f32).collect();
            prop_assert!(close(&of_system, &scaled(&stan(&all, user, n)), 1e-4));
        }
    }
}

#[derive(Deserialize)]
struct Golden {
    n_items: u32,
    training: Vec<Vec<u32>>,
    queries: Vec<Vec<u32>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    system: String,
    settings: Value,
    /// (queries, items).
    scores: Vec<Vec<f64>>,
}

#[test]
fn scores_are_those_of_session_rec() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sessions.json");
    let golden: Golden = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let n_training = golden.training.len() as u32;
    let mut events = Vec::new();
    let sessions = (0u32..).zip(golden.training.iter().chain(&golden.queries));
    for (user, items) in sessions {
        let first = if user < n_training {
            2 * i64::from(user)
        } else {
            40
        };
        events.extend(
            (first..)
                .zip(items)
                .map(|(day, &item)| (user, item, day, 0)),
        );
    }
    let ds = dataset(golden.n_items, &events);
    let split = split(&ds, Phase::Test, 10).unwrap();
    let entities = Entities::items(&ds, &split.catalogue);
    let from = fitting(&ds, &split, &entities);
    assert_eq!(golden.cases.len(), 9);
    for case in &golden.cases {
        let scorer = fit(&case.system, case.settings.clone(), &from);
        for (user, expected) in (n_training..).zip(&case.scores) {
            let found = scored(&*scorer, &ds, user, AsOf::new(60 * DAY), entities.n());
            let most = found.iter().copied().fold(0.0, f32::max);
            let place = |item| {
                (0..entities.n())
                    .find(|&e| entities.id(e as u32) == format!("i{item}"))
                    .unwrap()
            };
            let found: Vec<f32> = (0..golden.n_items)
                .map(|item| found[place(item)] / most)
                .collect();
            let (system, settings) = (&case.system, &case.settings);
            assert!(
                close(&found, expected, 1e-5),
                "{system} {settings}, user {user}: {found:?}, {expected:?}"
            );
        }
    }
}

/// By item id, of the user 0, whose history is i0 and i1.
fn by_id(system: &str, settings: Value, others: &[(u32, u32, i64, u8)]) -> BTreeMap<String, f32> {
    let mut events = vec![(0, 0, 20, 0), (0, 1, 21, 0), (0, 0, 60, 0)];
    events.extend(others);
    let ds = dataset(N, &events);
    let split = split(&ds, Phase::Test, 10).unwrap();
    let entities = Entities::items(&ds, &split.catalogue);
    let scorer = fit(system, settings, &fitting(&ds, &split, &entities));
    let scores = scored(&*scorer, &ds, 0, split.fit_before[0].unwrap(), entities.n());
    let named = (0..entities.n() as u32).map(|e| (entities.id(e).to_owned(), scores[e as usize]));
    named.collect()
}

/// Two share an item with the asker: one both items, long ago, one a single item, lately.
#[test]
fn few_neighbours_are_the_recent_and_then_the_similar() {
    let others = [
        (1, 0, 0, 0),
        (1, 1, 1, 0),
        (1, 2, 2, 0),
        (2, 1, 30, 0),
        (2, 3, 31, 0),
    ];
    // How long ago says nothing to STAN here.
    for (system, settings) in [
        ("vsknn", json!({})),
        ("stan", json!({ "lambda_days": 0.0 })),
    ] {
        // The asker is the most similar neighbour, and adds nothing to others' items.
        let scores = |key: &str, value: usize| {
            let mut settings = settings.clone();
            settings[key] = value.into();
            by_id(system, settings, &others)
        };
        let all = scores("neighbours", 3);
        assert!(all["i2"] > 0.0 && all["i3"] > 0.0, "{system}: {all:?}");
        let recent = scores("sample", 1);
        assert!(
            recent["i2"] == 0.0 && recent["i3"] > 0.0,
            "{system}: {recent:?}"
        );
        let similar = scores("neighbours", 2);
        assert!(
            similar["i2"] > 0.0 && similar["i3"] == 0.0,
            "{system}: {similar:?}"
        );
    }
}

#[test]
fn few_rules_are_the_strongest() {
    // After i1 came i2 twice, i3 once.
    let others = [
        (1, 1, 0, 0),
        (1, 2, 1, 0),
        (2, 1, 0, 0),
        (2, 2, 1, 0),
        (2, 3, 3, 0),
    ];
    let all = by_id("sequential-rules", json!({}), &others);
    assert!(all["i2"] > all["i3"] && all["i3"] > 0.0, "{all:?}");
    let one = by_id("sequential-rules", json!({ "neighbours": 1 }), &others);
    assert!(one["i2"] == all["i2"] && one["i3"] == 0.0, "{one:?}");
}

/// A basket's lines come in the order of their numbers: nobody may learn that.
#[test]
fn what_was_chosen_together_follows_nothing() {
    let others = [(1, 1, 0, 0), (1, 2, 0, 0), (2, 1, 3, 0), (2, 2, 3, 0)];
    let apart = by_id("sequential-rules", json!({}), &others);
    assert_eq!(apart["i2"], 0.0, "{apart:?}");
    let together = by_id("sequential-rules", json!({ "same_order": 0.5 }), &others);
    assert!(together["i2"] > 0.0, "{together:?}");
}
