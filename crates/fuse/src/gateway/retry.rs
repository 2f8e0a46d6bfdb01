//! The one loop that tries again: what may pass is asked again after a pause, within a deadline, and in another
//! format what is refused for its format ([`super::formats`]).
//!
//! The pause before attempt n + 1 is `backoff · 2ⁿ⁻¹`, spread by ±50 %, or what `Retry-After` says.
//! The deadline is over all attempts and pauses of a request at one service; waiting for one's own
//! limits is not counted, since it says nothing about the service.

use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Waiting;
use super::answer::ChatAnswer;
use super::breaker::{Breaker, BreakerConfig};
use super::chat::{Cause, ChatRequest, ChatService, Format, ServiceError};
use super::error::GatewayError;
use super::formats::Formats;
use super::limits::{Limits, LimitsConfig, Permit};
use super::till::Till;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryConfig {
    pub max_attempts: u32,
    /// Of one attempt, to the last byte.
    pub timeout: Duration,
    /// Of all attempts and pauses.
    pub deadline: Duration,
    /// First pause; each further one is twice as long.
    pub backoff: Duration,
    /// Of the jitter.
    pub seed: u64,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            max_attempts: 6,
            timeout: Duration::from_secs(60),
            deadline: Duration::from_secs(300),
            backoff: Duration::from_secs(1),
            seed: 42,
        }
    }
}

/// A service with what guards it.
pub(super) struct Route {
    service: Box<dyn ChatService>,
    limits: Limits,
    breaker: Breaker,
    formats: Formats,
}

pub(super) enum Ended {
    Answered(ChatAnswer),
    Failed {
        reason: String,
        attempts: u32,
    },
    /// The breaker is open: nothing was asked, or nothing more.
    Away {
        reason: Option<String>,
        wait: Duration,
    },
}

impl Route {
    pub fn new(
        service: Box<dyn ChatService>,
        limits: LimitsConfig,
        breaker: BreakerConfig,
    ) -> Self {
        Self {
            service,
            limits: Limits::new(limits),
            breaker: Breaker::new(breaker),
            formats: Formats::default(),
        }
    }

    pub fn model(&self) -> &str {
        self.service.model()
    }

    pub fn url(&self) -> &str {
        self.service.url()
    }

    /// The stored answer of its model to a form of the request.
    pub fn recall(&self, format: Format, form: &ChatRequest, answer: &ChatAnswer) {
        self.formats.take(format);
        self.service.recall(form, answer);
    }

