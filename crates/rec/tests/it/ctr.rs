//! Logistic regression and DCN-v2 learn what they can express, and the same by seed.

use std::cell::RefCell;
use std::ops::ControlFlow;

use hkfr_rec::Error;
use hkfr_rec::ctr::{Ctr, CtrConfig, Epoch, Rows, Structure};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

struct Data {
    values: Vec<f32>,
    labels: Vec<u8>,
    users: Vec<u32>,
    /// What the labels were drawn by.
    p: Vec<f64>,
}

const N_FEATURES: usize = 4;

impl Data {
    /// `p = σ(4 x_0 x_1 + linear x_2)`; feature 3 is noise. In every fifth row x_2 is missing, and counts as 1.
    fn planted(n: usize, linear: f32, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut values, mut labels, mut drawn_by) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..n {
            let mut x: [f32; N_FEATURES] = std::array::from_fn(|_| rng.random_range(-1.0..1.0));
            let known = if rng.random_bool(0.2) {
                x[2] = f32::NAN;
                1.0
            } else {
                x[2]
            };
            let z = 4.0 * x[0] * x[1] + linear * known;
            let p = 1.0 / (1.0 + f64::from(-z).exp());
            labels.push(u8::from(rng.random_bool(p)));
            drawn_by.push(p);
            // A scale and an origin of their own.
            values.extend([100.0 * x[0] + 7.0, x[1] / 50.0, x[2], x[3]]);
        }
        Self {
            values,
            labels,
            users: (0..n as u32).map(|i| i / 5).collect(),
            p: drawn_by,
        }
    }

    fn rows(&self) -> Rows<'_> {
        Rows {
            n_features: N_FEATURES,
            values: &self.values,
            labels: &self.labels,
            users: &self.users,
        }
    }

    /// Share of the pairs of a positive and a negative row that are in order.
    fn auc(&self, p: &[f64]) -> f64 {
        let of = |label: u8| (0..p.len()).filter(move |&i| self.labels[i] == label);
        let (mut won, mut n) = (0.0, 0.0);
        for i in of(1) {
            for j in of(0) {
                n += 1.0;
                won += f64::from(u8::from(p[i] > p[j]));
            }
        }
        won / n
    }
}

fn go_on(_: Epoch) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

const ALL: [usize; N_FEATURES] = [0, 1, 2, 3];

#[test]
fn a_product_of_two_features_is_learnt_by_cross_layers_and_not_by_logistic_regression() {
    let (train, test) = (Data::planted(8000, 0.0, 1), Data::planted(2000, 0.0, 2));
    let auc = |config: &CtrConfig| {
        let ctr = Ctr::fit(&train.rows(), &ALL, config, &go_on).unwrap();
        test.auc(&ctr.predict(&test.values))
    };
    // Of whoever knows the formula.
    let best = test.auc(&test.p);
    let logistic = auc(&CtrConfig::logistic());
    assert!(logistic < 0.55, "{logistic}");
    let only_cross = CtrConfig {
        cross_layers: 1,
        deep: Vec::new(),
        learning_rate: 3e-2,
        ..CtrConfig::dcn()
    };
    let stacked = CtrConfig {
        structure: Structure::Stacked,
        learning_rate: 1e-2,
        ..CtrConfig::dcn()
    };
    let parallel = CtrConfig {
        learning_rate: 1e-2,
        ..CtrConfig::dcn()
    };
    for config in [only_cross, parallel, stacked] {
        let dcn = auc(&config);
        assert!(dcn > best - 0.02, "{dcn} of {best} {config:?}");
    }
}

#[test]
fn logistic_regression_learns_weights_and_what_missing_means() {
    let train = Data::planted(20_000, 3.0, 3);
    let config = CtrConfig {
        learning_rate: 3e-2,
        ..CtrConfig::logistic()
    };
    let ctr = Ctr::fit(&train.rows(), &[2, 3], &config, &go_on).unwrap();
    // Two features that vary, and one that is missing somewhere.
    assert_eq!(ctr.n_inputs(), 3);
    let p = ctr.predict(&[
        0.0,
        0.0,
        -1.0,
        0.0, //
        0.0,
        0.0,
        0.0,
        0.0, //
        0.0,
        0.0,
        1.0,
        0.0, //
        0.0,
        0.0,
        f32::NAN,
        0.0,
    ]);
    assert!(p[0] < 0.15 && p[2] > 0.85, "{p:?}");
    assert!((p[1] - 0.5).abs() < 0.05, "{p:?}");
    assert!((p[3] - p[2]).abs() < 0.05, "{p:?}");
    // The mean prediction is the share of positive rows.
    let mean = |x: &mut dyn Iterator<Item = f64>| x.sum::<f64>() / train.labels.len() as f64;
    let predicted = mean(&mut ctr.predict(&train.values).into_iter());
    let happened = mean(&mut train.labels.iter().map(|&y| f64::from(y)));
    assert!(
        (predicted - happened).abs() < 0.01,
        "{predicted} {happened}"
    );
}

#[test]
fn the_seed_decides() {
    let data = Data::planted(1000, 1.0, 4);
    let fit = |seed: u64| {
        let config = CtrConfig {
            seed,
            max_epochs: 3,
            ..CtrConfig::dcn()
        };
        Ctr::fit(&data.rows(), &ALL, &config, &go_on).unwrap()
    };
    assert_eq!(fit(1), fit(1));
    assert_ne!(fit(1).predict(&data.values), fit(2).predict(&data.values));
}

#[test]
fn training_ends_when_held_out_users_gain_nothing_and_keeps_the_best_epoch() {
    // Labels by chance: only overfitting is left.
    let mut data = Data::planted(600, 0.0, 5);
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    data.labels.fill_with(|| u8::from(rng.random_bool(0.3)));
    let config = CtrConfig {
        learning_rate: 3e-2,
        patience: 2,
        held_out: 0.3,
        ..CtrConfig::dcn()
    };
    let seen = RefCell::new(Vec::new());
    let ctr = Ctr::fit(&data.rows(), &ALL, &config, &|epoch| {
        seen.borrow_mut().push(epoch.held_out.unwrap());
        ControlFlow::Continue(())
    });
    let (ctr, seen) = (ctr.unwrap(), seen.into_inner());
    assert!(seen.len() < config.max_epochs, "{seen:?}");
    assert_eq!(seen.len(), ctr.epoch() + 3, "{seen:?}");
    let best = seen[ctr.epoch() - 1];
    assert!(seen.iter().all(|&loss| loss >= best), "{seen:?}");
}

#[test]
fn what_cannot_be_fitted_is_said() {
    let data = Data::planted(50, 0.0, 7);
    let config = CtrConfig::dcn();
    let told = |rows: Rows, columns: &[usize], config: &CtrConfig| {
        Ctr::fit(&rows, columns, config, &go_on)
            .unwrap_err()
            .to_string()
    };
    let constant = vec![3.0; 200];
    let of_constant = Rows {
        values: &constant,
        ..data.rows()
    };
    assert!(told(of_constant, &ALL, &config).contains("no column varies"));
    assert!(told(data.rows(), &[4], &config).contains("column 4: rows have 4 features"));
    let short = Rows {
        users: &data.users[1..],
        ..data.rows()
    };
    assert!(told(short, &ALL, &config).contains("do not fit"));
    let stacked = CtrConfig {
        structure: Structure::Stacked,
        deep: Vec::new(),
        ..config.clone()
    };
    assert!(told(data.rows(), &ALL, &stacked).contains("no deep layer"));
    let stopped = Ctr::fit(&data.rows(), &ALL, &config, &|_| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(Error::Interrupted)));
}
