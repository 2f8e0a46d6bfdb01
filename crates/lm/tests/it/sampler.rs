use std::collections::HashMap;

use hkfr_lm::{Sampler, Sampling, TokenMask};

fn logits(probabilities: &[f32]) -> Vec<f32> {
    probabilities.iter().map(|p| p.ln()).collect()
}

fn kept(sampling: Sampling, probabilities: &[f32]) -> Vec<(u32, f32)> {
    let sampler = Sampler::new(&sampling, &[]).unwrap();
    sampler.distribution(&logits(probabilities), None)
}

fn at(temperature: f32) -> Sampling {
    Sampling {
        temperature: Some(temperature),
        ..Sampling::default()
    }
}

#[track_caller]
fn check(sampling: Sampling, expected: &[(u32, f32)]) {
    let found = kept(sampling, &[0.1, 0.4, 0.05, 0.3, 0.15]);
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (f, e) in found.iter().zip(expected) {
        assert!(f.0 == e.0 && (f.1 - e.1).abs() < 1e-5, "{found:?}");
    }
}

#[test]
fn everything_is_off_by_default_and_greedy_takes_the_first_of_equals() {
    let mut sampler = Sampler::new(&Sampling::default(), &[0, 1, 2]).unwrap();
    assert_eq!(sampler.next(&[0.5, 2.0, 2.0], None), Some(1));
    let parsed: Sampling = serde_json::from_str("{}").unwrap();
    assert_eq!(parsed, Sampling::default());
    assert_eq!(
        parsed,
        Sampling {
            temperature: None,
            top_k: None,
            top_p: None,
            min_p: None,
            repetition_penalty: None,
            seed: 0
        }
    );
    check(
        at(1.0),
        &[(1, 0.4), (3, 0.3), (4, 0.15), (0, 0.1), (2, 0.05)],
    );
}

#[test]
fn cuts_worked_out_by_hand() {
    let s = at(1.0);
    let top_k = |k| Sampling {
        top_k: Some(k),
        ..s.clone()
    };
    check(top_k(2), &[(1, 0.4 / 0.7), (3, 0.3 / 0.7)]);
    check(top_k(1), &[(1, 1.0)]);
    let top_p = |p| Sampling {
        top_p: Some(p),
        ..s.clone()
    };
    // 0.4 + 0.3 does not reach 0.75: the token that crosses it is kept.
    check(
        top_p(0.75),
        &[(1, 0.4 / 0.85), (3, 0.3 / 0.85), (4, 0.15 / 0.85)],
    );
    check(top_p(0.01), &[(1, 1.0)]);
    let min_p = |p| Sampling {
        min_p: Some(p),
        ..s.clone()
    };
    check(min_p(0.5), &[(1, 0.4 / 0.7), (3, 0.3 / 0.7)]);
    check(
        min_p(0.3),
        &[(1, 0.4 / 0.85), (3, 0.3 / 0.85), (4, 0.15 / 0.85)],
    );
    // top_k first: of 0.4 and 0.3 renormalised, the first alone reaches 0.55.
    check(
        Sampling {
            top_k: Some(2),
            top_p: Some(0.55),
            ..s.clone()
        },
        &[(1, 1.0)],
    );
    // Temperature 1/2 squares the probabilities.
    let sum = 0.01 + 0.16 + 0.0025 + 0.09 + 0.0225;
    check(
        Sampling {
            top_k: Some(2),
            ..at(0.5)
        },
        &[(1, 0.16 / 0.25), (3, 0.09 / 0.25)],
    );
    check(
        at(0.5),
        &[
            (1, 0.16 / sum),
            (3, 0.09 / sum),
            (4, 0.0225 / sum),
            (0, 0.01 / sum),
            (2, 0.0025 / sum),
        ],
    );
}

#[test]
fn repetition_penalty_divides_positive_and_multiplies_negative_logits() {
    let sampling = Sampling {
        repetition_penalty: Some(2.0),
        ..Sampling::default()
    };
    let mut sampler = Sampler::new(&sampling, &[0]).unwrap();
    assert_eq!(sampler.next(&[3.0, 2.0, -1.0], None), Some(1));
    assert_eq!(
        sampler.next(&[3.0, 2.0, 1.4], None),
        Some(0),
        "1.5, 1.0, 1.4"
    );
    let mut sampler = Sampler::new(&sampling, &[0]).unwrap();
    assert_eq!(sampler.next(&[-1.0, -1.5], None), Some(1), "-2.0 and -1.5");
}

#[test]
fn a_mask_restricts_both_ways_of_choosing() {
    let mut mask = TokenMask::default();
    mask.allow(2);
    mask.allow(0);
    let probabilities = [0.1, 0.4, 0.3, 0.2];
    let mut greedy = Sampler::new(&Sampling::default(), &[]).unwrap();
    assert_eq!(greedy.next(&logits(&probabilities), Some(&mask)), Some(2));
    let sampler = Sampler::new(&at(1.0), &[]).unwrap();
    let found = sampler.distribution(&logits(&probabilities), Some(&mask));
    assert!((found[0].1 - 0.75).abs() < 1e-6 && found.len() == 2);
    assert_eq!(
        greedy.next(&logits(&probabilities), Some(&TokenMask::default())),
        None
    );
}

/// Pearson's chi-square with 4 degrees of freedom exceeds 18.47 once in a thousand times.
#[test]
fn draws_have_the_frequencies_of_the_distribution() {
    let probabilities = [0.1, 0.4, 0.05, 0.3, 0.15];
    let n = 20_000;
    for seed in [1, 2, 3] {
        let mut sampler = Sampler::new(&Sampling { seed, ..at(1.0) }, &[]).unwrap();
        let mut counts: HashMap<u32, f32> = HashMap::new();
        for _ in 0..n {
            let token = sampler.next(&logits(&probabilities), None).unwrap();
            *counts.entry(token).or_default() += 1.0;
        }
        let chi: f32 = probabilities
            .iter()
            .enumerate()
            .map(|(i, p)| {
                let expected = p * n as f32;
                (counts[&(i as u32)] - expected).powi(2) / expected
            })
            .sum();
        assert!(chi < 18.47, "seed {seed}: chi-square {chi}");
    }
}

#[test]
fn settings_out_of_range_are_refused_with_a_remedy() {
    let s = at(1.0);
    for (sampling, what) in [
        (at(0.0), "temperature must be above 0; leave it out"),
        (
            Sampling {
                top_k: Some(0),
                ..s.clone()
            },
            "top_k must be at least 1",
        ),
        (
            Sampling {
                top_p: Some(1.5),
                ..s.clone()
            },
            "top_p must be above 0",
        ),
        (
            Sampling {
                min_p: Some(-0.1),
                ..s.clone()
            },
            "min_p must lie between",
        ),
        (
            Sampling {
                repetition_penalty: Some(0.0),
                ..s.clone()
            },
            "repetition_penalty must be above 0",
        ),
        (
            Sampling {
                temperature: None,
                top_k: Some(3),
                ..s.clone()
            },
            "set temperature",
        ),
    ] {
        let error = Sampler::new(&sampling, &[]).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}
