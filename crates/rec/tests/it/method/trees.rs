//! LambdaMART: its gradients against a twin that swaps rows, its ranking against LightGBM's, and its bits.

use std::ops::ControlFlow;
use std::time::Instant;

use hkfr_rec::Error;
use hkfr_rec::method::trees::{Lists, Trees, TreesConfig, lambdas};
use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use serde_json::{Value, json};

use super::planted::{Data, N_FEATURES, SIZE, dcg};

fn go_on(_: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn config() -> TreesConfig {
    TreesConfig {
        rounds: 60,
        min_rows: 30,
        ..TreesConfig::default()
    }
}

fn fit(data: &Data, config: &TreesConfig) -> Trees {
    Trees::fit(&data.lists(), config, 1, &mut go_on).unwrap()
}

/// What the definition says: for every pair the rows are swapped, and the NDCG is computed again.
fn twin(scores: &[f32], labels: &[u8], k: usize) -> Vec<(f64, f64)> {
    let n = scores.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| scores[b].partial_cmp(&scores[a]).unwrap());
    let mut best: Vec<usize> = (0..n).collect();
    best.sort_by_key(|&i| std::cmp::Reverse(labels[i]));
    let ideal = dcg(&best, labels, k);
    let same = scores.iter().all(|s| s == &scores[0]);
    let (mut out, mut sum) = (vec![(0.0, 0.0); n], 0.0);
    for a in 0..n {
        for b in a + 1..n {
            let (i, j) = if labels[order[a]] > labels[order[b]] {
                (order[a], order[b])
            } else {
                (order[b], order[a])
            };
            if labels[i] == labels[j] || a >= k {
                continue;
            }
            let mut swapped = order.clone();
            swapped.swap(a, b);
            // The cut is in which pairs count and in the ideal; the discount goes on beyond it.
            let delta = (dcg(&swapped, labels, n) - dcg(&order, labels, n)).abs() / ideal;
            let apart = f64::from(scores[i]) - f64::from(scores[j]);
            let weight = if same {
                delta
            } else {
                delta / (0.01 + apart.abs())
            };
            let rho = 1.0 / (1.0 + apart.exp());
            out[i].0 -= weight * rho;
            out[j].0 += weight * rho;
            sum += 2.0 * weight * rho;
            for row in [i, j] {
                out[row].1 += weight * rho * (1.0 - rho);
            }
        }
    }
    if sum > 0.0 {
        let norm = (1.0 + sum).log2() / sum;
        for (g, h) in &mut out {
            *g *= norm;
            *h *= norm;
        }
    }
    out
}

proptest! {
    #[test]
    fn gradients_are_those_of_swapping_every_pair(
        list in prop::collection::vec((-40i8..40, 0u8..4), 1..25),
        k in 1usize..30,
    ) {
        // Few different scores, so that there are ties.
        let scores: Vec<f32> = list.iter().map(|&(s, _)| f32::from(s / 4) / 3.0).collect();
        let labels: Vec<u8> = list.iter().map(|&(_, l)| l).collect();
        let (gradients, seconds) = lambdas(&scores, &labels, k);
        for (i, (g, h)) in twin(&scores, &labels, k).into_iter().enumerate() {
            prop_assert!((f64::from(gradients[i]) - g).abs() < 1e-5, "row {}: {} for {}", i, gradients[i], g);
            prop_assert!((f64::from(seconds[i]) - h).abs() < 1e-5, "row {}: {} for {}", i, seconds[i], h);
        }
    }
}

