//! Caser: gradients, packing, its window, and what it learns.

use hkfr_rec::sequence::{Caser, CaserConfig, Network, Packed};

use crate::sequence::{check_gradients_between_kinks, check_learning, check_packing, losses};

pub fn network() -> Caser {
    let config = CaserConfig {
        dim: 12,
        window: 3,
        n_horizontal: 4,
        n_vertical: 2,
        max_len: 6,
    };
    Caser::new(config).unwrap()
}

/// Near a kink no step is small enough; `sequence_golden` has gradients without steps.
#[test]
fn gradients_of_caser_equal_finite_differences() {
    for loss in losses() {
        check_gradients_between_kinks(network, loss, 6);
    }
}

#[test]
fn packed_sequences_are_computed_as_each_alone() {
    check_packing(network);
}

#[test]
fn a_history_is_asked_by_its_window() {
    let network = network();
    let mut batch = Packed::default();
    for history in [&[4, 5, 6, 7, 8][..], &[], &[9, 1]] {
        network.pack_history(&mut batch, history);
    }
    assert_eq!(batch.tokens, [6, 7, 8, 9, 1]);
    let rows: Vec<_> = batch.sequences().collect();
    assert_eq!(rows, [0..3, 3..3, 3..5]);
}

#[test]
fn a_ring_is_learnt() {
    let config = || CaserConfig {
        dim: 32,
        max_len: 10,
        ..CaserConfig::default()
    };
    check_learning(|| Caser::new(config()).unwrap(), &losses());
}

#[test]
fn settings_out_of_their_range_are_named() {
    let refused = |config| Caser::new(config).err().unwrap().to_string();
    let error = refused(CaserConfig {
        n_vertical: 0,
        ..CaserConfig::default()
    });
    assert!(error.contains("caser n_vertical = 0"), "{error}");
    let error = refused(CaserConfig {
        max_len: 4,
        ..CaserConfig::default()
    });
    assert!(error.contains("window = 5 is above max_len = 4"), "{error}");
}
