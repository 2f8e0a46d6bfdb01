//! HKFR: heterogeneous knowledge, fused and made into features, decides what a user sees next.
//!
//! ```text
//! candidates(u) = the best of each source, and what u chose before        sources: rankers that cost little
//! x(u, e)       = features of (user, candidate, context) as-of now        among them what the language model says
//! score(u, e)   = Σ_f w_f · x_f(u, e) + Σ_t tree_t(x(u, e))               linear ([`linear`]), and LambdaMART ([`trees`])
//! ```
//!
//! The trees learn from lists whose answers are known: the split is cut earlier ([`hkfr_events::Split::earlier`]),
//! sources and features are fitted on what lies before, and asked about the order that followed. Then all are
//! fitted again, on everything, and the ranker is kept. What is no candidate is ranked below all candidates, as the
//! first source ranks it.
//!
//! Source: the paper's last step (arXiv 2308.03333, 3.3), semantic features concatenated with those of a ranker.

mod asked;
mod candidates;
pub mod features;
mod labelled;
pub mod linear;
mod lists;
mod sources;
mod system;
mod table;
pub mod trees;
mod with_own;

use std::rc::Rc;

use hkfr_events::{Dataset, History};
use serde::{Deserialize, Serialize};

pub use asked::asked;
use features::{Context, FeatureConfig, Features, Rows};
pub use features::{Expectation, Feature, Group, Scope};
use lists::Blend;
pub use sources::SourceConfig;
use sources::Sources;
pub use system::{Input, Llm, System};
pub use table::{Column, LabelledList, Part, Visit, Window, each_list};
use trees::TreesConfig;
pub(crate) use with_own::recipe as with_own_recipe;
pub use with_own::{WITH_OWN, WithOwnConfig, rival as rival_with_own};

use crate::baselines::{Entities, RepeatPolicy, Scorer};
use crate::error::{Result, at_least, at_most};
use crate::systems::{self, Fitting, Recipe, Settings, Watch};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HkfrConfig {
    /// What is left out: an ablation.
    pub without: Vec<Group>,
    /// The features of one group, and those of all sources whatever their group: for `RIVAL+own`, no key of a config.
    #[serde(skip)]
    pub only: Option<Group>,
    /// Candidates of each source.
    pub candidates: usize,
    /// How many times the split is cut earlier to learn from. All are fitted once for each.
    pub windows: u32,
    /// The most users that a window asks, a sample by `seed` if there are more.
    pub window_users: usize,
    /// Share of the users that a window also asks with their history cut to the last 1, 3 or 5 choices: so the trees
    /// see what little history is worth.
    pub cut_share: f32,
    pub sources: Vec<SourceConfig>,
    pub trees: TreesConfig,
    pub seed: u64,
}

impl Default for HkfrConfig {
    fn default() -> Self {
        Self {
            without: Vec::new(),
            only: None,
            candidates: 100,
            windows: 1,
            window_users: 50_000,
            cut_share: 0.0,
            sources: default_sources(),
            trees: TreesConfig::default(),
            seed: 1,
        }
    }
}

/// Those that are fitted in seconds.
fn default_sources() -> Vec<SourceConfig> {
    [
        "sequential-rules",
        "last-rules",
        "stan",
        "vsknn",
        "item-knn",
        "text-knn",
        "last-text",
    ]
    .map(SourceConfig::named)
    .to_vec()
}

impl HkfrConfig {
    /// # Errors
    /// A value out of its range.
    pub fn check(&self) -> Result<()> {
        at_least("candidates", self.candidates as f32, 1.0)?;
        at_least("windows", self.windows as f32, 1.0)?;
        at_least("window_users", self.window_users as f32, 1.0)?;
        at_least("cut_share", self.cut_share, 0.0)?;
        at_most("cut_share", self.cut_share, 1.0)?;
        self.trees.check()
    }

    /// `settings` over the defaults; `seed` decides unless they have a seed of their own.
    ///
    /// # Errors
    /// An unknown key; a value of the wrong type or out of its range.
    pub fn read(settings: &Settings, seed: u64) -> Result<Self> {
        let config: Self = systems::read(settings, seed)?;
        config.check()?;
        Ok(config)
    }

    /// All keys.
    pub fn as_settings(&self) -> Settings {
        systems::as_settings(self)
    }

    /// The groups whose features are left out.
    fn without_features(&self) -> Vec<Group> {
        match self.only {
            Some(only) => Group::ALL.into_iter().filter(|g| *g != only).collect(),
            None => self.without.clone(),
        }
    }

    fn sources(&self) -> Vec<SourceConfig> {
        let kept = |s: &&SourceConfig| !self.without.contains(&s.group);
        let kept = self.sources.iter().filter(kept).cloned();
        if self.without.contains(&Group::Text) {
            kept.map(SourceConfig::without_text).collect()
        } else {
            kept.collect()
        }
    }
}

