//! Each baseline against a brute-force twin on tiny random data.

use std::collections::BTreeMap;

use hkfr_events::{AsOf, Dataset, Event, Phase, Split};
use hkfr_rec::baselines::{Entities, Interactions, RepeatPolicy, Scorer, spd_inverse};
use hkfr_rec::systems::{Fitting, SYSTEMS, Settings, recipe};
use proptest::prelude::*;
use serde_json::json;

use crate::fixtures::{DAY, dataset, go_on, split};

pub(crate) const N: u32 = 7;

/// (user, entity, ts, strength).
pub(crate) type Choice = (u32, u32, i64, f64);

/// The training choices, by walking everything.
pub(crate) fn lines(ds: &Dataset, split: &Split, entities: &Entities) -> Vec<Choice> {
    let mut out = Vec::new();
    for u in 0..ds.n_users() as u32 {
        for e in split.training_history(ds, u).unwrap().events() {
            let strength = match ds.kind(e).action.as_str() {
                "buy" => 1.0,
                "rebuy" => 2.0,
                _ => continue,
            };
            let entity = entities.of_item(e.item.unwrap());
            out.extend(entity.map(|entity| (u, entity, e.ts, strength)));
        }
    }
    out
}

/// One a user, entity and time, the strongest.
pub(crate) fn choices(lines: &[Choice]) -> Vec<Choice> {
    let mut out: Vec<Choice> = Vec::new();
    for &line in lines {
        let same = |c: &&mut Choice| (c.0, c.1, c.2) == (line.0, line.1, line.2);
        match out.iter_mut().find(same) {
            Some(choice) => choice.3 = choice.3.max(line.3),
            None => out.push(line),
        }
    }
    out
}

pub(crate) fn close(a: &[f32], b: &[f64], tolerance: f64) -> bool {
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|(a, b)| (f64::from(*a) - b).abs() <= tolerance * (1.0 + b.abs()))
}

pub(crate) fn fit(system: &str, settings: serde_json::Value, from: &Fitting) -> Box<dyn Scorer> {
    let settings: Settings = serde_json::from_value(settings).unwrap();
    let recipe = recipe(system, &settings, 1).unwrap();
    recipe.fit(from, &mut go_on).unwrap()
}

pub(crate) fn fitting<'a>(
    ds: &'a Dataset,
    split: &'a Split,
    entities: &'a Entities,
) -> Fitting<'a> {
    Fitting::new(ds, split, entities, RepeatPolicy::Allow, 1)
}

/// Dense x_ue.
fn matrix(choices: &[Choice], n_users: usize, n: usize) -> Vec<Vec<f64>> {
    let mut x = vec![vec![0f64; n]; n_users];
    choices
        .iter()
        .for_each(|c| x[c.0 as usize][c.1 as usize] += c.3);
    x.iter_mut().flatten().for_each(|v| *v = (1.0 + *v).ln());
    x
}

/// Solves A X = I by elimination with pivoting, in double precision.
pub fn direct_inverse(a: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let n = a.len();
    let mut rows: Vec<Vec<f64>> = (0..n)
        .map(|i| {
            a[i].iter()
                .copied()
                .chain((0..n).map(|j| f64::from(u8::from(i == j))))
                .collect()
        })
        .collect();
    for p in 0..n {
        let best = (p..n)
            .max_by(|&i, &j| rows[i][p].abs().total_cmp(&rows[j][p].abs()))
            .unwrap();
        rows.swap(p, best);
        let pivot = rows[p][p];
        rows[p].iter_mut().for_each(|v| *v /= pivot);
        for i in (0..n).filter(|&i| i != p) {
            let (factor, row) = (rows[i][p], rows[p].clone());
            rows[i]
                .iter_mut()
                .zip(row)
                .for_each(|(v, r)| *v -= factor * r);
        }
    }
    rows.into_iter().map(|r| r[n..].to_vec()).collect()
}

