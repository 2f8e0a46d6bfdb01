//! Histories → knowledge: for every training instance and every case, one record an input of the model.

use anyhow::{Result, bail};
use hkfr_events::Instance;
use hkfr_fuse::{Cohorts, FusionMode, KnowledgeStore, Wording};
use serde_json::json;

use super::asking::{Asking, has_answered};
use super::fuse_worker::Worker;
use super::histories::{WhoIsAsked, instances_of};
use super::refresh::{self, Earlier, Planner};
use super::service::{self, Service};
use super::texts::{KNOWLEDGE, Source};
use super::useful::{self, stored_fault, usefulness};
use super::{Session, n_threads};
use super::{claims, forms};
use crate::config::Config;
use crate::stage::{Outcome, Spec, StageContext};
use hkfr_rec::method::Input;

/// Stays when the stage is made anew: what was paid for, and what may be taken again.
const KEEP: [&str; 5] = [
    service::KEEP[0],
    service::KEEP[1],
    service::KEEP[2],
    service::KEEP[3],
    refresh::EARLIER,
];

/// What the stage depends on.
pub(super) fn spec(session: &Session) -> Result<Spec> {
    let config = &session.config;
    let variants = fused(config);
    let names: Vec<_> = variants.iter().map(|v| v.name()).collect();
    let mut outside = vec![session.templates()?.hash().to_owned()];
    if !variants.is_empty() {
        outside.push(session.llm_fingerprint()?);
        outside.extend(service::replayed(&config.fusion)?);
    }
    let asked = variants
        .iter()
        .any(|&v| config.fusion_mode(v) == Some(FusionMode::Embedded));
    let mut key = json!({
        "fusion": config.fusion.decisive(),
        "refresh_threshold": config.fusion.refresh_threshold,
        "variants": names,
        "asked": WhoIsAsked::of(config, |_| true),
        "arithmetic": asked.then(|| config.models.arithmetic()),
        "model": session.llm_dir_name().filter(|_| asked),
    });
    if let Some(report) = config.fusion.decisive_of_report() {
        key["report"] = report;
    }
    Ok(Spec {
        name: "fuse",
        inputs: &["ingest", "split"],
        config: key,
        seed: config.seed,
        outside,
        keep: &KEEP,
    })
}

/// The variants whose texts this stage makes.
fn fused(config: &Config) -> Vec<Input> {
    let mut variants = config.inputs(false);
    variants.retain(|&v| config.fusion_mode(v).is_some());
    variants
}

