//! Matrix factorisation and graph convolution: steps and gradients against dense twins in double
//! precision, and what the fitted systems do in a world of groups.

use std::ops::ControlFlow;

use hkfr_events::{AsOf, Dataset, Phase, Split};
use hkfr_lm::Pool;
use hkfr_rec::Error;
use hkfr_rec::baselines::{
    BprConfig, BprTrainer, Choices, Entities, FixedSide, Ials, IalsConfig, Interactions,
    LightGcnConfig, LightGcnTrainer, RepeatPolicy, Scorer, Triple,
};
use hkfr_rec::systems::{Fitting, Progress, Settings, recipe};
use serde_json::{Value, json};

use crate::baselines::direct_inverse;
use crate::fixtures::{DAY, dataset, go_on, split};

const SYSTEMS: [&str; 3] = ["ials", "bpr-mf", "lightgcn"];

/// Numbers in [−1, 1) that look random.
fn numbers(n: usize, mut state: u64) -> Vec<f32> {
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    let pairs = a.iter().zip(b);
    pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// Choices of 9 users among 8 items, none of which is chosen by nobody or by all.
fn choices() -> Choices {
    let row = |u: u32| (0..8).filter(move |e| (u * 5 + e * e).is_multiple_of(3) || e % 9 == u % 8);
    Choices {
        n_items: 8,
        rows: (0..9).map(|u| row(u).collect()).collect(),
    }
}

fn columns(choices: &Choices) -> Vec<Vec<u32>> {
    let of = |e: u32| {
        (0u32..)
            .zip(&choices.rows)
            .filter(move |r| r.1.contains(&e))
    };
    (0..choices.n_items as u32)
        .map(|e| of(e).map(|(u, _)| u).collect())
        .collect()
}

#[test]
fn an_ials_row_is_the_minimiser_of_the_dense_system() {
    let (d, n) = (6, 40);
    let pool = &mut Pool::new(2);
    let vectors = numbers(n * d, 3);
    let fixed = FixedSide::new(&vectors, d, pool);
    // Turned, not changed: all products are what they were.
    let row = |vectors: &[f32], i: usize| vectors[i * d..][..d].to_vec();
    for ij in 0..n * n {
        let (i, j) = (ij / n, ij % n);
        let before = dot(&row(&vectors, i), &row(&vectors, j));
        let after = dot(&row(fixed.vectors(), i), &row(fixed.vectors(), j));
        assert!((before - after).abs() < 1e-5, "({i}, {j})");
    }
    let rows: Vec<Vec<u32>> = [0, 1, 3, d, d + 1, 25]
        .map(|k| (0..k as u32).map(|i| i * 7 % n as u32).collect())
        .to_vec();
    for (alpha, lambda, nu) in [(0.1, 0.003, 1.0), (0.01, 0.5, 0.5), (1.0, 0.1, 0.0)] {
        let config = IalsConfig {
            dim: d,
            alpha,
            lambda,
            nu,
            ..IalsConfig::default()
        };
        let found = fixed.solve(&rows, &config, pool);
        for (chosen, w) in rows.iter().zip(found.chunks_exact(d)) {
            let [alpha, lambda, nu] = [alpha, lambda, nu].map(f64::from);
            let ridge = lambda * (chosen.len() as f64 + alpha * n as f64).powf(nu);
            let entry = |i: usize, j: usize| {
                let h =
                    |e: usize| f64::from(fixed.vectors()[e * d + i] * fixed.vectors()[e * d + j]);
                let all: f64 = (0..n).map(h).sum();
                let own: f64 = chosen.iter().map(|&e| h(e as usize)).sum();
                alpha * all + own + if i == j { ridge } else { 0.0 }
            };
            let a: Vec<Vec<f64>> = (0..d)
                .map(|i| (0..d).map(|j| entry(i, j)).collect())
                .collect();
            let b: Vec<f64> = (0..d)
                .map(|i| {
                    let h = chosen.iter().map(|&e| fixed.vectors()[e as usize * d + i]);
                    h.map(f64::from).sum()
                })
                .collect();
            for (inverse, &w) in direct_inverse(&a).iter().zip(w) {
                let expected: f64 = inverse.iter().zip(&b).map(|(x, b)| x * b).sum();
                assert!(
                    (f64::from(w) - expected).abs() < 1e-4 * (1.0 + expected.abs()),
                    "{} choices: {w}, not {expected}",
                    chosen.len()
                );
            }
        }
    }
}

#[test]
fn the_ials_loss_is_that_of_all_pairs_and_never_rises() {
    let (d, pool) = (3, &mut Pool::new(1));
    let config = IalsConfig {
        dim: d,
        lambda: 0.05,
        ..IalsConfig::default()
    };
    let choices = choices();
    let (rows, columns) = (&choices.rows, &columns(&choices));
    let dense = |users: &[f32], items: &[f32]| {
        let (n_users, n_items) = (rows.len() as f64, columns.len() as f64);
        let alpha = f64::from(config.alpha);
        let mut sum = 0.0;
        for (row, w) in rows.iter().zip(users.chunks_exact(d)) {
            for (e, h) in (0u32..).zip(items.chunks_exact(d)) {
                let y = dot(w, h);
                let miss = if row.contains(&e) {
                    (1.0 - y).powi(2)
                } else {
                    0.0
                };
                sum += miss + alpha * y * y;
            }
            sum += 0.05 * (row.len() as f64 + alpha * n_items) * dot(w, w);
        }
        for (column, h) in columns.iter().zip(items.chunks_exact(d)) {
            sum += 0.05 * (column.len() as f64 + alpha * n_users) * dot(h, h);
        }
        sum
    };
    let mut fixed = FixedSide::new(&numbers(8 * d, 1), d, pool);
    let mut last = f64::INFINITY;
    for _ in 0..20 {
        let users = fixed.solve(rows, &config, pool);
        let loss = dense(&users, fixed.vectors());
        assert!(loss <= last * (1.0 + 1e-6), "{loss} after {last}");
        let users = FixedSide::new(&users, d, pool);
        let items = users.solve(columns, &config, pool);
        last = dense(users.vectors(), &items);
        assert!(last <= loss * (1.0 + 1e-6), "{last} after {loss}");
        let found = users.loss(&items, rows, columns, &config);
        assert!((found - last).abs() < 1e-5 * last, "{found}, not {last}");
        fixed = FixedSide::new(&items, d, pool);
    }
}

/// `−ln σ(w·(i − j))`.
/// A user without a choice, as who is held out is, moves nobody's place.
#[test]
fn ials_learns_the_same_beside_users_without_choices() {
    with_world(|ds, split, entities| {
        let from = Fitting::new(ds, split, entities, RepeatPolicy::Allow, 1);
        let fit = |interactions: &Interactions| {
            let config = IalsConfig {
                dim: 8,
                epochs: 3,
                ..IalsConfig::default()
            };
            let ials = Ials::fit(entities, interactions, &config, 1, &mut go_on).unwrap();
            let mut scores = vec![0.0; entities.n()];
            ials.score(ds, &ds.history(1, AsOf::new(i64::MAX)), &mut scores);
            scores
        };
        let mut more = from.interactions().clone();
        more.rows.insert(0, Vec::new());
        more.rows.insert(3, Vec::new());
        assert_eq!(fit(from.interactions()), fit(&more));
    });
}

fn bpr_loss(w: &[f64], i: &[f64], j: &[f64]) -> f64 {
    let x: f64 = (0..w.len()).map(|k| w[k] * (i[k] - j[k])).sum();
    (-x).exp().ln_1p()
}

/// The derivative of `f` with respect to each element of `xs`.
fn slopes(xs: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let at = |k: usize, step: f64| {
        let mut xs = xs.to_vec();
        xs[k] += step;
        f(&xs)
    };
    (0..xs.len())
        .map(|k| (at(k, 1e-5) - at(k, -1e-5)) / 2e-5)
        .collect()
}

fn double(xs: &[f32]) -> Vec<f64> {
    xs.iter().map(|&x| f64::from(x)).collect()
}

#[test]
fn a_bpr_step_goes_down_the_slope_of_its_loss() {
    let (dim, d) = (4, 5);
    let config = BprConfig {
        dim,
        learning_rate: 0.01,
        lambda: 0.3,
        ..BprConfig::default()
    };
    let choices = Choices {
        n_items: 6,
        rows: vec![vec![4]; 3],
    };
    let mut trainer = BprTrainer::new(&choices, &config, 5);
    let triple = Triple {
        user: 1,
        chosen: 4,
        other: 0,
    };
    // Away from the start, at which all biases are 0.
    for _ in 0..50 {
        trainer.step(triple);
    }
    let before = double(trainer.table());
    let row = |e: usize| e * d..(e + 1) * d;
    let loss = |table: &[f64]| {
        let [w, i, j] = [1, 3 + 4, 3].map(|e| &table[row(e)]);
        let squares = [w, i, j].into_iter().flatten().map(|x| x * x);
        bpr_loss(w, i, j) + 0.15 * squares.sum::<f64>()
    };
    let expected = slopes(&before, loss);
    let told = trainer.step(triple);
    let squares: f64 = [1, 7, 3]
        .map(|e| before[row(e)].iter().map(|x| x * x).sum::<f64>())
        .iter()
        .sum();
    assert!((told + 0.15 * squares - loss(&before)).abs() < 1e-6);
    for (k, (after, before)) in double(trainer.table()).iter().zip(&before).enumerate() {
        // The 1 that a user's vector has for the bias is not learnt.
        let is_one = k % d == dim && k / d < 3;
        let expected = if is_one { 0.0 } else { expected[k] };
        let found = (before - after) / 0.01;
        assert!(
            (found - expected).abs() < 1e-4,
            "{k}: {found}, not {expected}"
        );
    }
}

/// `Σ_{k=0..n} Aᵏ / (n + 1)` of the choices, dense.
fn propagation(choices: &Choices, n_layers: usize) -> Vec<Vec<f64>> {
    let (n_users, columns) = (choices.rows.len(), columns(choices));
    let n = n_users + choices.n_items;
    let mut a = vec![vec![0.0; n]; n];
    for (u, row) in choices.rows.iter().enumerate() {
        for &e in row {
            let degrees = row.len() * columns[e as usize].len();
            let weight = 1.0 / (degrees as f64).sqrt();
            a[u][n_users + e as usize] = weight;
            a[n_users + e as usize][u] = weight;
        }
    }
    let identity: Vec<Vec<f64>> = (0..n)
        .map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect())
        .collect();
    let (mut power, mut sum) = (identity.clone(), identity);
    for _ in 0..n_layers {
        let entry = |i: usize, j: usize| (0..n).map(|k| a[i][k] * power[k][j]).sum();
        power = (0..n)
            .map(|i| (0..n).map(|j| entry(i, j)).collect())
            .collect();
        for (sum, power) in sum.iter_mut().zip(&power) {
            sum.iter_mut().zip(power).for_each(|(s, p)| *s += p);
        }
    }
    let mean = 1.0 / (n_layers + 1) as f64;
    sum.iter_mut().flatten().for_each(|s| *s *= mean);
    sum
}