#[test]
fn a_planted_relation_is_learnt() {
    let held_out = Data::planted(400, 2);
    let trees = fit(&Data::planted(800, 1), &config());
    let found = held_out.ndcg(&held_out.scores(&trees));
    let single = (0..2 * N_FEATURES).map(|i| {
        let value = |row: &[f32]| row[i / 2] * [1.0, -1.0][i % 2];
        let filled = |x: f32| if x.is_nan() { 2.0 } else { x };
        held_out.ndcg(
            &held_out
                .rows
                .chunks(N_FEATURES)
                .map(|r| filled(value(r)))
                .collect::<Vec<_>>(),
        )
    });
    let single = single.fold(0.0, f64::max);
    assert!(
        found > 0.68 && found > single + 0.15,
        "{found}, one feature {single}"
    );

    // Feature 2 is best where it is missing: with any other number there, less can be known.
    let filled = |mut data: Data| {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        data.rows
            .iter_mut()
            .filter(|x| x.is_nan())
            .for_each(|x| *x = rng.random());
        data
    };
    let blind = filled(held_out.clone());
    let without = blind.ndcg(&blind.scores(&fit(&filled(Data::planted(800, 1)), &config())));
    assert!(
        found > without + 0.05,
        "{found}, missing values filled {without}"
    );

    let gains = trees.gains();
    assert_eq!(gains[5], 0.0, "a constant is never used");
    assert!(gains[..4].iter().all(|&g| g > 2.0 * gains[4]), "{gains:?}");
}

#[test]
fn the_bits_do_not_depend_on_threads_and_survive_a_file() {
    let data = Data::planted(500, 3);
    let one = fit(&data, &config());
    let three = Trees::fit(&data.lists(), &config(), 3, &mut go_on).unwrap();
    assert_eq!(one, three);
    let text = serde_json::to_string(&one).unwrap();
    let read: Trees = serde_json::from_str(&text).unwrap();
    assert_eq!(one, read);
    let bits = |trees| {
        data.scores(trees)
            .into_iter()
            .map(f32::to_bits)
            .collect::<Vec<_>>()
    };
    assert_eq!(bits(&one), bits(&read));
    assert_ne!(
        one,
        fit(
            &data,
            &TreesConfig {
                seed: 2,
                ..config()
            }
        )
    );
}

#[test]
fn rounds_add_up_to_the_score() {
    let data = Data::planted(100, 4);
    let mut trees = fit(&data, &config());
    let mut scores = vec![0.0; data.labels.len()];
    for round in 0..trees.n_rounds() {
        trees.add_rounds(round..round + 1, &data.rows, &mut scores);
    }
    assert_eq!(scores, data.scores(&trees));
    // Any number of rows is scored alike.
    for n in [0, 1, 7, 8, 9] {
        let mut few = vec![f32::NAN; n];
        trees.score(&data.rows[..n * N_FEATURES], &mut few);
        assert_eq!(few, scores[..n]);
    }
    let mut first = vec![0.0; data.labels.len()];
    trees.add_rounds(0..10, &data.rows, &mut first);
    trees.truncate(10);
    assert_eq!((trees.n_rounds(), first), (10, data.scores(&trees)));
}

#[test]
fn the_order_of_lists_rows_and_features_does_not_matter() {
    let (data, held_out) = (Data::planted(800, 5), Data::planted(400, 6));
    let expected = held_out.ndcg(&held_out.scores(&fit(&data, &config())));

    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut order: Vec<usize> = (0..800).collect();
    order.shuffle(&mut rng);
    let mut shuffled = (Vec::new(), Vec::new());
    for list in order {
        let mut rows: Vec<usize> = (list * SIZE..(list + 1) * SIZE).collect();
        // What was chosen stands first: that alone must teach nothing.
        rows.sort_by_key(|&row| std::cmp::Reverse(data.labels[row]));
        for row in rows {
            shuffled
                .0
                .extend(&data.rows[row * N_FEATURES..(row + 1) * N_FEATURES]);
            shuffled.1.push(data.labels[row]);
        }
    }
    let shuffled = Data::new(N_FEATURES, SIZE, shuffled.0, shuffled.1);
    let found = held_out.ndcg(&held_out.scores(&fit(&shuffled, &config())));
    assert!(
        (found - expected).abs() < 0.01,
        "lists: {found}, {expected}"
    );

    let mut reversed = (data, held_out);
    for data in [&mut reversed.0, &mut reversed.1] {
        data.rows.chunks_mut(N_FEATURES).for_each(<[f32]>::reverse);
    }
    let (data, held_out) = reversed;
    let found = held_out.ndcg(&held_out.scores(&fit(&data, &config())));
    assert!(
        (found - expected).abs() < 0.01,
        "features: {found}, {expected}"
    );
}

