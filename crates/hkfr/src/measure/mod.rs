//! `hkfr measure`: what knowledge is worth where it is old or where little is known, without a language
//! model: claims are taken in the order of the facts, and seconds suffice.

mod cohorts;
mod freshness;

use std::path::Path;

use anyhow::Result;
use hkfr_eval::bootstrap::Interval;
use serde::Serialize;

pub use cohorts::cohorts;
pub use freshness::{FreshnessAsk, freshness};

use crate::atomic;

/// What was measured, for people and as JSON.
pub struct Measured {
    pub table: String,
    pub report: serde_json::Value,
}

impl Measured {
    fn new(table: String, report: &impl Serialize) -> Result<Self> {
        let report = serde_json::to_value(report)?;
        Ok(Self { table, report })
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        atomic::write_json(path, &self.report)
    }
}

/// [mean, low, high], to four digits.
fn triple(mean: f64, interval: Interval) -> [f64; 3] {
    [mean, interval.lo, interval.hi].map(|x| (x * 1e4).round() / 1e4)
}
