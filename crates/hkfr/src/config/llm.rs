//! `[fusion]`, `[instructions]`, `[tuning]` and `[models]`: what the language model is told and taught.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FusionMode {
    Embedded,
    Service,
    None,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FusionConfig {
    pub mode: FusionMode,
    pub templates: String,
    pub template_dir: Option<PathBuf>,
    pub budget_tokens: u32,
    pub max_events: u32,
    pub max_claims: u32,
    pub base_url: String,
    pub api_key_env: String,
    pub model: String,
    pub concurrency: u32,
    pub timeout_seconds: u32,
    pub retries: u32,
}

impl Default for FusionConfig {
    fn default() -> Self {
        Self {
            mode: FusionMode::Embedded,
            templates: "grocery".into(),
            template_dir: None,
            budget_tokens: 384,
            max_events: 300,
            max_claims: 6,
            base_url: "http://127.0.0.1:8000/v1".into(),
            api_key_env: "HKFR_API_KEY".into(),
            model: "gpt-4o-mini".into(),
            concurrency: 4,
            timeout_seconds: 60,
            retries: 5,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InstructionsConfig {
    pub tasks: Vec<String>,
    pub per_instance: u32,
    pub max_rows: Option<u32>,
}

impl Default for InstructionsConfig {
    fn default() -> Self {
        Self {
            tasks: [
                "next-category",
                "next-item",
                "price-band",
                "time-of-day",
                "scenario",
                "repeat-or-new",
                "yes-no-item",
                "describe-item",
            ]
            .map(String::from)
            .into(),
            per_instance: 3,
            max_rows: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TuningMode {
    Lora,
    None,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TuningConfig {
    pub mode: TuningMode,
    pub rank: u32,
    pub alpha: f32,
    pub target_modules: Vec<String>,
    pub learning_rate: f32,
    pub warmup_ratio: f32,
    pub weight_decay: f32,
    pub max_grad_norm: f32,
    pub epochs: f32,
    pub batch_size: u32,
    pub max_tokens: u32,
    pub max_steps: Option<u32>,
    pub checkpoint_steps: u32,
}

impl Default for TuningConfig {
    fn default() -> Self {
        Self {
            mode: TuningMode::Lora,
            rank: 8,
            alpha: 16.0,
            target_modules: ["q_proj", "k_proj", "v_proj", "o_proj"]
                .map(String::from)
                .into(),
            learning_rate: 5e-4,
            warmup_ratio: 0.05,
            weight_decay: 0.0,
            max_grad_norm: 1.0,
            epochs: 1.0,
            batch_size: 8,
            max_tokens: 512,
            max_steps: None,
            checkpoint_steps: 20,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelsConfig {
    pub llm: String,
    pub encoder: String,
    pub cache: Option<PathBuf>,
}

impl Default for ModelsConfig {
    fn default() -> Self {
        Self {
            llm: "smollm2-135m-instruct".into(),
            encoder: "all-minilm-l6-v2".into(),
            cache: None,
        }
    }
}
