//! An adapter: `adapter_config.json` up to the first zero byte, `adapter_model.safetensors` after it.
#![no_main]

use std::path::Path;

use hkfr_lm::{Architecture, LlamaConfig, adapter_from_bytes, tensors_from_bytes};
use libfuzzer_sys::fuzz_target;

const MODEL: LlamaConfig = LlamaConfig {
    vocab_size: 37,
    hidden_size: 24,
    intermediate_size: 40,
    n_layers: 1,
    n_heads: 6,
    n_kv_heads: 2,
    head_dim: None,
    rope_theta: 10_000.0,
    rope_scaling: None,
    partial_rotary_factor: 1.0,
    rms_norm_eps: 1e-5,
    max_positions: 64,
    tie_word_embeddings: true,
    architecture: Architecture::LLAMA,
};

fuzz_target!(|bytes: &[u8]| {
    let zero = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let (config, weights) = bytes.split_at(zero);
    let weights = weights.get(1..).unwrap_or_default();
    let _ = tensors_from_bytes(Path::new("fuzz.safetensors"), weights);
    let _ = adapter_from_bytes(Path::new("fuzz"), config, weights, &MODEL);
});
