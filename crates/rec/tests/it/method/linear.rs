//! The linear part: it is the minimum of its loss, and learns what was planted.

use hkfr_rec::method::linear::Linear;

use super::planted::Data;

/// Lists of four rows; the chosen one is drawn by `score`.
fn lists(n: usize, score: impl Fn(&[f32]) -> f32) -> Data {
    let (mut rows, mut labels) = (Vec::new(), Vec::new());
    let mut state = 1u64;
    let mut draw = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    for _ in 0..n {
        let list: Vec<[f32; 3]> = (0..4).map(|_| [draw(), 100.0 * draw(), draw()]).collect();
        let exps: Vec<f32> = list.iter().map(|r| score(r).exp()).collect();
        let mut left = draw() * exps.iter().sum::<f32>();
        let chosen = exps.iter().position(|e| {
            left -= e;
            left <= 0.0
        });
        for (i, row) in list.iter().enumerate() {
            rows.extend(row);
            labels.push(u8::from(Some(i) == chosen.or(Some(3))));
        }
    }
    Data::new(3, 4, rows, labels)
}

/// Mean over lists of −ln softmax of the chosen row.
fn loss(data: &Data, scores: &[f32]) -> f64 {
    let lists = scores.chunks_exact(4).zip(data.labels.chunks_exact(4));
    let of = |(scores, labels): (&[f32], &[u8])| {
        let total: f64 = scores.iter().map(|&s| f64::from(s).exp()).sum();
        let chosen = labels.iter().position(|&l| l == 1).unwrap();
        total.ln() - f64::from(scores[chosen])
    };
    lists.map(of).sum::<f64>() / data.sizes.len() as f64
}

#[test]
fn what_was_planted_is_learnt_whatever_its_unit() {
    let data = lists(3000, |row| 4.0 * row[0] - 0.04 * row[1]);
    let linear = Linear::fit(&data.lists(), 1e-4, 1);
    let w = linear.weights();
    assert!(w[0] > 0.5 && w[1] < -0.5 && w[2].abs() < 0.1, "{w:?}");
    let mut scores = vec![0.0; data.labels.len()];
    linear.score(&data.rows, &mut scores);
    let (uniform, fitted) = (4f64.ln(), loss(&data, &scores));
    assert!(fitted < uniform - 0.3, "{fitted} of {uniform}");
}

#[test]
fn no_small_step_from_the_fit_is_better() {
    let data = lists(400, |row| 3.0 * row[2]);
    let linear = Linear::fit(&data.lists(), 1e-6, 2);
    let with = |f: usize, by: f32| {
        let mut saved = serde_json::to_value(&linear).unwrap();
        let weight = saved["weights"][f].as_f64().unwrap() as f32;
        saved["weights"][f] = (weight + by).into();
        let moved: Linear = serde_json::from_value(saved).unwrap();
        let mut scores = vec![0.0; data.labels.len()];
        moved.score(&data.rows, &mut scores);
        loss(&data, &scores)
    };
    let best = with(0, 0.0);
    for f in 0..3 {
        for by in [-0.05, 0.05] {
            assert!(with(f, by) > best - 1e-6, "feature {f} by {by}");
        }
    }
}

#[test]
fn a_missing_value_and_a_constant_say_nothing() {
    let mut data = lists(200, |row| 3.0 * row[2]);
    for (i, row) in data.rows.chunks_exact_mut(3).enumerate() {
        row[0] = 7.0;
        if i % 2 == 0 {
            row[1] = f32::NAN;
        }
    }
    let linear = Linear::fit(&data.lists(), 1e-3, 1);
    let score = |row: [f32; 3]| {
        let mut out = [0.0];
        linear.score(&row, &mut out);
        out[0]
    };
    assert_eq!(score([7.0, f32::NAN, 0.5]), score([1e9, f32::NAN, 0.5]));
    assert!(score([7.0, 50.0, 0.9]).is_finite());
}
