//! What a run has yet to ask of a service: counted and priced by a dry run, or written as a batch file,
//! whose answers are read here too.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use hkfr_events::Instance;
use hkfr_fuse::claims::{ClaimsConfig, Vocabulary};
use hkfr_fuse::{
    Answered, Answers, ChatRequest, Clock, FusionMode, KnowledgeRecord, KnowledgeStore, Spend,
    SystemClock, Usage, Wording, read_batch, write_batch_line,
};

use super::Session;
use super::forms::Forms;
use super::histories::{facts_config, fusion, instances_of};
use super::n_threads;
use super::refresh::{self, Earlier, Planner};
use super::service::{ANSWERS, close_answers, open_answers, pseudonyms, spend_config};
use super::texts::KNOWLEDGE;
use crate::args::ServiceArgs;
use crate::config::FusionConfig;
use hkfr_rec::method::Input;

/// OpenAI takes no more in one file.
const MAX_BATCH: usize = 50_000;

/// What a run would ask.
struct Requests {
    n_histories: usize,
    /// Of them, those that take earlier knowledge, and their percentage.
    reused: (usize, f64),
    /// Each once, by its hash for the first model.
    distinct: Vec<(String, ChatRequest)>,
}

/// With the repeats of the report's sample, and as far as the answers are known with what is asked again.
/// `made`: a key of pseudonyms is made if there is none.
fn requests(session: &mut Session, answers: Option<&Answers>, made: bool) -> Result<Requests> {
    let asks = |v: Input| session.config.fusion_mode(v) == Some(FusionMode::Service);
    if !session.config.inputs(false).into_iter().any(asks) {
        return Ok(Requests {
            n_histories: 0,
            reused: (0, 0.0),
            distinct: Vec::new(),
        });
    }
    let (dataset, split) = (session.dataset()?, session.split()?);
    let (model, templates) = (session.model()?, session.templates()?);
    let (config, stop) = (&session.config, &session.stop);
    let (dataset, model) = (&*dataset, &*model);
    let all = instances_of(session, dataset, &split);
    let all: Vec<&Instance> = all.iter().collect();
    let planner = Planner {
        config,
        dataset,
        templates: &templates,
        model,
        stop,
    };
    let earlier = match config.fusion.refresh_threshold > 0.0 {
        true => Earlier::read(&session.dir("fuse"), &refresh::settings(session)?)?,
        false => Earlier::default(),
    };
    let plan = planner.plan(&all, &earlier)?;
    let instances = &plan.anew;
    let sampled = super::claims::sample(config, instances);
    let claims = config.fusion.claims();
    let forms = Forms::new(&claims, &stored_knowledge(session, templates.hash())?);
    let vocabulary = Vocabulary::new(dataset);
    let pseudonyms = pseudonyms(config, dataset, made)?;
    let wording = Wording::with_pseudonyms(dataset, &templates, &pseudonyms);
    let work = |share: &[&Instance]| -> Result<Vec<(String, ChatRequest)>> {
        let facts = facts_config(config);
        let count = |text: &str| model.tokenizer.count(text);
        let fusion = fusion(config, &wording, &facts, &count);
        let mut requests = Vec::new();
        for instance in share {
            stop.check()?;
            let history = instance.history(dataset);
            let user = &dataset.users[instance.user as usize].id;
            let claims = ClaimsConfig {
                form: forms.of(user, instance),
                ..claims.clone()
            };
            let rounds = match sampled.iter().any(|s| std::ptr::eq(*s, *instance)) {
                true => config.fusion.repeats,
                false => 1,
            };
            for round in 0..rounds {
                let mut stored = |r: &ChatRequest| stored(answers, r, &config.fusion);
                let asked = fusion.requests(&history, &claims, &vocabulary, round, &mut stored)?;
                let hashed = asked.into_iter().map(|r| (r.hash(&config.fusion.model), r));
                requests.extend(hashed);
            }
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
        n_histories: all.len(),
        reused: (plan.n_reused, plan.saved()),
        distinct,
    })
}

