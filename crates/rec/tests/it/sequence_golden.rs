//! Hidden states, and gradients where the file has them, against those of the reference implementations
//! (`tests/golden/sequence_attention.py`, `tests/golden/sequence_recurrent.py`).

use std::collections::HashMap;
use std::path::Path;

use hkfr_rec::sequence::{
    Bert4Rec, Bert4RecConfig, Caser, CaserConfig, Dropout, ESasRec, Gru4Rec, Gru4RecConfig,
    Network, Packed, SasRec, TransformerConfig,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    dim: usize,
    max_len: usize,
    n_items: usize,
    items: Vec<f32>,
    parameters: HashMap<String, Vec<f32>>,
    histories: Vec<Vec<u32>>,
    hidden: Vec<Vec<f32>>,
    #[serde(default)]
    dhidden: Vec<Vec<f32>>,
    #[serde(default)]
    gradients: HashMap<String, Vec<f32>>,
    /// `n_heads`, `n_layers` and so on.
    #[serde(flatten)]
    sizes: HashMap<String, usize>,
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
            n_layers: self.sizes["n_layers"],
            n_heads: self.sizes["n_heads"],
            max_len: self.max_len,
            feed_forward,
            ..TransformerConfig::default()
        }
    }

    fn check<N: Network>(self, network: N) {
        self.check_packed(network, N::pack_history);
    }

    /// The histories packed together must have the states of each alone.
    fn check_packed<N: Network>(mut self, network: N, pack: impl Fn(&N, &mut Packed, &[u32])) {
        let mut params = vec![f32::NAN; network.layout().len()];
        for p in &network.layout().parameters {
            let values = self.parameters.remove(&p.name);
            params[p.range.clone()]
                .copy_from_slice(&values.unwrap_or_else(|| panic!("{}", p.name)));
        }
        assert!(self.parameters.is_empty(), "{:?}", self.parameters.keys());
        let mut batch = Packed::default();
        for history in &self.histories {
            pack(&network, &mut batch, history);
        }
        let tokens = batch.tokens.iter().map(|&t| t as usize * self.dim);
        let mut x: Vec<f32> = tokens
            .flat_map(|at| self.items[at..at + self.dim].to_vec())
            .collect();
        let dropout = Dropout {
            rate: 0.5,
            key: None,
        };
        let mut activations = N::Activations::default();
        network.forward(&params, &batch, dropout, &mut x, &mut activations);
        let name = network.name();
        close(name, &x, &self.hidden.concat());
        if self.gradients.is_empty() {
            return;
        }
        let (mut grads, mut dx) = (vec![0.0; params.len()], self.dhidden.concat());
        network.backward(
            &params,
            &mut grads,
            &batch,
            dropout,
            &mut dx,
            &mut activations,
        );
        for p in &network.layout().parameters {
            let what = format!("{name} {}", p.name);
            close(&what, &grads[p.range.clone()], &self.gradients[&p.name]);
        }
        let mut ditems = vec![0.0; self.items.len()];
        for (&token, dx) in batch.tokens.iter().zip(dx.chunks_exact(self.dim)) {
            let row = &mut ditems[token as usize * self.dim..][..self.dim];
            row.iter_mut().zip(dx).for_each(|(sum, d)| *sum += d);
        }
        close(name, &ditems, &self.gradients["items"]);
    }
}

fn close(what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < 1e-5, "{what}: {a} instead of {b}");
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

#[test]
fn states_and_gradients_of_gru4rec_equal_pytorchs() {
    let golden = golden("gru4rec");
    let network = Gru4Rec::new(Gru4RecConfig {
        dim: golden.dim,
        hidden: golden.sizes["hidden_size"],
        n_layers: golden.sizes["n_layers"],
        max_len: golden.max_len,
    });
    golden.check(network.unwrap());
}

#[test]
fn states_and_gradients_of_caser_equal_pytorchs() {
    let golden = golden("caser");
    let network = Caser::new(CaserConfig {
        dim: golden.dim,
        window: golden.sizes["window"],
        n_horizontal: golden.sizes["n_horizontal"],
        n_vertical: golden.sizes["n_vertical"],
        max_len: golden.max_len,
    });
    // Every row, as in training, not the last window alone.
    golden.check_packed(network.unwrap(), |_, batch, history| batch.push(history));
}
