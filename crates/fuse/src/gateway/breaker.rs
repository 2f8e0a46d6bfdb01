//! A circuit breaker: after so many failed attempts in a row a service is left alone for a while, then
//! one request probes it; if that is answered, all go there again.

use std::sync::Mutex;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerConfig {
    /// Failed attempts in a row.
    pub failures: u32,
    /// How long the service is then left alone.
    pub open: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            failures: 10,
            open: Duration::from_secs(30),
        }
    }
}

pub(super) struct Breaker {
    config: BreakerConfig,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { failures: u32 },
    Open { until: Duration },
    HalfOpen { since: Duration },
}

impl Breaker {
    pub fn new(config: BreakerConfig) -> Self {
        Self {
            config,
            state: Mutex::new(State::Closed { failures: 0 }),
        }
    }

    /// May an attempt be made now? `Err`: how long to wait before asking again.
    pub fn admit(&self, now: Duration) -> Result<(), Duration> {
        let mut state = self.state.lock().expect("no panic under the lock");
        match *state {
            State::Closed { .. } => return Ok(()),
            State::Open { until } if now < until => return Err(until - now),
            // A probe of which nothing was heard does not close the way for ever.
            State::HalfOpen { since } if now < since + self.config.open => {
                return Err(self.config.open / 10);
            }
            State::Open { .. } | State::HalfOpen { .. } => {}
        }
        *state = State::HalfOpen { since: now };
        Ok(())
    }

    /// How long it stays open, if it is.
    pub fn open_for(&self, now: Duration) -> Option<Duration> {
        match *self.state.lock().expect("no panic under the lock") {
            State::Open { until } => until.checked_sub(now).filter(|d| !d.is_zero()),
            _ => None,
        }
    }

    /// The service answered, if only to refuse.
    pub fn answered(&self) {
        *self.state.lock().expect("no panic under the lock") = State::Closed { failures: 0 };
    }

    pub fn failed(&self, now: Duration) {
        let mut state = self.state.lock().expect("no panic under the lock");
        let open = State::Open {
            until: now + self.config.open,
        };
        *state = match *state {
            State::Closed { failures } if failures + 1 < self.config.failures => State::Closed {
                failures: failures + 1,
            },
            State::Closed { .. } | State::HalfOpen { .. } => open,
            open => open,
        };
    }

    /// The service said for how long it will answer nobody.
    pub fn open_until(&self, until: Duration) {
        *self.state.lock().expect("no panic under the lock") = State::Open { until };
    }
}
