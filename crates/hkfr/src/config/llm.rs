//! `[fusion]`, `[instructions]`, `[tuning]` and `[models]`: what the language model is told and taught.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use hkfr_fuse::CohortConfig;
use hkfr_fuse::claims::ClaimsConfig;
pub use hkfr_fuse::claims::{Form, Structured};
pub use hkfr_fuse::{CassetteMode, CohortBy, FusionMode, ItemNames, Price};
use hkfr_lm::Precision;
pub use hkfr_lm::Targets;
use hkfr_rec::tasks::{RowsConfig, TASKS};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FusionConfig {
    pub mode: FusionMode,
    pub templates: String,
    pub template_dir: Option<PathBuf>,
    pub budget_tokens: u32,
    pub knowledge_tokens: u32,
    pub max_events: u32,
    pub refresh_threshold: f32,
    pub cohort_below: u32,
    pub cohort_by: CohortBy,
    pub cohort_min: u32,
    pub cohort_strength: f32,
    pub base_url: String,
    pub api_key_env: String,
    pub model: String,
    pub form: Form,
    pub structured: Structured,
    pub max_claims: u32,
    pub reasoning_tokens: u32,
    pub reasks: u32,
    pub reask_cut: bool,
    pub min_useful: f32,
    pub repeats: u32,
    pub report_users: u32,
    pub concurrency: u32,
    pub timeout_seconds: u32,
    pub retries: u32,
    pub deadline_seconds: u32,
    pub requests_per_minute: Option<u32>,
    pub tokens_per_minute: Option<u64>,
    pub breaker_failures: u32,
    pub breaker_seconds: u32,
    pub fallbacks: Vec<FallbackConfig>,
    pub prices: BTreeMap<String, Price>,
    pub max_cost: Option<f64>,
    pub max_tokens_total: Option<u64>,
    pub cassette: Option<PathBuf>,
    pub cassette_mode: CassetteMode,
    pub item_names: ItemNames,
    pub pseudonym_key_env: Option<String>,
}

/// A service that is asked when those before it do not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FallbackConfig {
    pub model: String,
    /// Absent: the address and the key of `[fusion]`.
    pub base_url: Option<String>,
    pub api_key_env: Option<String>,
    pub requests_per_minute: Option<u32>,
    pub tokens_per_minute: Option<u64>,
}

impl Default for FusionConfig {
    fn default() -> Self {
        Self {
            mode: FusionMode::Embedded,
            templates: "grocery".into(),
            template_dir: None,
            budget_tokens: 256,
            knowledge_tokens: 160,
            max_events: 300,
            refresh_threshold: 0.0,
            cohort_below: 0,
            cohort_by: CohortBy::Nearest,
            cohort_min: 200,
            cohort_strength: 100.0,
            base_url: "http://127.0.0.1:8000/v1".into(),
            api_key_env: "HKFR_API_KEY".into(),
            model: "gpt-4o-mini".into(),
            form: Form::Auto,
            structured: Structured::Auto,
            max_claims: 16,
            reasoning_tokens: 0,
            reasks: 1,
            reask_cut: false,
            min_useful: 0.1,
            repeats: 1,
            report_users: 100,
            concurrency: 4,
            timeout_seconds: 60,
            retries: 5,
            deadline_seconds: 300,
            requests_per_minute: None,
            tokens_per_minute: None,
            breaker_failures: 10,
            breaker_seconds: 30,
            fallbacks: Vec::new(),
            prices: BTreeMap::new(),
            max_cost: None,
            max_tokens_total: None,
            cassette: None,
            cassette_mode: CassetteMode::Replay,
            item_names: ItemNames::Titles,
            pseudonym_key_env: None,
        }
    }
}

impl FusionConfig {
    /// The models that a service may answer with, in the order in which they are asked.
    pub fn service_models(&self) -> impl Iterator<Item = &str> {
        let fallbacks = self.fallbacks.iter().map(|f| f.model.as_str());
        std::iter::once(self.model.as_str()).chain(fallbacks)
    }

    /// How a service is asked for claims.
    pub fn claims(&self) -> ClaimsConfig {
        ClaimsConfig {
            form: self.form,
            structured: self.structured,
            reasks: self.reasks,
            reask_cut: self.reask_cut,
            max_claims: self.max_claims,
            reasoning_tokens: self.reasoning_tokens,
        }
    }

