//! A Llama decoder's weights (Touvron et al., arXiv 2302.13971) in `f32`, with tied embeddings.
//!
//! Names are Hugging Face's; matrices are row-major (d_out, d_in). GGUF stores the query and key
//! rows of a head interleaved for its RoPE; they are put back into Hugging Face order at load, so
//! that an adapter means the same here and in `peft`.

use std::path::Path;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::{Error, Result};
use crate::gguf::Gguf;
use crate::kernels::Rope;
use crate::tokenizer::Tokenizer;

#[derive(Debug, Clone, PartialEq)]
pub struct LlamaConfig {
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub n_layers: usize,
    pub n_heads: usize,
    pub n_kv_heads: usize,
    pub rope_theta: f32,
    pub rms_norm_eps: f32,
    pub max_positions: usize,
}

impl LlamaConfig {
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.n_heads
    }

    /// Width of keys and values: n_kv_heads × head_dim.
    pub fn kv_size(&self) -> usize {
        self.n_kv_heads * self.head_dim()
    }

    fn check(self) -> Result<Self> {
        let c = &self;
        // Far beyond any model; below them no product of sizes overflows.
        let sizes = [
            (c.vocab_size, 1 << 24),
            (c.hidden_size, 1 << 20),
            (c.intermediate_size, 1 << 22),
            (c.n_layers, 1 << 12),
            (c.max_positions, 1 << 24),
        ];
        let fits = sizes.iter().all(|(n, limit)| (1..=*limit).contains(n))
            && c.rope_theta.is_finite()
            && c.rope_theta > 0.0
            && c.rms_norm_eps.is_finite()
            && c.rms_norm_eps >= 0.0
            && c.n_heads > 0
            && c.n_kv_heads > 0
            && c.hidden_size.is_multiple_of(c.n_heads)
            && c.n_heads.is_multiple_of(c.n_kv_heads)
            && c.head_dim().is_multiple_of(2);
        if fits {
            Ok(self)
        } else {
            Err(Error::Config(format!("not a Llama geometry: {self:?}")))
        }
    }
}

pub(crate) struct Layer {
    pub input_layernorm: Vec<f32>,
    pub q_proj: Vec<f32>,
    pub k_proj: Vec<f32>,
    pub v_proj: Vec<f32>,
    pub o_proj: Vec<f32>,
    pub post_attention_layernorm: Vec<f32>,
    pub gate_proj: Vec<f32>,
    pub up_proj: Vec<f32>,
    pub down_proj: Vec<f32>,
}

pub struct Llama {
    pub config: LlamaConfig,
    pub(crate) embed_tokens: Vec<f32>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) norm: Vec<f32>,
    pub(crate) rope: Rope,
    /// Name for manifests and `adapter_config.json`.
    pub name: String,
}

impl Llama {
    /// Weights and tokenizer of one GGUF file.
    pub fn open(path: &Path) -> Result<(Self, Tokenizer)> {
        Self::from_gguf(&Gguf::open(path)?)
    }

