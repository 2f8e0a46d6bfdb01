//! Instruction rows in the messages layout → token ids, for benchmarks against other engines.
//!
//! `cargo run --release -p hkfr-lm --example tokenise_rows -- MODEL.gguf ROWS.messages.jsonl > ROWS.json`
//! prints `[{"ids": […], "n_prefix": n, "n_prompt": n}, …]`: the system message is the prefix, and
//! what follows the prompt is the answer with its end.

use std::path::Path;

use hkfr_lm::Llama;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, rows] = &args[..] else {
        return Err("usage: tokenise_rows MODEL.gguf ROWS.messages.jsonl".into());
    };
    let (_, tokenizer) = Llama::open(Path::new(model))?;
    let mut out = Vec::new();
    for line in std::fs::read_to_string(rows)?.lines() {
        let row: serde_json::Value = serde_json::from_str(line)?;
        let content = |i: usize| row["messages"][i]["content"].as_str().ok_or("no content");
        let mut ids = tokenizer.message("system", content(0)?);
        let n_prefix = ids.len();
        ids.extend(tokenizer.message("user", content(1)?));
        ids.extend(tokenizer.answer_opening());
        let n_prompt = ids.len();
        ids.extend(tokenizer.encode(content(2)?));
        ids.push(tokenizer.chat()?.end);
        out.push(serde_json::json!({ "ids": ids, "n_prefix": n_prefix, "n_prompt": n_prompt }));
    }
    println!("{}", serde_json::to_string(&out)?);
    Ok(())
}