    pub fn ask(
        &self,
        request: &ChatRequest,
        retry: &RetryConfig,
        till: &Till,
        waiting: &Waiting,
    ) -> Result<Ended, GatewayError> {
        let clock = &waiting.clock;
        let mut rng = ChaCha8Rng::seed_from_u64(salt(request, retry.seed));
        let mut left = retry.deadline;
        let mut reason = None;
        let mut attempt = 0;
        let forms = self.formats.of(request);
        let mut at = 0;
        // Why the format before this one was refused.
        let mut refused: Option<String> = None;
        loop {
            attempt += 1;
            if let Some(wait) = self.breaker.open_for(clock.now()) {
                return Ok(Ended::Away { reason, wait });
            }
            let (format, form) = (forms[at].0, &*forms[at].1);
            let permit = self.limits.enter(form.estimate().total(), waiting)?;
            let started = clock.now();
            if let Err(wait) = self.breaker.admit(started) {
                permit.correct(0);
                return Ok(Ended::Away { reason, wait });
            }
            let answer = self.attempt(form, &permit, retry.timeout.min(left), till)?;
            let now = clock.now();
            left = left.saturating_sub(now.saturating_sub(started));
            let (mut why, cause, after) = match answer {
                Ok(answer) => {
                    self.breaker.answered();
                    self.formats
                        .answered(format, refused.as_deref(), self.url());
                    return Ok(Ended::Answered(answer));
                }
                Err(ServiceError::User(reason)) => {
                    self.breaker.answered();
                    let url = self.url().to_owned();
                    return Err(GatewayError::User { url, reason });
                }
                Err(ServiceError::Refused(reason)) => {
                    self.breaker.answered();
                    let url = self.url().to_owned();
                    return Err(GatewayError::Refused { url, reason });
                }
                Err(ServiceError::Schema(reason)) => {
                    self.breaker.answered();
                    permit.correct(0);
                    // One that has taken this format refuses what the question says.
                    if at + 1 == forms.len() || self.formats.takes(format) {
                        let url = self.url().to_owned();
                        return Err(GatewayError::Refused { url, reason });
                    }
                    refused = Some(reason);
                    (at, attempt) = (at + 1, attempt - 1);
                    continue;
                }
                Err(ServiceError::Transient {
                    reason,
                    cause,
                    after,
                    paid: _,
                }) => (reason, cause, after.map(|a| a.wait(clock.unix()))),
            };
            drop(permit);
            let last = attempt >= retry.max_attempts;
            if cause == Cause::Server && self.formats.suspects(format, last) {
                let (words, plain) = forms.last().expect("a request has a form");
                let permit = self.limits.enter(plain.estimate().total(), waiting)?;
                if let Ok(answer) = self.attempt(plain, &permit, retry.timeout, till)? {
                    self.breaker.answered();
                    self.formats.answered(*words, Some(&why), self.url());
                    return Ok(Ended::Answered(answer));
                }
                why = format!(
                    "{why}; without response_format it fails too, and structured = \"never\" leaves that out from the start"
                );
            }
            let busy = cause == Cause::Busy;
            // "Now" is what a clock that is behind says, too.
            let after = after.filter(|wait| !wait.is_zero());
            let jitter = rng.random_range(0.5..1.5);
            let pause = after.unwrap_or_else(|| {
                let doubled = retry.backoff * 2_u32.pow((attempt - 1).min(10));
                doubled.mul_f64(jitter)
            });
            let too_late = pause >= left;
            match after {
                // It told how long it will answer nobody.
                Some(after) if too_late => self.breaker.open_until(now + after),
                _ if busy && !last && !too_late => {}
                _ => self.breaker.failed(now),
            }
            if last || too_late {
                let deadline = retry.deadline.as_secs_f64();
                let late = format!("{why}; the deadline of {deadline} s leaves no other attempt");
                return Ok(Ended::Failed {
                    reason: if too_late { late } else { why },
                    attempts: attempt,
                });
            }
            tracing::warn!(
                "{}: {why}; trying again in {:.1} s",
                self.url(),
                pause.as_secs_f64()
            );
            reason = Some(why);
            if after.is_some() && busy {
                self.limits.hold_until(now + pause);
            }
            waiting.pause(pause)?;
            left -= pause;
        }
    }

    /// One attempt. An answer that cannot be read is paid here.
    fn attempt(
        &self,
        form: &ChatRequest,
        permit: &Permit,
        timeout: Duration,
        till: &Till,
    ) -> Result<Result<ChatAnswer, ServiceError>, GatewayError> {
        let reserved = till.reserve(self.model(), form)?;
        let answer = self.service.ask(form, timeout);
        match &answer {
            Ok(answer) => {
                let usage = form.usage(answer);
                permit.correct(usage.total());
                till.answered(reserved, self.model(), form, answer)?;
            }
            Err(ServiceError::Transient {
                paid: Some(bill), ..
            }) => {
                permit.correct(bill.usage.total());
                till.unread(reserved, self.model(), form, *bill)?;
            }
            Err(_) => {}
        }
        Ok(answer)
    }
}

/// Two requests that fail together must not come back together.
fn salt(request: &ChatRequest, seed: u64) -> u64 {
    let bytes = request.messages.iter().flat_map(|m| m.content.bytes());
    bytes.fold(seed, |h, b| h.wrapping_mul(31).wrapping_add(u64::from(b)))
}
