//! Decoding speed: 96 steps after a prefix of 256 tokens, for `benchmarks/lm/decode.py`.
//!
//! `cargo run --release -p hkfr-lm --example decode_speed -- MODEL.gguf {4,8,32} BATCH` prints JSON.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use hkfr_lm::{Bits, Decoder, Llama, Pool, QuantModel, Session, TokenTree};

const STEPS: usize = 96;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, bits, batch] = &args[..] else {
        return Err("usage: decode_speed MODEL.gguf {4,8,32} BATCH".into());
    };
    let batch: usize = batch.parse()?;
    let (model, _) = Llama::open(Path::new(model))?;
    let mut session = Session::default();
    session.pool = Pool::new(std::thread::available_parallelism()?.get());
    let bits = match bits.as_str() {
        "4" => Some(Bits::Four),
        "8" => Some(Bits::Eight),
        _ => None,
    };
    if let Some(bits) = bits {
        let weights = Arc::new(QuantModel::new(&model, bits)?);
        session.decoder = Some(Decoder::new(weights));
    }
    let prefix: Vec<u32> = (0..256).map(|i| 1000 + i * 37).collect();
    let mut tree = TokenTree::default();
    let root = tree.push(None, &prefix);
    let requests: Vec<usize> = (0..batch as u32)
        .map(|i| tree.push_with_room(Some(root), &[2000 + i], STEPS))
        .collect();
    session.prefill(&model, None, &tree);
    let start = Instant::now();
    for step in 0..STEPS as u32 {
        let rows: Vec<usize> = requests
            .iter()
            .map(|&r| tree.grow(r, 3000 + step))
            .collect();
        session.extend(&model, None, &tree);
        session.logits(&model, &rows);
    }
    let speed = (batch * STEPS) as f64 / start.elapsed().as_secs_f64();
    println!("{}", serde_json::json!({ "tokens_per_second": speed }));
    Ok(())
}
