//! What answers cost: tokens × price, reserved before a request and settled after it, under a cap.
//!
//! ```
//! use hkfr_fuse::{Price, Usage};
//!
//! let price = Price { input: 0.15, output: 0.6 };
//! let usage = Usage { prompt_tokens: 1_000_000, completion_tokens: 500_000 };
//! assert_eq!(price.of(usage), 0.45);
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Condvar, Mutex};

use serde::{Deserialize, Serialize};

use super::Waiting;
use super::answer::Usage;
use super::chat::Bill;
use super::error::GatewayError;

/// In any currency, per million tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    pub input: f64,
    pub output: f64,
}

impl Price {
    pub fn of(self, usage: Usage) -> f64 {
        (self.input * usage.prompt_tokens as f64 + self.output * usage.completion_tokens as f64)
            / 1e6
    }
}

/// Prices by model, and what may be spent: over all runs whose answers are in one store.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SpendConfig {
    pub prices: BTreeMap<String, Price>,
    pub max_cost: Option<f64>,
    pub max_tokens: Option<u64>,
}

impl SpendConfig {
    pub fn cost(&self, model: &str, usage: Usage) -> f64 {
        self.prices.get(model).map_or(0.0, |p| p.of(usage))
    }
}

/// What was paid for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spend {
    pub answers: u64,
    /// Of them, those that could not be read.
    pub unread: u64,
    /// Of them, those whose tokens the service did not count.
    pub estimated: u64,
    pub usage: Usage,
    pub cost: f64,
}

impl Spend {
    pub(super) fn add(&mut self, other: &Self) {
        self.answers += other.answers;
        self.unread += other.unread;
        self.estimated += other.estimated;
        self.usage.prompt_tokens += other.usage.prompt_tokens;
        self.usage.completion_tokens += other.usage.completion_tokens;
        self.cost += other.cost;
    }
}

/// `1203 answers, 410230 + 96240 tokens, cost 0.1193 (3 unreadable, tokens of 12 estimated)`
impl fmt::Display for Spend {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Usage {
            prompt_tokens,
            completion_tokens,
        } = self.usage;
        write!(
            f,
            "{} answers, {prompt_tokens} + {completion_tokens} tokens, cost {:.4}",
            self.answers, self.cost
        )?;
        match (self.unread, self.estimated) {
            (0, 0) => Ok(()),
            (0, n) => write!(f, " (tokens of {n} estimated)"),
            (n, 0) => write!(f, " ({n} unreadable)"),
            (n, m) => write!(f, " ({n} unreadable, tokens of {m} estimated)"),
        }
    }
}

/// Adds up while requests are under way.
pub(super) struct Meter {
    config: SpendConfig,
    state: Mutex<State>,
    settled: Condvar,
}

#[derive(Default)]
struct State {
    spent: Spend,
    /// At most this much more will be spent by what is under way.
    reserved_tokens: u64,
    reserved_cost: f64,
}

/// Held while a request is under way.
pub(super) struct Reservation<'a> {
    meter: &'a Meter,
    tokens: u64,
    cost: f64,
}

impl Meter {
    /// `before`: what the answers in the store took, by model.
    pub fn new(config: SpendConfig, before: &BTreeMap<String, Spend>) -> Self {
        let mut state = State::default();
        for (model, before) in before {
            let cost = config.cost(model, before.usage);
            state.spent.add(&Spend { cost, ..*before });
        }
        Self {
            config,
            state: Mutex::new(state),
            settled: Condvar::new(),
        }
    }

    pub fn spent(&self) -> Spend {
        self.state.lock().expect("no panic under the lock").spent
    }

    /// Room for a request that may take so much. Where only what is under way leaves none, waits
    /// for that to be settled: it mostly takes less.
    pub fn reserve(
        &self,
        model: &str,
        estimate: Usage,
        waiting: &Waiting,
    ) -> Result<Reservation<'_>, GatewayError> {
        let (tokens, cost) = (estimate.total(), self.config.cost(model, estimate));
        let mut state = self.state.lock().expect("no panic under the lock");
        loop {
            waiting.check()?;
            if let Some(error) = self.above_cap(&state.spent, tokens, cost) {
                return Err(error);
            }
            let mut with_reserved = state.spent;
            with_reserved.cost += state.reserved_cost;
            with_reserved.usage.prompt_tokens += state.reserved_tokens;
            if self.above_cap(&with_reserved, tokens, cost).is_none() {
                break;
            }
            let waited = self.settled.wait_timeout(state, waiting.slice());
            state = waited.expect("no panic under the lock").0;
        }
        state.reserved_tokens += tokens;
        state.reserved_cost += cost;
        Ok(Reservation {
            meter: self,
            tokens,
            cost,
        })
    }

    fn above_cap(&self, spent: &Spend, tokens: u64, cost: f64) -> Option<GatewayError> {
        let error = |key, cap: String, next| GatewayError::Cap {
            key,
            cap,
            spent: spent.to_string(),
            next,
        };
        if let Some(cap) = self.config.max_cost
            && spent.cost + cost > cap
        {
            return Some(error("max_cost", cap.to_string(), format!("{cost:.6}")));
        }
        if let Some(cap) = self.config.max_tokens
            && spent.usage.total() + tokens > cap
        {
            let next = format!("{tokens} tokens");
            return Some(error("max_tokens_total", cap.to_string(), next));
        }
        None
    }
}

impl Reservation<'_> {
    /// What it took in the end. `read`: whether the answer could be read.
    pub fn settle(self, model: &str, bill: Bill, read: bool) {
        let cost = self.meter.config.cost(model, bill.usage);
        let mut state = self.meter.state.lock().expect("no panic under the lock");
        state.spent.add(&Spend {
            answers: 1,
            unread: (!read).into(),
            estimated: (!bill.reported).into(),
            usage: bill.usage,
            cost,
        });
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if let Ok(mut state) = self.meter.state.lock() {
            state.reserved_tokens -= self.tokens;
            state.reserved_cost -= self.cost;
        }
        self.meter.settled.notify_all();
    }
}
