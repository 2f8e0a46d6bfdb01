//! What a household could see in the store: promotions of the store and week of each visit.
//!
//! The log says which product was on display or in the mailer, where and in which week, but not
//! who looked. A household is taken to have seen, on a visit, the promoted products that it
//! bought then, and a few others from product categories that it had bought from EARLIER:
//! choosing by what it buys later would write the future into the history.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::products::Products;
use super::transactions::Purchase;
use super::{CompleteJourneyConfig, daypart, required};
use crate::adapters::parquet_in;
use crate::dataset::{DatasetBuilder, Event, KindIdx};
use crate::error::Result;
use crate::hash::mix;
use crate::report::IngestReport;

/// Codes as in the file; `0`: not there.
#[derive(Clone, Copy)]
struct Promotion {
    store_week: u32,
    product: u32,
    display: u8,
    mailer: u8,
}

/// Promotions of the store-weeks that were visited, sorted by (store-week, product).
pub(super) struct Promotions {
    all: Vec<Promotion>,
    store_weeks: HashMap<(i64, i64), u32>,
    /// `all[offsets[s]..offsets[s + 1]]` are store-week s's.
    offsets: Vec<usize>,
}

pub(super) fn read(
    path: &Path,
    visits: &[Purchase],
    products: &mut Products,
    report: &mut IngestReport,
) -> Result<Promotions> {
    let visited: BTreeSet<(i64, i64)> = visits.iter().map(|p| (p.store, p.week)).collect();
    let store_weeks: HashMap<(i64, i64), u32> = visited.into_iter().zip(0..).collect();
    let columns = [
        "product_id",
        "store_id",
        "display_location",
        "mailer_location",
        "week",
    ];
    let mut table = parquet_in::open(path, &columns)?;
    let mut all = Vec::new();
    let mut elsewhere = 0;
    // The file is sorted by product: the look-up of the row before mostly serves again.
    let mut last = None;
    while let Some((before, batch)) = table.next_batch()? {
        let int = |c| table.ints(&batch, c);
        let (product, store, week) = (int("product_id")?, int("store_id")?, int("week")?);
        let display = table.strings(&batch, "display_location")?;
        let mailer = table.strings(&batch, "mailer_location")?;
        report.rows_read += batch.num_rows() as u64;
        for i in 0..batch.num_rows() {
            let row = before + i as u64 + 1;
            let Some(product) = required(product[i], "product_id", path, row, report)? else {
                continue;
            };
            let Some(store) = required(store[i], "store_id", path, row, report)? else {
                continue;
            };
            let Some(week) = required(week[i], "week", path, row, report)? else {
                continue;
            };
            let Some(&store_week) = store_weeks.get(&(store, week)) else {
                elsewhere += 1;
                continue;
            };
            let product = match last {
                Some((id, index)) if id == product => index,
                _ => {
                    let index = products.index_or_add(product);
                    last = Some((product, index));
                    index
                }
            };
            all.push(Promotion {
                store_week,
                product,
                display: code(display[i]),
                mailer: code(mailer[i]),
            });
        }
    }
    report.rows_kept += all.len() as u64;
    if elsewhere > 0 {
        *report
            .skipped
            .entry("promotion in a store and week that nobody of the sample visited".into())
            .or_default() += elsewhere;
    }
    all.sort_unstable_by_key(|p| (p.store_week, p.product, p.display, p.mailer));
    // A product listed twice is promoted in all the ways its rows say (`0` is the lowest code).
    all.dedup_by(|b, a| {
        let same = (a.store_week, a.product) == (b.store_week, b.product);
        if same {
            a.display = a.display.max(b.display);
            a.mailer = a.mailer.max(b.mailer);
        }
        same
    });
    let mut offsets = vec![0; store_weeks.len() + 1];
    for p in &all {
        offsets[p.store_week as usize + 1] += 1;
    }
    for s in 0..store_weeks.len() {
        offsets[s + 1] += offsets[s];
    }
    Ok(Promotions {
        all,
        store_weeks,
        offsets,
    })
}

fn code(cell: Option<&str>) -> u8 {
    cell.and_then(|c| c.trim().bytes().next()).unwrap_or(b'0')
}

/// Pushes each visit's exposures and then its purchases, so that at the same second the exposure
/// comes first.
pub(super) fn push_visits(
    builder: &mut DatasetBuilder,
    purchases: &[Purchase],
    products: &Products,
    promotions: &Promotions,
    config: &CompleteJourneyConfig,
    report: &mut IngestReport,
) {
    let mut n_exposures = 0u64;
    let mut known = vec![false; products.n_categories()];
    for own in purchases.chunk_by(|a, b| a.user == b.user) {
        known.fill(false);
        for moment in own.chunk_by(|a, b| a.ts == b.ts) {
            for basket in moment.chunk_by(|a, b| a.basket == b.basket) {
                report.duplicates += n_repeated(basket);
                let seen = promotions.seen(basket, &known, products, config);
                n_exposures += push_exposures(builder, &basket[0], &seen, products);
                push_purchases(builder, basket, products);
            }
            for p in moment {
                known[products.category[p.product as usize] as usize] = true;
            }
        }
    }
    report.notes.push(format!(
        "{n_exposures} exposures derived from the promotions of the stores and weeks visited"
    ));
}

