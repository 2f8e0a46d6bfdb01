//! LoRA steps of 32 instruction rows, for comparison with `benchmarks/lm/peft_step.py`.
//!
//! `cargo run --release -p hkfr-lm --example tune_rows -- MODEL.gguf ROWS.json {packed,alone} SECONDS {f32,bf16}`
//! `packed`: rows that share a prefix are branches of it, as in the product. `alone`: every row by
//! itself. Prints one JSON object.

use std::time::Instant;

use hkfr_lm::{AdamW, Example, Label, Lora, LoraConfig, Trainer};
use serde::Deserialize;

#[path = "shared/memory.rs"]
mod memory;
#[path = "shared/model.rs"]
mod model;

#[derive(Deserialize)]
struct Row {
    ids: Vec<u32>,
    n_prefix: usize,
    n_prompt: usize,
}

/// Rows → trees: one a run of rows with the same prefix if `packed`, else one a row.
fn pack(rows: &[Row], packed: bool) -> Vec<Example> {
    let n_prefix = |row: &Row| if packed { row.n_prefix } else { 0 };
    let same = |a: &Row, b: &Row| packed && a.ids[..a.n_prefix] == b.ids[..b.n_prefix];
    let mut examples = Vec::new();
    for group in rows.chunk_by(same) {
        let mut example = Example::default();
        let prefix = &group[0].ids[..n_prefix(&group[0])];
        let parent = (!prefix.is_empty()).then(|| example.tree.push(None, prefix));
        for row in group {
            // The last token predicts nothing.
            let tokens = &row.ids[n_prefix(row)..row.ids.len() - 1];
            let segment = example.tree.push(parent, tokens);
            let start = example.tree.rows(segment).start + row.n_prompt - n_prefix(row) - 1;
            let answer = row.ids[row.n_prompt..].iter().enumerate();
            example.labels.extend(answer.map(|(i, &token)| Label {
                row: start + i,
                token,
                weight: 1.0,
            }));
        }
        examples.push(example);
    }
    examples
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [path, rows, how, seconds, precision] = &args[..] else {
        return Err(
            "usage: tune_rows MODEL.gguf ROWS.json {packed,alone} SECONDS {f32,bf16}".into(),
        );
    };
    let seconds: f64 = seconds.parse()?;
    let model = model::open(path, precision)?;
    let rows: Vec<Row> = serde_json::from_str(&std::fs::read_to_string(rows)?)?;
    let config = LoraConfig {
        rank: 8,
        alpha: 16.0,
        ..LoraConfig::default()
    };
    let mut lora = Lora::new(config, &model.config, 0);
    let mut adam = AdamW::new(lora.params.len(), 0.01);
    let mut grads = vec![0.0; lora.params.len()];
    let mut trainer = Trainer::new(std::thread::available_parallelism()?.get());
    let mut step = |rows: &[Row]| {
        let batch = pack(rows, how == "packed");
        let stats = trainer.gradient(&model, &lora, &batch, None, &mut grads);
        let clip = (1.0 / stats.grad_norm).min(1.0);
        adam.update(&mut lora.params, &grads, clip, 5e-4);
        stats.token_loss
    };
    let mut steps = rows.chunks_exact(32);
    let first = step(steps.next().ok_or("fewer than 32 rows")?);
    let (mut done, mut tokens) = (0, 0);
    let start = Instant::now();
    for rows in steps {
        step(rows);
        done += rows.len();
        tokens += rows.iter().map(|r| r.ids.len()).sum::<usize>();
        if start.elapsed().as_secs_f64() > seconds {
            break;
        }
    }
    let wall = start.elapsed().as_secs_f64();
    println!(
        "{}",
        serde_json::json!({
            "rows_per_second": f64::from(done as u32) / wall,
            "tokens_per_second": tokens as f64 / wall,
            "rows": done,
            "seconds": wall,
            "first_loss": first,
            "peak_mb": memory::peak_mb(),
        })
    );
    Ok(())
}
