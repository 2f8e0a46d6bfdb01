//! Histories → knowledge: for every training instance and every case, one record a variant.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use anyhow::{Context, Result, bail};
use hkfr_events::{AsOf, Dataset, Instance};
use hkfr_fuse::{
    Cohorts, FusionMode, GatewayError, KnowledgeRecord, KnowledgeStore, Population, Wording,
};
use hkfr_rec::llm::EmbeddedScorer;
use serde_json::json;

use super::claims;
use super::histories::{facts_config, fusion, instances_of};
use super::refresh::{self, Earlier, Planner, n_choices};
use super::service::{self, Service};
use super::texts::{KNOWLEDGE, Source};
use super::variant::{Variant, variants};
use super::{Model, Session, n_threads};
use crate::config::Config;
use crate::stage::{Outcome, Spec, StageContext};

/// Records that are committed together: what a stop loses at most, and does again.
const BATCH: usize = 16;

/// Histories that a service may refuse before it has answered one: then it is not the histories.
const MAX_REFUSED: usize = 8;

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
        .any(|v| v.mode(config) == Some(FusionMode::Embedded));
    let mut key = json!({
        "fusion": config.fusion.decisive(),
        "refresh_threshold": config.fusion.refresh_threshold,
        "variants": names,
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
fn fused(config: &Config) -> Vec<Variant> {
    let mut variants = variants(config, false);
    variants.retain(|v| v.mode(config).is_some());
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
        for mode in variants.iter().filter_map(|v| v.mode(config)) {
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
        let serves = |v: &Variant| v.mode(config) == Some(FusionMode::Service);
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
        let worker = Worker {
            dataset: &dataset,
            wording: &wording,
            config,
            model: &model,
            service: service.as_ref(),
            cohorts: cohorts.as_ref(),
        };
        let threads = if config.fusion.mode == FusionMode::Service {
            config.fusion.concurrency as usize
        } else {
            n_threads()
        };
        let next = AtomicUsize::new(0);
        let (sender, receiver) = mpsc::channel();
        let (mut failed, mut refused, mut answers) = (Vec::new(), Vec::new(), false);
        std::thread::scope(|scope| -> Result<()> {
            for _ in 0..threads {
                let (sender, next, jobs, worker) = (sender.clone(), &next, &jobs, &worker);
                scope.spawn(move || worker.run(jobs, next, &sender));
            }
            drop(sender);
            let mut batch: Vec<KnowledgeRecord> = Vec::new();
            let result = receiver.iter().try_for_each(|record| {
                match record {
                    Ok(record) => batch.push(record),
                    // Others may be answered: what is missing is told at the end.
                    Err(e) if of_gateway(&e).is_some_and(GatewayError::is_of_one_request) => {
                        tracing::warn!("{e:#}");
                        failed.push(format!("{e:#}"));
                        return Ok(ctx.stop.check()?);
                    }
                    Err(e) if of_gateway(&e).is_some_and(GatewayError::is_refusal) => {
                        tracing::warn!("{e:#}");
                        refused.push(e);
                        if !answers && refused.len() >= MAX_REFUSED {
                            answers = has_answered(config, service.as_ref())?;
                            if !answers {
                                return Err(refused.swap_remove(0));
                            }
                        }
                        return Ok(ctx.stop.check()?);
                    }
                    Err(e) => return Err(e),
                }
                progress.inc(1);
                if let Some(service) = &service {
                    progress.note(service.gateway.spent().to_string());
                }
                if batch.len() >= BATCH {
                    store.put(&batch)?;
                    batch.clear();
                }
                Ok(ctx.stop.check()?)
            });
            // Whoever still works finishes the history in hand and finds no other.
            next.store(jobs.len(), Ordering::Relaxed);
            store.put(&batch)?;
            result
        })?;
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
            claims::report(ctx, config, &model, &wording, &plan.anew, service, &store)?;
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

fn of_gateway(error: &anyhow::Error) -> Option<&GatewayError> {
    match error.downcast_ref()? {
        hkfr_fuse::Error::Gateway(e) => Some(e),
        _ => None,
    }
}

/// Whether one of the models that are asked has ever answered, now or in an earlier run.
fn has_answered(config: &Config, service: Option<&Service>) -> Result<bool> {
    let Some(service) = service else {
        return Ok(false);
    };
    let answers = service.gateway.answers().usage()?;
    let mut models = config.fusion.service_models();
    Ok(models.any(|m| answers.contains_key(m)))
}

/// When the day of a time began. Cohorts are those of then: the histories of a day share them, and none sees its future.
fn day(as_of: AsOf) -> AsOf {
    const DAY: i64 = 86_400;
    AsOf::new(as_of.seconds().div_euclid(DAY) * DAY)
}

struct Worker<'a> {
    dataset: &'a Dataset,
    wording: &'a Wording<'a>,
    config: &'a Config,
    model: &'a Model,
    /// There if a job asks one.
    service: Option<&'a Service>,
    /// There if users of whom little is known are told of others.
    cohorts: Option<&'a Cohorts<'a>>,
}

impl Worker<'_> {
    fn run(
        &self,
        jobs: &[(&Instance, FusionMode)],
        next: &AtomicUsize,
        sender: &mpsc::Sender<Result<KnowledgeRecord>>,
    ) {
        let facts = facts_config(self.config);
        let count = |text: &str| self.model.tokenizer.count(text);
        let fusion = fusion(self.config, self.wording, &facts, &count);
        let mut scorer = EmbeddedScorer::new(
            self.model.llama.clone(),
            self.model.chat.clone(),
            self.model.rounded.clone(),
        );
        let mut everyone: Option<Population> = None;
        while let Some((instance, mode)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (history, keep_last) = (instance.history(self.dataset), instance.keep_last);
            let record = match (mode, self.service) {
                (FusionMode::Embedded, _) => fusion.embedded(&history, keep_last, &mut scorer),
                (FusionMode::Service, Some(service)) => {
                    let (claims, names) = (&service.claims, &service.vocabulary);
                    fusion.service(&history, keep_last, claims, names, &service.gateway)
                }
                _ => fusion.none(&history, keep_last),
            };
            let little = *mode != FusionMode::None
                && n_choices(self.dataset, &history) < self.config.fusion.cohort_below;
            let record = record.and_then(|mut record| {
                if let Some(cohorts) = self.cohorts.filter(|_| little) {
                    let as_of = day(instance.as_of);
                    let current = everyone.take().filter(|p| p.as_of() == as_of);
                    let current = everyone.insert(current.unwrap_or_else(|| cohorts.at(as_of)));
                    current.add_to(&mut record, &history, fusion.knowledge_tokens, &count)?;
                }
                Ok(record)
            });
            let user = &self.dataset.users[instance.user as usize].id;
            let record = record.with_context(|| format!("user {user}"));
            if sender.send(record).is_err() {
                break;
            }
        }
    }
}
