//! A thread of the stage `fuse`: takes one history after another and makes its knowledge.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use anyhow::{Context, Result};
use hkfr_events::{AsOf, Dataset, Instance};
use hkfr_fuse::claims::{ClaimsConfig, Fault};
use hkfr_fuse::{Cohorts, FusionMode, KnowledgeRecord, Population, Wording};
use hkfr_rec::llm::EmbeddedScorer;

use super::Model;
use super::histories::{facts_config, fusion};
use super::service::Service;
use crate::config::Config;

pub(super) type Job<'a> = (&'a Instance, FusionMode);

/// A history's knowledge, and of a service's how many answers it took and why one was of no use.
pub(super) struct Fused {
    pub record: KnowledgeRecord,
    pub n_answers: u32,
    pub fault: Option<Fault>,
}

/// When the day of a time began. Cohorts are those of then: the histories of a day share them, and none sees its future.
fn day(as_of: AsOf) -> AsOf {
    const DAY: i64 = 86_400;
    AsOf::new(as_of.seconds().div_euclid(DAY) * DAY)
}

pub(super) struct Worker<'a> {
    pub dataset: &'a Dataset,
    pub wording: &'a Wording<'a>,
    pub config: &'a Config,
    pub model: &'a Model,
    /// There if a job asks one.
    pub service: Option<&'a Service>,
    /// How it is asked.
    pub claims: ClaimsConfig,
    /// The cohorts of users with little history; `None`: knowledge tells of no cohort.
    pub cohorts: Option<&'a Cohorts<'a>>,
}

impl Worker<'_> {
    pub fn run(&self, jobs: &[Job], next: &AtomicUsize, sender: &mpsc::Sender<Result<Fused>>) {
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
            let (mut n_answers, mut fault) = (0, None);
            let record = match (mode, self.service) {
                (FusionMode::Embedded, _) => fusion.embedded(&history, keep_last, &mut scorer),
                (FusionMode::Service, Some(service)) => {
                    let (claims, names) = (&self.claims, &service.vocabulary);
                    let said = fusion.service(&history, keep_last, claims, names, &service.gateway);
                    said.map(|examined| {
                        (n_answers, fault) = (examined.n_answers, examined.fault);
                        examined.record
                    })
                }
                _ => fusion.none(&history, keep_last),
            };
            let little = *mode != FusionMode::None
                && history.n_targets(self.dataset) < self.config.fusion.cohort_below as usize;
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
            let fused = record.map(|record| Fused {
                record,
                n_answers,
                fault,
            });
            if sender
                .send(fused.with_context(|| format!("user {user}")))
                .is_err()
            {
                break;
            }
        }
    }
}
