//! Systems that learn from who chose what, against reference implementations (`tests/golden/choices.py`).

use std::path::Path;

use hkfr_events::Phase;
use hkfr_lm::Pool;
use hkfr_rec::baselines::{
    BprConfig, BprTrainer, Choices, Entities, FixedSide, IalsConfig, LightGcnConfig,
    LightGcnTrainer, RepeatPolicy, Triple,
};
use hkfr_rec::systems::{Fitting, Settings, recipe};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::fixtures::{dataset, go_on, split};

#[derive(Deserialize)]
struct Golden {
    dim: usize,
    rows: Vec<Vec<u32>>,
    ease_lambda: f32,
    /// (users, items).
    item_knn: Vec<f32>,
    ease: Vec<f32>,
    ials: Ials,
    light_gcn: LightGcn,
    bpr: Bpr,
}

#[derive(Deserialize)]
struct Ials {
    items: Vec<f32>,
    users: Vec<f32>,
    alpha: f32,
    lambda: f32,
}

#[derive(Deserialize)]
struct LightGcn {
    table: Vec<f32>,
    vectors: Vec<f32>,
    triples: Vec<(u32, u32, u32)>,
    gradients: Vec<f32>,
    lambda: f32,
    n_layers: usize,
}

/// Tables: (users, then items; dim + 1).
#[derive(Deserialize)]
struct Bpr {
    rows: Vec<Vec<u32>>,
    before: Vec<f32>,
    triples: Vec<(u32, u32, u32)>,
    after: Vec<f32>,
    learning_rate: f32,
    lambda: f32,
}

const N_ITEMS: usize = 8;

fn golden() -> Golden {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/choices.json");
    serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap()
}

fn triples(told: &[(u32, u32, u32)]) -> Vec<Triple> {
    let triple = |&(user, chosen, other)| Triple {
        user,
        chosen,
        other,
    };
    told.iter().map(triple).collect()
}

fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance, "{i}: {a}, not {b}");
    }
}

/// What a system says of every user.
fn scores(golden: &Golden, system: &str, settings: Value) -> Vec<f32> {
    let mut events = Vec::new();
    for (user, row) in (0u32..).zip(&golden.rows) {
        events.extend(row.iter().map(|&item| (user, item, 1, 0)));
    }
    // Something to ask for, after the cut-off.
    events.push((0, 0, 60, 0));
    let ds = dataset(N_ITEMS as u32, &events);
    let split = split(&ds, Phase::Test, 10).unwrap();
    let entities = Entities::items(&ds, &split.catalogue);
    assert_eq!(entities.n(), N_ITEMS);
    let from = Fitting::new(&ds, &split, &entities, RepeatPolicy::Allow, 1);
    let settings: Settings = serde_json::from_value(settings).unwrap();
    let scorer = recipe(system, &settings, 1).unwrap();
    let scorer = scorer.fit(&from, &mut go_on).unwrap();
    let mut all = vec![f32::NAN; golden.rows.len() * N_ITEMS];
    for (user, out) in (0u32..).zip(all.chunks_exact_mut(N_ITEMS)) {
        let cut = split.fit_before[user as usize].unwrap();
        scorer.score(&ds, &ds.history(user, cut), out);
    }
    all
}

#[test]
fn item_knn_without_shrinkage_is_the_cosine_recommender_of_implicit() {
    let golden = golden();
    let settings = json!({ "neighbours": 8, "shrinkage": 0.0, "include_self": true });
    assert_close(
        &scores(&golden, "item-knn", settings),
        &golden.item_knn,
        1e-5,
    );
}

#[test]
fn ease_is_that_of_recbole() {
    let golden = golden();
    let settings = json!({ "lambda": golden.ease_lambda });
    assert_close(&scores(&golden, "ease", settings), &golden.ease, 1e-6);
}

#[test]
fn ials_solves_users_as_implicit_does() {
    let Golden {
        dim, rows, ials, ..
    } = golden();
    let pool = &mut Pool::new(1);
    let config = IalsConfig {
        dim,
        alpha: ials.alpha,
        lambda: ials.lambda,
        nu: 0.0,
        ..IalsConfig::default()
    };
    let fixed = FixedSide::new(&ials.items, dim, pool);
    let users = fixed.solve(&rows, &config, pool);
    // Users and items are turned alike; the products are not.
    let products = |users: &[f32], items: &[f32]| -> Vec<f32> {
        let pairs = users
            .chunks_exact(dim)
            .flat_map(|w| items.chunks_exact(dim).map(move |h| (w, h)));
        pairs.map(|(w, h)| hkfr_lm::dot(w, h)).collect()
    };
    let expected = products(&ials.users, &ials.items);
    assert_close(&products(&users, fixed.vectors()), &expected, 1e-5);
}

#[test]
fn light_gcn_has_the_vectors_and_gradients_of_recbole() {
    let Golden {
        dim,
        rows,
        light_gcn: gcn,
        ..
    } = golden();
    let pool = &mut Pool::new(1);
    let config = LightGcnConfig {
        dim,
        n_layers: gcn.n_layers,
        lambda: gcn.lambda,
        ..LightGcnConfig::default()
    };
    let choices = Choices {
        n_items: N_ITEMS,
        rows,
    };
    let mut trainer = LightGcnTrainer::new(&choices, &config, 1);
    trainer.table_mut().copy_from_slice(&gcn.table);
    assert_close(trainer.propagate(pool), &gcn.vectors, 1e-6);
    let batch = triples(&gcn.triples);
    assert_close(trainer.gradient(&batch, pool).1, &gcn.gradients, 1e-6);
}

#[test]
fn bpr_takes_the_steps_of_implicit() {
    let Golden { dim, bpr, .. } = golden();
    let config = BprConfig {
        dim,
        learning_rate: bpr.learning_rate,
        lambda: bpr.lambda,
        ..BprConfig::default()
    };
    let choices = Choices {
        n_items: 4,
        rows: bpr.rows,
    };
    let mut trainer = BprTrainer::new(&choices, &config, 1);
    trainer.table_mut().copy_from_slice(&bpr.before);
    for triple in triples(&bpr.triples) {
        trainer.step(triple);
    }
    assert_close(trainer.table(), &bpr.after, 1e-6);
}