/// M E with M (n, n) and E (n, d).
fn product(m: &[Vec<f64>], e: &[f64], d: usize) -> Vec<f64> {
    let entry = |row: &[f64], c: usize| (0..row.len()).map(|k| row[k] * e[k * d + c]).sum();
    m.iter()
        .flat_map(|row| (0..d).map(move |c| entry(row, c)))
        .collect()
}

#[test]
fn light_gcn_vectors_and_gradients_equal_those_of_dense_products() {
    let (d, choices) = (3, choices());
    let pool = &mut Pool::new(2);
    for n_layers in [1, 2, 3] {
        let config = LightGcnConfig {
            dim: d,
            n_layers,
            lambda: 0.4,
            ..LightGcnConfig::default()
        };
        let mut trainer = LightGcnTrainer::new(&choices, &config, 1);
        let table = numbers((9 + 8) * d, 7);
        trainer.table_mut().copy_from_slice(&table);
        let (m, table) = (propagation(&choices, n_layers), double(&table));
        let expected = product(&m, &table, d);
        for (found, expected) in trainer.propagate(pool).iter().zip(&expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-6);
        }
        let batch = &choices.triples(4)[..7];
        let item = |e: u32| (9 + e as usize) * d;
        let rows = |t: &Triple| [t.user as usize * d, item(t.chosen), item(t.other)];
        let bpr = |table: &[f64]| {
            let f = product(&m, table, d);
            let losses = batch.iter().map(|t| {
                let [w, i, j] = rows(t).map(|at| &f[at..at + d]);
                bpr_loss(w, i, j)
            });
            losses.sum::<f64>() / 7.0
        };
        let loss = |table: &[f64]| {
            let learnt = batch.iter().flat_map(rows);
            let squares = learnt.flat_map(|at| table[at..at + d].iter().map(|x| x * x));
            bpr(table) + 0.2 * squares.sum::<f64>() / 7.0
        };
        let expected = slopes(&table, loss);
        let (told, gradient) = trainer.gradient(batch, pool);
        assert!((told - bpr(&table)).abs() < 1e-6);
        for (k, (found, expected)) in gradient.iter().zip(&expected).enumerate() {
            let difference = (f64::from(*found) - expected).abs();
            assert!(
                difference < 1e-5,
                "{n_layers} layers, {k}: {found}, not {expected}"
            );
        }
    }
}