/// What these models were asked before with these templates.
fn stored_knowledge(session: &Session, templates: &str) -> Result<Vec<KnowledgeRecord>> {
    let path = session.dir("fuse").join(KNOWLEDGE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let mut records = KnowledgeStore::open(&path)?.all()?;
    records.retain(|r| {
        let mut models = session.config.fusion.service_models();
        r.template_hash == templates && models.any(|m| m == r.model)
    });
    Ok(records)
}

/// The answer of any model to any form of the request.
fn stored(
    answers: Option<&Answers>,
    request: &ChatRequest,
    f: &FusionConfig,
) -> hkfr_fuse::Result<Option<Answered>> {
    let Some(answers) = answers else {
        return Ok(None);
    };
    for model in f.service_models() {
        for (_, form) in request.forms() {
            if let Some(stored) = answers.get(&form.hash(model))? {
                return Ok(Some(Answered {
                    model: stored.model,
                    answer: stored.answer,
                    from_store: true,
                }));
            }
        }
    }
    Ok(None)
}

/// What a run would ask and what it may cost, for people.
pub fn dry_run(session: &mut Session) -> Result<String> {
    let answers = Answers::open_read_only(&session.dir("fuse").join(ANSWERS))?;
    let requests = requests(session, answers.as_ref(), false)?;
    let f = &session.config.fusion;
    let mut open: Vec<&ChatRequest> = Vec::new();
    for (_, request) in &requests.distinct {
        if stored(answers.as_ref(), request, f)?.is_none() {
            open.push(request);
        }
    }
    let n = requests.distinct.len();
    let mut out = format!(
        "{} histories, {n} requests, {} of them answered\n",
        requests.n_histories,
        n - open.len()
    );
    if f.refresh_threshold > 0.0 {
        let (reused, saved) = requests.reused;
        writeln!(
            out,
            "{reused} histories take earlier knowledge: {saved} % saved"
        )?;
    }
    let spend = spend_config(f);
    let before = match &answers {
        Some(answers) => answers.usage()?,
        None => BTreeMap::new(),
    };
    for (model, paid) in before {
        let spent = Spend {
            cost: spend.cost(&model, paid.usage),
            ..paid
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
    let dir = session.dir("fuse");
    fs_err::create_dir_all(&dir)?;
    let answers = open_answers(&dir)?;
    let requests = requests(session, Some(&answers), true)?;
    let f = &session.config.fusion;
    let said = match &args.batch_out {
        Some(path) => batch_out(&requests, f, &answers, path),
        None => batch_in(&requests, f, &answers, &args.batch_in),
    };
    drop(answers);
    close_answers(&dir)?;
    said
}

/// Whoever is forgotten is told of this file.
fn note(answers: &Answers, path: &Path) -> Result<()> {
    let path = std::path::absolute(path)?;
    Ok(answers.note_batch_file(&path.to_string_lossy())?)
}

fn batch_out(
    requests: &Requests,
    f: &FusionConfig,
    answers: &Answers,
    path: &Path,
) -> Result<String> {
    let (mut lines, mut n) = (Vec::new(), 0);
    for (_, request) in &requests.distinct {
        if stored(Some(answers), request, f)?.is_none() {
            write_batch_line(&mut lines, request, &f.model)?;
            n += 1;
        }
    }
    note(answers, path)?;
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
            for (_, form) in request.forms() {
                asked.insert(form.hash(model), (request, model));
            }
        }
    }
    let (mut out, now) = (String::new(), SystemClock::default().unix());
    for path in paths {
        note(answers, path)?;
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
        open += usize::from(stored(Some(answers), request, f)?.is_none());
    }
    let n = requests.distinct.len();
    writeln!(out, "{} of {n} requests are answered", n - open)?;
    Ok(out)
}
