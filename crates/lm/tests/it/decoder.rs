use std::sync::Arc;

use hkfr_lm::{Bits, Decoder, Llama, LlamaConfig, Pool, QuantModel, Session, TokenTree};

use crate::tiny;

fn model() -> Llama {
    let config = LlamaConfig {
        hidden_size: 96,
        intermediate_size: 160,
        max_positions: 128,
        ..tiny::model().config
    };
    Llama::random(config, 5).unwrap()
}

/// Logits after a prompt and `steps` further tokens, decoded one by one for each of `batch` requests.
fn decode(model: &Llama, bits: Option<Bits>, batch: usize, steps: usize) -> Vec<Vec<f32>> {
    let mut session = Session::default();
    session.pool = Pool::new(2);
    session.decoder = bits.map(|bits| {
        let weights = Arc::new(QuantModel::new(model, bits).unwrap());
        Decoder::new(weights)
    });
    let mut tree = TokenTree::default();
    let root = tree.push(None, &tiny::tokens(40, 3));
    let requests: Vec<usize> = (0..batch as u32)
        .map(|i| tree.push_with_room(Some(root), &[i % 37], steps))
        .collect();
    session.prefill(model, None, &tree);
    let mut rows = Vec::new();
    for step in 0..steps as u32 {
        rows = requests
            .iter()
            .map(|&r| tree.grow(r, (7 * step + r as u32) % 37))
            .collect();
        session.extend(model, None, &tree);
    }
    let logits = session.logits(model, &rows);
    logits
        .chunks_exact(model.config.vocab_size)
        .map(<[f32]>::to_vec)
        .collect()
}

fn largest_difference(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn rounded_weights_say_nearly_what_the_exact_ones_say() {
    let model = model();
    let exact = decode(&model, None, 3, 6);
    let spread = exact.iter().flatten().fold(0.0f32, |m, x| m.max(x.abs()));
    let eight = largest_difference(&exact, &decode(&model, Some(Bits::Eight), 3, 6));
    let four = largest_difference(&exact, &decode(&model, Some(Bits::Four), 3, 6));
    assert!(0.0 < eight && eight < 0.03 * spread, "{eight} of {spread}");
    assert!(eight < four && four < 0.4 * spread, "{four} of {spread}");
}

#[test]
fn a_request_in_a_batch_gets_what_it_gets_alone() {
    let model = model();
    let together = decode(&model, Some(Bits::Four), 9, 4);
    let alone = decode(&model, Some(Bits::Four), 1, 4);
    assert!(largest_difference(&together[..1], &alone) < 1e-4);
}

#[test]
fn a_width_that_blocks_do_not_divide_is_refused() {
    let error = QuantModel::new(&tiny::model(), Bits::Four).err().unwrap();
    assert!(error.to_string().contains("24 weights"), "{error}");
}
