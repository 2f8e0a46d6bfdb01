//! A synthetic food-delivery log with a stated truth: what a run finds can be held against what is there.
//!
//! In: [`FoodDeliveryConfig`]. Out, in a directory: `log/` with `events.csv`, `items.csv` and `users.csv`
//! for the [`mapping`](crate::adapters::mapping) adapter, `food-delivery.toml` that reads them,
//! `truth.jsonl` with each customer's preferences, and a README. Nothing in it describes a person.
//!
//! Users are written one after another and forgotten, so that memory does not grow with the log: `hkfr
//! generate food-delivery --users 50000` writes 15.8 million events in 3 s within 10 MB. The
//! same config gives the same bytes on every machine: random numbers are hashes ([`draw`]), and what is
//! done with them is addition and multiplication only.

mod catalogue;
mod draw;
mod files;
mod funnel;
mod person;

use serde::Serialize;

pub use files::FoodDelivery;

/// 2024-01-01 00:00 local time, a Monday.
const START: i64 = 1_704_067_200;
const DAY: i64 = 86_400;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoodDeliveryConfig {
    pub users: u32,
    /// At least 14, so that there is a past before the last days.
    pub days: u32,
    pub seed: u64,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub users: u64,
    pub merchants: u64,
    pub dishes: u64,
    pub events: u64,
    pub orders: u64,
}
