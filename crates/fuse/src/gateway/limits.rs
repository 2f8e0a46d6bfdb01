//! How much is asked at once: requests under way, requests a minute, tokens a minute.
//!
//! In no 60 seconds do more requests begin, or more tokens pass, than the limits say. Tokens are
//! estimated when a request begins and corrected when the service has counted them.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use super::Waiting;
use super::error::GatewayError;

const MINUTE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitsConfig {
    pub concurrency: usize,
    pub requests_per_minute: Option<u32>,
    pub tokens_per_minute: Option<u64>,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            concurrency: 4,
            requests_per_minute: None,
            tokens_per_minute: None,
        }
    }
}

pub(super) struct Limits {
    config: LimitsConfig,
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Default)]
struct State {
    running: usize,
    /// What began in the last minute, oldest first; empty if nothing is limited by the minute.
    begun: VecDeque<Begun>,
    tokens: u64,
    next_id: u64,
    /// Nothing begins before: the service asked for patience.
    held_until: Duration,
}

struct Begun {
    id: u64,
    at: Duration,
    tokens: u64,
}

/// The right to one attempt; given back when dropped.
pub(super) struct Permit<'a> {
    limits: &'a Limits,
    id: u64,
}

impl Limits {
    pub fn new(config: LimitsConfig) -> Self {
        Self {
            config,
            state: Mutex::default(),
            left: Condvar::new(),
        }
    }

    /// Waits until one more request of so many tokens may begin.
    pub fn enter(&self, tokens: u64, waiting: &Waiting) -> Result<Permit<'_>, GatewayError> {
        let mut state = self.state.lock().expect("no panic under the lock");
        loop {
            waiting.check()?;
            if state.running >= self.config.concurrency {
                let waited = self.left.wait_timeout(state, waiting.slice());
                state = waited.expect("no panic under the lock").0;
                continue;
            }
            let now = waiting.clock.now();
            let Some(wait) = self.must_wait(&mut state, tokens, now) else {
                break;
            };
            drop(state);
            waiting.pause(wait)?;
            state = self.state.lock().expect("no panic under the lock");
        }
        let id = state.next_id;
        state.next_id += 1;
        state.running += 1;
        if self.counts_minutes() {
            let at = waiting.clock.now();
            state.begun.push_back(Begun { id, at, tokens });
            state.tokens += tokens;
        }
        Ok(Permit { limits: self, id })
    }

    fn counts_minutes(&self) -> bool {
        self.config.requests_per_minute.is_some() || self.config.tokens_per_minute.is_some()
    }

    fn must_wait(&self, state: &mut State, tokens: u64, now: Duration) -> Option<Duration> {
        while let Some(oldest) = state.begun.front()
            && oldest.at + MINUTE <= now
        {
            state.tokens -= oldest.tokens;
            state.begun.pop_front();
        }
        let mut until = state.held_until;
        if let Some(limit) = self.config.requests_per_minute
            && let Some(nth) = (state.begun.len() + 1).checked_sub(limit as usize)
            && nth > 0
        {
            until = until.max(state.begun[nth - 1].at + MINUTE);
        }
        if let Some(limit) = self.config.tokens_per_minute {
            // A request above the limit of a minute goes when nothing else did.
            let mut excess = (state.tokens + tokens).saturating_sub(limit);
            for begun in &state.begun {
                if excess == 0 {
                    break;
                }
                until = until.max(begun.at + MINUTE);
                excess = excess.saturating_sub(begun.tokens);
            }
        }
        until.checked_sub(now).filter(|wait| !wait.is_zero())
    }

    /// The service asked for patience: of all, not only of the request it told.
    pub fn hold_until(&self, then: Duration) {
        let mut state = self.state.lock().expect("no panic under the lock");
        state.held_until = state.held_until.max(then);
    }
}

impl Permit<'_> {
    /// The service has counted the tokens.
    pub fn correct(&self, tokens: u64) {
        let mut state = self.limits.state.lock().expect("no panic under the lock");
        let state = &mut *state;
        if let Ok(i) = state.begun.binary_search_by_key(&self.id, |b| b.id) {
            let begun = &mut state.begun[i];
            state.tokens = state.tokens - begun.tokens + tokens;
            begun.tokens = tokens;
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Ok(mut state) = self.limits.state.lock() {
            state.running -= 1;
        }
        self.limits.left.notify_one();
    }
}