#[test]
fn lists_that_teach_nothing_change_nothing() {
    let data = Data::planted(100, 8);
    let mut more = data.clone();
    for label in [0, 1] {
        more.rows.extend([9.0; 3 * N_FEATURES]);
        more.labels.extend([label; 3]);
        more.sizes.extend([3, 0]);
    }
    assert_eq!(fit(&data, &config()), fit(&more, &config()));
}

#[derive(Deserialize)]
struct Golden {
    size: usize,
    n_features: usize,
    settings: Value,
    train: GoldenLists,
    held_out: GoldenLists,
    ndcg_at_10: f64,
}

#[derive(Deserialize)]
struct GoldenLists {
    rows: Vec<Option<f32>>,
    labels: Vec<u8>,
}

#[test]
fn as_good_as_lightgbm() {
    let golden: Golden =
        serde_json::from_str(include_str!("../../golden/lambdamart.json")).unwrap();
    let data = |lists: GoldenLists| {
        let rows = lists.rows.into_iter().map(|x| x.unwrap_or(f32::NAN));
        Data::new(golden.n_features, golden.size, rows.collect(), lists.labels)
    };
    let (train, held_out) = (data(golden.train), data(golden.held_out));
    let mut settings = golden.settings;
    settings["feature_share"] = json!(1.0);
    settings["list_share"] = json!(1.0);
    // Equal scores of the first round are in the order of a seed.
    let n_seeds = 10;
    let of_seed = |seed| {
        settings["seed"] = json!(seed);
        let config: TreesConfig = serde_json::from_value(settings.clone()).unwrap();
        held_out.ndcg(&held_out.scores(&fit(&train, &config)))
    };
    let found = (1..=n_seeds).map(of_seed).sum::<f64>() / f64::from(n_seeds);
    let expected = golden.ndcg_at_10;
    println!("{found:.4}, LightGBM {expected:.4}");
    assert!(
        (found - expected).abs() < 0.01,
        "{found}, LightGBM {expected}"
    );
}

