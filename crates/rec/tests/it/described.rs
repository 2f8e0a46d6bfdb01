//! Item vectors that are summed of features: gradients against finite differences, and what nobody chose.

use std::sync::Arc;

use hkfr_lm::Pool;
use hkfr_rec::sequence::{
    Described, ItemFeatures, Loss, Orders, Query, SasRec, Scratch, Sequences, TrainConfig, Trainer,
    TransformerConfig, train,
};

use crate::fixtures::go_on;
use crate::sequence::{N_ITEMS, config, losses, ring, sequences, slices, small};

const TEXT_DIM: usize = 5;

/// Items that nobody chose stand behind those of [`sequences`].
const ALL: usize = N_ITEMS + 3;

fn features() -> Arc<ItemFeatures> {
    let texts = (0..ALL * TEXT_DIM).map(|i| (i * 29 % 31) as f32 / 31.0 - 0.5);
    let attributes =
        |i: usize| -> Vec<u32> { (0..i as u32 % 4).map(|a| (a * 3 + i as u32) % 7).collect() };
    let attributes = (0..ALL).map(attributes).collect();
    Arc::new(ItemFeatures::new(texts.collect(), TEXT_DIM, attributes).unwrap())
}

fn trainer(config: TrainConfig, n_threads: usize) -> Trainer<SasRec> {
    let network = SasRec::new(small()).unwrap();
    let trainer = Trainer::new(network, ALL, &sequences(), config, n_threads).unwrap();
    trainer.with_features(features()).unwrap()
}

fn described(trainer: &mut Trainer<SasRec>) -> &mut Described {
    trainer.described.as_mut().unwrap()
}

type Part = fn(&mut Described) -> &mut Vec<f32>;

/// ID, W and A moved along their own gradients: the loss must rise by their lengths.
#[test]
fn gradients_of_what_items_are_summed_of_equal_finite_differences() {
    let sequences = sequences();
    let batch: Vec<&Orders> = sequences.iter().collect();
    let mut pool = Pool::new(1);
    for loss in losses() {
        let mut trainer = trainer(config(loss, 0.1), 1);
        let (_, _, of_rows) = trainer.gradient(&batch);
        let (of_texts, of_attributes) = described(&mut trainer).back(&of_rows, |_| true);
        let parts: [(&str, Part, Vec<f32>); 3] = [
            ("ID", |d| &mut d.own, of_rows),
            ("W", |d| &mut d.projection, of_texts),
            ("A", |d| &mut d.attributes, of_attributes),
        ];
        for (name, part, grad) in parts {
            let length = grad
                .iter()
                .map(|g| f64::from(*g).powi(2))
                .sum::<f64>()
                .sqrt();
            assert!(
                length > 1e-5,
                "{loss:?}: the gradient of {name} is {length}"
            );
            let before = part(described(&mut trainer)).clone();
            let mut at = |t: f64| {
                let moved = part(described(&mut trainer)).iter_mut().zip(&before);
                moved.zip(&grad).for_each(|((x, before), g)| {
                    *x = before + (t * f64::from(*g) / length) as f32;
                });
                let Trainer {
                    described, model, ..
                } = &mut trainer;
                described
                    .as_ref()
                    .unwrap()
                    .rows(&mut model.items, &mut pool);
                trainer.gradient(&batch).0
            };
            let h = 0.01;
            let slope = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
            at(0.0);
            assert!(
                (slope / length - 1.0).abs() < 2e-3,
                "{loss:?}, {name}: slope {slope}, gradient {length}"
            );
        }
    }
}

/// Rows that are touched are enough.
#[test]
fn rows_without_a_gradient_add_nothing() {
    let mut trainer = trainer(config(Loss::Bce, 0.1), 1);
    let rows: Vec<f32> = (0..ALL * 12)
        .map(|i| {
            if i / 12 % 3 == 0 {
                (i % 17) as f32
            } else {
                0.0
            }
        })
        .collect();
    let described = described(&mut trainer);
    assert_eq!(
        described.back(&rows, |_| true),
        described.back(&rows, |i| i % 3 == 0)
    );
}

#[test]
fn an_item_that_nobody_chose_is_what_it_says_of_itself() {
    let sequences = sequences();
    let batch: Vec<&Orders> = sequences.iter().collect();
    for loss in losses() {
        let mut trainer = trainer(config(loss, 0.2), 1);
        for _ in 0..5 {
            if loss == Loss::Softmax {
                // It is a negative like all others.
                let (_, _, rows) = trainer.gradient(&batch);
                assert!(rows[N_ITEMS * 12..].iter().any(|g| *g != 0.0));
            }
            trainer.step(&batch);
        }
        assert!(
            described(&mut trainer).own[N_ITEMS * 12..]
                .iter()
                .all(|x| *x == 0.0)
        );
        let scores = trainer
            .model
            .scores(&slices(&sequences)[..1], &mut Scratch::default())
            .to_vec();
        let [a, b, c] = scores[N_ITEMS..] else {
            panic!("three nobody chose")
        };
        assert!(
            a != b && b != c && a != c && a != 0.0,
            "{loss:?}: {scores:?}"
        );
    }
}

