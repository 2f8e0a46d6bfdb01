//! Campaigns in the mail, coupons redeemed at the till, and what is known of the households.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::products::Products;
use super::required;
use crate::adapters::parquet_in;
use crate::dataset::{DatasetBuilder, Event, UserIdx};
use crate::error::Result;
use crate::report::IngestReport;

const DAY: i64 = 86_400;
const OUTSIDE: &str = "row of a household without purchases or outside the sample";

/// A household that has no receipts is no user.
fn user(
    builder: &mut DatasetBuilder,
    household: i64,
    report: &mut IngestReport,
) -> Option<UserIdx> {
    let id = household.to_string();
    if builder.has_user(&id) {
        return Some(builder.user(&id));
    }
    report.skip(OUTSIDE);
    None
}

/// `campaign-received`, when the campaign starts.
pub(super) fn campaigns(
    builder: &mut DatasetBuilder,
    dir: &Path,
    report: &mut IngestReport,
) -> Result<()> {
    let starts = descriptions(&dir.join("campaign_descriptions.parquet"), report)?;
    let path = dir.join("campaigns.parquet");
    let mut table = parquet_in::open(&path, &["campaign_id", "household_id"])?;
    let kind = builder.kind("campaign", "campaign-received", "mail");
    while let Some((before, batch)) = table.next_batch()? {
        let campaign = table.ints(&batch, "campaign_id")?;
        let household = table.ints(&batch, "household_id")?;
        for i in 0..batch.num_rows() {
            let row = before + i as u64 + 1;
            report.rows_read += 1;
            let Some(campaign) = required(campaign[i], "campaign_id", &path, row, report)? else {
                continue;
            };
            let Some(household) = required(household[i], "household_id", &path, row, report)?
            else {
                continue;
            };
            let Some((kind_of, start)) = starts.get(&campaign) else {
                report.bad_row(
                    &path,
                    row,
                    "campaign is not in campaign_descriptions",
                    &campaign.to_string(),
                )?;
                continue;
            };
            let Some(user) = user(builder, household, report) else {
                continue;
            };
            report.rows_kept += 1;
            builder.push(Event {
                user,
                item: None,
                kind,
                ts: *start,
                value: None,
                place: None,
                text: Some(format!("{kind_of} campaign {campaign}").into()),
                row: 0,
            });
        }
    }
    Ok(())
}

/// Campaign → (type, start in seconds).
fn descriptions(path: &Path, report: &mut IngestReport) -> Result<HashMap<i64, (String, i64)>> {
    let mut table = parquet_in::open(path, &["campaign_id", "campaign_type", "start_date"])?;
    let mut starts = HashMap::new();
    while let Some((before, batch)) = table.next_batch()? {
        let campaign = table.ints(&batch, "campaign_id")?;
        let kind = table.strings(&batch, "campaign_type")?;
        let start = table.seconds(&batch, "start_date")?;
        for i in 0..batch.num_rows() {
            let row = before + i as u64 + 1;
            report.rows_read += 1;
            let Some(campaign) = required(campaign[i], "campaign_id", path, row, report)? else {
                continue;
            };
            let Some(start) = required(start[i], "start_date", path, row, report)? else {
                continue;
            };
            report.rows_kept += 1;
            let kind = report.clean(kind[i].unwrap_or("untyped")).into_owned();
            starts.insert(campaign, (kind, start));
        }
    }
    Ok(starts)
}