impl Promotions {
    /// What the household of this basket is taken to have seen, bought products first.
    fn seen(
        &self,
        basket: &[Purchase],
        known: &[bool],
        products: &Products,
        config: &CompleteJourneyConfig,
    ) -> Vec<Promotion> {
        let visit = &basket[0];
        let Some(&s) = self.store_weeks.get(&(visit.store, visit.week)) else {
            return Vec::new();
        };
        let here = &self.all[self.offsets[s as usize]..self.offsets[s as usize + 1]];
        let mut bought: Vec<u32> = basket.iter().map(|p| p.product).collect();
        bought.sort_unstable();
        bought.dedup();
        let mut seen: Vec<Promotion> = bought
            .iter()
            .filter_map(|b| here.binary_search_by_key(b, |p| p.product).ok())
            .map(|i| here[i])
            .collect();
        let limit = config.max_exposures_per_visit;
        if limit == 0 {
            return seen;
        }
        let salt = mix(config.seed ^ mix(visit.basket as u64));
        let mut others: Vec<(u64, Promotion)> = Vec::with_capacity(limit + 1);
        for &p in here {
            if !known[products.category[p.product as usize] as usize] {
                continue;
            }
            let h = mix(salt ^ products.all[p.product as usize].id as u64);
            if others.len() == limit && h >= others[limit - 1].0 {
                continue;
            }
            if bought.binary_search(&p.product).is_ok() {
                continue;
            }
            let at = others.partition_point(|o| o.0 < h);
            others.insert(at, (h, p));
            others.truncate(limit);
        }
        seen.extend(others.into_iter().map(|(_, p)| p));
        seen
    }
}

fn push_exposures(
    builder: &mut DatasetBuilder,
    visit: &Purchase,
    seen: &[Promotion],
    products: &Products,
) -> u64 {
    if seen.is_empty() {
        return 0;
    }
    let before = builder.n_events();
    let scenario = daypart(visit.ts);
    let place = Some(builder.place(&visit.store.to_string()));
    for p in seen {
        let item = builder.item(&products.all[p.product as usize].id.to_string());
        let ways = [
            ("exposure-display", p.display, display(p.display)),
            ("exposure-mailer", p.mailer, mailer(p.mailer)),
        ];
        for (action, code, text) in ways {
            if code == b'0' {
                continue;
            }
            let kind = builder.kind("product", action, scenario);
            builder.push(Event {
                user: visit.user,
                item: Some(item),
                kind,
                ts: visit.ts,
                value: None,
                place,
                text: text.map(Into::into),
                row: 0,
            });
        }
    }
    (builder.n_events() - before) as u64
}

fn push_purchases(builder: &mut DatasetBuilder, basket: &[Purchase], products: &Products) {
    for p in basket {
        let action = if p.with_coupon {
            "purchase-with-coupon"
        } else {
            "purchase"
        };
        let kind: KindIdx = builder.kind("product", action, daypart(p.ts));
        let place = Some(builder.place(&p.store.to_string()));
        let item = Some(builder.item(&products.all[p.product as usize].id.to_string()));
        builder.push(Event {
            user: p.user,
            item,
            kind,
            ts: p.ts,
            value: Some(p.value),
            place,
            text: None,
            row: 0,
        });
    }
}

/// Lines of a receipt that repeat an earlier one in every field.
fn n_repeated(basket: &[Purchase]) -> u64 {
    let mut lines: Vec<_> = basket
        .iter()
        .map(|p| (p.product, p.value.to_bits(), p.with_coupon))
        .collect();
    lines.sort_unstable();
    lines.windows(2).filter(|w| w[0] == w[1]).count() as u64
}

/// Names of the codes as the data set's documentation gives them.
fn display(code: u8) -> Option<&'static str> {
    Some(match code {
        b'1' => "store front",
        b'2' => "store rear",
        b'3' => "front end cap",
        b'4' => "mid-aisle end cap",
        b'5' => "rear end cap",
        b'6' => "side-aisle end cap",
        b'7' => "in-aisle",
        b'9' => "secondary location",
        b'A' => "in-shelf",
        _ => return None,
    })
}

fn mailer(code: u8) -> Option<&'static str> {
    Some(match code {
        b'A' => "interior page feature",
        b'C' => "interior page line item",
        b'D' => "front page feature",
        b'F' => "back page feature",
        b'H' => "wrap front feature",
        b'J' => "wrap interior coupon",
        b'L' => "wrap back feature",
        b'P' => "interior page coupon",
        b'X' => "free on interior page",
        b'Z' => "free on front page, back page or wrap",
        _ => return None,
    })
}
