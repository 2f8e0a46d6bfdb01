//! A random Llama with grouped queries, small enough for finite differences.

use hkfr_lm::{Architecture, Llama, LlamaConfig, Lora, LoraConfig};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub fn model() -> Llama {
    let config = LlamaConfig {
        vocab_size: 37,
        hidden_size: 24,
        intermediate_size: 40,
        n_layers: 3,
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
    Llama::random(config, 7).unwrap()
}

/// An adapter whose B is not zero, so that every gradient is alive.
pub fn lora(model: &Llama) -> Lora {
    let mut lora = Lora::new(
        LoraConfig {
            rank: 4,
            alpha: 6.0,
            ..LoraConfig::default()
        },
        &model.config,
        3,
    );
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    lora.params
        .iter_mut()
        .for_each(|p| *p = rng.random_range(-0.3..0.3));
    lora
}

pub fn tokens(n: usize, seed: u64) -> Vec<u32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| rng.random_range(0..37)).collect()
}

pub fn assert_close(a: &[f32], b: &[f32], tolerance: f32) {
    assert_eq!(a.len(), b.len());
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!(
            (a - b).abs() <= tolerance * (1.0 + a.abs().max(b.abs())),
            "at {i}: {a} and {b}"
        );
    }
}
