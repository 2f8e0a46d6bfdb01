//! Time, passed in: pauses and limits are tested without waiting for them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub trait Clock: Send + Sync {
    /// Since a moment that does not change; never goes back.
    fn now(&self) -> Duration;
    /// Seconds since 1970-01-01 UTC.
    fn unix(&self) -> i64;
    fn sleep(&self, time: Duration);
}

/// The time of this machine.
#[derive(Debug, Clone)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn unix(&self) -> i64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_secs() as i64)
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}
