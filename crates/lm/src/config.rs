//! The shape of a decoder: its sizes, its rotary embedding, and what its architecture does
//! otherwise than Llama.
//!
//! [`Architecture`] names every difference once. The forward and the backward pass ask for the
//! property ("are queries normalised?"), never for the name of a model, so that there is one of each.

use crate::error::{Error, Result};

/// What a family of models does otherwise than Llama (Touvron et al., arXiv 2302.13971).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Architecture {
    /// `model_type` of a `config.json`, `general.architecture` of a GGUF file.
    pub model_type: &'static str,
    /// q_proj, k_proj and v_proj add a bias.
    pub qkv_bias: bool,
    /// Each head of queries and keys passes an RMSNorm (`q_norm`, `k_norm`) before its rotation.
    pub qk_norm: bool,
    /// What attention and feed-forward add to the residual stream passes an RMSNorm of its own
    /// (`post_self_attn_layernorm`, `post_mlp_layernorm`).
    pub post_norms: bool,
    /// gate_proj and up_proj lie in the file as the upper and lower half of `gate_up_proj`.
    pub fused_gate_up: bool,
    /// RoPE turns dimension 2i with 2i + 1; otherwise i with i + d/2.
    pub interleaved_rope: bool,
}

impl Architecture {
    pub const LLAMA: Self = Self {
        model_type: "llama",
        qkv_bias: false,
        qk_norm: false,
        post_norms: false,
        fused_gate_up: false,
        interleaved_rope: false,
    };
    /// arXiv 2407.10671.
    pub const QWEN2: Self = Self {
        model_type: "qwen2",
        qkv_bias: true,
        ..Self::LLAMA
    };
    /// arXiv 2505.09388.
    pub const QWEN3: Self = Self {
        model_type: "qwen3",
        qk_norm: true,
        ..Self::LLAMA
    };
    /// GLM-4-0414, the dense models (arXiv 2406.12793).
    pub const GLM4: Self = Self {
        model_type: "glm4",
        qkv_bias: true,
        post_norms: true,
        fused_gate_up: true,
        interleaved_rope: true,
        ..Self::LLAMA
    };
    pub const ALL: [Self; 4] = [Self::LLAMA, Self::QWEN2, Self::QWEN3, Self::GLM4];
}

/// How the frequencies of the rotary embedding are stretched for a longer context.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// Llama 3.1: long waves are slowed by `factor`, short ones kept, those between interpolated.
    Llama3 {
        factor: f64,
        low_freq_factor: f64,
        high_freq_factor: f64,
        original_max_positions: usize,
    },
    /// A divisor for each frequency, as GGUF stores the same scaling (`rope_freqs.weight`).
    Divisors(Vec<f32>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct LlamaConfig {
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub n_layers: usize,
    pub n_heads: usize,
    pub n_kv_heads: usize,
    /// Width of a head if it is not hidden_size / n_heads.
    pub head_dim: Option<usize>,
    pub rope_theta: f32,
    pub rope_scaling: Option<RopeScaling>,
    /// Share of a head's dimensions that turn, from the first on.
    pub partial_rotary_factor: f32,
    pub rms_norm_eps: f32,
    pub max_positions: usize,
    /// Logits are products with the input embeddings; otherwise with `lm_head`.
    pub tie_word_embeddings: bool,
    pub architecture: Architecture,
}

impl LlamaConfig {
    pub fn head_dim(&self) -> usize {
        self.head_dim
            .unwrap_or(self.hidden_size / self.n_heads.max(1))
    }

    /// Width of queries: n_heads × head_dim.
    pub fn q_size(&self) -> usize {
        self.n_heads * self.head_dim()
    }

    /// Width of keys and values: n_kv_heads × head_dim.
    pub fn kv_size(&self) -> usize {
        self.n_kv_heads * self.head_dim()
    }

    /// Dimensions of a head that turn.
    pub fn rotary_dim(&self) -> usize {
        (self.head_dim() as f32 * self.partial_rotary_factor) as usize
    }

    pub(crate) fn check(self) -> Result<Self> {
        let c = &self;
        let divisors = match &c.rope_scaling {
            Some(RopeScaling::Divisors(d)) => d.len() * 2 == c.rotary_dim(),
            _ => true,
        };
        // Far beyond any model; below them no product of sizes overflows.
        let sizes = [
            (c.vocab_size, 1 << 24),
            (c.hidden_size, 1 << 20),
            (c.intermediate_size, 1 << 22),
            (c.n_layers, 1 << 12),
            (c.max_positions, 1 << 24),
            (c.n_heads, 1 << 16),
            (c.n_kv_heads, 1 << 16),
            (c.head_dim.unwrap_or(1), 1 << 16),
        ];
        let finite = c.rope_theta.is_finite()
            && c.rope_theta > 0.0
            && c.rms_norm_eps.is_finite()
            && c.rms_norm_eps >= 0.0;
        let fits = finite
            && sizes.iter().all(|(n, limit)| (1..=*limit).contains(n))
            && (c.head_dim.is_some() || c.hidden_size.is_multiple_of(c.n_heads))
            && c.n_heads.is_multiple_of(c.n_kv_heads)
            && c.head_dim() > 0
            && c.rotary_dim() > 0
            && c.rotary_dim().is_multiple_of(2)
            && c.rotary_dim() <= c.head_dim()
            && divisors;
        if fits {
            Ok(self)
        } else {
            Err(Error::Config(format!(
                "not a geometry that a model has: {self:?}"
            )))
        }
    }
}