pub(crate) fn events() -> impl Strategy<Value = Vec<(u32, u32, i64, u8)>> {
    prop::collection::vec((0u32..6, 0u32..N, 0i64..40, 0u8..3), 1..80).prop_map(|mut events| {
        // A first and a last choice, so that there is a period to learn from and one to ask for.
        events.extend([(0, 0, 0, 0), (0, 1, 60, 0)]);
        events
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn every_system_equals_its_brute_force_twin(events in events(), by_category: bool, include_self: bool) {
        let ds = dataset(N, &events);
        let split = split(&ds, Phase::Test, 10).unwrap();
        let entities = if by_category { Entities::categories(&ds, &split.catalogue) } else { Entities::items(&ds, &split.catalogue) };
        let from = fitting(&ds, &split, &entities);
        let fitted = [
            fit("popularity", json!({}), &from),
            fit("recent-popularity", json!({}), &from),
            fit("own-frequency", json!({}), &from),
            fit("item-knn", json!({ "neighbours": 3, "include_self": include_self }), &from),
            fit("ease", json!({ "lambda": 60.0 }), &from),
        ];
        let (n, lines) = (entities.n(), lines(&ds, &split, &entities));
        let choices = choices(&lines);
        let cut = split.fit_before[0].unwrap();
        let half_life = |ts: i64, days: f32| 0.5f64.powf((cut.seconds() - ts) as f64 / DAY as f64 / f64::from(days));
        let count = |weight: &dyn Fn(&Choice) -> f64| {
            let mut sums = vec![0f64; n];
            choices.iter().for_each(|c| sums[c.1 as usize] += weight(c));
            sums
        };
        let popularity = count(&|c| c.3);
        let x = matrix(&lines, ds.n_users(), n);
        let dot = |i: usize, j: usize| x.iter().map(|row| row[i] * row[j]).sum::<f64>();
        let gram: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| dot(i, j) + if i == j { 60.0 } else { 0.0 }).collect()).collect();
        let p = direct_inverse(&gram);
        for user in 0..ds.n_users() as u32 {
            let history = ds.history(user, cut);
            let score = |system: &dyn Scorer| { let mut out = vec![f32::NAN; n]; system.score(&ds, &history, &mut out); out };
            prop_assert!(close(&score(&*fitted[0]), &popularity, 1e-5));
            prop_assert!(close(&score(&*fitted[1]), &count(&|c| c.3 * half_life(c.2, 14.0)), 1e-5));
            let max = popularity.iter().copied().fold(1e-30, f64::max);
            let mut own = count(&|c| if c.0 == user { c.3 * half_life(c.2, 90.0) } else { 0.0 });
            own.iter_mut().zip(&popularity).for_each(|(o, p)| *o += 0.1 * p / max);
            prop_assert!(close(&score(&*fitted[2]), &own, 1e-5));

            let row = &x[user as usize];
            let sim = |j: usize, e: usize| dot(j, e) / ((dot(j, j) * dot(e, e)).sqrt() + 20.0);
            let mut knn = vec![0f64; n];
            for j in (0..n).filter(|&j| row[j] > 0.0) {
                let mut list: Vec<usize> = (0..n).filter(|&e| e != j && dot(j, e) > 0.0).collect();
                // Equal similarities at the edge of the k would make the twin ambiguous: keep all
                // and compare with the system only where the third and fourth differ.
                list.sort_by(|&a, &b| sim(j, b).total_cmp(&sim(j, a)));
                prop_assume!(list.len() < 4 || (sim(j, list[2]) - sim(j, list[3])).abs() > 1e-6);
                list.truncate(3);
                list.into_iter().for_each(|e| knn[e] += row[j] * sim(j, e));
                if include_self { knn[j] += row[j]; }
            }
            // Who chose nothing is shown how many chose each.
            let choosers: Vec<f64> = (0..n).map(|e| x.iter().filter(|row| row[e] > 0.0).count() as f64).collect();
            let nothing = row.iter().all(|&x| x == 0.0);
            let or_popular = |scores| if nothing { choosers.clone() } else { scores };
            prop_assert!(close(&score(&*fitted[3]), &or_popular(knn), 1e-5));
            let ease: Vec<f64> = (0..n).map(|e| (0..n).filter(|&j| j != e).map(|j| -row[j] * p[j][e] / p[e][e]).sum()).collect();
            prop_assert!(close(&score(&*fitted[4]), &or_popular(ease), 1e-5));
        }
    }
}

