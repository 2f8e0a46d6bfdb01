//! Hidden states against those of the reference implementations
//! (`tests/golden/sequence_attention.py`).

use std::collections::HashMap;
use std::path::Path;

use hkfr_rec::sequence::{
    Bert4Rec, Bert4RecConfig, Dropout, ESasRec, Network, Packed, SasRec, TransformerConfig,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    dim: usize,
    n_heads: usize,
    n_layers: usize,
    max_len: usize,
    n_items: usize,
    items: Vec<f32>,
    parameters: HashMap<String, Vec<f32>>,
    histories: Vec<Vec<u32>>,
    hidden: Vec<Vec<f32>>,
}

fn golden(name: &str) -> Golden {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sequence");
    let text = fs_err::read_to_string(dir.join(name).with_extension("json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

impl Golden {
    fn config(&self, feed_forward: usize) -> TransformerConfig {
        TransformerConfig {
            dim: self.dim,
            n_layers: self.n_layers,
            n_heads: self.n_heads,
            max_len: self.max_len,
            feed_forward,
            ..TransformerConfig::default()
        }
    }

    /// The histories packed together must have the states of each alone.
    fn check<N: Network>(mut self, network: N) {
        let mut params = vec![f32::NAN; network.layout().len()];
        for p in &network.layout().parameters {
            let values = self.parameters.remove(&p.name);
            params[p.range.clone()]
                .copy_from_slice(&values.unwrap_or_else(|| panic!("{}", p.name)));
        }
        assert!(self.parameters.is_empty(), "{:?}", self.parameters.keys());
        let mut batch = Packed::default();
        for history in &self.histories {
            network.pack_history(&mut batch, history);
        }
        let tokens = batch.tokens.iter().map(|&t| t as usize * self.dim);
        let mut x: Vec<f32> = tokens
            .flat_map(|at| self.items[at..at + self.dim].to_vec())
            .collect();
        let dropout = Dropout {
            rate: 0.5,
            key: None,
        };
        network.forward(&params, &batch, dropout, &mut x, &mut Default::default());
        let mut worst = 0.0f32;
        for (rows, expected) in batch.sequences().zip(&self.hidden) {
            let found = &x[rows.start * self.dim..rows.end * self.dim];
            assert_eq!(found.len(), expected.len());
            for (a, b) in found.iter().zip(expected) {
                worst = worst.max((a - b).abs());
            }
        }
        assert!(worst < 1e-5, "{}: off by {worst}", network.name());
    }
}

#[test]
fn hidden_states_of_sasrec_equal_pytorchs() {
    let golden = golden("sasrec");
    let network = SasRec::new(golden.config(1)).unwrap();
    golden.check(network);
}

#[test]
fn hidden_states_of_esasrec_equal_rectools() {
    let golden = golden("esasrec");
    let network = ESasRec::new(golden.config(4)).unwrap();
    golden.check(network);
}

#[test]
fn hidden_states_of_bert4rec_equal_recboles() {
    let golden = golden("bert4rec");
    let network = Bert4Rec::new(Bert4RecConfig {
        encoder: golden.config(4),
        ..Bert4RecConfig::new(golden.n_items)
    });
    golden.check(network.unwrap());
}
