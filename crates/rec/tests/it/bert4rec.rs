//! BERT4Rec: the Cloze task, gradients, packing, and what it learns.

use hkfr_rec::sequence::{
    Bert4Rec, Bert4RecConfig, Loss, Network, Orders, Packed, Sampling, TrainConfig, Trainer,
    TransformerConfig,
};

use crate::sequence::{
    N_ITEMS, check_gradients, check_learning, check_packing, losses, rng, sequences, small,
};

fn network(mask_prob: f32, last_only_prob: f32) -> Bert4Rec {
    let config = Bert4RecConfig {
        n_items: N_ITEMS,
        mask_prob,
        last_only_prob,
        maskings: 1,
        encoder: small(),
    };
    Bert4Rec::new(config).unwrap()
}

#[test]
fn gradients_of_bert4rec_equal_finite_differences() {
    for loss in losses() {
        check_gradients(|| network(0.4, 0.3), loss);
    }
}

#[test]
fn packed_sequences_are_computed_as_each_alone() {
    check_packing(|| network(0.4, 0.3));
}

/// Tokens and targets of a sequence, packed behind another.
fn pack(network: &Bert4Rec, sequence: &[u32], key: u64) -> (Vec<u32>, Vec<(u32, u32)>) {
    let mut batch = Packed::default();
    batch.push(&[1, 2]);
    network.pack_training(&mut batch, &sequence.to_vec().into(), &mut rng(key));
    let rows = batch.sequences().last().unwrap();
    assert_eq!(rows.start, 2);
    let targets = batch.targets.iter().map(|t| (t.row - 2, t.item));
    (batch.tokens[rows].to_vec(), targets.collect())
}

#[test]
fn masks_are_the_targets_and_follow_the_key() {
    let network = network(0.4, 0.25);
    let mask = N_ITEMS as u32;
    let sequence = [3, 1, 4, 1, 5];
    let (mut masked, mut last_only) = ([0u32; 5], 0);
    for key in 0..4000 {
        let (tokens, targets) = pack(&network, &sequence, key);
        assert_eq!(
            pack(&network, &sequence, key),
            (tokens.clone(), targets.clone())
        );
        let mut restored = tokens.clone();
        for &(row, item) in &targets {
            assert_eq!(tokens[row as usize], mask);
            restored[row as usize] = item;
            masked[row as usize] += 1;
        }
        assert!(!targets.is_empty() && targets.is_sorted());
        assert_eq!(restored, sequence);
        last_only += u32::from(targets == [(4, 5)]);
    }
    // 0.75 (0.4 + 0.6⁵ / 5) each, the last one 0.25 more; alone 0.25 + 0.75 (0.4 · 0.6⁴ + 0.6⁵ / 5).
    let share = |n: u32| f64::from(n) / 4000.0;
    for n in &masked[..4] {
        assert!((share(*n) - 0.312).abs() < 0.03, "{masked:?}");
    }
    assert!((share(masked[4]) - 0.562).abs() < 0.03, "{masked:?}");
    assert!((share(last_only) - 0.301).abs() < 0.03, "{last_only}");
}

#[test]
fn the_ends_of_the_mask_probabilities() {
    let sequence = [3, 1, 4];
    let mask = N_ITEMS as u32;
    for key in 0..50 {
        let (tokens, targets) = pack(&network(0.4, 1.0), &sequence, key);
        assert_eq!((tokens, targets), (vec![3, 1, mask], vec![(2, 4)]));
        assert_eq!(pack(&network(0.0, 0.0), &sequence, key).1.len(), 1);
        assert_eq!(pack(&network(1.0, 0.0), &sequence, key).1.len(), 3);
        // Nothing stands beside the mask: nothing is taught.
        assert_eq!(pack(&network(1.0, 1.0), &[7], key), (vec![], vec![]));
    }
}

#[test]
fn a_sequence_is_masked_several_times_and_an_order_as_a_whole() {
    let mask = N_ITEMS as u32;
    let network = Bert4Rec::new(Bert4RecConfig {
        maskings: 3,
        ..network(0.4, 1.0).config
    })
    .unwrap();
    let mut orders = Orders::from(vec![3, 1]);
    orders.push(4, false);
    orders.push(5, true);
    let mut batch = Packed::default();
    network.pack_training(&mut batch, &orders, &mut rng(2));
    assert_eq!(batch.tokens, [3, 1, mask].repeat(3));
    assert_eq!(batch.n_sequences(), 3);
    let rows: Vec<u32> = batch.targets.iter().map(|t| t.row).collect();
    assert_eq!(rows, [2, 5, 8]);
    assert!(batch.targets.iter().all(|t| [4, 5].contains(&t.item)));
}

#[test]
fn a_history_is_asked_with_a_mask_behind_it() {
    let network = network(0.4, 0.3);
    let mut batch = Packed::default();
    network.pack_history(&mut batch, &[4, 5]);
    network.pack_history(&mut batch, &[]);
    network.pack_history(&mut batch, &[6]);
    let mask = N_ITEMS as u32;
    assert_eq!(batch.tokens, [4, 5, mask, 6, mask]);
    let rows: Vec<_> = batch.sequences().collect();
    assert_eq!(rows, [0..3, 3..3, 3..5]);
}

#[test]
fn a_ring_is_learnt() {
    let network = || {
        Bert4Rec::new(Bert4RecConfig {
            mask_prob: 0.3,
            encoder: TransformerConfig {
                dim: 32,
                n_layers: 1,
                n_heads: 2,
                max_len: 10,
                feed_forward: 2,
                ..TransformerConfig::default()
            },
            ..Bert4RecConfig::new(50)
        })
        .unwrap()
    };
    let sampled = Loss::SampledSoftmax {
        n_negatives: 20,
        sampling: Sampling::Uniform,
        log_q: false,
    };
    check_learning(network, &[Loss::Softmax, sampled]);
}

#[test]
fn settings_out_of_their_range_are_named() {
    let refused = |config| Bert4Rec::new(config).err().unwrap().to_string();
    let config = || Bert4RecConfig::new(N_ITEMS);
    let error = refused(Bert4RecConfig {
        mask_prob: 1.5,
        ..config()
    });
    assert!(error.contains("mask_prob = 1.5"), "{error}");
    let error = refused(Bert4RecConfig {
        encoder: TransformerConfig {
            n_layers: 0,
            ..small()
        },
        ..config()
    });
    assert!(error.contains("bert4rec n_layers = 0"), "{error}");
    // Its mask would be an item.
    let trainer = Trainer::new(
        network(0.2, 0.5),
        N_ITEMS + 1,
        &sequences(),
        TrainConfig::default(),
        1,
    );
    let error = trainer.err().unwrap().to_string();
    assert!(
        error.contains("built for 13 items, the data have 14"),
        "{error}"
    );
}