/// The message of a fit that must fail.
fn refused(lists: &Lists, config: &TreesConfig) -> String {
    match Trees::fit(lists, config, 1, &mut go_on) {
        Err(Error::Config(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn lists_that_do_not_fit_are_refused() {
    let data = Data::planted(20, 9);
    let lists = data.lists();
    let infinite = {
        let mut rows = data.rows.clone();
        rows[7] = f32::INFINITY;
        rows
    };
    let bad_label = {
        let mut labels = data.labels.clone();
        labels[3] = 31;
        labels
    };
    let nobody = vec![0; data.labels.len()];
    let constant = vec![1.0; data.rows.len()];
    let cases = [
        (
            Lists {
                sizes: &data.sizes[1..],
                ..lists
            },
            "add up to 380, but there are 400 rows",
        ),
        (
            Lists {
                labels: &data.labels[1..],
                ..lists
            },
            "2400 values for 399 labels",
        ),
        (
            Lists {
                rows: &data.rows[1..],
                ..lists
            },
            "2399 values for 400 labels",
        ),
        (
            Lists {
                n_features: 0,
                ..lists
            },
            "0 features",
        ),
        (
            Lists {
                rows: &infinite,
                ..lists
            },
            "row 1, feature 1: infinite",
        ),
        (
            Lists {
                labels: &bad_label,
                ..lists
            },
            "row 3: label 31",
        ),
        (
            Lists {
                labels: &nobody,
                ..lists
            },
            "none of 20 lists",
        ),
        (
            Lists {
                rows: &constant,
                ..lists
            },
            "all of 6 features are constant",
        ),
        (
            Lists {
                rows: &[],
                labels: &[],
                sizes: &[],
                ..lists
            },
            "none of 0 lists",
        ),
    ];
    for (lists, expected) in cases {
        let message = refused(&lists, &config());
        assert!(message.contains(expected), "{message}");
    }
    let few = refused(
        &lists,
        &TreesConfig {
            min_rows: 201,
            ..config()
        },
    );
    assert!(few.contains("min_rows = 201"), "{few}");
}

#[test]
fn settings_out_of_range_are_refused() {
    let bad = [
        json!({"rounds": 0}),
        json!({"learning_rate": 0.0}),
        json!({"leaves": 1}),
        json!({"min_rows": 0}),
        json!({"l2": -1.0}),
        json!({"feature_share": 1.1}),
        json!({"list_share": 0.0}),
        json!({"truncation": 0}),
        json!({"bins": 256}),
    ];
    let data = Data::planted(2, 1);
    for settings in bad {
        let config: TreesConfig = serde_json::from_value(settings.clone()).unwrap();
        let key = settings.as_object().unwrap().keys().next().unwrap();
        assert!(refused(&data.lists(), &config).starts_with(key.as_str()));
    }
    assert!(serde_json::from_value::<TreesConfig>(json!({"depth": 3})).is_err());
}

#[test]
fn a_fit_can_be_interrupted() {
    let data = Data::planted(100, 1);
    let mut last = 0;
    let result = Trees::fit(&data.lists(), &config(), 1, &mut |round| {
        last = round;
        if round == 3 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert!(matches!(result, Err(Error::Interrupted)) && last == 3);
}

#[test]
fn damaged_trees_are_refused() {
    let whole = serde_json::to_value(fit(&Data::planted(100, 1), &config())).unwrap();
    type Damage = fn(&mut Value);
    let damages: [(&str, Damage); 6] = [
        ("there is not", |t| t["features"][0] = json!(60)),
        ("in order", |t| t["children"][1] = json!([0, 2])),
        ("in order", |t| t["children"][0] = json!([1, 60000])),
        ("in length", |t| {
            drop(t["values"].as_array_mut().unwrap().pop())
        }),
        ("not finite", |t| t["thresholds"][0] = json!(1e99)),
        ("unknown field", |t| t["depths"] = json!([])),
    ];
    for (expected, damage) in damages {
        let mut damaged = whole.clone();
        damage(&mut damaged["trees"][2]);
        let message = serde_json::from_value::<Trees>(damaged)
            .unwrap_err()
            .to_string();
        assert!(message.contains(expected), "{message}");
    }
}

/// `cargo test --release -p hkfr-rec -- --ignored --nocapture trees_are_fast`: one core.
#[test]
#[ignore = "a minute, and 1 GB of memory"]
fn trees_are_fast() {
    let (n_features, size, n_lists) = (45, 150, 16_667);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut rows, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..n_lists {
        let first = rows.len();
        rows.extend((0..size * n_features).map(|_| rng.random::<f32>()));
        let mut best = (f32::NEG_INFINITY, 0);
        for (i, row) in rows[first..].chunks_mut(n_features).enumerate() {
            let worth: f32 = row[..20].iter().map(|x| x * x).sum::<f32>() + row[20] * row[21];
            best = if worth > best.0 { (worth, i) } else { best };
            let missing = (row[44] * 45.0) as usize;
            row[missing] = f32::NAN;
        }
        labels.extend((0..size).map(|i| u8::from(i == best.1)));
    }
    let data = Data::new(n_features, size, rows, labels);
    let config = TreesConfig {
        leaves: 31,
        ..TreesConfig::default()
    };
    let start = Instant::now();
    let trees = fit(&data, &config);
    let fitting = start.elapsed();
    let candidates = &data.rows[..1000 * n_features];
    let mut scores = vec![0.0; 1000];
    let mut times: Vec<_> = (0..101)
        .map(|_| {
            let start = Instant::now();
            trees.score(candidates, &mut scores);
            start.elapsed()
        })
        .collect();
    times.sort();
    println!(
        "fit {fitting:?}; 1,000 rows scored in {:?} (median of 101)",
        times[50]
    );
    println!(
        "NDCG@10 of the training lists {:.4}",
        data.ndcg(&data.scores(&trees))
    );
    assert!(fitting.as_secs() < 120 && times[50].as_micros() < 2000);
}