#[test]
fn inverse_times_matrix_is_identity_across_block_sizes() {
    for n in [0, 1, 2, 63, 64, 65, 130, 257] {
        // MᵀM / n + I/2 with entries from a fixed sequence: condition number in the tens.
        let mut state = 1u64;
        let m: Vec<f32> = (0..n * n)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
            })
            .collect();
        let a: Vec<f32> = (0..n * n)
            .map(|ij| {
                let (i, j) = (ij / n, ij % n);
                let dot: f64 = (0..n)
                    .map(|k| f64::from(m[k * n + i]) * f64::from(m[k * n + j]))
                    .sum();
                (dot / n as f64) as f32 + if i == j { 0.5 } else { 0.0 }
            })
            .collect();
        let x = spd_inverse(&a, n);
        for i in 0..n {
            for j in 0..n {
                let entry: f64 = (0..n)
                    .map(|k| f64::from(a[i * n + k]) * f64::from(x[k * n + j]))
                    .sum();
                assert!(
                    (entry - f64::from(u8::from(i == j))).abs() < 1e-5,
                    "n = {n}, ({i}, {j}): {entry}"
                );
            }
        }
    }
}

#[test]
fn repeat_policy_excludes_what_was_chosen_not_what_was_viewed() {
    let ds = dataset(
        5,
        &[
            (0, 3, 0, 0),
            (0, 1, 1, 1),
            (0, 3, 2, 0),
            (0, 2, 3, 2),
            (1, 0, 0, 0),
            (1, 2, 1, 0),
            (0, 4, 50, 0),
        ],
    );
    let split = split(&ds, Phase::Test, 10).unwrap();
    let entities = Entities::items(&ds, &split.catalogue);
    let history = ds.history(0, AsOf::new(40 * DAY));
    assert_eq!(RepeatPolicy::Allow.excluded(&ds, &entities, &history), None);
    let excluded = RepeatPolicy::Exclude
        .excluded(&ds, &entities, &history)
        .unwrap();
    let ids: Vec<&str> = excluded.iter().map(|&e| entities.id(e)).collect();
    assert_eq!(ids, ["i1", "i3"]);
}

/// All but HKFR, which has no list to learn from in so short a log; `method` tests it.
fn rivals() -> impl Iterator<Item = &'static str> {
    SYSTEMS.into_iter().filter(|s| *s != "hkfr")
}

/// What happens at or after the cut-off must not move any score.
#[test]
fn the_future_changes_no_score() {
    let past: Vec<_> = (0..60u32)
        .map(|i| (i % 5, i * i % N, i64::from(i), 0))
        .collect();
    let mut future = past.clone();
    future.extend((0..40u32).map(|i| (i % 5, 6, 70 + i64::from(i % 9), 1)));
    let with_end = |mut events: Vec<_>| {
        events.push((0, 0, 79, 0));
        dataset(N, &events)
    };
    let (a, b) = (with_end(past), with_end(future));
    let scores = |ds: &Dataset| {
        let split = split(ds, Phase::Test, 10).unwrap();
        let entities = Entities::items(ds, &split.catalogue);
        let history = ds.history(1, split.fit_before[1].unwrap());
        let from = fitting(ds, &split, &entities);
        let of = |system: &'static str| {
            let few = json!({ "max_epochs": 3, "n_epochs": 3 });
            let known = recipe(system, &Settings::new(), 1).unwrap().settings();
            let few: Settings = serde_json::from_value(few).unwrap();
            let few = few.into_iter().filter(|(k, _)| known.contains_key(k));
            let scorer = fit(system, few.collect::<Settings>().into(), &from);
            assert!(system.starts_with(scorer.name()), "{system}");
            let mut out = vec![f32::NAN; entities.n()];
            scorer.score(ds, &history, &mut out);
            assert!(out.iter().all(|s| s.is_finite()), "{system}: {out:?}");
            (system, out)
        };
        rivals().map(of).collect::<Vec<_>>()
    };
    assert_eq!(scores(&a), scores(&b));
}