#[test]
fn each_epoch_compares_every_choice_with_something_else() {
    let mut choices = choices();
    choices.rows.push((0..8).collect());
    let triples = choices.triples(1);
    let n: usize = choices.rows[..9].iter().map(Vec::len).sum();
    assert_eq!(triples.len(), n);
    for t in &triples {
        let row = &choices.rows[t.user as usize];
        assert!(row.contains(&t.chosen) && !row.contains(&t.other), "{t:?}");
    }
    assert_ne!(triples, choices.triples(2));
}

const GROUPS: u32 = 4;
const GROUP: u32 = 8;

/// Users of group g choose five of its eight items; those of user 0 are asked for again by user 99, who
/// is new: their first choice comes after the cut-off.
fn world() -> Dataset {
    let mut events = Vec::new();
    for u in 0..40u32 {
        let (group, first) = (u % GROUPS, u / GROUPS);
        for k in 0..5 {
            let item = group * GROUP + (first * 3 + k * (1 + first % 2 * 2)) % GROUP;
            events.push((u, item, i64::from(k), 0));
        }
    }
    for k in 0..3 {
        events.push((99, k * 2, 50 + i64::from(k), 0));
    }
    events.push((0, 0, 60, 0));
    dataset(GROUPS * GROUP, &events)
}

