//! `[recommend]` and `[evaluate]`: who ranks, and how it is judged.

use serde::{Deserialize, Serialize};

/// One policy for all systems of a table: food and grocery repeat, films do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RepeatPolicy {
    Allow,
    Exclude,
}

/// Systems that rank without a language model.
pub const BASELINES: [&str; 5] = [
    "popularity",
    "recent-popularity",
    "frequency",
    "item-knn",
    "ease",
];

/// Systems that rank with one.
pub const LLM_SYSTEMS: [&str; 4] = ["llm-untuned", "hkfr-no-tuning", "hkfr-no-fusion", "hkfr"];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecommendConfig {
    pub systems: Vec<String>,
    pub depth: u32,
    pub repeats: RepeatPolicy,
    pub recent_days: u32,
    pub knn_neighbours: u32,
    pub ease_lambda: f32,
    pub ease_max_items: u32,
    pub candidates: u32,
}

impl Default for RecommendConfig {
    fn default() -> Self {
        Self {
            systems: BASELINES
                .iter()
                .chain(&LLM_SYSTEMS)
                .map(|s| s.to_string())
                .collect(),
            depth: 20,
            repeats: RepeatPolicy::Allow,
            recent_days: 28,
            knn_neighbours: 50,
            ease_lambda: 250.0,
            ease_max_items: 4000,
            candidates: 100,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluateConfig {
    pub ks: Vec<u32>,
    pub resamples: u32,
    pub reference: String,
}

impl Default for EvaluateConfig {
    fn default() -> Self {
        Self {
            ks: vec![5, 10],
            resamples: 1000,
            reference: "hkfr".into(),
        }
    }
}
