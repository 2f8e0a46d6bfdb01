//! How fast lists are ranked and scored; prints one JSON object. `benchmarks/eval.py` runs it.
//!
//! - `eval_speed dense SCORES.f32 TARGETS.u32 N_ITEMS K`: rows of scores (little-endian, row by
//!   row) and one target a row, read before the clock starts
//! - `eval_speed trec RUN.trec QRELS.trec K`: from opening the files to the means

use std::path::Path;
use std::time::Instant;

use hkfr_eval::{Metric, MetricAt, Repeats, dense, score, trec};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (seconds, means) = match *args.as_slice() {
        ["dense", scores, targets, n_items, k] => {
            let scores = words(scores, f32::from_le_bytes)?;
            let targets = words(targets, |b| vec![u32::from_le_bytes(b)])?;
            let (n_items, k) = (n_items.parse()?, k.parse()?);
            let start = Instant::now();
            let ranked = dense::rank_rows(&scores, n_items, &targets, &[], k)?;
            let mean = |metric| {
                let at = MetricAt { metric, k };
                ranked.iter().map(|r| at.value(&r.ranks)).sum::<f64>() / ranked.len() as f64
            };
            let means = Metric::EVERY.map(mean);
            (start.elapsed().as_secs_f64(), means.to_vec())
        }
        ["trec", run, qrels, k] => {
            let start = Instant::now();
            let run = trec::read_run(Path::new(run), "item")?;
            let truth = trec::read_qrels(Path::new(qrels), "item")?;
            let scores = score(&truth, &run, &[k.parse()?], Repeats::Allow)?;
            let means = scores.0.into_iter().map(|s| s.1).collect();
            (start.elapsed().as_secs_f64(), means)
        }
        _ => return Err("see the head of this file for the arguments".into()),
    };
    let names = Metric::EVERY.map(|m| m.to_string().to_lowercase());
    let means: serde_json::Map<String, serde_json::Value> = names
        .into_iter()
        .zip(means.into_iter().map(Into::into))
        .collect();
    println!(
        "{}",
        serde_json::json!({ "seconds": seconds, "means": means })
    );
    Ok(())
}

fn words<T>(path: &str, read: impl Fn([u8; 4]) -> T) -> std::io::Result<Vec<T>> {
    let bytes = fs_err::read(path)?;
    let words = bytes
        .chunks_exact(4)
        .map(|b| read([b[0], b[1], b[2], b[3]]));
    Ok(words.collect())
}