pub(super) fn run(session: &mut Session) -> Result<Outcome> {
    let (spec, variants, templates) =
        (spec(session)?, fused(&session.config), session.templates()?);
    let runner = session.runner.clone();
    let outcome = runner.stage(&spec, |ctx| {
        let mut store = KnowledgeStore::open(&ctx.dir.join(KNOWLEDGE))?;
        if variants.is_empty() {
            return Ok(());
        }
        let (dataset, split, model) = (session.dataset()?, session.split()?, session.model()?);
        let config = &session.config;
        let (mut jobs, mut n_done) = (Vec::new(), 0);
        let all = instances_of(session, &dataset, &split);
        let all: Vec<&Instance> = all.iter().collect();
        let planner = Planner {
            config,
            dataset: &dataset,
            templates: &templates,
            model: &model,
            stop: &session.stop,
        };
        let reuses = config.fusion.refresh_threshold > 0.0;
        let earlier = match reuses {
            true => Earlier::read(&ctx.dir, &refresh::settings(session)?)?,
            false => Earlier::default(),
        };
        let plan = planner.plan(&all, &earlier)?;
        store.put(&plan.taken)?;
        for mode in variants.iter().filter_map(|&v| config.fusion_mode(v)) {
            let source = Source::new(config, &model, &templates, mode);
            // Behaviour text costs nothing and is always of its own time.
            let wanted = match mode {
                FusionMode::None => &all,
                _ => &plan.anew,
            };
            for &instance in wanted {
                match source.own(&store, &dataset, instance)? {
                    Some(_) => n_done += 1,
                    None => jobs.push((instance, mode)),
                }
            }
        }
        let progress = ctx.progress("fusing", "histories", Some((jobs.len() + n_done) as u64));
        progress.skip(n_done as u64);
        let serves = |v: &Input| config.fusion_mode(*v) == Some(FusionMode::Service);
        let service = match variants.iter().any(serves) {
            true => Some(Service::open(config, &dataset, &ctx.dir, &ctx.stop)?),
            false => None,
        };
        let pseudonyms = match &service {
            Some(_) => Some(service::pseudonyms(config, &dataset, true)?),
            None => None,
        };
        let wording = match &pseudonyms {
            Some(pseudonyms) => Wording::with_pseudonyms(&dataset, &templates, pseudonyms),
            None => Wording::new(&dataset, &templates),
        };
        let told = config.fusion.cohort_below > 0;
        let cohorts =
            told.then(|| Cohorts::new(&wording, &split.fit_before, config.fusion.cohort()));
        if told {
            // What everyone did is counted once a day.
            jobs.sort_by_key(|(instance, _)| instance.as_of);
        }
        let mut worker = Worker {
            dataset: &dataset,
            wording: &wording,
            config,
            model: &model,
            service: service.as_ref(),
            claims: config.fusion.claims(),
            cohorts: cohorts.as_ref(),
        };
        let threads = if config.fusion.mode == FusionMode::Service {
            config.fusion.concurrency as usize
        } else {
            n_threads()
        };
        let earlier = store.all()?;
        let mut asking = Asking {
            progress: &progress,
            stop: &ctx.stop,
            threads,
            failed: Vec::new(),
            refused: Vec::new(),
            useful: usefulness(&earlier),
            fault: None,
            told_of_reasoning: false,
        };
        if let Some(service) = &service
            && config.fusion.min_useful > 0.0
            && asking.useful.is_hopeless()
        {
            let fault = stored_fault(&worker, &plan.anew, &earlier, service)?;
            let (useful, fault) = (&asking.useful, fault.as_ref());
            return Err(useful::error(useful, fault, &earlier, &worker, service));
        }
        let (trial, rest) = jobs.split_at(forms::trial(&worker.claims, &jobs, &earlier));
        asking.run(&worker, trial, &mut store)?;
        let tried = store.all()?;
        let form = forms::settled(&worker.claims, &tried);
        if form != worker.claims.form {
            forms::say(&tried);
            worker.claims.form = form;
        }
        asking.run(&worker, rest, &mut store)?;
        let Asking {
            mut failed,
            mut refused,
            fault,
            ..
        } = asking;
        drop(progress);
        if !refused.is_empty() && !has_answered(config, service.as_ref())? {
            return Err(refused.swap_remove(0));
        }
        failed.extend(refused.iter().map(|e| format!("{e:#}")));
        if !failed.is_empty() {
            bail!(
                "{} of {} histories were not answered:\n  {}\nwhat was answered is kept: the same command asks for these again",
                failed.len(),
                jobs.len() + n_done,
                failed[..failed.len().min(5)].join("\n  ")
            );
        }
        if let Some(service) = &service {
            let records = store.all()?;
            let useful = usefulness(&records);
            if useful.is_below(config.fusion.min_useful) {
                let fault = match fault {
                    None => stored_fault(&worker, &plan.anew, &records, service)?,
                    fault => fault,
                };
                return Err(useful::error(&useful, fault.as_ref(), &records, &worker, service));
            }
            claims::report(ctx, &worker, &plan.anew, service, &store)?;
            let spent = service.gateway.spent();
            ctx.count("paid answers", spent.answers);
            ctx.count("paid tokens", spent.usage.total());
            ctx.count("cost", format!("{:.4}", spent.cost));
        }
        if reuses {
            let records = store.all()?;
            planner.keep(&ctx.dir, refresh::settings(session)?, &records)?;
            ctx.count("fused anew", plan.anew.len());
            ctx.count("took earlier knowledge", plan.n_reused);
            ctx.count("% saved", plan.saved());
        }
        finish(ctx, &store)
    });
    service::close_answers(&session.dir("fuse"))?;
    outcome
}

/// Counts what is in the store and writes it out.
pub(super) fn finish(ctx: &mut StageContext, store: &KnowledgeStore) -> Result<()> {
    let records = store.all()?;
    let fused: Vec<_> = records
        .iter()
        .filter(|r| r.mode != FusionMode::None)
        .collect();
    ctx.count("records", records.len());
    ctx.count(
        "claims",
        fused.iter().map(|r| r.claims.len()).sum::<usize>(),
    );
    ctx.count(
        "prompt tokens",
        fused.iter().map(|r| r.prompt_tokens).sum::<usize>(),
    );
    ctx.count(
        "events not written out",
        records
            .iter()
            .map(|r| u64::from(r.cut.events_not_written))
            .sum::<u64>(),
    );
    ctx.count(
        "dropped claims or sentences",
        fused.iter().map(|r| r.n_dropped).sum::<usize>(),
    );
    let mut lines = Vec::new();
    store.export(&mut lines)?;
    crate::atomic::write(&ctx.dir.join("knowledge.jsonl"), &lines)
}
