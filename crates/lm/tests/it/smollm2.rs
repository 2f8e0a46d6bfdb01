//! A real model from its GGUF file against `transformers` on the same file (`tests/golden/make.py`).

use std::path::PathBuf;

use hkfr_lm::Llama;
use serde::Deserialize;

use crate::golden::{dir, logits};

#[derive(Deserialize)]
struct Golden {
    text: String,
    ids: Vec<u32>,
    rows: Vec<Row>,
}

/// Some logits of the token after a position.
#[derive(Deserialize)]
struct Row {
    position: usize,
    tokens: Vec<usize>,
    logits: Vec<f32>,
}

#[test]
fn logits_of_smollm2_are_those_of_transformers() {
    let file = "smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf";
    let cache = std::env::var_os("HKFR_CACHE").map(PathBuf::from);
    let Some(path) = cache.map(|c| c.join(file)).filter(|p| p.exists()) else {
        eprintln!("skipped: HKFR_CACHE does not name a directory with {file}");
        return;
    };
    let bytes = std::fs::read(dir("smollm2.json")).unwrap();
    let golden: Golden = serde_json::from_slice(&bytes).unwrap();
    let (model, tokenizer) = Llama::open(&path).unwrap();
    assert_eq!(tokenizer.encode(&golden.text), golden.ids);
    let logits = logits(&model, None, &golden.ids);
    let rows: Vec<&[f32]> = logits.chunks_exact(model.config.vocab_size).collect();
    for row in &golden.rows {
        for (&token, expected) in row.tokens.iter().zip(&row.logits) {
            let found = rows[row.position][token];
            assert!(
                (found - expected).abs() <= 1e-3,
                "token {token} after position {}: {found}, not {expected}",
                row.position
            );
        }
    }
}