#[test]
fn ease_ranks_entities_beyond_its_ceiling_below_the_modelled_ones() {
    let ds = dataset(
        N,
        &[
            (0, 1, 0, 0),
            (1, 1, 0, 0),
            (0, 2, 1, 0),
            (1, 2, 2, 0),
            (2, 5, 3, 0),
            (2, 1, 30, 0),
        ],
    );
    let split = split(&ds, Phase::Test, 10).unwrap();
    let entities = Entities::items(&ds, &split.catalogue);
    let from = fitting(&ds, &split, &entities);
    let ease = fit("ease", json!({ "max_entities": 2 }), &from);
    let mut out = vec![0.0; entities.n()];
    ease.score(&ds, &ds.history(0, split.fit_before[0].unwrap()), &mut out);
    let by_id: BTreeMap<_, _> = (0..entities.n() as u32)
        .map(|e| (entities.id(e), out[e as usize]))
        .collect();
    assert!(
        by_id["i1"] > 0.0 && by_id["i2"] > 0.0 && by_id["i5"] < by_id["i1"].min(by_id["i2"]),
        "{by_id:?}"
    );
}

/// A list in the order of a hash would make a rival weak where users are new.
#[test]
fn who_chose_nothing_is_shown_what_is_popular() {
    let mut events: Vec<_> = (0..8u32)
        .flat_map(|u| (0..u + 2).map(move |i| (u, i % 6, i64::from(i), 0)))
        .collect();
    // The last user has only looked.
    events.extend([(8, 1, 0, 2), (0, 0, 30, 0)]);
    let ds = dataset(6, &events);
    let split = split(&ds, Phase::Test, 10).unwrap();
    let entities = Entities::items(&ds, &split.catalogue);
    let from = fitting(&ds, &split, &entities);
    let nothing = ds.history(8, split.fit_before[8].unwrap());
    let best = |system: &str| {
        let settings = match system {
            "sasrec" | "sasrec-bce" | "sasrec-softmax" | "sasrec-text" | "esasrec" | "bert4rec"
            | "gru4rec" | "caser" | "bpr-mf" | "lightgcn" => {
                json!({ "max_epochs": 1 })
            }
            _ => json!({}),
        };
        let mut out = vec![0.0; entities.n()];
        fit(system, settings, &from).score(&ds, &nothing, &mut out);
        assert!(out.iter().all(|&s| s <= out[0]), "{system}: {out:?}");
        out
    };
    for system in rivals() {
        let scores = best(system);
        assert!(scores[0] > scores[5], "{system}: {scores:?}");
    }
}

#[test]
fn an_order_chooses_a_category_once_however_many_of_its_items_it_holds() {
    // Items 0 and 3 are of category c0; 3 is bought again, which is the strongest of the day.
    let events = [
        (0, 0, 0, 0),
        (0, 3, 0, 1),
        (0, 1, 0, 0),
        (0, 0, 1, 0),
        (0, 2, 1, 2),
        (0, 4, 30, 0),
    ];
    let ds = dataset(5, &events);
    let split = split(&ds, Phase::Test, 10).unwrap();
    let history = ds.history(0, AsOf::new(20 * DAY));
    let told = |entities: &Entities| -> Vec<(i64, String, f32)> {
        let choices = entities.choices(&ds, &history).into_iter();
        let day = |c: &hkfr_rec::baselines::Choice| c.ts / DAY;
        choices
            .map(|c| (day(&c), entities.id(c.entity).to_owned(), c.strength))
            .collect()
    };
    let is = |day, id: &str, strength| (day, id.to_owned(), strength);
    let categories = Entities::categories(&ds, &split.catalogue);
    assert_eq!(
        told(&categories),
        [is(0, "c0", 2.0), is(0, "c1", 1.0), is(1, "c0", 1.0)]
    );
    let items = Entities::items(&ds, &split.catalogue);
    assert_eq!(told(&items).len(), 4);
}

/// Rows carry ln(1 + Σ strength): one buy and one rebuy are strength 3.
#[test]
fn interactions_by_hand() {
    let ds = dataset(
        3,
        &[(0, 1, 0, 0), (0, 1, 1, 1), (0, 2, 1, 2), (0, 0, 30, 0)],
    );
    let split = split(&ds, Phase::Test, 10).unwrap();
    let entities = Entities::items(&ds, &split.catalogue);
    let x = Interactions::fit(&ds, &split, &entities);
    assert_eq!(x.rows, [vec![(0, 4f32.ln())]]);
    let event: &Event = &ds.history(0, AsOf::new(DAY)).events()[0];
    assert_eq!(entities.chosen(&ds, event), Some(0));
}
