//! Prompts → logits after their last tokens, for `benchmarks/lm/prefill.py`.
//!
//! `cargo run --release -p hkfr-lm --example prefill -- MODEL.gguf PROMPTS.json SECONDS LOGITS.f32 {f32,bf16}`
//! with `PROMPTS.json` = `[[token ids], …]`. Two threads take whole prompts; a single one is shared by
//! both. Prints JSON; the logits are little-endian, (prompts, vocabulary).

use std::sync::Mutex;
use std::time::Instant;

use hkfr_lm::{Llama, Pool, Session, TokenTree};

#[path = "shared/memory.rs"]
mod memory;
#[path = "shared/model.rs"]
mod model;

const N_THREADS: usize = 2;

fn pass(model: &Llama, sessions: &mut [Session], prompts: &[Vec<u32>], logits: &mut [f32]) {
    let rows = logits.chunks_exact_mut(model.config.vocab_size);
    let work = Mutex::new(prompts.iter().zip(rows));
    std::thread::scope(|scope| {
        for session in sessions {
            scope.spawn(|| {
                let next = || work.lock().expect("a thread panicked").next();
                while let Some((ids, logits)) = next() {
                    let mut tree = TokenTree::default();
                    tree.push(None, ids);
                    session.prefill(model, None, &tree);
                    logits.copy_from_slice(session.logits(model, &[ids.len() - 1]));
                }
            });
        }
    });
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [path, prompts, seconds, out, precision] = &args[..] else {
        return Err("usage: prefill MODEL.gguf PROMPTS.json SECONDS LOGITS.f32 {f32,bf16}".into());
    };
    let model = model::open(path, precision)?;
    let prompts: Vec<Vec<u32>> = serde_json::from_str(&std::fs::read_to_string(prompts)?)?;
    let seconds: f64 = seconds.parse()?;
    let mut sessions = Vec::new();
    sessions.resize_with(N_THREADS.min(prompts.len()), Session::default);
    if let [session] = &mut sessions[..] {
        session.pool = Pool::new(N_THREADS);
    }
    let mut logits = vec![0.0; prompts.len() * model.config.vocab_size];
    pass(&model, &mut sessions, &prompts, &mut logits);
    let start = Instant::now();
    let mut n = 0;
    while start.elapsed().as_secs_f64() < seconds {
        pass(&model, &mut sessions, &prompts, &mut logits);
        n += prompts.iter().map(Vec::len).sum::<usize>();
    }
    let speed = n as f64 / start.elapsed().as_secs_f64();
    let bytes: Vec<u8> = logits.iter().flat_map(|l| l.to_le_bytes()).collect();
    std::fs::write(out, bytes)?;
    println!(
        "{}",
        serde_json::json!({
            "tokens_per_second": speed,
            "peak_mb": memory::peak_mb(),
        })
    );
    Ok(())
}