/// What scores a candidate, fitted as-of one split.
#[derive(Serialize, Deserialize)]
struct Stage {
    sources: Sources,
    features: Features,
}

/// Buffers of one thread.
#[derive(Default)]
struct Scratch {
    scores: Vec<Vec<f32>>,
    rows: Vec<f32>,
}

impl Stage {
    /// `actions`: [`features::actions`] of the split that is asked in the end, so that the columns of every window are
    /// the same.
    fn fit(
        from: &Fitting,
        config: &HkfrConfig,
        expectations: Option<&[Expectation]>,
        actions: &[String],
        watch: Watch,
    ) -> Result<Self> {
        let without = config.without_features();
        let features = FeatureConfig {
            without: &without,
            expectations,
            actions,
        };
        Ok(Self {
            sources: Sources::fit(from, &config.sources(), config.seed, watch)?,
            features: Features::fit(from, &features),
        })
    }

    /// Length of [`table`](Self::table).
    fn n_features(&self) -> usize {
        self.sources.width() + self.features.width()
    }

    fn table(&self) -> Vec<Feature> {
        let mut table = self.sources.table();
        table.extend(self.features.table());
        table
    }

    /// The candidates of a user, ascending, their features (candidates, features) being in `scratch.rows`.
    fn rows(
        &self,
        user: &Context,
        entities: &Entities,
        n: usize,
        excluded: &[u32],
        scratch: &mut Scratch,
    ) -> Vec<u32> {
        let n_entities = entities.n();
        self.sources.score(user, n_entities, &mut scratch.scores);
        let candidates =
            candidates::candidates(&scratch.scores, n_entities, n, &user.choices, excluded);
        let n_features = self.n_features();
        scratch.rows.clear();
        scratch.rows.resize(candidates.len() * n_features, 0.0);
        let mut rows = Rows {
            values: &mut scratch.rows,
            n_features,
            column: 0,
        };
        self.sources.fill(&scratch.scores, &candidates, &mut rows);
        self.features.fill(user, &candidates, &mut rows);
        candidates
    }
}

/// HKFR among the other systems.
pub struct HkfrRecipe {
    pub config: HkfrConfig,
    /// What the language model says; `None`: it was not asked.
    pub expectations: Option<Rc<[Expectation]>>,
}

impl Recipe for HkfrRecipe {
    fn fit(&self, from: &Fitting, watch: Watch) -> Result<Box<dyn Scorer>> {
        let expectations = self.expectations.as_deref();
        let hkfr = Hkfr::fit(from, &self.config, expectations, watch)?;
        Ok(Box::new(hkfr))
    }

    fn settings(&self) -> Settings {
        self.config.as_settings()
    }
}

/// Fitted.
#[derive(Serialize, Deserialize)]
pub struct Hkfr {
    #[serde(skip)]
    entities: Entities,
    stage: Stage,
    blend: Blend,
    n_candidates: usize,
    repeats: RepeatPolicy,
}

impl Hkfr {
    /// # Errors
    /// Settings of a source that it does not have; [`crate::Error::Interrupted`] if `watch` says so.
    pub fn fit(
        from: &Fitting,
        config: &HkfrConfig,
        expectations: Option<&[Expectation]>,
        watch: Watch,
    ) -> Result<Self> {
        let blend = lists::learn(from, config, expectations, watch)?;
        let actions = features::actions(from);
        let stage = Stage::fit(from, config, expectations, &actions, watch)?;
        Ok(Self {
            entities: from.entities.clone(),
            stage,
            blend,
            n_candidates: config.candidates,
            repeats: from.repeats,
        })
    }
}

impl Scorer for Hkfr {
    fn name(&self) -> &str {
        "hkfr"
    }

    fn score(&self, ds: &Dataset, history: &History, out: &mut [f32]) {
        let user = Context::new(ds, &self.entities, history);
        let excluded = self.repeats.excluded(ds, &self.entities, history);
        let excluded = excluded.unwrap_or_default();
        let mut scratch = Scratch::default();
        let n = self.n_candidates;
        let candidates = self
            .stage
            .rows(&user, &self.entities, n, &excluded, &mut scratch);
        let mut scores = vec![0.0; candidates.len()];
        self.blend.score(&scratch.rows, &mut scores);
        let below = scores.iter().copied().fold(0.0, f32::min) - 1.0;
        // Between 0 and 1, in the order of the first source.
        let rest = scratch.scores.first();
        for (e, out) in out.iter_mut().enumerate() {
            let s = rest.map_or(0.0, |r| r[e]);
            *out = below - 1.0 / (1.0 + s.max(0.0));
        }
        for (&candidate, &score) in candidates.iter().zip(&scores) {
            out[candidate as usize] = score;
        }
    }

    fn bind(&mut self, ds: &Dataset, entities: &Entities) {
        self.entities = entities.clone();
        self.stage.sources.bind(ds, entities);
        self.stage.features.bind(ds, entities);
    }
}
