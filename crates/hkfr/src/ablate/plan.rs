//! Who stands in the table, and with which seeds.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use hkfr_rec::method::{Llm, System, WITH_OWN, rival_with_own};
use hkfr_rec::systems::{COUNTS, recipe};
use serde::Serialize;

use super::RUNS;
use crate::config::{Config, RepeatPolicy, TuningMode};

/// Seeds where none are given.
const SEEDS: u64 = 3;

const HKFR: &str = "hkfr";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Rival,
    /// A rival with own choices added.
    WithOwn,
    /// HKFR without one of its parts.
    Ablation,
    Hkfr,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Planned {
    pub name: String,
    pub kind: Kind,
    /// Whether it is made with every seed, or with the first alone.
    pub is_random: bool,
    /// The language model that it asks.
    pub llm: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    pub systems: Vec<Planned>,
    pub seeds: Vec<u64>,
    /// Whether HKFR asks a language model: only if the config's own systems ask one.
    pub asks: bool,
}

impl Plan {
    /// # Errors
    /// A seed twice; settings that a system refuses.
    pub fn new(config: &Config, seeds: &[u64]) -> Result<Self> {
        let seeds = if seeds.is_empty() {
            (config.seed..).take(SEEDS as usize).collect()
        } else {
            seeds.to_vec()
        };
        let distinct: BTreeSet<&u64> = seeds.iter().collect();
        ensure!(
            distinct.len() == seeds.len(),
            "--seeds names one twice: it would be the same run again"
        );
        let asks = !config.llms().is_empty();
        let mut all = config.clone();
        all.recommend.systems = names(config, asks);
        all.tuning.mode = tuning(config, asks);
        let systems = all.systems().map(|name| planned(&all, name));
        Ok(Self {
            systems: systems.collect::<Result<_>>()?,
            seeds,
            asks,
        })
    }

    /// By seed the config of its run: the first has all systems, the others those that draw anything.
    pub fn configs(&self, config: &Config) -> Vec<Config> {
        let of_seed = |(i, &seed): (usize, &u64)| {
            let mut of_seed = config.clone();
            of_seed.name = format!("seed-{seed}");
            of_seed.out = config.run_dir().join(RUNS);
            of_seed.seed = seed;
            let made = self.systems.iter().filter(|s| i == 0 || s.is_random);
            of_seed.recommend.systems = made.map(|s| s.name.clone()).collect();
            of_seed.evaluate.reference = HKFR.into();
            of_seed.tuning.mode = tuning(config, self.asks);
            of_seed
        };
        self.seeds.iter().enumerate().map(of_seed).collect()
    }
}

/// Where no system of the config asks a language model, HKFR does not either.
fn tuning(config: &Config, asks: bool) -> TuningMode {
    if asks {
        config.tuning.mode
    } else {
        TuningMode::None
    }
}

fn names(config: &Config, asks: bool) -> Vec<String> {
    let is_rival = |s: &&str| !matches!(System::named(s), Some(System::Hkfr { .. }));
    let rivals: Vec<&str> = config.systems().filter(is_rival).collect();
    let mut names = Vec::new();
    for rival in &rivals {
        names.push((*rival).to_owned());
        let with_own = format!("{rival}{WITH_OWN}");
        let adds = config.recommend.repeats == RepeatPolicy::Allow
            && rival_with_own(&with_own).is_some()
            && !COUNTS.contains(rival)
            && !rivals.contains(&with_own.as_str());
        names.extend(adds.then_some(with_own));
    }
    let of_hkfr = System::named(HKFR).and_then(System::llm);
    for (name, system) in System::ALL {
        // Without a model that is asked, what changes it changes nothing.
        let changes_the_model = system.llm() != of_hkfr;
        if matches!(system, System::Hkfr { .. }) && (asks || !changes_the_model) {
            names.push(name.to_owned());
        }
    }
    names
}

fn planned(config: &Config, name: &str) -> Result<Planned> {
    let kind = match System::named(name) {
        Some(System::Hkfr { .. }) if name == HKFR => Kind::Hkfr,
        Some(System::Hkfr { .. }) => Kind::Ablation,
        None if rival_with_own(name).is_some() => Kind::WithOwn,
        Some(System::Llm(_)) | None => Kind::Rival,
    };
    // HKFR's trees draw, and so does a tuning.
    let mut is_random = System::named(name).is_some();
    if !is_random {
        for task in &config.recommend.tasks {
            let settings = config.systems.of(task, name);
            is_random |= recipe(name, &settings, config.seed)?.is_random();
        }
    }
    Ok(Planned {
        name: name.to_owned(),
        kind,
        is_random,
        llm: config.llm(name).map(Llm::name),
    })
}
