//! Intervals and tests: coverage, determinism, agreement of test and interval.

use hkfr_eval::bootstrap::{Matrix, mean_interval, paired_interval, percentile_interval};
use hkfr_eval::holm;
use hkfr_eval::randomisation::{effect_sizes, randomisation_p};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn bernoulli(n: usize, p: f64, rng: &mut ChaCha8Rng) -> Vec<f64> {
    (0..n)
        .map(|_| f64::from(u8::from(rng.random_bool(p))))
        .collect()
}

fn differences(a: &[f64], b: &[f64]) -> Matrix {
    Matrix::new(1, a.iter().zip(b).map(|(x, y)| x - y).collect())
}

fn p(a: &[f64], b: &[f64], draws: usize, seed: u64) -> f64 {
    randomisation_p(&differences(a, b), draws, seed)[0]
}

#[test]
fn the_interval_of_a_bernoulli_covers_its_mean() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let covered = (0..300u64)
        .filter(|&seed| {
            let interval = mean_interval(&bernoulli(200, 0.3, &mut rng), 0.95, 300, seed);
            (interval.lo..=interval.hi).contains(&0.3)
        })
        .count();
    // 300 × 0.95 = 285; the standard deviation is 3.8, and few resamples cost a little.
    assert!(
        (268..=298).contains(&covered),
        "{covered} of 300 intervals cover the mean"
    );
}

#[test]
fn the_interval_is_as_wide_as_theory_says() {
    let values: Vec<f64> = (0..1000).map(|i| f64::from(u8::from(i % 4 == 0))).collect();
    let interval = mean_interval(&values, 0.95, 2000, 3);
    let expected = 1.96 * (0.25f64 * 0.75 / 1000.0).sqrt();
    assert!(
        (interval.half() / expected - 1.0).abs() < 0.08,
        "{interval:?} vs ±{expected}"
    );
}

#[test]
fn a_seed_gives_the_same_on_any_number_of_threads() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let matrix = Matrix::new(3, bernoulli(3 * 150, 0.4, &mut rng));
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| matrix.resampled_means(200, 9))
    };
    let one = with(1);
    assert_eq!(one, with(4));
    assert_ne!(
        one,
        matrix.resampled_means(200, 10),
        "another seed resamples otherwise"
    );
}

#[test]
fn pairing_sees_what_separate_intervals_do_not() {
    // B hits wherever A does and on 12 cases more: small, but never the other way.
    let a: Vec<f64> = (0..400).map(|i| f64::from(u8::from(i < 120))).collect();
    let b: Vec<f64> = (0..400).map(|i| f64::from(u8::from(i < 132))).collect();
    let both = Matrix::new(2, a.iter().zip(&b).flat_map(|(&x, &y)| [x, y]).collect());
    let samples = both.resampled_means(1000, 5);
    let interval = paired_interval(&samples[1], &samples[0], 0.95);
    assert!(interval.lo > 0.0, "{interval:?}");
    assert!(p(&b, &a, 1000, 5) < 0.01);
    let (ia, ib) = (
        mean_interval(&a, 0.95, 1000, 5),
        mean_interval(&b, 0.95, 1000, 5),
    );
    assert!(
        ia.hi > ib.lo,
        "the intervals of the means overlap: {ia:?} {ib:?}"
    );
}

#[test]
fn equal_systems_are_not_told_apart() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let a = bernoulli(300, 0.2, &mut rng);
    assert_eq!(p(&a, &a, 500, 5), 1.0);
    assert_eq!(effect_sizes(&differences(&a, &a)), [None]);
    // Under the null hypothesis p < .05 in about one pair of twenty.
    let false_alarms = (0..200u64)
        .filter(|&seed| {
            let (a, b) = (bernoulli(200, 0.3, &mut rng), bernoulli(200, 0.3, &mut rng));
            p(&a, &b, 300, seed) < 0.05
        })
        .count();
    assert!(
        false_alarms <= 24,
        "{false_alarms} false alarms in 200 pairs"
    );
}

#[test]
fn randomisation_agrees_with_all_sign_assignments() {
    let d: [f64; 9] = [0.5, 0.1, -0.2, 0.7, 0.3, -0.1, 0.4, 0.0, 0.25];
    let observed = d.iter().sum::<f64>().abs();
    let signed = |signs: u32| {
        let sum: f64 = d
            .iter()
            .enumerate()
            .map(|(i, x)| if signs >> i & 1 == 1 { -x } else { *x })
            .sum();
        sum.abs() >= observed - 1e-12
    };
    let exact = (0..1u32 << d.len()).filter(|&s| signed(s)).count() as f64 / 512.0;
    let drawn = randomisation_p(&Matrix::new(1, d.to_vec()), 20_000, 3)[0];
    assert!((drawn - exact).abs() < 0.01, "{drawn} ≠ {exact}");
    // Never 0, and the same for a metric whoever is beside it.
    let all = randomisation_p(
        &Matrix::new(2, d.iter().flat_map(|&x| [1.0, x]).collect()),
        200,
        3,
    );
    assert_eq!(
        all[1],
        randomisation_p(&Matrix::new(1, d.to_vec()), 200, 3)[0]
    );
    assert!(all[0] >= 1.0 / 201.0);
}

#[test]
fn the_effect_size_is_the_mean_in_standard_deviations() {
    let effect = effect_sizes(&Matrix::new(1, vec![1.0, 2.0, 3.0]))[0].unwrap();
    assert!((effect - 2.0).abs() < 1e-12);
}

#[test]
fn quantiles_interpolate() {
    let samples: Vec<f64> = (0..=100).rev().map(f64::from).collect();
    let interval = percentile_interval(&samples, 0.95);
    assert!((interval.lo - 2.5).abs() < 1e-9 && (interval.hi - 97.5).abs() < 1e-9);
}

proptest! {
    /// Against the definition: reject step by step, stop at the first that stands.
    #[test]
    fn holm_rejects_what_the_step_down_procedure_rejects(
        p in proptest::collection::vec(0.0f64..1.0, 1..12), alpha in 0.01f64..0.5,
    ) {
        let adjusted = holm(&p);
        let mut order: Vec<usize> = (0..p.len()).collect();
        order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
        let mut rejecting = true;
        for (i, &idx) in order.iter().enumerate() {
            rejecting &= p[idx] * (p.len() - i) as f64 <= alpha;
            prop_assert_eq!(adjusted[idx] <= alpha, rejecting);
            prop_assert!(adjusted[idx] >= p[idx]);
        }
    }
}
