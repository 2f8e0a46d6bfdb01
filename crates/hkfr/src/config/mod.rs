//! The TOML config of a run: one struct per section, every key with a default.
//!
//! In: a TOML file (see `hkfr config --defaults`). Out: a checked [`Config`], or an error that
//! names file, line and the nearest key. [`DEFAULTS`] is the commented file of all defaults; a test
//! holds it equal to [`Config::default`].

mod check;
mod data;
mod hint;
mod llm;
mod load;
mod outcome;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use data::{Adapter, DataConfig};
pub(crate) use hint::nearest;
pub use hkfr_events::split::{SplitConfig, SplitKind};
pub use llm::{
    CassetteMode, CohortBy, FallbackConfig, FusionConfig, FusionMode, InstructionsConfig,
    ItemNames, ModelsConfig, Targets, TuningConfig, TuningMode, model_path,
};
pub use load::{ConfigError, load, parse};
pub use outcome::{
    EvaluateConfig, LLM_SYSTEMS, RecommendConfig, RepeatPolicy, SYSTEMS, SystemsConfig, TASKS,
    TUNED_SYSTEMS,
};

/// The commented file of all defaults: what `hkfr config --defaults` prints.
pub const DEFAULTS: &str = include_str!("../defaults.toml");

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub name: String,
    pub seed: u64,
    pub out: PathBuf,
    pub data: DataConfig,
    pub split: SplitConfig,
    pub fusion: FusionConfig,
    pub instructions: InstructionsConfig,
    pub tuning: TuningConfig,
    pub recommend: RecommendConfig,
    pub systems: SystemsConfig,
    pub evaluate: EvaluateConfig,
    pub models: ModelsConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "complete-journey".into(),
            seed: 42,
            out: "out".into(),
            data: DataConfig::default(),
            split: SplitConfig::default(),
            fusion: FusionConfig::default(),
            instructions: InstructionsConfig::default(),
            tuning: TuningConfig::default(),
            recommend: RecommendConfig::default(),
            systems: SystemsConfig::default(),
            evaluate: EvaluateConfig::default(),
            models: ModelsConfig::default(),
        }
    }
}

impl Config {
    /// The systems that rank: those of `[recommend]`, without the tuned ones if `[tuning]` says "none".
    pub fn systems(&self) -> impl Iterator<Item = &str> {
        let tunes = self.tuning.mode == TuningMode::Lora;
        let tuned = |s: &str| TUNED_SYSTEMS.contains(&s);
        self.recommend
            .systems
            .iter()
            .map(String::as_str)
            .filter(move |s| tunes || !tuned(s))
    }

    /// `<out>/<name>`: where all stages of this run write.
    pub fn run_dir(&self) -> PathBuf {
        self.out.join(&self.name)
    }

    /// Makes relative input paths absolute against `base`, the directory of the config file, so
    /// that a config means the same from wherever it is started. `out` stays relative to the
    /// directory of the command: results belong to the one who runs.
    pub fn resolve_paths(&mut self, base: &Path) {
        for path in [
            &mut self.data.path,
            &mut self.fusion.template_dir,
            &mut self.fusion.cassette,
            &mut self.models.cache,
            &mut self.recommend.settings,
        ]
        .into_iter()
        .flatten()
        {
            if path.is_relative() {
                *path = base.join(&*path);
            }
        }
        for model in [&mut self.models.llm, &mut self.models.encoder] {
            if let Some(path) = model_path(model).filter(|p| p.is_relative()) {
                *model = base.join(path).to_string_lossy().into_owned();
            }
        }
    }
}