fn small(system: &str) -> Settings {
    let value = match system {
        "ials" => json!({ "dim": GROUPS }),
        "bpr-mf" => json!({ "dim": 8, "max_epochs": 60, "learning_rate": 0.1 }),
        _ => json!({ "dim": 8, "max_epochs": 60, "learning_rate": 0.02, "batch_size": 32 }),
    };
    serde_json::from_value(value).unwrap()
}

fn with_world(check: impl Fn(&Dataset, &Split, &Entities)) {
    let ds = world();
    let split = split(&ds, Phase::Test, 12).unwrap();
    let entities = Entities::items(&ds, &split.catalogue);
    check(&ds, &split, &entities);
}

fn fit(system: &str, from: &Fitting) -> Box<dyn Scorer> {
    let recipe = recipe(system, &small(system), 1).unwrap();
    recipe.fit(from, &mut go_on).unwrap()
}

#[test]
fn what_a_group_chooses_ranks_first_for_its_users_known_and_new() {
    with_world(|ds, split, entities| {
        assert_eq!(entities.n(), (GROUPS * GROUP) as usize);
        let from = Fitting::new(ds, split, entities, RepeatPolicy::Exclude, 2);
        let user = |id: &str| ds.users.iter().position(|u| u.id == id).unwrap() as u32;
        let later = AsOf::new(55 * DAY);
        for system in SYSTEMS {
            let scorer = fit(system, &from);
            for u in (0..40).chain([99]) {
                let index = user(&format!("u{u}"));
                let history = ds.history(index, later);
                let mut scores = vec![f32::NAN; entities.n()];
                scorer.score(ds, &history, &mut scores);
                let seen = RepeatPolicy::Exclude.excluded(ds, entities, &history);
                let list = hkfr_rec::rank(&scores, 3, "", 1, seen.as_deref()).unwrap();
                let group = if u == 99 { 0 } else { u % GROUPS };
                for (e, _) in list {
                    let id = entities.id(e);
                    let item: u32 = id[1..].parse().unwrap();
                    assert_eq!(item / GROUP, group, "{system}: {id} for user {u}");
                }
            }
            // Nothing is known yet: what is popular.
            let mut scores = vec![0.0; entities.n()];
            scorer.score(ds, &ds.history(user("u99"), AsOf::new(0)), &mut scores);
            let sum: f32 = scores.iter().sum();
            let all = 40.0 * 5.0;
            assert!((all - 40.0..=all).contains(&sum), "{system}: {sum}");
        }
    });
}

#[test]
fn any_number_of_threads_gives_the_same_scores() {
    with_world(|ds, split, entities| {
        for system in SYSTEMS {
            let scores = |n_threads| {
                let from = Fitting::new(ds, split, entities, RepeatPolicy::Exclude, n_threads);
                let scorer = fit(system, &from);
                let mut out = vec![0f32; entities.n()];
                scorer.score(ds, &ds.history(7, split.fit_before[7].unwrap()), &mut out);
                out.into_iter().map(f32::to_bits).collect::<Vec<_>>()
            };
            let one = scores(1);
            assert_eq!(one, scores(2), "{system}");
            assert_eq!(one, scores(5), "{system}");
        }
    });
}

