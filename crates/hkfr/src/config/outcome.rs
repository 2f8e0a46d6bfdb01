//! `[recommend]` and `[evaluate]`: who ranks, and how it is judged.

use serde::{Deserialize, Serialize};

pub use hkfr_rec::baselines::{RepeatPolicy, SYSTEMS as BASELINES};

/// Systems that rank with one.
pub const LLM_SYSTEMS: [&str; 4] = ["llm-untuned", "hkfr-no-tuning", "hkfr-no-fusion", "hkfr"];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecommendConfig {
    pub systems: Vec<String>,
    pub depth: u32,
    pub repeats: RepeatPolicy,
    pub recent_half_life_days: f32,
    pub own_half_life_days: f32,
    pub knn_neighbours: u32,
    pub knn_shrinkage: f32,
    pub ease_lambda: f32,
    pub ease_max_items: u32,
    pub evidence_weight: f32,
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
            recent_half_life_days: 14.0,
            own_half_life_days: 90.0,
            knn_neighbours: 100,
            knn_shrinkage: 20.0,
            ease_lambda: 500.0,
            ease_max_items: 4000,
            evidence_weight: 0.4,
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