/// No text, no attribute: the item vectors are the items' own.
#[test]
fn features_that_say_nothing_change_no_byte() {
    let mut sequences = sequences();
    // So that none is without a choice.
    sequences.push((0..N_ITEMS as u32).collect::<Vec<u32>>().into());
    let batch: Vec<&Orders> = sequences.iter().collect();
    for loss in losses() {
        let new = || {
            Trainer::new(
                SasRec::new(small()).unwrap(),
                N_ITEMS,
                &sequences,
                config(loss, 0.3),
                1,
            )
            .unwrap()
        };
        let nothing = ItemFeatures::new(Vec::new(), 0, vec![Vec::new(); N_ITEMS]).unwrap();
        let (mut plain, mut described) = (new(), new().with_features(Arc::new(nothing)).unwrap());
        for _ in 0..4 {
            assert_eq!(plain.step(&batch), described.step(&batch), "{loss:?}");
        }
        assert!(plain.model.items == described.model.items, "{loss:?}");
        assert!(plain.model.params == described.model.params, "{loss:?}");
    }
}

#[test]
fn threads_change_no_byte_of_features() {
    let train = |n_threads| {
        let sequences = sequences();
        let mut trainer = trainer(config(Loss::Softmax, 0.3), n_threads);
        let batch: Vec<&Orders> = sequences.iter().collect();
        let losses: Vec<f64> = (0..5).map(|_| trainer.step(&batch)).collect();
        (losses, trainer.model.params, trainer.model.items)
    };
    let one = train(1);
    assert_eq!(one, train(2));
    assert_eq!(one, train(3));
}

/// Everybody walks the first 50 items of a ring; each has a twin that nobody chose and that is described alike. Of
/// the twins, that of the next item must be first for most; by chance it is one time in 50.
#[test]
fn what_is_described_like_the_next_item_is_foretold() {
    let walks = ring();
    let data = Sequences {
        n_items: 100,
        ..walks
    };
    let texts = (0..100)
        .flat_map(|i| (0..8).map(move |k| ((i % 50 * 13 + k * 7) % 11) as f32 / 11.0 - 0.5));
    let attributes = (0..100u32)
        .map(|i| vec![i % 50 % 7, 7 + i % 50 / 7])
        .collect();
    let features = ItemFeatures::new(texts.collect(), 8, attributes).unwrap();
    let network = SasRec::new(TransformerConfig {
        dim: 32,
        n_layers: 1,
        n_heads: 2,
        max_len: 10,
        ..small()
    })
    .unwrap();
    let config = TrainConfig {
        loss: Loss::Softmax,
        batch_size: 40,
        learning_rate: 3e-3,
        max_epochs: 100,
        patience: 60,
        ..TrainConfig::default()
    };
    let trainer = Trainer::new(network, 100, &data.train, config, 1).unwrap();
    let trainer = trainer.with_features(Arc::new(features)).unwrap();
    let (model, _) = train(trainer, &data, true, &mut go_on).unwrap();
    let is_first = |query: &&Query| {
        let mut scratch = Scratch::default();
        let scores = &model.scores(&[&query.history], &mut scratch)[50..];
        scores.iter().all(|s| *s <= scores[query.target as usize])
    };
    let first = data.test.iter().filter(is_first).count();
    assert!(
        first * 10 > data.test.len() * 6,
        "{first} of {}",
        data.test.len()
    );
}

#[test]
fn features_that_cannot_be_are_named() {
    let error = |texts, width, n| {
        let features = ItemFeatures::new(texts, width, vec![Vec::new(); n]);
        features.err().map(|e| e.to_string()).unwrap_or_default()
    };
    assert_eq!(
        error(vec![0.0; 7], 2, 4),
        "texts of 7 numbers for 4 items of 2 each"
    );
    assert_eq!(
        error(vec![0.0, 1.0, f32::NAN, 0.0], 2, 2),
        "the text of item 1 holds what is not a number"
    );
    let network = SasRec::new(small()).unwrap();
    let trainer = Trainer::new(network, N_ITEMS, &sequences(), TrainConfig::default(), 1).unwrap();
    let error = trainer.with_features(features()).err().unwrap().to_string();
    assert_eq!(error, "features of 16 items, the data have 13");
}
