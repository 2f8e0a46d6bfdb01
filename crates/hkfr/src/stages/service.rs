//! The services of `[fusion]`: which are asked in which order, with what keys and limits, and where their
//! answers are kept.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use hkfr_events::Dataset;
use hkfr_fuse::claims::{ClaimsConfig, Vocabulary};
use hkfr_fuse::{
    Answers, BreakerConfig, Cassette, ChatService, FusionMode, Gateway, GatewayConfig, HttpService,
    LimitsConfig, Recorded, RetryConfig, SpendConfig, SystemClock,
};

use crate::config::{CassetteMode, Config, FusionConfig};
use crate::stage::Manifest;
use crate::stop::Stop;

/// Paid answers, in the directory of the stage `fuse`.
pub const ANSWERS: &str = "answers.sqlite";

/// They stay when the stage is made anew.
pub(super) const KEEP: [&str; 3] = [ANSWERS, "answers.sqlite-wal", "answers.sqlite-shm"];

pub(super) struct Service {
    pub gateway: Gateway,
    /// Names whose unfounded mention is an invention.
    pub vocabulary: Vocabulary,
    pub claims: ClaimsConfig,
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
            false => Answers::open(&dir.join(ANSWERS))?,
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
            claims: f.claims(),
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
