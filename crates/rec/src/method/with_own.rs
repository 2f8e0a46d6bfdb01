//! `RIVAL+own`: a rival with the user's own choices added. It is the control of HKFR where repeats are allowed, since
//! own choices alone rank much of what people choose again.
//!
//! The candidates, windows and trees of HKFR, with one source, the rival, and besides its features those of the group
//! [`Group::Own`] alone: so that whoever beats it owes that to something else.

use serde::{Deserialize, Serialize};

use super::trees::TreesConfig;
use super::{Group, HkfrConfig, HkfrRecipe, SourceConfig, System};
use crate::baselines::Scorer;
use crate::error::Result;
use crate::systems::{self, Fitting, Recipe, SYSTEMS, Settings, Watch};

/// What the name of a rival ends with.
pub const WITH_OWN: &str = "+own";

/// The rival to which a name adds own choices: any of [`SYSTEMS`] but HKFR, which has them. `None`: the name adds none.
pub fn rival(name: &str) -> Option<&'static str> {
    let rival = name.strip_suffix(WITH_OWN)?;
    let of_name = |s: &&str| *s == rival && System::named(s).is_none();
    SYSTEMS.into_iter().find(of_name)
}

/// Keys that HKFR has too mean what they mean there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WithOwnConfig {
    /// Settings of the rival.
    pub rival: Settings,
    pub candidates: usize,
    pub windows: u32,
    pub window_users: usize,
    pub cut_share: f32,
    pub trees: TreesConfig,
    pub seed: u64,
}

impl Default for WithOwnConfig {
    fn default() -> Self {
        let of = HkfrConfig::default();
        Self {
            rival: Settings::new(),
            candidates: of.candidates,
            windows: of.windows,
            window_users: of.window_users,
            cut_share: of.cut_share,
            trees: of.trees,
            seed: of.seed,
        }
    }
}

impl WithOwnConfig {
    /// The settings of a control, from those of the rival and of HKFR, whose sources and ablations do not apply.
    pub fn settings(rival: Settings, hkfr: Settings) -> Settings {
        let known = systems::as_settings(&Self::default());
        let shared = hkfr.into_iter().filter(|(key, _)| known.contains_key(key));
        let mut settings: Settings = shared.collect();
        settings.insert("rival".into(), rival.into());
        settings
    }

    fn hkfr(&self, rival: &str) -> HkfrConfig {
        HkfrConfig {
            only: Some(Group::Own),
            candidates: self.candidates,
            windows: self.windows,
            window_users: self.window_users,
            cut_share: self.cut_share,
            sources: vec![SourceConfig {
                name: rival.into(),
                system: rival.into(),
                group: Group::Own,
                settings: self.rival.clone(),
            }],
            trees: self.trees.clone(),
            seed: self.seed,
            ..HkfrConfig::default()
        }
    }
}

struct WithOwn {
    config: WithOwnConfig,
    ranker: HkfrRecipe,
    rival_version: u32,
}

/// [`systems::recipe`] of `RIVAL+own`.
pub(crate) fn recipe(rival: &str, settings: &Settings, seed: u64) -> Result<Box<dyn Recipe>> {
    let mut config: WithOwnConfig = systems::read(settings, seed)?;
    let of_rival = systems::recipe(rival, &config.rival, config.seed)?;
    config.rival = of_rival.settings();
    let hkfr = config.hkfr(rival);
    hkfr.check()?;
    Ok(Box::new(WithOwn {
        config,
        ranker: HkfrRecipe {
            config: hkfr,
            expectations: None,
        },
        rival_version: of_rival.version(),
    }))
}

impl Recipe for WithOwn {
    fn fit(&self, from: &Fitting, watch: Watch) -> Result<Box<dyn Scorer>> {
        self.ranker.fit(from, watch)
    }

    fn settings(&self) -> Settings {
        systems::as_settings(&self.config)
    }

    fn version(&self) -> u32 {
        self.ranker.version() + self.rival_version
    }
}
