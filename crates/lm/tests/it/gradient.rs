use hkfr_lm::{AdamW, Example, Label, Lora, LoraConfig, TapLoss, TokenTree, Trainer};

use crate::tiny::{lora, model, tokens};

/// Half the squared length of the hidden state: its gradient is the hidden state itself.
struct Energy;

impl TapLoss for Energy {
    fn loss(&self, _: usize, hidden: &[f32], grad: &mut [f32]) -> f32 {
        grad.copy_from_slice(hidden);
        hidden.iter().map(|h| h * h).sum::<f32>() / 2.0
    }
}

fn batch() -> Vec<Example> {
    (0..3)
        .map(|i| {
            let mut tree = TokenTree::default();
            let root = tree.push(None, &tokens(6 + i, 20 + i as u64));
            let mut labels = Vec::new();
            for branch in 0..2 {
                let segment = tree.push(Some(root), &tokens(4, 40 + 2 * i as u64 + branch));
                labels.extend(tree.rows(segment).skip(1).map(|row| Label {
                    row,
                    token: (row % 37) as u32,
                    weight: 1.0,
                }));
            }
            Example {
                taps: vec![tree.len() - 1],
                tree,
                labels,
            }
        })
        .collect()
}

/// Trap 14 of the field: a gradient that is silently zero for one matrix.
#[test]
fn the_gradient_of_every_matrix_equals_a_finite_difference() {
    let model = model();
    let mut lora = lora(&model);
    let batch = batch();
    let mut trainer = Trainer::new(2);
    let mut grads = vec![0.0; lora.params.len()];
    trainer.gradient(&model, &lora, &batch, Some(&Energy), &mut grads);
    let mut scratch = vec![0.0; grads.len()];
    let mut loss = |lora: &Lora| {
        let s = trainer.gradient(&model, lora, &batch, Some(&Energy), &mut scratch);
        f64::from(s.token_loss) + f64::from(s.tap_loss)
    };
    for layer in 0..model.config.n_layers {
        for target in lora.config.targets.iter() {
            let (a, b) = lora.ranges(layer, target);
            for range in [a, b] {
                let norm: f32 = grads[range.clone()]
                    .iter()
                    .map(|g| g * g)
                    .sum::<f32>()
                    .sqrt();
                assert!(
                    norm > 1e-4,
                    "layer {layer} {target:?}: the gradient vanishes"
                );
                // Along the gradient itself, where the signal is largest.
                let h = 2e-2 / norm;
                let saved = lora.params[range.clone()].to_vec();
                let mut at = |sign: f32| {
                    for (i, p) in range.clone().zip(&saved) {
                        lora.params[i] = p + sign * h * grads[i];
                    }
                    loss(&lora)
                };
                let numeric = (at(1.0) - at(-1.0)) / (2.0 * f64::from(h));
                lora.params[range].copy_from_slice(&saved);
                let analytic = f64::from(norm * norm);
                assert!(
                    (numeric - analytic).abs() < 0.02 * analytic + 1e-4,
                    "layer {layer} {target:?}: analytic {analytic}, numeric {numeric}"
                );
            }
        }
    }
}

#[test]
fn the_gradient_does_not_depend_on_the_number_of_workers() {
    let model = model();
    let lora = lora(&model);
    let [one, two] = [1, 2].map(|n| {
        let mut grads = vec![0.0; lora.params.len()];
        Trainer::new(n).gradient(&model, &lora, &batch(), None, &mut grads);
        grads
    });
    crate::tiny::assert_close(&one, &two, 1e-5);
}

#[test]
fn training_on_one_batch_learns_it() {
    let model = model();
    let mut lora = Lora::new(
        LoraConfig {
            rank: 4,
            alpha: 8.0,
            ..LoraConfig::default()
        },
        &model.config,
        1,
    );
    let batch = batch();
    let mut trainer = Trainer::new(2);
    let mut adam = AdamW::new(lora.params.len(), 0.0);
    let mut grads = vec![0.0; lora.params.len()];
    let first = trainer
        .gradient(&model, &lora, &batch, None, &mut grads)
        .token_loss;
    let mut last = first;
    for _ in 0..60 {
        last = trainer
            .gradient(&model, &lora, &batch, None, &mut grads)
            .token_loss;
        adam.update(&mut lora.params, &grads, 1.0, 0.02);
    }
    assert!(last < 0.5 * first, "the loss went from {first} to {last}");
}

#[test]
fn the_tap_loss_of_a_batch_is_the_mean_over_its_examples() {
    let model = model();
    let lora = lora(&model);
    let mut batch = batch();
    batch.iter_mut().for_each(|e| e.labels.clear());
    let mut trainer = Trainer::new(2);
    let mut gradient = |part: &[Example]| {
        let mut grads = vec![0.0; lora.params.len()];
        let stats = trainer.gradient(&model, &lora, part, Some(&Energy), &mut grads);
        (stats.tap_loss, grads)
    };
    let (loss, whole) = gradient(&batch);
    let (mut mean_loss, mut mean) = (0.0, vec![0.0; whole.len()]);
    for part in batch.chunks(2) {
        let share = part.len() as f32 / batch.len() as f32;
        let (loss, grads) = gradient(part);
        mean_loss += share * loss;
        mean.iter_mut()
            .zip(grads)
            .for_each(|(m, g)| *m += share * g);
    }
    crate::tiny::assert_close(&[loss], &[mean_loss], 1e-5);
    crate::tiny::assert_close(&whole, &mean, 1e-5);
}
