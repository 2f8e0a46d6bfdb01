//! What a token costs in a prompt, or an example of a LoRA step, of so many tokens.
//!
//! `cargo run --release -p hkfr-lm --example cost -- MODEL.gguf ROWS.json {prefill,tune} TOKENS SECONDS {f32,bf16}`
//! Two threads, each with one prompt or example at a time; an example has eight labels, at its end.
//! The tokens are those of the rows, one row after the other. Prints JSON.

use std::time::Instant;

use hkfr_lm::{AdamW, Example, Label, Lora, LoraConfig, Session, TokenTree, Trainer};
use serde::Deserialize;

#[path = "shared/memory.rs"]
mod memory;
#[path = "shared/model.rs"]
mod model;

const N_THREADS: usize = 2;
const N_LABELS: usize = 8;

#[derive(Deserialize)]
struct Row {
    ids: Vec<u32>,
}

/// Calls `pass` once to warm up, then until `seconds` are over: how often and how long.
fn timed(seconds: f64, mut pass: impl FnMut()) -> (usize, f64) {
    pass();
    let start = Instant::now();
    let mut n = 0;
    while n == 0 || start.elapsed().as_secs_f64() < seconds {
        pass();
        n += 1;
    }
    (n, start.elapsed().as_secs_f64())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [path, rows, how, n_tokens, seconds, precision] = &args[..] else {
        return Err(
            "usage: cost MODEL.gguf ROWS.json {prefill,tune} TOKENS SECONDS {f32,bf16}".into(),
        );
    };
    let (n_tokens, seconds): (usize, f64) = (n_tokens.parse()?, seconds.parse()?);
    let model = model::open(path, precision)?;
    let rows: Vec<Row> = serde_json::from_str(&std::fs::read_to_string(rows)?)?;
    let ids: Vec<u32> = rows.into_iter().flat_map(|r| r.ids).collect();
    if ids.len() < N_THREADS * n_tokens {
        return Err("the rows have too few tokens".into());
    }
    let trees = ids.chunks_exact(n_tokens).take(N_THREADS).map(|ids| {
        let mut tree = TokenTree::default();
        tree.push(None, ids);
        tree
    });
    let (passes, wall) = if how == "tune" {
        let batch: Vec<Example> = trees
            .map(|tree| {
                let label = |row| Label {
                    row,
                    token: tree.tokens()[row + 1],
                    weight: 1.0,
                };
                Example {
                    labels: (n_tokens - 1 - N_LABELS..n_tokens - 1).map(label).collect(),
                    tree,
                    taps: Vec::new(),
                }
            })
            .collect();
        let config = LoraConfig {
            rank: 8,
            alpha: 16.0,
            ..LoraConfig::default()
        };
        let mut lora = Lora::new(config, &model.config, 0);
        let mut adam = AdamW::new(lora.params.len(), 0.01);
        let mut grads = vec![0.0; lora.params.len()];
        let mut trainer = Trainer::new(N_THREADS);
        timed(seconds, || {
            let stats = trainer.gradient(&model, &lora, &batch, None, &mut grads);
            let clip = (1.0 / stats.grad_norm).min(1.0);
            adam.update(&mut lora.params, &grads, clip, 5e-4);
        })
    } else {
        let mut work: Vec<(Session, TokenTree)> =
            trees.map(|tree| (Session::default(), tree)).collect();
        timed(seconds, || {
            std::thread::scope(|scope| {
                for (session, tree) in &mut work {
                    scope.spawn(|| {
                        session.prefill(&model, None, tree);
                        session.logits(&model, &[n_tokens - 1]);
                    });
                }
            });
        })
    };
    println!(
        "{}",
        serde_json::json!({
            "tokens_per_second": (passes * N_THREADS * n_tokens) as f64 / wall,
            "passes": passes,
            "peak_mb": memory::peak_mb(),
        })
    );
    Ok(())
}
