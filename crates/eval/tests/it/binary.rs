//! AUC, log-loss and calibration: brute-force twins, scikit-learn, and intervals over users.

use std::path::Path;

use hkfr_eval::binary::{
    BinaryConfig, Predictions, Rows, auc, calibration_error, evaluate, log_loss,
};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Over all pairs.
fn brute_force(p: &[f64], labels: &[u8]) -> Option<f64> {
    let (mut won, mut n) = (0.0, 0);
    for i in (0..p.len()).filter(|&i| labels[i] > 0) {
        for j in (0..p.len()).filter(|&j| labels[j] == 0) {
            n += 1;
            won += if p[i] > p[j] {
                1.0
            } else if p[i] == p[j] {
                0.5
            } else {
                0.0
            };
        }
    }
    (n > 0).then(|| won / f64::from(n))
}

proptest! {
    #[test]
    fn auc_is_that_of_all_pairs(rows in prop::collection::vec((0u8..12, 0u8..2), 0..60)) {
        let p: Vec<f64> = rows.iter().map(|r| f64::from(r.0) / 11.0).collect();
        let labels: Vec<u8> = rows.iter().map(|r| r.1).collect();
        match (auc(&p, &labels), brute_force(&p, &labels)) {
            (Some(a), Some(b)) => prop_assert!((a - b).abs() < 1e-12, "{a} {b}"),
            (a, b) => prop_assert_eq!(a, b),
        }
    }
}

#[test]
fn equal_to_scikit_learn() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/binary.json");
    let text = std::fs::read_to_string(path).unwrap();
    let worlds: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert!(worlds.len() >= 5);
    for (name, world) in worlds {
        let numbers = |key: &str| -> Vec<f64> {
            let values = world[key].as_array().unwrap().iter();
            values.map(|x| x.as_f64().unwrap()).collect()
        };
        let p = numbers("p");
        let labels: Vec<u8> = numbers("labels").iter().map(|&y| y as u8).collect();
        let close = |what: &str, ours: f64| {
            let theirs = world[what].as_f64().unwrap();
            assert!(
                (ours - theirs).abs() < 1e-9 * theirs.max(1.0),
                "{name} {what}: {ours} ≠ {theirs}"
            );
        };
        close("auc", auc(&p, &labels).unwrap());
        close("log_loss", log_loss(&p, &labels));
    }
}

#[test]
fn the_calibration_error_is_the_gap_in_each_bin() {
    // 20 bins of five rows; the predictions of a bin are equal, and one in five is right.
    let p: Vec<f64> = (0..100).map(|i| f64::from(i / 5) / 20.0).collect();
    let labels: Vec<u8> = (0..100).map(|i| u8::from(i % 5 == 0)).collect();
    let expected: f64 = (0..20)
        .map(|b| (f64::from(b) / 20.0 - 0.2).abs() / 20.0)
        .sum();
    assert!((calibration_error(&p, &labels) - expected).abs() < 1e-12);
    // Equal predictions are one bin: right on average is right.
    assert!(calibration_error(&[0.2; 100], &labels) < 1e-12);
}

/// 300 users of four rows; the first model knows the labels a little, the second nothing.
fn two_models(resamples: usize) -> Vec<hkfr_eval::binary::SegmentRows> {
    let n = 1200;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let labels: Vec<u8> = (0..n).map(|_| u8::from(rng.random_bool(0.25))).collect();
    let users: Vec<u32> = (0..n).map(|i| i / 4).collect();
    let segments: Vec<u32> = (0..n).map(|i| if i < 800 { 0 } else { 7 }).collect();
    let mut noise = || rng.random::<f64>();
    let informed: Vec<f64> = labels
        .iter()
        .map(|&y| 0.3 * f64::from(y) + 0.6 * noise())
        .collect();
    let blind: Vec<f64> = labels.iter().map(|_| noise()).collect();
    let rows = Rows {
        labels: &labels,
        users: &users,
        segments: &segments,
        names: &["warm".to_owned(), "nobody".to_owned()],
    };
    let model = |model, p, reference| Predictions {
        model,
        p,
        reference,
    };
    let models = [
        model("blind", &blind, None),
        model("informed", &informed, Some(0)),
    ];
    let config = BinaryConfig {
        confidence: 0.95,
        resamples,
        seed: 3,
    };
    evaluate(&rows, &models, &config).unwrap()
}

#[test]
fn differences_are_paired_over_users_and_segments_are_told_apart() {
    let found = two_models(200);
    let names: Vec<&str> = found.iter().map(|s| s.segment.as_str()).collect();
    // A segment without rows is not there.
    assert_eq!(names, [hkfr_eval::ALL, "warm"]);
    assert_eq!((found[0].n_rows, found[0].n_users), (1200, 300));
    assert_eq!((found[1].n_rows, found[1].n_users), (800, 200));
    for segment in &found {
        let [blind, informed] = &segment.models[..] else {
            panic!("two models");
        };
        let difference = informed.difference.as_ref().unwrap();
        let gain = informed.figures.auc.value - blind.figures.auc.value;
        assert!((difference.auc.value - gain).abs() < 1e-12);
        assert!(difference.auc.interval.lo > 0.1, "{difference:?}");
        assert!(difference.log_loss.interval.hi < 0.0, "{difference:?}");
        let of_blind = blind.figures.auc.interval;
        assert!(of_blind.lo < 0.5 && 0.5 < of_blind.hi, "{of_blind:?}");
        assert!(blind.difference.is_none());
    }
    assert_eq!(found, two_models(200));
}

#[test]
fn what_is_no_probability_is_refused() {
    let rows = Rows {
        labels: &[1, 0],
        users: &[0, 1],
        segments: &[0, 0],
        names: &[],
    };
    let config = BinaryConfig {
        confidence: 0.95,
        resamples: 1,
        seed: 1,
    };
    let ask = |p: &[f64], reference| {
        let model = Predictions {
            model: "m",
            p,
            reference,
        };
        evaluate(&rows, &[model], &config).unwrap_err().to_string()
    };
    assert!(ask(&[0.5, 1.5], None).contains("row 1: m predicts 1.5"));
    assert!(ask(&[0.5, f64::NAN], None).contains("row 1"));
    assert!(ask(&[0.5], None).contains("2 labels but 1 predictions of m"));
    assert!(ask(&[0.5, 0.5], Some(1)).contains("not there"));
}
