//! Sequence models: gradients against finite differences, packing, threads, and what they learn.

use std::ops::ControlFlow;

use hkfr_events::Phase;
use hkfr_lm::Pool;
use hkfr_rec::baselines::{Entities, Scorer};
use hkfr_rec::sequence::{
    Activation, ESasRec, Loss, Network, Orders, Progress, Query, Sampling, SasRec, Scratch,
    SequenceModel, SequenceScorer, Sequences, Targets, TrainConfig, Trainer, TransformerConfig,
    fit, training_orders,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::fixtures::{dataset, go_on, split};

pub const N_ITEMS: usize = 13;

pub fn small() -> TransformerConfig {
    TransformerConfig {
        dim: 12,
        n_layers: 2,
        n_heads: 3,
        max_len: 6,
        feed_forward: 2,
        activation: Activation::Gelu,
    }
}

/// Lengths from nothing to longer than `max_len`.
pub fn sequences() -> Vec<Orders> {
    [3, 8, 1, 2, 5, 6, 0, 4]
        .into_iter()
        .enumerate()
        .map(|(u, n)| {
            let item = |i: usize| ((u * 5 + i * i + 3 * i) % N_ITEMS) as u32;
            (0..n).map(item).collect::<Vec<u32>>().into()
        })
        .collect()
}

pub fn losses() -> [Loss; 6] {
    let sampled = |sampling, log_q| Loss::SampledSoftmax {
        n_negatives: 9,
        sampling,
        log_q,
    };
    [
        Loss::Bce,
        Loss::Softmax,
        sampled(Sampling::Uniform, false),
        sampled(Sampling::Popularity { power: 0.75 }, false),
        sampled(Sampling::Popularity { power: 0.75 }, true),
        sampled(Sampling::InBatch, true),
    ]
}

pub fn config(loss: Loss, dropout: f32) -> TrainConfig {
    TrainConfig {
        loss,
        dropout,
        item_dropout: dropout,
        micro_batch: 3,
        ..TrainConfig::default()
    }
}

pub fn slices(sequences: &[Orders]) -> Vec<&[u32]> {
    sequences.iter().map(Orders::items).collect()
}

/// Every parameter moved along its own gradient: the loss must rise by its length.
pub fn check_gradients<N: Network>(network: impl Fn() -> N, loss: Loss) {
    check_gradients_between_kinks(network, loss, 0);
}

/// As [`check_gradients`], the step halved at most so often, until no kink lies inside it.
pub fn check_gradients_between_kinks<N: Network>(
    network: impl Fn() -> N,
    loss: Loss,
    halvings: i32,
) {
    let sequences = sequences();
    let batch: Vec<&Orders> = sequences.iter().collect();
    let new = || Trainer::new(network(), N_ITEMS, &sequences, config(loss, 0.1), 1).unwrap();
    let mut trainer = new();
    // Far from the start: gates half open, biases and gains off their constants.
    let shift = |xs: &mut [f32], scale: f32| {
        for (i, x) in xs.iter_mut().enumerate() {
            *x += scale * ((i * 37 % 101) as f32 / 50.0 - 1.0);
        }
    };
    shift(&mut trainer.model.params, 0.2);
    shift(&mut trainer.model.items, 0.5);
    let (_, params, items) = trainer.gradient(&batch);
    let mut parameters: Vec<(String, bool, std::ops::Range<usize>)> =
        vec![("items".into(), true, 0..items.len())];
    let layout = trainer.model.network.layout().parameters.iter();
    parameters.extend(layout.map(|p| (p.name.clone(), false, p.range.clone())));
    for (name, of_items, range) in parameters {
        let grad = if of_items { &items } else { &params }[range.clone()].to_vec();
        let length = grad
            .iter()
            .map(|g| f64::from(*g).powi(2))
            .sum::<f64>()
            .sqrt();
        assert!(
            length > 1e-5,
            "{loss:?}: the gradient of {name} is {length}"
        );
        let mut at = |t: f64| {
            let moved = if of_items {
                &mut trainer.model.items
            } else {
                &mut trainer.model.params
            };
            let before = moved[range.clone()].to_vec();
            for (x, g) in moved[range.clone()].iter_mut().zip(&grad) {
                *x += (t * f64::from(*g) / length) as f32;
            }
            let value = trainer.gradient(&batch).0;
            if of_items {
                trainer.model.items[range.clone()].copy_from_slice(&before);
            } else {
                trainer.model.params[range.clone()].copy_from_slice(&before);
            }
            value
        };
        // Fourth order, so that a step can be large against the rounding of the loss.
        let mut slope =
            |h: f64| (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
        let slopes: Vec<f64> = (0..=halvings)
            .map(|i| slope(0.02 * 0.5f64.powi(i)))
            .collect();
        assert!(
            slopes.iter().any(|s| (s / length - 1.0).abs() < 1e-3),
            "{loss:?}, {name}: slope {slopes:?}, gradient {length}"
        );
    }
}

#[test]
fn gradients_of_sasrec_equal_finite_differences() {
    for loss in losses() {
        check_gradients(|| SasRec::new(small()).unwrap(), loss);
    }
}

#[test]
fn gradients_of_esasrec_equal_finite_differences() {
    for loss in losses() {
        check_gradients(|| ESasRec::new(small()).unwrap(), loss);
    }
}

/// A kink lies between two points sometimes: only its backward differs from GELU's.
#[test]
fn relu_passes_what_is_positive() {
    let (mut ys, mut dys) = ([-1.0, 0.0, 2.0], [3.0, 4.0, 5.0]);
    hkfr_lm::relu(&mut ys);
    hkfr_lm::relu_back(&mut dys, &ys);
    assert_eq!((ys, dys), ([0.0, 0.0, 2.0], [0.0, 0.0, 5.0]));
}

fn close(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|(a, b)| (a - b).abs() <= 1e-5 * (1.0 + b.abs()))
}

pub fn check_packing<N: Network>(network: impl Fn() -> N) {
    let sequences = sequences();
    let batch: Vec<&Orders> = sequences.iter().collect();
    let gradient = |micro_batch| {
        let config = TrainConfig {
            micro_batch,
            ..config(Loss::Softmax, 0.0)
        };
        let mut trainer = Trainer::new(network(), N_ITEMS, &sequences, config, 1).unwrap();
        trainer.gradient(&batch)
    };
    let (packed, alone) = (gradient(batch.len()), gradient(1));
    assert!((packed.0 - alone.0).abs() < 1e-6);
    assert!(close(&packed.1, &alone.1) && close(&packed.2, &alone.2));

    let trainer = Trainer::new(
        network(),
        N_ITEMS,
        &sequences,
        config(Loss::Softmax, 0.0),
        1,
    )
    .unwrap();
    let (batch, mut scratch) = (slices(&sequences), Scratch::default());
    let packed = trainer.model.scores(&batch, &mut scratch).to_vec();
    for (history, packed) in batch.iter().zip(packed.chunks_exact(N_ITEMS)) {
        let alone = trainer.model.scores(&[history], &mut scratch);
        assert!(close(packed, alone), "{history:?}");
        // Only the last items are read.
        let last = &history[history.len().saturating_sub(6)..];
        assert!(close(packed, trainer.model.scores(&[last], &mut scratch)));
    }
}

#[test]
fn packed_sequences_are_computed_as_each_alone() {
    check_packing(|| SasRec::new(small()).unwrap());
    check_packing(|| ESasRec::new(small()).unwrap());
}

/// Of four items the sequence holds three, the last as a target alone: whatever the seed, the fourth is drawn.
#[test]
fn a_negative_is_nothing_that_its_sequence_holds() {
    let sequence = Orders::from(vec![0, 1, 2]);
    let mut first: Option<Trainer<SasRec>> = None;
    for seed in 0..20 {
        let config = TrainConfig {
            seed,
            ..config(Loss::Bce, 0.0)
        };
        let network = SasRec::new(small()).unwrap();
        let train = std::slice::from_ref(&sequence);
        let mut trainer = Trainer::new(network, 4, train, config, 1).unwrap();
        let first = first.get_or_insert_with(|| {
            let network = SasRec::new(small()).unwrap();
            Trainer::new(network, 4, train, self::config(Loss::Bce, 0.0), 1).unwrap()
        });
        trainer.model.params.clone_from(&first.model.params);
        trainer.model.items.clone_from(&first.model.items);
        let batch = [&sequence];
        assert_eq!(
            trainer.gradient(&batch).0,
            first.gradient(&batch).0,
            "{seed}"
        );
    }
}

pub fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

#[test]
fn threads_do_not_change_a_byte() {
    for loss in losses() {
        let train = |n_threads| {
            let sequences = sequences();
            let network = ESasRec::new(small()).unwrap();
            let config = config(loss, 0.3);
            let mut trainer =
                Trainer::new(network, N_ITEMS, &sequences, config, n_threads).unwrap();
            let batch: Vec<&Orders> = sequences.iter().collect();
            let losses: Vec<f64> = (0..5).map(|_| trainer.step(&batch)).collect();
            (losses, trainer.model.params, trainer.model.items)
        };
        let one = train(1);
        assert_eq!(one, train(2), "{loss:?}");
        assert_eq!(one, train(3), "{loss:?}");
    }
}

/// 200 walks on a ring of 50 items: next = previous + 1.
pub fn ring() -> Sequences {
    let walks = (0..200u32).map(|u| (0..5 + u % 7).map(|i| (u * 7 + i) % 50).collect());
    Sequences::leave_one_out(50, walks.collect())
}

pub fn check_learning<N: Network>(network: impl Fn() -> N, losses: &[Loss]) {
    let data = ring();
    for &loss in losses {
        let loss = match loss {
            Loss::SampledSoftmax {
                sampling, log_q, ..
            } => Loss::SampledSoftmax {
                n_negatives: 20,
                sampling,
                log_q,
            },
            other => other,
        };
        let config = TrainConfig {
            loss,
            batch_size: 40,
            micro_batch: 10,
            learning_rate: 3e-3,
            max_epochs: 300,
            validate_steps: 1,
            patience: 60,
            ..TrainConfig::default()
        };
        // BCE's negatives are never of the history, so that it does not learn to rank that low.
        let (model, _) = fit(network(), &data, &config, true, 1, &mut go_on).unwrap();
        let accuracy = model.accuracy(&data.test, true, &mut Pool::new(2));
        let name = model.network.name();
        assert!(accuracy.hr_at_1 > 0.95, "{name}, {loss:?}: {accuracy:?}");
    }
}

#[test]
fn a_ring_is_learnt() {
    let config = || TransformerConfig {
        dim: 32,
        n_layers: 1,
        n_heads: 2,
        max_len: 10,
        ..TransformerConfig::default()
    };
    check_learning(|| SasRec::new(config()).unwrap(), &losses());
    check_learning(|| ESasRec::new(config()).unwrap(), &losses());
}

/// Baskets of two things that go together, one basket after the other at random.
#[test]
fn what_is_chosen_together_is_learnt_if_the_next_choice_is_the_target() {
    let n_pairs = 6u32;
    let mut drawn = rng(4);
    let train = (0..100).map(|_| {
        let mut orders = Orders::default();
        for _ in 0..3 {
            let pair = 2 * drawn.random_range(0..n_pairs);
            orders.push(pair, false);
            orders.push(pair + 1, true);
        }
        orders
    });
    let after = |item: u32| Query {
        history: vec![item],
        target: item ^ 1,
    };
    let data = Sequences {
        n_items: 2 * n_pairs as usize,
        train: train.collect(),
        test: (0..2 * n_pairs).map(after).collect(),
        ..Sequences::default()
    };
    let accuracy = |targets| {
        let config = TrainConfig {
            targets,
            loss: Loss::Softmax,
            batch_size: 20,
            learning_rate: 1e-2,
            max_epochs: 40,
            ..TrainConfig::default()
        };
        let network = SasRec::new(TransformerConfig {
            dim: 32,
            n_heads: 2,
            ..small()
        })
        .unwrap();
        let (model, _) = fit(network, &data, &config, false, 1, &mut go_on).unwrap();
        model.accuracy(&data.test, false, &mut Pool::new(1)).hr_at_1
    };
    let [together, apart] = [Targets::NextChoice, Targets::NextOrder].map(accuracy);
    assert!(together > 0.9 && apart < 0.3, "{together}, {apart}");
}

/// 200 walks are five steps of 40: after every third epoch, and after the last.
#[test]
fn validations_are_so_many_steps_apart() {
    let config = TrainConfig {
        batch_size: 40,
        max_epochs: 7,
        validate_steps: 12,
        ..TrainConfig::default()
    };
    let mut validated = Vec::new();
    let network = SasRec::new(small()).unwrap();
    let _ = fit(network, &ring(), &config, true, 1, &mut |progress| {
        if let Progress::Validated { epoch, .. } = progress {
            validated.push(epoch);
        }
        ControlFlow::Continue(())
    });
    assert_eq!(validated, [3, 6, 7]);
}

fn untrained() -> SequenceModel<SasRec> {
    let network = SasRec::new(small()).unwrap();
    let trainer = Trainer::new(network, N_ITEMS, &sequences(), TrainConfig::default(), 1).unwrap();
    trainer.model
}

#[test]
fn ranks_equal_those_of_sorted_scores_and_ties_count_against() {
    let mut model = untrained();
    // Items 3 and 4 are equal.
    let row: Vec<f32> = model.items[3 * 12..4 * 12].to_vec();
    model.items[4 * 12..5 * 12].copy_from_slice(&row);
    let queries: Vec<Query> = (0..N_ITEMS as u32)
        .map(|target| Query {
            history: vec![target, 5, 7, 5],
            target,
        })
        .collect();
    let mut scratch = Scratch::default();
    for exclude_seen in [false, true] {
        let ranks = model.ranks(&queries, exclude_seen, &mut Pool::new(2));
        for (query, rank) in queries.iter().zip(ranks) {
            let scores = model.scores(&[&query.history], &mut scratch).to_vec();
            let rivals = (0..N_ITEMS as u32).filter(|&i| {
                let seen = exclude_seen && query.history.contains(&i);
                scores[i as usize] >= scores[query.target as usize] && (i == query.target || !seen)
            });
            assert_eq!(rank, rivals.count(), "{query:?}");
        }
    }
}

#[test]
fn unknown_items_are_neither_read_nor_recommended() {
    let model = untrained();
    let mut scratch = Scratch::default();
    let known = model.scores(&[&[2, 5]], &mut scratch).to_vec();
    assert_eq!(known.len(), N_ITEMS);
    let unknown = model.scores(&[&[2, 99, 5, N_ITEMS as u32]], &mut scratch);
    assert_eq!(known, unknown);
    let nobody = model.scores(&[&[]], &mut scratch);
    assert_eq!(nobody, [0.0; N_ITEMS]);
    let train = [vec![1, N_ITEMS as u32].into()];
    let network = SasRec::new(small()).unwrap();
    let error = Trainer::new(network, N_ITEMS, &train, TrainConfig::default(), 1).err();
    assert!(error.unwrap().to_string().contains("item 13 of 13"));
}

#[test]
fn a_sequence_model_is_a_scorer() {
    let events: Vec<_> = (0..6u32)
        .flat_map(|u| (0..8).map(move |k| (u, u + k, i64::from(k), 0)))
        .chain([(0, 0, 30, 0), (7, 1, 0, 2)])
        .collect();
    let ds = dataset(7, &events);
    let split = split(&ds, Phase::Test, 10).unwrap();
    let entities = Entities::items(&ds, &split.catalogue);
    let data = Sequences {
        n_items: entities.n(),
        train: training_orders(&ds, &split, &entities),
        ..Sequences::default()
    };
    let config = TrainConfig {
        max_epochs: 2,
        ..TrainConfig::default()
    };
    let network = ESasRec::new(small()).unwrap();
    let (model, _) = fit(network, &data, &config, false, 1, &mut go_on).unwrap();
    let counts = model.counts.clone();
    let history = |user: u32| ds.history(user, split.fit_before[user as usize].unwrap());
    let mut expected = Scratch::default();
    let expected = model
        .scores(&[data.train[2].items()], &mut expected)
        .to_vec();
    let scorer = SequenceScorer::new(entities, model);
    let mut out = vec![0.0; data.n_items];
    scorer.score(&ds, &history(2), &mut out);
    assert_eq!(out, expected);
    // The last user has only viewed something.
    scorer.score(&ds, &history(6), &mut out);
    assert!(out.iter().zip(counts).all(|(s, c)| *s == c as f32));
}

#[test]
fn settings_out_of_their_range_are_named() {
    let bad = [
        TrainConfig {
            dropout: 1.0,
            ..TrainConfig::default()
        },
        TrainConfig {
            micro_batch: 0,
            ..TrainConfig::default()
        },
        TrainConfig {
            loss: Loss::SampledSoftmax {
                n_negatives: 5,
                sampling: Sampling::Popularity { power: -1.0 },
                log_q: false,
            },
            ..TrainConfig::default()
        },
    ];
    for (config, key) in bad.into_iter().zip(["dropout", "micro_batch", "power"]) {
        let network = SasRec::new(small()).unwrap();
        let error = Trainer::new(network, 3, &[], config, 1).err().unwrap();
        assert!(error.to_string().contains(key), "{error}");
    }
    let heads = TransformerConfig {
        n_heads: 5,
        ..small()
    };
    assert!(
        SasRec::new(heads)
            .err()
            .unwrap()
            .to_string()
            .contains("n_heads = 5")
    );
}

/// What a fit says of its end holds: no later than said if nothing is better, and at the last epoch in any case.
#[test]
fn a_fit_ends_when_it_said() {
    for (patience, max_epochs) in [(3, 400), (1000, 9)] {
        let config = TrainConfig {
            batch_size: 40,
            max_epochs,
            validate_steps: 10,
            patience,
            ..TrainConfig::default()
        };
        let (mut last, mut said, mut best) = (0, 0, (0.0, 0));
        let network = SasRec::new(small()).unwrap();
        let watch = &mut |at| {
            match at {
                Progress::Trained {
                    epoch,
                    max_epochs: most,
                    ..
                } => {
                    assert_eq!(most, max_epochs);
                    last = epoch;
                }
                Progress::Validated {
                    epoch,
                    accuracy,
                    best: b,
                    best_epoch,
                    ends,
                } => {
                    if accuracy.ndcg_at_10 > best.0 || epoch == 2 {
                        best = (accuracy.ndcg_at_10, epoch);
                        // Five steps are an epoch, and so are ten two.
                        said = max_epochs.min(epoch + 2 * patience);
                    }
                    assert_eq!((b, best_epoch), best);
                    assert_eq!(ends, said);
                }
                Progress::Grown { .. } => unreachable!("no trees here"),
            }
            ControlFlow::Continue(())
        };
        fit(network, &ring(), &config, true, 1, watch).unwrap();
        assert_eq!(last, said);
    }
}
