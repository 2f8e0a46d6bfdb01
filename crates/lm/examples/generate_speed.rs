//! Speed of generation for many requests of mixed length.
//!
//! `cargo run --release -p hkfr-lm --example generate_speed -- MODEL.gguf BATCH {32,8,4}` prints tokens a second
//! of 64 requests, which share a prefix of 64 tokens, have prompts of 4 to 40 and say 4 to 128.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use hkfr_lm::{
    Bits, Decoder, GenerateConfig, Generator, Llama, Pool, QuantModel, Request, Vocabulary,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, batch, bits] = &args[..] else {
        return Err("usage: generate_speed MODEL.gguf BATCH {32,8,4}".into());
    };
    let (model, tokenizer) = Llama::open(Path::new(model))?;
    let mut generator = Generator::new(&model, None, Arc::new(Vocabulary::of(&tokenizer)));
    generator.batch_size = batch.parse()?;
    let session = generator.session();
    session.pool = Pool::new(std::thread::available_parallelism()?.get());
    let bits = [("8", Bits::Eight), ("4", Bits::Four)]
        .into_iter()
        .find(|b| b.0 == bits);
    if let Some((_, bits)) = bits {
        session.decoder = Some(Decoder::new(Arc::new(QuantModel::new(&model, bits)?)));
    }
    let prefix: Vec<u32> = (0..64).map(|i| 1000 + i * 37).collect();
    let requests = (0..64).map(|i| Request {
        prompt: (0..4 + i * 7 % 37).map(|t| 2000 + i * 41 + t).collect(),
        config: GenerateConfig {
            // 4..=128, in an order that mixes short and long.
            max_new_tokens: Some(4 + (i as usize * 29 % 64) * 124 / 63),
            ..GenerateConfig::default()
        },
        ..Request::default()
    });
    let start = Instant::now();
    let outputs = generator.generate(&prefix, requests.collect())?;
    let n: usize = outputs.iter().map(|o| o.tokens.len()).sum();
    println!("{:.1}", n as f64 / start.elapsed().as_secs_f64());
    Ok(())
}
