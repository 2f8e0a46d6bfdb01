//! GRU4Rec: gradients, packing, and what it learns.

use hkfr_rec::sequence::{Gru4Rec, Gru4RecConfig};

use crate::sequence::{check_gradients, check_learning, check_packing, losses};

pub fn network() -> Gru4Rec {
    let config = Gru4RecConfig {
        dim: 12,
        hidden: 10,
        n_layers: 2,
        max_len: 6,
    };
    Gru4Rec::new(config).unwrap()
}

#[test]
fn gradients_of_gru4rec_equal_finite_differences() {
    for loss in losses() {
        check_gradients(network, loss);
    }
}

#[test]
fn packed_sequences_are_computed_as_each_alone() {
    check_packing(network);
}

#[test]
fn a_ring_is_learnt() {
    let config = || Gru4RecConfig {
        dim: 32,
        hidden: 32,
        max_len: 10,
        ..Gru4RecConfig::default()
    };
    check_learning(|| Gru4Rec::new(config()).unwrap(), &losses());
}

#[test]
fn settings_out_of_their_range_are_named() {
    let config = Gru4RecConfig {
        hidden: 0,
        ..Gru4RecConfig::default()
    };
    let error = Gru4Rec::new(config).err().unwrap().to_string();
    assert!(error.contains("gru4rec hidden = 0"), "{error}");
}
