//! The services of `[fusion]`: how they are asked, what asking may cost, and their batch files.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use hkfr_events::{Dataset, Instance};
use hkfr_fuse::{
    Answers, BreakerConfig, Cassette, ChatRequest, ChatService, Clock, FusionMode, Gateway,
    GatewayConfig, HttpService, LimitsConfig, Recorded, RetryConfig, Spend, SpendConfig,
    SystemClock, Usage, read_batch, write_batch_line,
};

use super::Session;
use super::fuse::{facts_config, fusion, instances};
use super::llm::{n_threads, variants};
use crate::args::ServiceArgs;
use crate::config::{CassetteMode, Config, FusionConfig};
use crate::stage::Manifest;
use crate::stop::Stop;

/// Paid answers, in the directory of the stage `fuse`.
pub const ANSWERS: &str = "answers.sqlite";

/// They stay when the stage is made anew.
pub(super) const KEEP: [&str; 3] = [ANSWERS, "answers.sqlite-wal", "answers.sqlite-shm"];

/// OpenAI takes no more in one file.
const MAX_BATCH: usize = 50_000;

pub(super) struct Service {
    pub gateway: Gateway,
    /// Names whose unfounded mention is an invention.
    pub vocabulary: Vec<String>,
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
        let mut vocabulary: Vec<String> = dataset
            .items
            .iter()
            .flat_map(|i| &i.categories)
            .filter(|c| c.len() > 3)
            .map(|c| c.to_lowercase())
            .collect();
        vocabulary.sort();
        vocabulary.dedup();
        Ok(Self {
            gateway: Gateway::new(gateway, services, answers, clock, stop.flag())?,
            vocabulary,
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

fn spend_config(f: &FusionConfig) -> SpendConfig {
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

/// What a run would ask.
struct Requests {
    n_histories: usize,
    /// Each once, by its hash for the first model.
    distinct: Vec<(String, ChatRequest)>,
}

fn requests(session: &mut Session) -> Result<Requests> {
    let asks = |v: super::llm::Variant| v.mode(&session.config) == Some(FusionMode::Service);
    if !variants(&session.config, false).into_iter().any(asks) {
        return Ok(Requests {
            n_histories: 0,
            distinct: Vec::new(),
        });
    }
    let (dataset, split) = (session.dataset()?, session.split()?);
    let (model, templates) = (session.model()?, session.templates()?);
    let (config, stop) = (&session.config, &session.stop);
    let (dataset, model) = (&*dataset, &*model);
    let instances = instances(&split);
    let work = |share: &[&Instance]| -> Result<Vec<(String, ChatRequest)>> {
        let facts = facts_config(config);
        let count = |text: &str| model.tokenizer.count(text);
        let fusion = fusion(config, &templates, &facts, &count);
        let mut requests = Vec::new();
        for instance in share {
            stop.check()?;
            let request = fusion.request(dataset, &instance.history(dataset))?;
            requests.push((request.hash(&config.fusion.model), request));
        }
        Ok(requests)
    };
    let shares: Vec<_> = std::thread::scope(|scope| {
        let share = instances.len().div_ceil(n_threads()).max(1);
        let threads: Vec<_> = instances
            .chunks(share)
            .map(|share| scope.spawn(|| work(share)))
            .collect();
        let joined = threads.into_iter().map(|t| t.join());
        joined.map(|r| r.expect("no panic")).collect()
    });
    let mut seen = HashSet::new();
    let mut distinct = Vec::new();
    for share in shares {
        distinct.extend(share?.into_iter().filter(|r| seen.insert(r.0.clone())));
    }
    Ok(Requests {
        n_histories: instances.len(),
        distinct,
    })
}

fn is_answered(answers: &Answers, request: &ChatRequest, f: &FusionConfig) -> Result<bool> {
    for model in f.service_models() {
        if answers.contains(&request.hash(model))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a run would ask and what it may cost, for people.
pub fn dry_run(session: &mut Session) -> Result<String> {
    let requests = requests(session)?;
    let f = &session.config.fusion;
    let answers = Answers::open_read_only(&session.dir("fuse").join(ANSWERS))?;
    let mut open: Vec<&ChatRequest> = Vec::new();
    for (_, request) in &requests.distinct {
        let answered = match &answers {
            Some(answers) => is_answered(answers, request, f)?,
            None => false,
        };
        if !answered {
            open.push(request);
        }
    }
    let n = requests.distinct.len();
    let mut out = format!(
        "{} histories, {n} requests, {} of them answered\n",
        requests.n_histories,
        n - open.len()
    );
    let spend = spend_config(f);
    let before = match &answers {
        Some(answers) => answers.usage()?,
        None => BTreeMap::new(),
    };
    for (model, (answers, usage)) in before {
        let spent = Spend {
            answers,
            usage,
            cost: spend.cost(&model, usage),
        };
        writeln!(out, "spent  {model}: {spent}")?;
    }
    let mut usage = Usage::default();
    for request in &open {
        let estimate = request.estimate();
        usage.prompt_tokens += estimate.prompt_tokens;
        usage.completion_tokens += estimate.completion_tokens;
    }
    for (i, model) in f.service_models().enumerate() {
        let kind = if i == 0 { "open" } else { "or by" };
        let cost = match spend.prices.contains_key(model) {
            true => format!("cost {:.4}", spend.cost(model, usage)),
            false => "no price in [fusion] prices".to_owned(),
        };
        writeln!(
            out,
            "{kind:5}  {model}: {} requests, at most {} + {} tokens, {cost}",
            open.len(),
            usage.prompt_tokens,
            usage.completion_tokens
        )?;
    }
    Ok(out)
}

/// Writes or reads batch files; what came of it, for people.
pub fn batch(session: &mut Session, args: &ServiceArgs) -> Result<String> {
    let requests = requests(session)?;
    let f = &session.config.fusion;
    let dir = session.dir("fuse");
    fs_err::create_dir_all(&dir)?;
    let answers = Answers::open(&dir.join(ANSWERS))?;
    match &args.batch_out {
        Some(path) => batch_out(&requests, f, &answers, path),
        None => batch_in(&requests, f, &answers, &args.batch_in),
    }
}

fn batch_out(
    requests: &Requests,
    f: &FusionConfig,
    answers: &Answers,
    path: &Path,
) -> Result<String> {
    let (mut lines, mut n) = (Vec::new(), 0);
    for (_, request) in &requests.distinct {
        if !is_answered(answers, request, f)? {
            write_batch_line(&mut lines, request, &f.model)?;
            n += 1;
        }
    }
    crate::atomic::write(path, &lines)?;
    let mut out = format!(
        "{}: {n} requests of model {}; {} are answered already\n",
        path.display(),
        f.model,
        requests.distinct.len() - n
    );
    if n > MAX_BATCH {
        writeln!(out, "OpenAI takes {MAX_BATCH} in a file: split it by lines")?;
    }
    Ok(out)
}

fn batch_in(
    requests: &Requests,
    f: &FusionConfig,
    answers: &Answers,
    paths: &[PathBuf],
) -> Result<String> {
    // A file may have gone out when a fallback was the first model.
    let mut asked: HashMap<String, (&ChatRequest, &str)> = HashMap::new();
    for model in f.service_models() {
        for (_, request) in &requests.distinct {
            asked.insert(request.hash(model), (request, model));
        }
    }
    let (mut out, now) = (String::new(), SystemClock::default().unix());
    for path in paths {
        let read = read_batch(path, |id| asked.get(id).copied(), answers, now)?;
        for line in read.bad.iter().chain(&read.failed) {
            eprintln!("{line}");
        }
        writeln!(
            out,
            "{}: {} answers taken, {} there before, {} requests failed, {} bad lines",
            path.display(),
            read.taken,
            read.known,
            read.failed.len(),
            read.bad.len()
        )?;
    }
    let mut open = 0;
    for (_, request) in &requests.distinct {
        open += usize::from(!is_answered(answers, request, f)?);
    }
    let n = requests.distinct.len();
    writeln!(out, "{} of {n} requests are answered", n - open)?;
    Ok(out)
}
