//! `[recommend]`, `[systems]` and `[evaluate]`: who ranks, with what settings, and how it is judged.

use std::collections::BTreeMap;
use std::path::PathBuf;

use hkfr_rec::method::{WithOwnConfig, rival_with_own};
use hkfr_rec::systems::Settings;
use serde::{Deserialize, Serialize};

pub use hkfr_rec::baselines::RepeatPolicy;
pub use hkfr_rec::systems::SYSTEMS;

/// What is ranked: names of run files and of truths.
pub const TASKS: [&str; 2] = ["category", "item"];

/// Systems that take seconds, and HKFR with and without what the language model says.
const DEFAULT_SYSTEMS: [&str; 8] = [
    "popularity",
    "recent-popularity",
    "own-frequency",
    "item-knn",
    "sequential-rules",
    "ease",
    "hkfr-no-semantic",
    "hkfr",
];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecommendConfig {
    pub systems: Vec<String>,
    pub tasks: Vec<String>,
    pub depth: u32,
    pub repeats: RepeatPolicy,
    /// A file of settings, as `hkfr search` writes it. Its tables are in [`SystemsConfig`] once the
    /// config is loaded.
    #[serde(skip_serializing)]
    pub settings: Option<PathBuf>,
    /// Number of cases, and of users to learn from, for which the language model makes features of HKFR. Users with the
    /// shortest histories come first. Absent: all.
    pub llm_users: Option<usize>,
    pub evidence_weight: f32,
    /// MB (10⁶ bytes) of a fitted ranker that is kept in `recommend/models/`, at most; 0: none is.
    pub max_ranker_mb: u32,
}

impl Default for RecommendConfig {
    fn default() -> Self {
        Self {
            systems: DEFAULT_SYSTEMS.map(String::from).to_vec(),
            tasks: TASKS.map(String::from).to_vec(),
            depth: 20,
            repeats: RepeatPolicy::Allow,
            settings: None,
            llm_users: None,
            evidence_weight: 0.4,
            max_ranker_mb: 500,
        }
    }
}

/// Settings by task and system: `[systems.item.ease]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SystemsConfig {
    pub category: BTreeMap<String, Settings>,
    pub item: BTreeMap<String, Settings>,
}

impl SystemsConfig {
    /// By task: its systems.
    pub fn tasks(&self) -> [(&'static str, &BTreeMap<String, Settings>); 2] {
        [("category", &self.category), ("item", &self.item)]
    }

    /// Empty where nothing is said; of `RIVAL+own` those of the rival and of HKFR.
    pub fn of(&self, task: &str, system: &str) -> Settings {
        match rival_with_own(system) {
            Some(rival) => WithOwnConfig::settings(self.set(task, rival), self.set(task, "hkfr")),
            None => self.set(task, system),
        }
    }

    fn set(&self, task: &str, system: &str) -> Settings {
        let tasks = self.tasks();
        let systems = tasks.iter().find(|(name, _)| *name == task);
        let found = systems.and_then(|(_, systems)| systems.get(system));
        found.cloned().unwrap_or_default()
    }

    /// Adds the keys of `other` that are not set here.
    pub fn fill_from(&mut self, other: Self) {
        for (own, other) in [
            (&mut self.category, other.category),
            (&mut self.item, other.item),
        ] {
            for (system, settings) in other {
                let own = own.entry(system).or_default();
                for (key, value) in settings {
                    own.entry(key).or_insert(value);
                }
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluateConfig {
    pub ks: Vec<u32>,
    pub resamples: u32,
    pub draws: u32,
    pub reference: String,
}

impl Default for EvaluateConfig {
    fn default() -> Self {
        Self {
            ks: vec![5, 10],
            resamples: 1000,
            draws: 10_000,
            reference: "hkfr".into(),
        }
    }
}