/// `redeem`, at the last second of its day.
pub(super) fn redemptions(
    builder: &mut DatasetBuilder,
    dir: &Path,
    products: &Products,
    report: &mut IngestReport,
) -> Result<()> {
    let covers = coupons(&dir.join("coupons.parquet"), products, report)?;
    let path = dir.join("coupon_redemptions.parquet");
    let columns = [
        "household_id",
        "coupon_upc",
        "campaign_id",
        "redemption_date",
    ];
    let mut table = parquet_in::open(&path, &columns)?;
    let kind = builder.kind("coupon", "redeem", "checkout");
    while let Some((before, batch)) = table.next_batch()? {
        let int = |c| table.ints(&batch, c);
        let (household, coupon, campaign) = (
            int("household_id")?,
            int("coupon_upc")?,
            int("campaign_id")?,
        );
        let date = table.seconds(&batch, "redemption_date")?;
        for i in 0..batch.num_rows() {
            let row = before + i as u64 + 1;
            report.rows_read += 1;
            let Some(household) = required(household[i], "household_id", &path, row, report)?
            else {
                continue;
            };
            let Some(coupon) = required(coupon[i], "coupon_upc", &path, row, report)? else {
                continue;
            };
            let Some(date) = required(date[i], "redemption_date", &path, row, report)? else {
                continue;
            };
            let Some(user) = user(builder, household, report) else {
                continue;
            };
            report.rows_kept += 1;
            let what = covers
                .get(&coupon)
                .map_or_else(String::new, |c| format!(" for {c}"));
            let of = campaign[i].map_or_else(String::new, |c| format!(" of campaign {c}"));
            builder.push(Event {
                user,
                item: None,
                kind,
                ts: date.div_euclid(DAY) * DAY + DAY - 1,
                value: None,
                place: None,
                text: Some(format!("coupon {coupon}{what}{of}").into()),
                row: 0,
            });
        }
    }
    Ok(())
}

/// Coupon → the product category that most of its products are in.
fn coupons(
    path: &Path,
    products: &Products,
    report: &mut IngestReport,
) -> Result<HashMap<i64, String>> {
    let mut table = parquet_in::open(path, &["coupon_upc", "product_id"])?;
    let mut counts: HashMap<i64, BTreeMap<&str, u32>> = HashMap::new();
    while let Some((before, batch)) = table.next_batch()? {
        let coupon = table.ints(&batch, "coupon_upc")?;
        let product = table.ints(&batch, "product_id")?;
        for i in 0..batch.num_rows() {
            let row = before + i as u64 + 1;
            report.rows_read += 1;
            let Some(coupon) = required(coupon[i], "coupon_upc", path, row, report)? else {
                continue;
            };
            let Some(product) = required(product[i], "product_id", path, row, report)? else {
                continue;
            };
            report.rows_kept += 1;
            let category = products
                .index(product)
                .and_then(|p| products.all[p as usize].categories.get(1));
            if let Some(category) = category {
                *counts
                    .entry(coupon)
                    .or_default()
                    .entry(category)
                    .or_default() += 1;
            }
        }
    }
    let commonest = |names: BTreeMap<&str, u32>| {
        // The first in the alphabet among equals: `max_by_key` takes the last.
        names
            .into_iter()
            .rev()
            .max_by_key(|&(_, n)| n)
            .map(|(name, _)| name.to_owned())
    };
    Ok(counts
        .into_iter()
        .filter_map(|(coupon, names)| Some((coupon, commonest(names)?)))
        .collect())
}

pub(super) fn demographics(
    builder: &mut DatasetBuilder,
    path: &Path,
    report: &mut IngestReport,
) -> Result<()> {
    let attributes = [
        ("age", "age"),
        ("income", "income"),
        ("home_ownership", "home ownership"),
        ("marital_status", "marital status"),
        ("household_size", "household size"),
        ("household_comp", "household composition"),
        ("kids_count", "kids"),
    ];
    let columns: Vec<&str> = std::iter::once("household_id")
        .chain(attributes.map(|a| a.0))
        .collect();
    let mut table = parquet_in::open(path, &columns)?;
    while let Some((before, batch)) = table.next_batch()? {
        let household = table.ints(&batch, "household_id")?;
        let cells = attributes
            .iter()
            .map(|(column, name)| Ok((*name, table.strings(&batch, column)?)))
            .collect::<Result<Vec<_>>>()?;
        for (i, household) in household.into_iter().enumerate() {
            report.rows_read += 1;
            let row = before + i as u64 + 1;
            let Some(household) = required(household, "household_id", path, row, report)? else {
                continue;
            };
            let Some(user) = user(builder, household, report) else {
                continue;
            };
            report.rows_kept += 1;
            for (name, cells) in &cells {
                if let Some(cell) = cells[i] {
                    let cell = report.clean(cell).into_owned();
                    builder
                        .profile_mut(user)
                        .attributes
                        .insert((*name).into(), cell);
                }
            }
        }
    }
    Ok(())
}
