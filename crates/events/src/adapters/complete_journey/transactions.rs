//! Receipts: which households, and what they bought when and where.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::products::Products;
use super::{CompleteJourneyConfig, required};
use crate::adapters::parquet_in;
use crate::adapters::sink::TimeOrder;
use crate::error::Result;
use crate::hash;
use crate::order::Fine;
use crate::report::IngestReport;

/// One line of a receipt.
pub(super) struct Purchase {
    /// Position in the sorted list of households, which is the user index.
    pub user: u32,
    pub ts: i64,
    pub basket: i64,
    pub row: u32,
    pub product: u32,
    pub store: i64,
    pub week: i64,
    pub value: f32,
    pub with_coupon: bool,
}

/// The households to ingest, sorted; a sample if the config says so.
pub(super) fn households(path: &Path, config: &CompleteJourneyConfig) -> Result<Vec<i64>> {
    let mut table = parquet_in::open(path, &["household_id"])?;
    let mut all = BTreeSet::new();
    while let Some((_, batch)) = table.next_batch()? {
        all.extend(table.ints(&batch, "household_id")?.into_iter().flatten());
    }
    let mut all: Vec<i64> = all.into_iter().collect();
    if let Some(n) = config.max_users.filter(|&n| n < all.len()) {
        all.sort_by_key(|id| hash::bytes(config.seed, id.to_string().as_bytes()));
        all.truncate(n);
        all.sort_unstable();
    }
    Ok(all)
}

/// All purchases of the households, sorted by (household, time, receipt, row). Prices of all
/// households' purchases enter `products`, so that a sample sees the same shelf.
pub(super) fn read(
    path: &Path,
    households: &[i64],
    products: &mut Products,
    report: &mut IngestReport,
) -> Result<Vec<Purchase>> {
    let columns = [
        "household_id",
        "store_id",
        "basket_id",
        "product_id",
        "quantity",
        "sales_value",
        "coupon_disc",
        "coupon_match_disc",
        "week",
        "transaction_timestamp",
    ];
    let users: HashMap<i64, u32> = households.iter().zip(0..).map(|(&id, u)| (id, u)).collect();
    let mut table = parquet_in::open(path, &columns)?;
    let mut order = TimeOrder::default();
    let mut purchases = Vec::new();
    while let Some((before, batch)) = table.next_batch()? {
        let int = |c| table.ints(&batch, c);
        let (household, store, basket, product, quantity, week) = (
            int("household_id")?,
            int("store_id")?,
            int("basket_id")?,
            int("product_id")?,
            int("quantity")?,
            int("week")?,
        );
        let float = |c| table.floats(&batch, c);
        let (value, disc, matched) = (
            float("sales_value")?,
            float("coupon_disc")?,
            float("coupon_match_disc")?,
        );
        let time = table.seconds(&batch, "transaction_timestamp")?;
        for i in 0..batch.num_rows() {
            let row = before + i as u64 + 1;
            report.rows_read += 1;
            let mut need = |cell: Option<i64>, column| required(cell, column, path, row, report);
            let Some(household) = need(household[i], "household_id")? else {
                continue;
            };
            let Some(product) = need(product[i], "product_id")? else {
                continue;
            };
            let Some(ts) = need(time[i], "transaction_timestamp")? else {
                continue;
            };
            let Some(basket) = need(basket[i], "basket_id")? else {
                continue;
            };
            let Some(store) = need(store[i], "store_id")? else {
                continue;
            };
            let Some(week) = need(week[i], "week")? else {
                continue;
            };
            let quantity = quantity[i].unwrap_or(0);
            let value = value[i].unwrap_or(0.0);
            if quantity == 0 && value == 0.0 {
                report.skip("quantity and value are 0: nothing was bought");
                continue;
            }
            let product = products.index_or_add(product);
            if quantity > 0 && value > 0.0 {
                products.see_price(product, ts, row, (value / quantity as f64) as f32);
            }
            let Some(&user) = users.get(&household) else {
                report.skip("transaction of a household outside the sample");
                continue;
            };
            order.see(user, (ts, Fine::default()), report);
            report.rows_kept += 1;
            purchases.push(Purchase {
                user,
                ts,
                basket,
                row: row as u32,
                product,
                store,
                week,
                value: value as f32,
                with_coupon: disc[i].unwrap_or(0.0) > 0.0 || matched[i].unwrap_or(0.0) > 0.0,
            });
        }
    }
    purchases.sort_unstable_by_key(|p| (p.user, p.ts, p.basket, p.row));
    Ok(purchases)
}