    /// The keys that decide what the knowledge says. How fast and how dearly a service is asked leaves it as it is, and
    /// so does where templates lie, whose hash decides.
    pub fn decisive(&self) -> Value {
        let fallbacks = self.fallbacks.iter();
        let fallbacks =
            fallbacks.map(|f| (f.base_url.as_ref().unwrap_or(&self.base_url), &f.model));
        let fallbacks: Vec<_> = fallbacks.collect();
        let service = (self.mode == FusionMode::Service).then(|| {
            let mut service = json!({
                "at": [self.base_url, self.model],
                "fallbacks": fallbacks,
                "item_names": self.item_names,
                "structured": self.structured,
                "max_claims": self.max_claims,
                "reasoning_tokens": self.reasoning_tokens,
                "reasks": self.reasks,
                "reask_cut": self.reask_cut,
            });
            // A run that was made when there was no choice is still up to date.
            if self.form != Form::Auto {
                service["form"] = json!(self.form);
            }
            service
        });
        json!({
            "mode": self.mode,
            "templates": self.templates,
            // A run without one that was made when it counted is still up to date.
            "template_dir": null,
            "budget_tokens": self.budget_tokens,
            "knowledge_tokens": self.knowledge_tokens,
            "max_events": self.max_events,
            "service": service,
            // What people did is counted up to the beginning of a day, which was not always so.
            "cohort": (self.cohort_below > 0).then(|| json!([
                self.cohort_below, self.cohort_by, self.cohort_min, self.cohort_strength, "day",
            ])),
        })
    }

    /// The further keys that decide what the report about a service says; `None`: nobody is asked.
    pub fn decisive_of_report(&self) -> Option<Value> {
        let asks = self.mode == FusionMode::Service;
        asks.then(|| json!([self.repeats, self.report_users]))
    }

    /// People like someone, as they are made out here.
    pub fn cohort(&self) -> CohortConfig {
        CohortConfig {
            by: self.cohort_by,
            min: self.cohort_min as usize,
            strength: self.cohort_strength,
            max_events: self.max_events as usize,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InstructionsConfig {
    pub tasks: Vec<String>,
    pub labels_per_task: u32,
    pub other_tasks_per_instance: Option<u32>,
    pub wordings: u32,
    pub max_label_share: f32,
    pub max_tokens: u32,
}

impl Default for InstructionsConfig {
    fn default() -> Self {
        Self {
            tasks: TASKS.map(String::from).into(),
            labels_per_task: 8,
            other_tasks_per_instance: None,
            wordings: 3,
            max_label_share: 0.5,
            max_tokens: 2048,
        }
    }
}

impl InstructionsConfig {
    /// What each instance is asked, before anything is drawn or dropped.
    pub fn rows(&self) -> RowsConfig {
        RowsConfig {
            tasks: self.tasks.clone(),
            labels: self.labels_per_task as usize,
            others: self.other_tasks_per_instance.map(|n| n as usize),
            wordings: self.wordings as usize,
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
    pub rslora: bool,
    pub targets: Targets,
    pub dropout: f32,
    pub learning_rate: f32,
    pub head_learning_rate: f32,
    pub item_loss_weight: f32,
    pub warmup_ratio: f32,
    pub weight_decay: f32,
    pub max_grad_norm: f32,
    pub epochs: f32,
    pub batch_size: u32,
    pub checkpoint_steps: u32,
}

impl Default for TuningConfig {
    fn default() -> Self {
        Self {
            mode: TuningMode::Lora,
            rank: 8,
            alpha: 16.0,
            rslora: false,
            targets: Targets::ATTENTION,
            dropout: 0.0,
            learning_rate: 2e-3,
            head_learning_rate: 2e-3,
            item_loss_weight: 0.2,
            warmup_ratio: 0.05,
            weight_decay: 0.0,
            max_grad_norm: 1.0,
            epochs: 1.0,
            batch_size: 8,
            checkpoint_steps: 20,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelsConfig {
    /// An asset's name or a path ([`model_path`]).
    pub llm: String,
    pub precision: Precision,
    pub decoder_bits: u32,
    /// As `llm`.
    pub encoder: String,
    pub cache: Option<PathBuf>,
}

impl Default for ModelsConfig {
    fn default() -> Self {
        Self {
            llm: "smollm2-135m-instruct".into(),
            precision: Precision::F32,
            decoder_bits: 32,
            encoder: "all-minilm-l6-v2".into(),
            cache: None,
        }
    }
}

impl ModelsConfig {
    /// What the scores of the language model depend on besides its weights.
    pub fn arithmetic(&self) -> (Precision, u32) {
        (self.precision, self.decoder_bits)
    }
}

/// A model that is named by its path, and not as an asset: a separator is in it, or `.gguf` at its end.
pub fn model_path(name: &str) -> Option<&Path> {
    let is_path = name.contains(std::path::is_separator) || name.ends_with(".gguf");
    is_path.then_some(Path::new(name))
}
