//! Histories → knowledge: for every training instance and every case, one record a variant.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result};
use hkfr_events::{Dataset, Instance, Split};
use hkfr_fuse::{
    FactsConfig, Fusion, FusionMode, Gateway, GatewayConfig, KnowledgeKey, KnowledgeRecord,
    KnowledgeStore, Wording,
};
use hkfr_rec::llm::EmbeddedScorer;
use serde_json::json;

use super::llm::{KNOWLEDGE, knowledge_model, n_threads, variants};
use super::{Model, Session};
use crate::config::Config;
use crate::stage::{Outcome, Spec};

/// Records that are committed together: what a stop loses at most, and does again.
const BATCH: usize = 16;

pub(super) fn run(session: &mut Session) -> Result<Outcome> {
    let mut variants = variants(&session.config, false);
    variants.retain(|v| v.mode(&session.config).is_some());
    let names: Vec<_> = variants.iter().map(|v| v.name()).collect();
    let templates = session.templates()?;
    let mut outside = vec![templates.hash().to_owned()];
    if !variants.is_empty() {
        outside.push(session.llm_fingerprint()?);
    }
    let asked = variants
        .iter()
        .any(|v| v.mode(&session.config) == Some(FusionMode::Embedded));
    let spec = Spec {
        name: "fuse",
        inputs: &["ingest", "split"],
        config: json!({
            "fusion": session.config.fusion,
            "variants": names,
            "arithmetic": asked.then(|| session.config.models.arithmetic()),
            "model": session.llm_dir_name().filter(|_| asked),
        }),
        seed: session.config.seed,
        outside,
        keep: &[],
    };
    let runner = session.runner.clone();
    runner.stage(&spec, |ctx| {
        let mut store = KnowledgeStore::open(&ctx.dir.join(KNOWLEDGE))?;
        if variants.is_empty() {
            return Ok(());
        }
        let (dataset, split, model) = (session.dataset()?, session.split()?, session.model()?);
        let config = &session.config;
        let mut jobs = Vec::new();
        let mut n_done = 0;
        for mode in variants.iter().filter_map(|v| v.mode(config)) {
            let name = knowledge_model(mode, config, &model);
            for instance in instances(&split) {
                let key = KnowledgeKey {
                    user: &dataset.users[instance.user as usize].id,
                    as_of: instance.as_of.seconds(),
                    keep_last: instance.keep_last,
                    template_hash: templates.hash(),
                    model: &name,
                    mode,
                };
                match store.get(&key)? {
                    Some(_) => n_done += 1,
                    None => jobs.push((instance, mode)),
                }
            }
        }
        let progress = ctx.progress("fusing", "histories", Some((jobs.len() + n_done) as u64));
        progress.skip(n_done as u64);
        let wording = Wording::new(&dataset, &templates);
        let worker = Worker {
            dataset: &dataset,
            wording: &wording,
            config,
            model: &model,
            seed: ctx.seed,
        };
        let threads = if config.fusion.mode == FusionMode::Service {
            config.fusion.concurrency as usize
        } else {
            n_threads()
        };
        let next = AtomicUsize::new(0);
        let (sender, receiver) = mpsc::channel();
        std::thread::scope(|scope| -> Result<()> {
            for _ in 0..threads {
                let (sender, next, jobs, worker) = (sender.clone(), &next, &jobs, &worker);
                scope.spawn(move || worker.run(jobs, next, &sender));
            }
            drop(sender);
            let mut batch: Vec<KnowledgeRecord> = Vec::new();
            let result = receiver.iter().try_for_each(|record| {
                batch.push(record?);
                progress.inc(1);
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
    })
}

/// All whose history is written out, without doubles (a case may coincide with a training instance).
fn instances(split: &Split) -> Vec<&Instance> {
    let mut seen = std::collections::HashSet::new();
    let all = split
        .train
        .iter()
        .chain(split.cases.iter().map(|c| &c.instance));
    all.filter(|i| seen.insert((i.user, i.as_of, i.keep_last)))
        .collect()
}

struct Worker<'a> {
    dataset: &'a Dataset,
    wording: &'a Wording<'a>,
    config: &'a Config,
    model: &'a Model,
    seed: u64,
}

impl Worker<'_> {
    fn run(
        &self,
        jobs: &[(&Instance, FusionMode)],
        next: &AtomicUsize,
        sender: &mpsc::Sender<Result<KnowledgeRecord>>,
    ) {
        let facts = FactsConfig {
            max_events: self.config.fusion.max_events as usize,
            ..FactsConfig::default()
        };
        let count = |text: &str| self.model.tokenizer.count(text);
        let fusion = Fusion {
            wording: self.wording,
            facts: &facts,
            budget_tokens: self.config.fusion.budget_tokens as usize,
            knowledge_tokens: self.config.fusion.knowledge_tokens as usize,
            count: &count,
        };
        let mut scorer = EmbeddedScorer::new(
            self.model.llama.clone(),
            self.model.chat.clone(),
            self.model.rounded.clone(),
        );
        let mut gateway = None;
        while let Some((instance, mode)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let history = instance.history(self.dataset);
            let record = match mode {
                FusionMode::None => fusion.none(&history, instance.keep_last),
                FusionMode::Embedded => fusion.embedded(&history, instance.keep_last, &mut scorer),
                FusionMode::Service => {
                    self.gateway(&mut gateway)
                        .and_then(|(gateway, vocabulary)| {
                            fusion.service(&history, instance.keep_last, gateway, vocabulary)
                        })
                }
            };
            let user = &self.dataset.users[instance.user as usize].id;
            let record = record.with_context(|| format!("user {user}"));
            if sender.send(record).is_err() {
                break;
            }
        }
    }

    /// Made on first use: the client, and the names whose unfounded mention is an invention.
    fn gateway<'g>(
        &self,
        slot: &'g mut Option<(Gateway, Vec<String>)>,
    ) -> hkfr_fuse::Result<&'g (Gateway, Vec<String>)> {
        if slot.is_none() {
            let f = &self.config.fusion;
            let gateway = Gateway::new(GatewayConfig {
                base_url: f.base_url.clone(),
                api_key: std::env::var(&f.api_key_env).ok(),
                model: f.model.clone(),
                temperature: 0.0,
                timeout: Duration::from_secs(u64::from(f.timeout_seconds)),
                max_attempts: f.retries + 1,
                backoff: Duration::from_secs(1),
                seed: self.seed,
            })?;
            let mut names: Vec<String> = self
                .dataset
                .items
                .iter()
                .flat_map(|i| &i.categories)
                .filter(|c| c.len() > 3)
                .map(|c| c.to_lowercase())
                .collect();
            names.sort();
            names.dedup();
            *slot = Some((gateway, names));
        }
        Ok(slot.as_ref().expect("just made"))
    }
}
