//! A GGUF file as a decoder: its metadata as a [`LlamaConfig`], its tensors by Hugging Face names.
//!
//! Names: <https://github.com/ggml-org/llama.cpp/blob/master/gguf-py/gguf/constants.py>. The
//! converter of `llama` stores the query and key rows of a head interleaved for its RoPE; they are
//! put back here. Those of the others lie as Hugging Face has them; `glm4` turns neighbours there too.

use std::path::Path;

use crate::config::{Architecture, LlamaConfig, RopeScaling};
use crate::error::{Error, Result};
use crate::gguf::{Gguf, Value};
use crate::weights::Weights;

/// (Hugging Face, GGUF), below the layer.
const NAMES: [(&str, &str); 14] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
    ("mlp.gate_up_proj", "ffn_up"),
    ("post_self_attn_layernorm", "post_attention_norm"),
    ("post_mlp_layernorm", "post_ffw_norm"),
];

pub(crate) struct GgufModel<'a> {
    gguf: &'a Gguf,
    pub config: LlamaConfig,
}

impl<'a> GgufModel<'a> {
    pub fn new(gguf: &'a Gguf, path: &Path, vocab_size: usize) -> Result<Self> {
        let bad = |reason: String| Error::BadFile {
            path: path.into(),
            reason,
        };
        let name = gguf.metadata("general.architecture")?.as_text();
        let name = name.unwrap_or_default();
        let known = Architecture::ALL.into_iter();
        let mut architecture = known
            .clone()
            .find(|a| a.model_type == name)
            .ok_or_else(|| {
                let all: Vec<_> = known.map(|a| a.model_type).collect();
                bad(format!(
                    "architecture {name:?} is not supported in a GGUF file; {} are",
                    all.join(", ")
                ))
            })?;
        let glm = architecture == Architecture::GLM4;
        if glm {
            architecture.qkv_bias = gguf.has("blk.0.attn_q.bias");
        }
        let key = |k: &str| format!("{name}.{k}");
        if let Ok(kind) = gguf.metadata(&key("rope.scaling.type"))
            && kind.as_text() != Some("none")
        {
            return Err(bad(format!(
                "rope scaling {kind:?} is not supported; \"none\" and \"llama3\" (rope_freqs.weight) are"
            )));
        }
        // Images have positions of several dimensions; heads that guess further tokens are layers too.
        for k in ["rope.dimension_sections", "nextn_predict_layers"] {
            if gguf.metadata(&key(k)).is_ok_and(|v| v.as_int() != Some(0)) {
                return Err(bad(format!(
                    "{} is not supported; text models without it are",
                    key(k)
                )));
            }
        }
        let n_heads = gguf.int(&key("attention.head_count"))?;
        let hidden_size = gguf.int(&key("embedding_length"))?;
        let head_dim = gguf.int(&key("attention.key_length")).ok();
        let width = head_dim.unwrap_or(hidden_size / n_heads.max(1));
        let turning = gguf.int(&key("rope.dimension_count")).unwrap_or(width);
        if turning != width && !glm {
            return Err(bad(format!(
                "rope turns {turning} of {width} dimensions of a head; only all of them are supported"
            )));
        }
        let mut partial_rotary_factor = turning as f32 / width.max(1) as f32;
        if ((width as f32 * partial_rotary_factor) as usize) < turning {
            // The quotient was rounded down.
            partial_rotary_factor = partial_rotary_factor.next_up();
        }
        let divisors = gguf
            .has("rope_freqs.weight")
            .then(|| gguf.tensor("rope_freqs.weight", &[turning / 2]))
            .transpose()?;
        let config = LlamaConfig {
            vocab_size,
            hidden_size,
            intermediate_size: gguf.int(&key("feed_forward_length"))?,
            n_layers: gguf.int(&key("block_count"))?,
            n_heads,
            n_kv_heads: gguf.int(&key("attention.head_count_kv")).unwrap_or(n_heads),
            head_dim,
            rope_theta: gguf.float(&key("rope.freq_base")).unwrap_or(10_000.0),
            rope_scaling: divisors.map(RopeScaling::Divisors),
            partial_rotary_factor,
            rms_norm_eps: gguf.float(&key("attention.layer_norm_rms_epsilon"))?,
            max_positions: gguf.int(&key("context_length"))?,
            tie_word_embeddings: !gguf.has("output.weight"),
            architecture,
        };
        Ok(Self { gguf, config })
    }

    /// "SmolLM2-135M": base name and size, as far as the file has them.
    pub fn name(&self) -> String {
        let text = |key: &str| self.gguf.metadata(key).ok().and_then(Value::as_text);
        let name = text("general.basename").unwrap_or(self.config.architecture.model_type);
        let size = text("general.size_label").unwrap_or_default();
        format!("{name}-{size}").trim_end_matches('-').to_owned()
    }
}

impl Weights for GgufModel<'_> {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let (module, kind) = name.rsplit_once('.').unwrap_or((name, ""));
        let gguf_name = match module {
            "model.embed_tokens" => "token_embd".to_owned(),
            "model.norm" => "output_norm".to_owned(),
            "lm_head" => "output".to_owned(),
            _ => {
                let below = module.trim_start_matches("model.layers.").split_once('.');
                let (layer, part) = below.unwrap_or(("", module));
                let known = NAMES.iter().find(|n| n.0 == part);
                format!("blk.{layer}.{}", known.map_or(part, |n| n.1))
            }
        };
        let values = self.gguf.tensor(&format!("{gguf_name}.{kind}"), shape)?;
        let permuted = module.ends_with("q_proj") || module.ends_with("k_proj");
        if permuted && self.config.architecture == Architecture::LLAMA {
            let d_in = shape.get(1).copied().unwrap_or(1);
            return Ok(uninterleave(&values, self.config.head_dim(), d_in));
        }
        Ok(values)
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
