//! Texts as vectors: against dense brute-force twins.

use std::collections::BTreeSet;

use hkfr_events::{Dataset, Phase, SOURCE_ID};
use hkfr_rec::baselines::Entities;
use hkfr_rec::text::{EntityTexts, tokens, whiten};
use proptest::prelude::*;
use serde_json::json;

use crate::baselines::{close, fit, fitting};
use crate::fixtures::{DAY, builder, push, split};

/// Rows (entities, tokens that some entity has), by the formula, in double precision.
fn dense(texts: &[Vec<String>]) -> Vec<Vec<f64>> {
    let vocabulary: BTreeSet<&String> = texts.iter().flatten().collect();
    let tf =
        |text: &Vec<String>, token: &String| text.iter().filter(|t| *t == token).count() as f64;
    let row = |text| {
        let weight = |token: &&String| {
            let df = texts.iter().filter(|t| t.contains(token)).count() as f64;
            match tf(text, token) {
                tf if tf > 0.0 && df > 1.0 => (1.0 + tf.ln()) * (texts.len() as f64 / df).ln(),
                _ => 0.0,
            }
        };
        let row: Vec<f64> = vocabulary.iter().map(weight).collect();
        let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        row.iter().map(|x| x / norm.max(1e-30)).collect()
    };
    texts.iter().map(row).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn texts() -> impl Strategy<Value = Vec<Vec<String>>> {
    let token = (0u8..12).prop_map(|i| format!("w{i}"));
    prop::collection::vec(prop::collection::vec(token, 0..9), 2..14)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn tf_idf_equals_its_dense_twin(texts in texts(), weights in prop::collection::vec(0f32..2.0, 14)) {
        let twin = dense(&texts);
        let fitted = EntityTexts::of_tokens(&texts);
        let history: Vec<(u32, f32)> = (0..texts.len() as u32).step_by(2).zip(weights).collect();
        let mut found = vec![f32::NAN; texts.len()];
        fitted.similar(&history, &mut found);
        let expected: Vec<f64> = twin
            .iter()
            .map(|e| history.iter().map(|&(j, a)| f64::from(a) * dot(&twin[j as usize], e)).sum())
            .collect();
        prop_assert!(close(&found, &expected, 1e-5), "{found:?} {expected:?}");
    }

    #[test]
    fn lsa_is_the_best_approximation_of_its_rank(texts in texts(), dim in 1usize..6, seed: u64) {
        let twin = dense(&texts);
        let n = texts.len();
        let gram: Vec<Vec<f64>> = twin.iter().map(|a| twin.iter().map(|b| dot(a, b)).collect()).collect();
        let (values, vectors) = jacobi(gram);
        let found = EntityTexts::of_tokens(&texts).lsa(dim, seed);
        let row = |i: usize| -> Vec<f64> { found[i * dim..][..dim].iter().map(|&x| f64::from(x)).collect() };
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        // Equal singular values next to the last that is kept: any mixture is as good.
        let unique = dim >= n || values[order[dim - 1]] > 1.3 * values[order[dim]] + 1e-9;
        for i in (0..n).filter(|_| unique) {
            for j in 0..n {
                let best: f64 = order.iter().take(dim).map(|&k| values[k] * vectors[i][k] * vectors[j][k]).sum();
                let far = (best - dot(&row(i), &row(j))).abs();
                prop_assert!(far < 1e-3, "({i}, {j}): {far}");
            }
        }
        for (k, &at) in order.iter().take(dim).enumerate() {
            let square: f64 = (0..n).map(|i| row(i)[k].powi(2)).sum();
            prop_assert!((square - values[at].max(0.0)).abs() < 1e-3, "{k}: {square}, {}", values[at]);
        }
    }

    #[test]
    fn whitened_rows_have_no_correlation(rows in prop::collection::vec(-1f32..1.0, 60), dim in 1usize..4, shift in -9f32..9.0) {
        let (n, width) = (20, 3);
        // Elements that say nearly the same, far from 0.
        let rows: Vec<f32> = rows.chunks_exact(width).flat_map(|r| [r[0] + shift, r[0] + 0.1 * r[1] + shift, r[2]]).collect();
        let white = whiten(&rows, width, dim);
        for a in 0..dim {
            for b in 0..dim {
                let mean: f32 = white.chunks_exact(dim).map(|r| r[a] * r[b]).sum::<f32>() / n as f32;
                let expected = if a == b { 1.0 / dim as f32 } else { 0.0 };
                prop_assert!((mean - expected).abs() < 1e-2, "({a}, {b}): {mean}");
            }
        }
    }
}

/// Eigenvalues, and eigenvectors as columns, by Jacobi's rotations.
fn jacobi(mut a: Vec<Vec<f64>>) -> (Vec<f64>, Vec<Vec<f64>>) {
    let n = a.len();
    let unit = |i: usize| (0..n).map(|j| f64::from(u8::from(i == j))).collect();
    let mut v: Vec<Vec<f64>> = (0..n).map(unit).collect();
    for _ in 0..60 {
        for p in 0..n {
            for q in p + 1..n {
                let angle = 0.5 * (2.0 * a[p][q]).atan2(a[q][q] - a[p][p]);
                let (s, c) = angle.sin_cos();
                let turn = |row: &mut Vec<f64>| {
                    (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
                };
                a.iter_mut().for_each(turn);
                let (x, y) = (a[p].clone(), a[q].clone());
                a[p] = x.iter().zip(&y).map(|(x, y)| c * x - s * y).collect();
                a[q] = x.iter().zip(&y).map(|(x, y)| s * x + c * y).collect();
                v.iter_mut().for_each(turn);
            }
        }
    }
    ((0..n).map(|i| a[i][i]).collect(), v)
}

/// Items with ids of several kinds, all of which stand in their titles, categories and attributes.
fn marked() -> Dataset {
    let mut b = builder();
    for (i, id) in ["17", "B004-YJA", "red soap", "9f3"].iter().enumerate() {
        let index = b.item(id);
        let item = b.item_mut(index);
        item.title = format!("Red {id} Soap B0SRC{i} (red)");
        item.categories = vec!["Bath & Body".into(), (*id).to_owned()];
        item.attributes = [
            ("brand", "OPI"),
            ("features", "no smoking; wheelchair access"),
            ("description", "this is what a maker says of its soap"),
            (SOURCE_ID, &*format!("B0SRC{i}")),
            ("number", id),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
        push(&mut b, "u", id, "buy", i as i64 * DAY);
    }
    // Neither of them has a title; one is asked for.
    push(&mut b, "u", "untold", "buy", 8 * DAY);
    push(&mut b, "u", "17", "buy", 60 * DAY);
    b.build()
}

#[test]
fn no_token_says_which_item_it_is() {
    let ds = marked();
    let split = split(&ds, Phase::Test, 10).unwrap();
    let entities = Entities::items(&ds, &split.catalogue);
    let all = tokens(&ds, &entities);
    assert_eq!(all.len(), 5);
    let said = "red soap red @category=Bath & Body @brand=OPI this is what a maker says of its soap \
                @features=no smoking @features=wheelchair access";
    for (e, found) in (0u32..).zip(&all) {
        let expected = match entities.id(e) {
            "untold" => String::new(),
            _ => said.to_owned(),
        };
        assert_eq!(found.join(" "), expected, "{}", entities.id(e));
    }
}

#[test]
fn a_category_has_the_words_of_its_name() {
    let ds = marked();
    let split = split(&ds, Phase::Test, 10).unwrap();
    let entities = Entities::categories(&ds, &split.catalogue);
    assert_eq!(tokens(&ds, &entities), [["bath", "body"]]);
}

/// Two of four items share a brand, two a word, one nothing; the history is i0, then i1.
#[test]
fn text_knn_ranks_what_is_written_like_the_history() {
    let mut b = builder();
    for (i, (title, brand)) in [
        ("red soap", "A"),
        ("blue gel", "B"),
        ("green oil", "A"),
        ("grey gel", "C"),
        ("x", "D"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("i{i}");
        let index = b.item(&id);
        let item = b.item_mut(index);
        item.title = title.into();
        item.attributes.insert("brand".into(), brand.into());
        push(&mut b, "other", &id, "buy", 0);
    }
    for (user, item, day) in [
        ("u", "i0", 1),
        ("u", "i1", 2),
        ("u", "i0", 60),
        ("v", "i4", 1),
        ("v", "i4", 60),
    ] {
        push(&mut b, user, item, "buy", day * DAY);
    }
    let ds = b.build();
    let split = split(&ds, Phase::Test, 10).unwrap();
    let entities = Entities::items(&ds, &split.catalogue);
    let from = fitting(&ds, &split, &entities);
    let scorer = fit("text-knn", json!({ "history_decay": 0.5 }), &from);
    let score = |user: &str| {
        let user = ds.user_by_id(user).unwrap();
        let mut out = vec![f32::NAN; entities.n()];
        scorer.score(
            &ds,
            &ds.history(user, split.fit_before[user as usize].unwrap()),
            &mut out,
        );
        let at = |item: usize| {
            (0..5)
                .find(|&e| entities.id(e) == format!("i{item}"))
                .unwrap()
        };
        (0..5)
            .map(|item| out[at(item) as usize])
            .collect::<Vec<_>>()
    };
    // Each of the first four has one token that counts.
    assert!(
        close(&score("u"), &[0.5, 1.0, 0.5, 1.0, 0.0], 1e-6),
        "{:?}",
        score("u")
    );
    // i4 has none: what is popular, by choices in training.
    assert_eq!(score("v"), [2.0, 2.0, 1.0, 1.0, 2.0]);
}

#[test]
fn texts_are_read_back_as_they_were_written() {
    let fitted = EntityTexts::of_tokens(
        &[["a", "b"], ["b", "c"], ["c", "a"]].map(|t| t.map(str::to_owned).to_vec()),
    );
    assert_eq!(fitted.vocabulary(), ["a", "b", "c"]);
    let written = serde_json::to_string(&fitted).unwrap();
    let read: EntityTexts = serde_json::from_str(&written).unwrap();
    assert_eq!(read, fitted);
}
