//! The services of `[fusion]`: which are asked in which order, with what keys and limits, and where their
//! answers are kept.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use hkfr_events::Dataset;
use hkfr_fuse::claims::Vocabulary;
use hkfr_fuse::{
    Answers, BreakerConfig, Cassette, ChatService, FusionMode, Gateway, GatewayConfig, HttpService,
    LimitsConfig, PseudonymKey, Pseudonyms, Recorded, RetryConfig, SpendConfig, SystemClock,
};

use crate::config::{CassetteMode, Config, FusionConfig};
use crate::stage::Manifest;
use crate::stop::Stop;
use crate::{key, sealed};

/// Paid answers, in the directory of the stage `fuse`.
pub const ANSWERS: &str = "answers.sqlite";

/// They stay when the stage is made anew.
pub const KEEP: [&str; 4] = [
    ANSWERS,
    "answers.sqlite-wal",
    "answers.sqlite-shm",
    "answers.sqlite.seal",
];

/// The store of the stage's directory, to be written to; [`close_answers`] comes after it.
pub(super) fn open_answers(dir: &Path) -> Result<Answers> {
    let path = dir.join(ANSWERS);
    if let Some(Some(damage)) = sealed::damage(&path)? {
        let path = path.display();
        tracing::warn!(
            "{path} was altered since it was closed: {damage}; `hkfr verify` looks at every row"
        );
    }
    sealed::open(&path)?;
    Ok(Answers::open(&path)?)
}

/// When nobody has the store open any more: what lies there is then known to the last byte.
pub fn close_answers(dir: &Path) -> Result<()> {
    sealed::close(&dir.join(ANSWERS))
}

/// What a service is told in place of ids. `made`: a key is made if there is none; else the pseudonyms are
/// for counting only.
pub(super) fn pseudonyms<'a>(
    config: &Config,
    dataset: &'a Dataset,
    made: bool,
) -> Result<Pseudonyms<'a>> {
    let key = match made {
        true => key::find_or_make(config)?,
        false => match key::find(config)? {
            Some(key) => key,
            None => PseudonymKey::new([0; 32])?,
        },
    };
    Ok(Pseudonyms::new(dataset, key, config.fusion.item_names))
}

pub(super) struct Service {
    pub gateway: Gateway,
    /// Names whose unfounded mention is an invention.
    pub vocabulary: Vocabulary,
}

impl Service {
    pub fn open(config: &Config, dataset: &Dataset, dir: &Path, stop: &Stop) -> Result<Self> {
        let f = &config.fusion;
        let cassette = match &f.cassette {
            Some(path) => Some(Cassette::open(path, f.cassette_mode)?),
            None => None,
        };
        let replays = cassette.is_some() && f.cassette_mode == CassetteMode::Replay;
        let mut services: Vec<(Box<dyn ChatService>, LimitsConfig)> = Vec::new();
        for at in places(f) {
            let limits = LimitsConfig {
                concurrency: f.concurrency as usize,
                requests_per_minute: at.requests_per_minute,
                tokens_per_minute: at.tokens_per_minute,
            };
            let http = || -> Result<Box<dyn ChatService>> {
                let key = at.api_key_env.and_then(|name| std::env::var(name).ok());
                let key = key.filter(|k| !k.trim().is_empty());
                Ok(Box::new(HttpService::new(at.base_url, key, at.model)?))
            };
            let service = match &cassette {
                Some(tape) if replays => Box::new(Recorded::replay(Arc::clone(tape), at.model)),
                Some(tape) => Box::new(Recorded::record(Arc::clone(tape), http()?)),
                None => http()?,
            };
            services.push((service, limits));
        }
        // What a cassette says is neither paid nor mixed with what was.
        let answers = match replays {
            true => Answers::in_memory()?,
            false => open_answers(dir)?,
        };
        let seconds = |n: u32| Duration::from_secs(u64::from(n));
        let gateway = GatewayConfig {
            retry: RetryConfig {
                max_attempts: f.retries.saturating_add(1),
                timeout: seconds(f.timeout_seconds),
                deadline: seconds(f.deadline_seconds),
                backoff: Duration::from_secs(1),
                seed: config.seed,
            },
            breaker: BreakerConfig {
                failures: f.breaker_failures,
                open: seconds(f.breaker_seconds),
            },
            spend: spend_config(f),
        };
        let clock = Arc::new(SystemClock::default());
        Ok(Self {
            gateway: Gateway::new(gateway, services, answers, clock, stop.flag())?,
            vocabulary: Vocabulary::new(dataset),
        })
    }
}

/// Where a model is asked.
struct Place<'a> {
    model: &'a str,
    base_url: &'a str,
    api_key_env: Option<&'a str>,
    requests_per_minute: Option<u32>,
    tokens_per_minute: Option<u64>,
}

fn places(f: &FusionConfig) -> Vec<Place<'_>> {
    let first = Place {
        model: &f.model,
        base_url: &f.base_url,
        api_key_env: Some(&f.api_key_env),
        requests_per_minute: f.requests_per_minute,
        tokens_per_minute: f.tokens_per_minute,
    };
    let mut places = vec![first];
    for b in &f.fallbacks {
        // The key of one service is not shown to another, and each grants limits of its own.
        let same = b.base_url.is_none();
        let own_key = same.then_some(&f.api_key_env);
        places.push(Place {
            model: &b.model,
            base_url: b.base_url.as_ref().unwrap_or(&f.base_url),
            api_key_env: b.api_key_env.as_ref().or(own_key).map(String::as_str),
            requests_per_minute: b
                .requests_per_minute
                .or(f.requests_per_minute.filter(|_| same)),
            tokens_per_minute: b.tokens_per_minute.or(f.tokens_per_minute.filter(|_| same)),
        });
    }
    places
}

pub(super) fn spend_config(f: &FusionConfig) -> SpendConfig {
    SpendConfig {
        prices: f.prices.clone(),
        max_cost: f.max_cost,
        max_tokens: f.max_tokens_total,
    }
}

/// The contents of a cassette that is played: they decide the knowledge.
pub(super) fn replayed(f: &FusionConfig) -> Result<Option<String>> {
    match &f.cassette {
        Some(path) if f.mode == FusionMode::Service && f.cassette_mode == CassetteMode::Replay => {
            let hash = crate::digest::of_file(path);
            let remedy = "the cassette cannot be read; record it with cassette_mode = \"record\"";
            Ok(Some(hash.context(remedy)?))
        }
        _ => Ok(None),
    }
}

/// Whether a service is asked at all, and if `made`, whether all is there that prompts are made from.
pub fn check(config: &Config, made: bool) -> Result<()> {
    let f = &config.fusion;
    ensure!(
        f.mode == FusionMode::Service,
        "[fusion] mode is not \"service\": no service is asked"
    );
    ensure!(
        f.cassette.is_none() || f.cassette_mode == CassetteMode::Record,
        "[fusion] cassette_mode = \"replay\": no service is asked"
    );
    for stage in ["ingest", "split"] {
        let dir = config.run_dir().join(stage);
        if made && Manifest::read(&dir)?.is_none() {
            bail!(
                "stage {stage} is not finished in {}; run `hkfr split CONFIG` first: a dry run makes nothing",
                config.run_dir().display()
            );
        }
    }
    Ok(())
}
