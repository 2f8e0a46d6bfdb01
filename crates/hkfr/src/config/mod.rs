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

use hkfr_rec::method::{Input, Llm, System};
use serde::{Deserialize, Serialize};

pub use data::{Adapter, DataConfig};
pub(crate) use hint::nearest;
pub use hkfr_events::split::{SplitConfig, SplitKind};
pub use llm::{
    CassetteMode, CohortBy, FallbackConfig, FusionConfig, FusionMode, InstructionsConfig,
    ItemNames, ModelsConfig, Targets, TuningConfig, TuningMode, model_path,
};
pub use load::{ConfigError, load, parse};
pub use outcome::{EvaluateConfig, RecommendConfig, RepeatPolicy, SYSTEMS, SystemsConfig, TASKS};

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
        let needs_tuning = |s: &str| System::named(s).is_some_and(System::needs_tuning);
        self.recommend
            .systems
            .iter()
            .map(String::as_str)
            .filter(move |s| tunes || !needs_tuning(s))
    }

    /// The language model that a system asks; `None`: it asks none, or one that `[tuning]` says is not tuned.
    pub fn llm(&self, system: &str) -> Option<Llm> {
        let llm = System::named(system)?.llm()?;
        (!llm.tuned || self.tuning.mode == TuningMode::Lora).then_some(llm)
    }

    /// The language models that the systems ask, each once.
    pub fn llms(&self) -> Vec<Llm> {
        let mut llms: Vec<Llm> = self.systems().filter_map(|s| self.llm(s)).collect();
        llms.sort_unstable();
        llms.dedup();
        llms
    }

    /// The inputs of the language models that the systems ask; `tuned`: of the tuned models alone.
    pub fn inputs(&self, tuned: bool) -> Vec<Input> {
        let llms = self.llms();
        let asked = |input: &Input| {
            llms.iter()
                .any(|l| l.input == *input && (l.tuned || !tuned))
        };
        Input::ALL.into_iter().filter(asked).collect()
    }

    /// Whether a model ranks items by the user vector.
    pub fn has_item_head(&self) -> bool {
        self.inputs(false).into_iter().any(Input::has_item_head)
    }

    /// How the texts of an input are made; `None`: they are not kept by the stage `fuse`.
    pub fn fusion_mode(&self, input: Input) -> Option<FusionMode> {
        match input {
            Input::Fusion => Some(self.fusion.mode),
            Input::NoFusion => Some(FusionMode::None),
            Input::Numbers => None,
        }
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
