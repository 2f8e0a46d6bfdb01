//! Whose history is written out, and how a config condenses it.

use std::collections::HashSet;

use hkfr_events::{Dataset, Instance, Split};
use hkfr_fuse::{CountTokens, FactsConfig, Fusion, Wording};
use hkfr_rec::method::{Llm, asked};
use serde::Serialize;

use super::Session;
use crate::config::Config;

/// The instances of the users that the stage `fuse` is about.
pub(super) fn instances_of(session: &Session, dataset: &Dataset, split: &Split) -> Vec<Instance> {
    let mut instances = instances(&session.config, dataset, split);
    if let Some(shard) = session.runner.shard("fuse") {
        instances.retain(|i| shard.holds(&dataset.users[i.user as usize].id));
    }
    instances
}

/// Of whom language models are asked, beside the training instances.
#[derive(Serialize)]
pub(super) struct WhoIsAsked {
    /// All cases: a model ranks alone.
    cases: bool,
    /// The ranker asks, about at most so many users if there is a number.
    ranker: Option<Option<usize>>,
}

impl WhoIsAsked {
    /// By the systems whose model `asks`.
    pub fn of(config: &Config, asks: impl Fn(Llm) -> bool) -> Self {
        let any = |ranker: bool| {
            let mut systems = config.systems();
            systems.any(|s| config.llm(s).is_some_and(&asks) && super::hkfr::is_ranker(s) == ranker)
        };
        Self {
            cases: any(false),
            ranker: any(true).then_some(config.recommend.llm_users),
        }
    }

    /// Appends to `all` those who are not there yet (a case may coincide with a training instance).
    pub fn append(&self, dataset: &Dataset, split: &Split, all: &mut Vec<Instance>) {
        if self.cases {
            all.extend(split.cases.iter().map(|c| c.instance.clone()));
        }
        if let Some(users) = self.ranker {
            all.extend(asked(dataset, split, users));
        }
        let mut seen = HashSet::new();
        all.retain(|i| seen.insert((i.user, i.as_of, i.keep_last)));
    }
}

/// All whose history is written out, each once.
pub(super) fn instances(config: &Config, dataset: &Dataset, split: &Split) -> Vec<Instance> {
    let mut all = split.train.clone();
    WhoIsAsked::of(config, |_| true).append(dataset, split, &mut all);
    all
}

/// What is condensed of a history.
pub fn facts_config(config: &Config) -> FactsConfig {
    FactsConfig {
        max_events: config.fusion.max_events as usize,
        ..FactsConfig::default()
    }
}

/// How a config fuses, asked of a model or not.
pub fn fusion<'a>(
    config: &Config,
    wording: &'a Wording<'a>,
    facts: &'a FactsConfig,
    count: CountTokens<'a>,
) -> Fusion<'a> {
    Fusion {
        wording,
        facts,
        budget_tokens: config.fusion.budget_tokens as usize,
        knowledge_tokens: config.fusion.knowledge_tokens as usize,
        count,
    }
}