/// A trained user vector is used only where the history holds what it was learnt from.
#[test]
fn a_shorter_history_is_scored_as_a_new_users() {
    with_world(|ds, split, entities| {
        let from = Fitting::new(ds, split, entities, RepeatPolicy::Exclude, 1);
        for system in ["bpr-mf", "lightgcn"] {
            let scorer = fit(system, &from);
            let scores = |user, days| {
                let mut out = vec![0f32; entities.n()];
                scorer.score(ds, &ds.history(user, AsOf::new(days * DAY)), &mut out);
                out
            };
            // Users 0 and 8 of a group begin with items 0 and 6.
            let new = scores(
                ds.users.iter().position(|u| u.id == "u99").unwrap() as u32,
                51,
            );
            assert_eq!(scores(0, 1), new, "{system}");
            assert_ne!(scores(0, 5), scores(0, 1), "{system}");
        }
    });
}

#[test]
fn fits_end_when_asked_to() {
    with_world(|ds, split, entities| {
        let from = Fitting::new(ds, split, entities, RepeatPolicy::Exclude, 1);
        for system in SYSTEMS {
            let recipe = recipe(system, &small(system), 1).unwrap();
            for stop_at in [1, 2, 7] {
                let mut heard = 0;
                let fitted = recipe.fit(&from, &mut |_| {
                    heard += 1;
                    match heard == stop_at {
                        true => ControlFlow::Break(()),
                        false => ControlFlow::Continue(()),
                    }
                });
                assert!(matches!(fitted.err(), Some(Error::Interrupted)), "{system}");
                assert_eq!(heard, stop_at, "{system}");
            }
        }
    });
}

/// Epochs, the loss and validation are told; the epoch that is kept decides how often a refit learns.
#[test]
fn progress_is_told_and_a_refit_learns_as_long_as_was_best() {
    with_world(|ds, split, entities| {
        let from = Fitting::new(ds, split, entities, RepeatPolicy::Exclude, 1);
        for system in ["bpr-mf", "lightgcn"] {
            let mut settings = small(system);
            settings.insert("refit".into(), true.into());
            settings.insert("validate_every".into(), 2.into());
            settings.insert("validate_steps".into(), 1.into());
            settings.insert("patience".into(), 60.into());
            let (mut trained, mut best) = (Vec::new(), (0.0, 0));
            let recipe = recipe(system, &settings, 1).unwrap();
            recipe
                .fit(&from, &mut |at| {
                    match at {
                        Progress::Trained { epoch, .. } => trained.push(epoch),
                        Progress::Validated {
                            epoch, accuracy, ..
                        } => {
                            assert_eq!(epoch % 2, 0);
                            if accuracy.ndcg_at_10 > best.0 {
                                best = (accuracy.ndcg_at_10, epoch);
                            }
                        }
                        Progress::Grown { .. } => unreachable!("no trees here"),
                    }
                    ControlFlow::Continue(())
                })
                .unwrap();
            let again = trained.iter().skip(1).position(|&e| e == 1).unwrap() + 1;
            assert_eq!(trained[again..].len(), best.1, "{system}: {trained:?}");
            assert!(best.0 > 0.5, "{system}: {best:?}");
        }
    });
}

#[test]
fn settings_out_of_their_range_are_named() {
    let about = |system: &str, value: Value, part: &str| {
        let settings: Settings = serde_json::from_value(value).unwrap();
        let error = recipe(system, &settings, 1).err().expect(part).to_string();
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    };
    about("ials", json!({ "lambda": 0.0 }), "lambda = 0: must be");
    about("ials", json!({ "alpha": -1.0 }), "alpha = -1: must be");
    about("ials", json!({ "rank": 8 }), "unknown field `rank`");
    about("bpr-mf", json!({ "dim": 0 }), "dim = 0: must be at least 1");
    about(
        "bpr-mf",
        json!({ "validate_every": 0 }),
        "validate_every = 0",
    );
    about(
        "bpr-mf",
        json!({ "n_layers": 2 }),
        "unknown field `n_layers`, expected one of `dim`",
    );
    about(
        "lightgcn",
        json!({ "n_layers": 0 }),
        "n_layers = 0: must be",
    );
    about(
        "lightgcn",
        json!({ "learning_rate": 0.0 }),
        "learning_rate = 0",
    );
    about("lightgcn", json!({ "max_epochs": 0 }), "max_epochs = 0");
}
