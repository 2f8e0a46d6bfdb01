//! The report of the stage `fuse` about a service: `report.json`, and `report.md` for people.
//!
//! In: the stored knowledge with its counts, and a seeded sample of users, whose answers are looked at
//! again: they are in the store, but for those of further repeats, which are asked here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use hkfr_events::Instance;
use hkfr_fuse::claims::{ClaimsConfig, Consistency, Examined, Portrait, prompt_reports, table};
use hkfr_fuse::{ChatRequest, Fusion, KnowledgeStore, assemble, candidate_statements, facts};
use rand::SeedableRng;
use rand::seq::SliceRandom;

use super::forms::Forms;
use super::fuse_worker::Worker;
use super::histories::{facts_config, fusion};
use super::service::Service;
use crate::config::Config;
use crate::stage::StageContext;

/// Of the stage `fuse`, where a service fuses.
const REPORT: &str = "report.json";

/// One history a user, the latest, of at most `report_users` users.
pub(super) fn sample<'a>(config: &Config, instances: &[&'a Instance]) -> Vec<&'a Instance> {
    let mut latest: BTreeMap<u32, &Instance> = BTreeMap::new();
    for &instance in instances.iter().filter(|i| i.keep_last.is_none()) {
        let of_user = latest.entry(instance.user).or_insert(instance);
        if instance.as_of > of_user.as_of {
            *of_user = instance;
        }
    }
    let mut users: Vec<&Instance> = latest.into_values().collect();
    users.shuffle(&mut rand_chacha::ChaCha8Rng::seed_from_u64(config.seed));
    users.truncate(config.fusion.report_users as usize);
    users
}

/// What stands of a user, as (slot, value).
type Standing = BTreeSet<(String, String)>;

/// What a user of the sample was said to be.
struct Looked {
    model: String,
    portrait: Portrait,
    /// By repeat.
    standing: Vec<Standing>,
}

pub(super) fn report(
    ctx: &mut StageContext,
    worker: &Worker,
    instances: &[&Instance],
    service: &Service,
    store: &KnowledgeStore,
) -> Result<()> {
    let Worker {
        config,
        model,
        wording,
        ..
    } = *worker;
    let records = store.all()?;
    let forms = Forms::new(&worker.claims, &records);
    let sample = sample(config, instances);
    let progress = ctx.progress("comparing users", "users", Some(sample.len() as u64));
    let (next, looked) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || -> Result<()> {
        let config_of_facts = facts_config(config);
        let count = |text: &str| model.tokenizer.count(text);
        let fusion = fusion(config, wording, &config_of_facts, &count);
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(instance) = sample.get(i) else {
                return Ok(());
            };
            ctx.stop.check()?;
            let user = &wording.ds.users[instance.user as usize].id;
            // As it was asked before: nothing else is stored.
            let claims = ClaimsConfig {
                form: forms.of(user, instance),
                ..worker.claims.clone()
            };
            let of_user = look(&fusion, instance, config, &claims, service)
                .with_context(|| format!("user {user}"))?;
            let mut looked = looked.lock().expect("no panic under the lock");
            looked.push((i, of_user));
            progress.inc(1);
        }
    };
    std::thread::scope(|scope| {
        let threads = (0..config.fusion.concurrency).map(|_| scope.spawn(work));
        let threads: Vec<_> = threads.collect();
        let ended = threads.into_iter().map(|t| t.join().expect("no panic"));
        ended
            .collect::<Vec<_>>()
            .into_iter()
            .collect::<Result<()>>()
    })?;
    drop(progress);
    // In the order of the sample, so that sums are the same each time.
    let mut looked = looked.into_inner().expect("no panic under the lock");
    looked.sort_by_key(|(i, _)| *i);
    let mut reports = prompt_reports(&records);
    for report in &mut reports {
        let of_model = looked.iter().map(|(_, l)| l);
        let of_model: Vec<&Looked> = of_model.filter(|l| l.model == report.model).collect();
        let portraits: Vec<Portrait> = of_model.iter().map(|l| l.portrait.clone()).collect();
        let standing: Vec<_> = of_model.iter().map(|l| l.standing.clone()).collect();
        report.compare(&portraits);
        report.consistency = Consistency::of(&standing);
        report.warnings.iter().for_each(|w| tracing::warn!("{w}"));
    }
    let sum = |of: fn(&hkfr_fuse::claims::PromptReport) -> u32| reports.iter().map(of).sum::<u32>();
    let share = |n: u32, of: u32| match of {
        0 => "–".to_owned(),
        of => format!("{:.3}", f64::from(n) / f64::from(of)),
    };
    let unusable = sum(|r| r.unusable);
    if unusable > 0 {
        ctx.count("histories without an answer of use", unusable);
    }
    let in_lines = sum(|r| r.in_lines);
    if in_lines > 0 {
        ctx.count("histories asked in lines", in_lines);
    }
    ctx.count("claims made", sum(|r| r.claims_made));
    let precision = share(sum(|r| r.claims_supported), sum(|r| r.claims_made));
    ctx.count("precision", precision);
    let coverage = share(sum(|r| r.facts_covered), sum(|r| r.facts));
    ctx.count("coverage", coverage);
    crate::atomic::write_json(&ctx.dir.join(REPORT), &reports)?;
    crate::atomic::write(&ctx.dir.join("report.md"), table(&reports).as_bytes())
}

fn look(
    fusion: &Fusion,
    instance: &Instance,
    config: &Config,
    claims: &ClaimsConfig,
    service: &Service,
) -> Result<Looked> {
    let history = instance.history(fusion.wording.ds);
    let mut ask = |r: &ChatRequest| Ok(Some(service.gateway.ask(r)?));
    let mut rounds = Vec::new();
    for round in 0..config.fusion.repeats {
        let names = &service.vocabulary;
        match fusion.examine(&history, None, claims, names, round, &mut ask) {
            Ok(examined) => rounds.push(examined.expect("whoever may be asked answers or fails")),
            // What was asked for the report alone ends nothing: the user is compared by what there is.
            Err(hkfr_fuse::Error::Gateway(e))
                if round > 0 && (e.is_of_one_request() || e.is_refusal()) =>
            {
                let user = &fusion.wording.ds.users[instance.user as usize].id;
                tracing::warn!("user {user}, repeat {round}: {e}");
                break;
            }
            Err(e) => return Err(e.into()),
        }
    }
    let (facts, templates) = (
        facts(fusion.wording, &history, fusion.facts),
        fusion.wording.templates,
    );
    let statements = candidate_statements(&facts, templates)?;
    let scores = vec![0.0; statements.len()];
    let (budget, count) = (fusion.knowledge_tokens, fusion.count);
    let (facts_text, ..) = assemble(&facts, &statements, &scores, templates, budget, count)?;
    let standing = |e: &Examined| -> Standing {
        let claims = e.record.claims.iter();
        claims.map(|c| (c.slot.clone(), c.value.clone())).collect()
    };
    Ok(Looked {
        model: rounds[0].record.model.clone(),
        portrait: Portrait::new(&rounds[0], &facts, &facts_text),
        standing: rounds.iter().map(standing).collect(),
    })
}
