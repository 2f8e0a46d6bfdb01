//! `hkfr generate`: synthetic logs with a stated truth.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use hkfr_events::generate::{Counts, FoodDelivery, FoodDeliveryConfig};
use indicatif::HumanCount;

use crate::progress::{Progress, Unit};
use crate::stop::Stop;

/// Writes the log into `dir`; what was written, and what to do with it.
///
/// # Errors
/// A number that makes no log, I/O errors, or a stop.
pub fn food_delivery(config: FoodDeliveryConfig, dir: &Path, stop: &Stop) -> Result<String> {
    let (started, users) = (Instant::now(), u64::from(config.users));
    let mut log = FoodDelivery::new(config, dir)?;
    let progress = Progress::new("generating", Unit::Things("users"), Some(users));
    while log.next_user()? {
        stop.check()?;
        progress.inc(1);
    }
    let (path, counts) = log.finish()?;
    drop(progress);
    let Counts {
        users,
        merchants,
        dishes,
        events,
        orders,
    } = counts;
    let seconds = started.elapsed().as_secs_f64();
    Ok(format!(
        "synthetic: {} users, {} merchants, {} dishes, {} events, {} orders\n\
         {seconds:.1} s, {} rows a second\n\
         hkfr run {}\n",
        HumanCount(users),
        HumanCount(merchants),
        HumanCount(dishes),
        HumanCount(events),
        HumanCount(orders),
        HumanCount((events as f64 / seconds.max(1e-9)) as u64),
        path.display()
    ))
}
