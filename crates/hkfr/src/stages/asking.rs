//! The histories of the stage `fuse`, fused by several threads; what each came to, in the order in which they end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use anyhow::Result;
use hkfr_fuse::claims::{Fault, Usefulness};
use hkfr_fuse::{GatewayError, KnowledgeRecord, KnowledgeStore};

use super::fuse_worker::{Fused, Job, Worker};
use super::service::Service;
use super::useful;
use crate::config::Config;
use crate::progress::Progress;
use crate::stop::Stop;

/// Records that are committed together: what a stop loses at most, and does again.
const BATCH: usize = 16;

/// Histories that a service may refuse before it has answered one: then it is not the histories.
const MAX_REFUSED: usize = 8;

/// What came of the histories so far.
pub(super) struct Asking<'a> {
    pub progress: &'a Progress,
    pub stop: &'a Stop,
    pub threads: usize,
    /// Histories that were not answered, and those that a service refused.
    pub failed: Vec<String>,
    pub refused: Vec<anyhow::Error>,
    pub useful: Usefulness,
    /// Of an answer that was of no use.
    pub fault: Option<Fault>,
    /// An answer was taken from a model's thoughts, and that was told.
    pub told_of_reasoning: bool,
}

/// Why no more histories are fused.
enum End {
    /// Nothing that a service answered is of use.
    Hopeless,
    Error(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for End {
    fn from(e: E) -> Self {
        Self::Error(e.into())
    }
}

impl Asking<'_> {
    /// Fuses all of them and stores what comes of it.
    ///
    /// # Errors
    /// What ends the stage: a store, a service that cannot be asked, or answers of which none is of use.
    pub fn run(&mut self, worker: &Worker, jobs: &[Job], store: &mut KnowledgeStore) -> Result<()> {
        let next = AtomicUsize::new(0);
        let (sender, receiver) = mpsc::channel();
        std::thread::scope(|scope| -> Result<()> {
            for _ in 0..self.threads {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || worker.run(jobs, next, &sender));
            }
            drop(sender);
            let mut batch: Vec<KnowledgeRecord> = Vec::new();
            let least = worker.config.fusion.min_useful;
            let result = receiver.iter().try_for_each(|fused| {
                batch.extend(self.take(worker, fused)?);
                if let Some(service) = worker.service {
                    self.progress.note(service.gateway.spent().to_string());
                }
                if batch.len() >= BATCH {
                    store.put(&batch)?;
                    batch.clear();
                }
                self.stop.check()?;
                if least > 0.0 && self.useful.is_hopeless() {
                    Err(End::Hopeless)
                } else {
                    Ok(())
                }
            });
            // Whoever still works finishes the history in hand, which is paid, and finds no other.
            next.store(jobs.len(), Ordering::Relaxed);
            for fused in receiver.iter().flatten() {
                self.note(&fused);
                batch.push(fused.record);
            }
            store.put(&batch)?;
            match (result, worker.service) {
                (Err(End::Hopeless), Some(service)) => {
                    let (useful, fault) = (&self.useful, self.fault.as_ref());
                    Err(useful::error(useful, fault, &store.all()?, worker, service))
                }
                (Err(End::Error(e)), _) => Err(e),
                _ => Ok(()),
            }
        })
    }

    /// `None`: it was not answered, and others may be.
    fn take(&mut self, worker: &Worker, fused: Result<Fused>) -> Result<Option<KnowledgeRecord>> {
        let e = match fused {
            Ok(fused) => {
                self.progress.inc(1);
                self.note(&fused);
                self.fault = self.fault.take().or(fused.fault);
                return Ok(Some(fused.record));
            }
            Err(e) => e,
        };
        if of_gateway(&e).is_some_and(GatewayError::is_of_one_request) {
            tracing::warn!("{e:#}");
            self.failed.push(format!("{e:#}"));
            return Ok(None);
        }
        if !of_gateway(&e).is_some_and(GatewayError::is_refusal) {
            return Err(e);
        }
        tracing::warn!("{e:#}");
        self.refused.push(e);
        if self.refused.len() >= MAX_REFUSED && !has_answered(worker.config, worker.service)? {
            return Err(self.refused.swap_remove(0));
        }
        Ok(None)
    }

    fn note(&mut self, fused: &Fused) {
        let Some(counts) = &fused.record.cut.gate else {
            return;
        };
        self.useful.note(counts, fused.n_answers);
        if counts.from_reasoning > 0 && !self.told_of_reasoning {
            self.told_of_reasoning = true;
            tracing::warn!(
                "model {:?} answers among its thoughts (reasoning_content), with no content: taken where that is an answer as a whole, and counted in fuse/report.json",
                fused.record.model
            );
        }
    }
}

fn of_gateway(error: &anyhow::Error) -> Option<&GatewayError> {
    match error.downcast_ref()? {
        hkfr_fuse::Error::Gateway(e) => Some(e),
        _ => None,
    }
}

/// Whether one of the models that are asked has ever answered, now or in an earlier run.
pub(super) fn has_answered(config: &Config, service: Option<&Service>) -> Result<bool> {
    let Some(service) = service else {
        return Ok(false);
    };
    let answers = service.gateway.answers().usage()?;
    let mut models = config.fusion.service_models();
    Ok(models.any(|m| {
        answers
            .get(m)
            .is_some_and(|paid| paid.answers > paid.unread)
    }))
}
