//! Whose history is written out, and how a config condenses it.

use std::collections::HashSet;

use hkfr_events::{Dataset, Instance, Split};
use hkfr_fuse::{CountTokens, FactsConfig, Fusion, Wording};
use hkfr_rec::method::asked;
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

/// Beside the training instances.
#[derive(Serialize)]
pub(super) struct WhoIsAsked {
    /// All cases: a model ranks alone.
    pub cases: bool,
    /// The ranker asks, about at most so many users if there is a number.
    pub ranker: Option<Option<usize>>,
}

pub(super) fn who_is_asked(config: &Config) -> WhoIsAsked {
    let asks = |ranker: bool| {
        let mut systems = config.systems();
        systems.any(|s| config.llm(s).is_some() && super::hkfr::is_ranker(s) == ranker)
    };
    WhoIsAsked {
        cases: asks(false),
        ranker: asks(true).then_some(config.recommend.llm_users),
    }
}

/// All whose history is written out, without doubles (a case may coincide with a training instance).
/// Cases whose list the model makes alone are all among them; for the ranker those that [`asked`] names.
pub(super) fn instances(config: &Config, dataset: &Dataset, split: &Split) -> Vec<Instance> {
    let who = who_is_asked(config);
    let mut all = split.train.clone();
    if who.cases {
        all.extend(split.cases.iter().map(|c| c.instance.clone()));
    }
    if let Some(users) = who.ranker {
        all.extend(asked(dataset, split, users));
    }
    let mut seen = HashSet::new();
    all.retain(|i| seen.insert((i.user, i.as_of, i.keep_last)));
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
