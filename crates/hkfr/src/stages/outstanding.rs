//! What a run has yet to ask of a service: counted and priced by a dry run, or written as a batch file,
//! whose answers are read here too.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use hkfr_events::Instance;
use hkfr_fuse::{
    Answers, ChatRequest, Clock, FusionMode, Spend, SystemClock, Usage, Wording, read_batch,
    write_batch_line,
};

use super::Session;
use super::fuse::{facts_config, fusion, instances_of};
use super::llm::{Variant, n_threads, variants};
use super::service::{ANSWERS, spend_config};
use crate::args::ServiceArgs;
use crate::config::FusionConfig;

/// OpenAI takes no more in one file.
const MAX_BATCH: usize = 50_000;

/// What a run would ask.
struct Requests {
    n_histories: usize,
    /// Each once, by its hash for the first model.
    distinct: Vec<(String, ChatRequest)>,
}

fn requests(session: &mut Session) -> Result<Requests> {
    let asks = |v: Variant| v.mode(&session.config) == Some(FusionMode::Service);
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
    let instances = instances_of(session, dataset, &split);
    let wording = Wording::new(dataset, &templates);
    let work = |share: &[&Instance]| -> Result<Vec<(String, ChatRequest)>> {
        let facts = facts_config(config);
        let count = |text: &str| model.tokenizer.count(text);
        let fusion = fusion(config, &wording, &facts, &count);
        let mut requests = Vec::new();
        for instance in share {
            stop.check()?;
            let request = fusion.request(&instance.history(dataset))?;
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