    /// Weights and tokenizer of an open GGUF file.
    pub fn from_gguf(gguf: &Gguf) -> Result<(Self, Tokenizer)> {
        let path = gguf.path();
        let tokenizer = Tokenizer::from_gguf(gguf)?;
        let architecture = gguf.metadata("general.architecture")?.as_text();
        if architecture != Some("llama") {
            return Err(Error::BadFile {
                path: path.into(),
                reason: format!("architecture {architecture:?}; only \"llama\" is supported"),
            });
        }
        let config = LlamaConfig {
            vocab_size: tokenizer.vocab_size(),
            hidden_size: gguf.int("llama.embedding_length")?,
            intermediate_size: gguf.int("llama.feed_forward_length")?,
            n_layers: gguf.int("llama.block_count")?,
            n_heads: gguf.int("llama.attention.head_count")?,
            n_kv_heads: gguf.int("llama.attention.head_count_kv")?,
            rope_theta: gguf.float("llama.rope.freq_base")?,
            rms_norm_eps: gguf.float("llama.attention.layer_norm_rms_epsilon")?,
            max_positions: gguf.int("llama.context_length")?,
        }
        .check()?;
        let (d, f, kv) = (
            config.hidden_size,
            config.intermediate_size,
            config.kv_size(),
        );
        // Sines and cosines of every position: not in the file, so not bounded by it.
        if !gguf.affords(config.max_positions as u64 * config.head_dim() as u64 * 4) {
            return Err(Error::BadFile {
                path: path.into(),
                reason: format!(
                    "a context of {} positions is out of proportion to the file; it is damaged: fetch it again",
                    config.max_positions
                ),
            });
        }
        let mut layers = Vec::new();
        for i in 0..config.n_layers {
            let tensor =
                |name: &str, shape: &[usize]| gguf.tensor(&format!("blk.{i}.{name}.weight"), shape);
            layers.push(Layer {
                input_layernorm: tensor("attn_norm", &[d])?,
                q_proj: uninterleave(&tensor("attn_q", &[d, d])?, config.head_dim(), d),
                k_proj: uninterleave(&tensor("attn_k", &[kv, d])?, config.head_dim(), d),
                v_proj: tensor("attn_v", &[kv, d])?,
                o_proj: tensor("attn_output", &[d, d])?,
                post_attention_layernorm: tensor("ffn_norm", &[d])?,
                gate_proj: tensor("ffn_gate", &[f, d])?,
                up_proj: tensor("ffn_up", &[f, d])?,
                down_proj: tensor("ffn_down", &[d, f])?,
            });
        }
        let name = gguf
            .metadata("general.basename")
            .ok()
            .and_then(|v| v.as_text())
            .unwrap_or("llama");
        let size = gguf
            .metadata("general.size_label")
            .ok()
            .and_then(|v| v.as_text())
            .unwrap_or_default();
        let model = Self {
            embed_tokens: gguf.tensor("token_embd.weight", &[config.vocab_size, d])?,
            norm: gguf.tensor("output_norm.weight", &[d])?,
            layers,
            rope: Rope::new(config.head_dim(), config.rope_theta, config.max_positions),
            name: format!("{name}-{size}").trim_end_matches('-').to_owned(),
            config,
        };
        Ok((model, tokenizer))
    }

    /// Random weights: a model for tests, of any geometry, that needs no file.
    pub fn random(config: LlamaConfig, seed: u64) -> Result<Self> {
        let config = config.check()?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut matrix = |n: usize, d_in: usize| -> Vec<f32> {
            let bound = (3.0 / d_in as f32).sqrt();
            (0..n).map(|_| rng.random_range(-bound..bound)).collect()
        };
        let (d, f, kv) = (
            config.hidden_size,
            config.intermediate_size,
            config.kv_size(),
        );
        let layers = (0..config.n_layers)
            .map(|_| Layer {
                input_layernorm: vec![1.0; d],
                q_proj: matrix(d * d, d),
                k_proj: matrix(kv * d, d),
                v_proj: matrix(kv * d, d),
                o_proj: matrix(d * d, d),
                post_attention_layernorm: vec![1.0; d],
                gate_proj: matrix(f * d, d),
                up_proj: matrix(f * d, d),
                down_proj: matrix(d * f, f),
            })
            .collect();
        Ok(Self {
            embed_tokens: matrix(config.vocab_size * d, 3),
            norm: vec![1.0; d],
            layers,
            rope: Rope::new(config.head_dim(), config.rope_theta, config.max_positions),
            name: "random".into(),
            config,
        })
    }

    /// The scale of the final RMSNorm, width `hidden_size`.
    pub fn final_norm(&self) -> &[f32] {
        &self.norm
    }

    /// The (tied) embedding of a token, width `hidden_size`.
    pub fn embedding(&self, token: u32) -> &[f32] {
        let d = self.config.hidden_size;
        &self.embed_tokens[token as usize * d..(token as usize + 1) * d]
    }
}

/// Row 2j + s of a head goes to row s·(d/2) + j.
fn uninterleave(w: &[f32], head_dim: usize, d_in: usize) -> Vec<f32> {
    let mut out = vec![0.0; w.len()];
    for (row, values) in w.chunks_exact(d_in).enumerate() {
        let (head, r) = (row / head_dim, row % head_dim);
        let to = head * head_dim + r % 2 * (head_dim / 2) + r / 2;
        out[to * d_in..(to + 1) * d_in].copy_from_slice(values);
    }
    out
}
