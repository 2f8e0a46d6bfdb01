//! The one loop that tries again: what may pass is asked again after a pause, within a deadline.
//!
//! The pause before attempt n + 1 is `backoff · 2ⁿ⁻¹`, spread by ±50 %, or what `Retry-After` says.
//! The deadline is over all attempts and pauses of a request at one service; waiting for one's own
//! limits is not counted, since it says nothing about the service.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Waiting;
use super::breaker::Breaker;
use super::chat::{ChatAnswer, ChatRequest, ChatService, ServiceError};
use super::error::GatewayError;
use super::limits::Limits;

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
    pub service: Box<dyn ChatService>,
    pub limits: Limits,
    pub breaker: Breaker,
    /// It refused a schema: from then on it is asked without.
    pub plain: AtomicBool,
}

pub(super) enum Ended {
    Answered(ChatAnswer),
    /// Not as it was asked: see [`Route::form`].
    NoSchema(String),
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
    /// The request as this service takes it.
    pub fn form<'r>(&self, request: &'r ChatRequest) -> Cow<'r, ChatRequest> {
        let plain = self.plain.load(Ordering::Relaxed);
        let plain = plain.then(|| request.without_schema()).flatten();
        plain.map_or(Cow::Borrowed(request), Cow::Owned)
    }

    pub fn ask(
        &self,
        request: &ChatRequest,
        retry: &RetryConfig,
        waiting: &Waiting,
    ) -> Result<Ended, GatewayError> {
        let clock = &waiting.clock;
        let mut rng = ChaCha8Rng::seed_from_u64(salt(request, retry.seed));
        let mut left = retry.deadline;
        let mut reason = None;
        for attempt in 1.. {
            if let Some(wait) = self.breaker.open_for(clock.now()) {
                return Ok(Ended::Away { reason, wait });
            }
            let permit = self.limits.enter(request.estimate().total(), waiting)?;
            let started = clock.now();
            if let Err(wait) = self.breaker.admit(started) {
                permit.correct(0);
                return Ok(Ended::Away { reason, wait });
            }
            let answer = self.service.ask(request, retry.timeout.min(left));
            let now = clock.now();
            left = left.saturating_sub(now.saturating_sub(started));
            let (why, busy, after) = match answer {
                Ok(answer) => {
                    self.breaker.answered();
                    permit.correct(request.usage(&answer).total());
                    return Ok(Ended::Answered(answer));
                }
                Err(ServiceError::User(reason)) => {
                    self.breaker.answered();
                    let url = self.service.url().to_owned();
                    return Err(GatewayError::User { url, reason });
                }
                Err(ServiceError::Refused(reason)) => {
                    self.breaker.answered();
                    let url = self.service.url().to_owned();
                    return Err(GatewayError::Refused { url, reason });
                }
                Err(ServiceError::Schema(reason)) => {
                    self.breaker.answered();
                    permit.correct(0);
                    return Ok(Ended::NoSchema(reason));
                }
                Err(ServiceError::Transient {
                    reason,
                    busy,
                    after,
                }) => (reason, busy, after.map(|a| a.wait(clock.unix()))),
            };
            drop(permit);
            let jitter = rng.random_range(0.5..1.5);
            let pause = after.unwrap_or_else(|| {
                let doubled = retry.backoff * 2_u32.pow((attempt - 1).min(10));
                doubled.mul_f64(jitter)
            });
            let too_late = pause >= left;
            match after {
                // It told how long it will answer nobody.
                Some(after) if too_late => self.breaker.open_until(now + after),
                _ if busy && attempt < retry.max_attempts && !too_late => {}
                _ => self.breaker.failed(now),
            }
            if attempt >= retry.max_attempts || too_late {
                let deadline = retry.deadline.as_secs_f64();
                let late = format!("{why}; the deadline of {deadline} s leaves no other attempt");
                return Ok(Ended::Failed {
                    reason: if too_late { late } else { why },
                    attempts: attempt,
                });
            }
            tracing::warn!(
                "{}: {why}; trying again in {:.1} s",
                self.service.url(),
                pause.as_secs_f64()
            );
            reason = Some(why);
            if after.is_some() && busy {
                self.limits.hold_until(now + pause);
            }
            waiting.pause(pause)?;
            left -= pause;
        }
        unreachable!("attempts end")
    }
}

/// Two requests that fail together must not come back together.
fn salt(request: &ChatRequest, seed: u64) -> u64 {
    let bytes = request.messages.iter().flat_map(|m| m.content.bytes());
    bytes.fold(seed, |h, b| h.wrapping_mul(31).wrapping_add(u64::from(b)))
}
