//! Speed of the engine on one model: tokens a second of prefill and of a LoRA step.
//!
//! `cargo run --release -p hkfr-lm --example speed -- MODEL.gguf`

use std::path::Path;
use std::time::Instant;

use hkfr_lm::{Example, Label, Llama, Lora, LoraConfig, Session, TokenTree, Trainer};

/// Median seconds of five calls, after one to warm up.
fn median(mut f: impl FnMut()) -> f64 {
    f();
    let mut times: Vec<f64> = (0..5)
        .map(|_| {
            let start = Instant::now();
            f();
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[2]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: speed MODEL.gguf")?;
    let (model, tokenizer) = Llama::open(Path::new(&path))?;
    let ids = |n: usize| -> Vec<u32> {
        (0..n as u32)
            .map(|i| 1000 + i * 37 % (tokenizer.vocab_size() as u32 - 1000))
            .collect()
    };
    let n_threads = std::thread::available_parallelism()?.get();
    // Prefill: 8 sequences of 128 tokens, dealt to the threads.
    let mut trees = Vec::new();
    for _ in 0..n_threads {
        let mut tree = TokenTree::default();
        for _ in 0..8 / n_threads {
            tree.push(None, &ids(128));
        }
        trees.push(tree);
    }
    let mut sessions: Vec<Session> = (0..n_threads).map(|_| Session::default()).collect();
    let seconds = median(|| {
        std::thread::scope(|scope| {
            for (session, tree) in sessions.iter_mut().zip(&trees) {
                scope.spawn(|| session.prefill(&model, None, tree));
            }
        });
    });
    println!("prefill 8x128: {:.0} tok/s", 1024.0 / seconds);
    // One pass of 16 new tokens a thread, with all logits: what candidate search does.
    let seconds = median(|| {
        std::thread::scope(|scope| {
            for (session, tree) in sessions.iter_mut().zip(&trees) {
                scope.spawn(|| {
                    let mut tree = tree.clone();
                    session.prefill(&model, None, &tree);
                    let start = Instant::now();
                    let rows: Vec<usize> = (0..16)
                        .map(|_| {
                            let s = tree.push(Some(0), &[5000]);
                            tree.rows(s).start
                        })
                        .collect();
                    session.extend(&model, None, &tree);
                    let a = start.elapsed().as_secs_f64();
                    session.logits(&model, &rows);
                    eprintln!(
                        "  16 rows: extend {:.1} ms, with logits {:.1} ms",
                        a * 1e3,
                        start.elapsed().as_secs_f64() * 1e3
                    );
                });
            }
        });
    });
    let _ = seconds;
    // A LoRA step: 8 users, a prefix of 160 tokens and 9 branches of 24 with 4 labels each.
    let config = LoraConfig {
        rank: 8,
        alpha: 16.0,
        ..LoraConfig::default()
    };
    let lora = Lora::new(config, &model.config, 1);
    let packed: Vec<Example> = (0..8)
        .map(|_| {
            let mut e = Example::default();
            let root = e.tree.push(None, &ids(160));
            for _ in 0..9 {
                let s = e.tree.push(Some(root), &ids(24));
                let end = e.tree.rows(s).end;
                e.labels.extend((end - 4..end).map(|row| Label {
                    row,
                    token: 77,
                    weight: 1.0,
                }));
            }
            e
        })
        .collect();
    let equal: Vec<Example> = (0..8)
        .map(|_| {
            let mut e = Example::default();
            e.tree.push(None, &ids(256));
            e.labels.extend((248..256).map(|row| Label {
                row,
                token: 77,
                weight: 1.0,
            }));
            e
        })
        .collect();
    for (name, batch) in [("packed users", packed), ("8x256", equal)] {
        let tokens: usize = batch.iter().map(|e| e.tree.len()).sum();
        let mut trainer = Trainer::new(n_threads);
        let mut grads = vec![0.0; lora.params.len()];
        let seconds = median(|| {
            trainer.gradient(&model, &lora, &batch, None, &mut grads);
        });
        println!("LoRA step, {name}: {:.0} tok/s", tokens as f64 / seconds);
    }
    Ok(())
}
