//! `config.json` of a Hugging Face model → [`LlamaConfig`].
//!
//! The rotary embedding is read as files of both generations write it: `rope_theta`, `rope_scaling`
//! and `partial_rotary_factor` at the top, or all of them within `rope_parameters`. What the decoder
//! doesn't compute is an error that names the key, its value, and what is supported.

use std::path::Path;

use serde::Deserialize;

use crate::config::{Architecture, LlamaConfig, RopeScaling};
use crate::error::{Error, Result};

#[derive(Deserialize)]
struct ConfigJson {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    hidden_act: Option<String>,
    max_position_embeddings: usize,
    rms_norm_eps: Option<f32>,
    tie_word_embeddings: Option<bool>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    use_sliding_window: Option<bool>,
    rope_theta: Option<f32>,
    partial_rotary_factor: Option<f32>,
    rope_scaling: Option<RopeJson>,
    rope_parameters: Option<RopeJson>,
}

#[derive(Default, Deserialize)]
struct RopeJson {
    #[serde(alias = "type")]
    rope_type: Option<String>,
    rope_theta: Option<f32>,
    partial_rotary_factor: Option<f32>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<usize>,
}

/// `has_lm_head` decides whether embeddings are tied where the file does not say it.
pub(crate) fn read(path: &Path, has_lm_head: bool) -> Result<LlamaConfig> {
    let bad = |reason: String| Error::BadFile {
        path: path.into(),
        reason,
    };
    let value: serde_json::Value =
        serde_json::from_slice(&fs_err::read(path)?).map_err(|e| bad(e.to_string()))?;
    let model_type = value["model_type"].as_str().unwrap_or_default().to_owned();
    let mut architecture = Architecture::ALL
        .into_iter()
        .find(|a| a.model_type == model_type)
        .ok_or_else(|| {
            let all = Architecture::ALL.map(|a| a.model_type).join(", ");
            bad(format!(
                "model_type {model_type:?} is not supported; {all} are"
            ))
        })?;
    let json: ConfigJson = serde_json::from_value(value).map_err(|e| bad(e.to_string()))?;
    let glm = architecture == Architecture::GLM4;
    let act = json.hidden_act.as_deref().unwrap_or("silu");
    if act != "silu" {
        return Err(bad(format!(
            "hidden_act {act:?} is not supported; \"silu\" is"
        )));
    }
    if glm {
        architecture.qkv_bias = json.attention_bias.unwrap_or(true);
    } else if json.attention_bias == Some(true) && architecture != Architecture::QWEN2 {
        return Err(bad(format!(
            "attention_bias true is not supported for {model_type:?}"
        )));
    }
    for (key, value) in [
        ("mlp_bias", json.mlp_bias),
        ("use_sliding_window", json.use_sliding_window),
    ] {
        if value == Some(true) {
            return Err(bad(format!("{key} true is not supported; false is")));
        }
    }
    // In files of the older generation `rope_scaling` is null when there is none.
    let rope = json.rope_parameters.or(json.rope_scaling);
    let rope = rope.unwrap_or_default();
    let max_positions = json.max_position_embeddings;
    let rope_scaling = match rope.rope_type.as_deref().unwrap_or("default") {
        "default" => None,
        "llama3" => {
            let need = |key: &str, value: Option<f64>| {
                value.ok_or_else(|| bad(format!("rope type \"llama3\" lacks {key:?}")))
            };
            Some(RopeScaling::Llama3 {
                factor: need("factor", rope.factor)?,
                low_freq_factor: need("low_freq_factor", rope.low_freq_factor)?,
                high_freq_factor: need("high_freq_factor", rope.high_freq_factor)?,
                original_max_positions: rope
                    .original_max_position_embeddings
                    .unwrap_or(max_positions),
            })
        }
        other => {
            return Err(bad(format!(
                "rope type {other:?} is not supported; \"default\" and \"llama3\" are"
            )));
        }
    };
    // What transformers assumes where a file is silent.
    let head_dim = match architecture {
        Architecture::LLAMA | Architecture::QWEN2 => json.head_dim,
        _ => json.head_dim.or(Some(128)),
    };
    Ok(LlamaConfig {
        vocab_size: json.vocab_size,
        hidden_size: json.hidden_size,
        intermediate_size: json.intermediate_size,
        n_layers: json.num_hidden_layers,
        n_heads: json.num_attention_heads,
        n_kv_heads: json.num_key_value_heads.unwrap_or(json.num_attention_heads),
        head_dim,
        rope_theta: rope.rope_theta.or(json.rope_theta).unwrap_or(10_000.0),
        rope_scaling,
        partial_rotary_factor: rope
            .partial_rotary_factor
            .or(json.partial_rotary_factor)
            .unwrap_or(if glm { 0.5 } else { 1.0 }),
        rms_norm_eps: json.rms_norm_eps.unwrap_or(1e-6),
        max_positions,
        tie_word_embeddings: json.tie_word_embeddings.unwrap_or(!has_lm_head),
        architecture,
    })
}
