//! A long history condensed into facts: counts, shares, recency, rhythm, price band, repeat rate and
//! what exposure led to. In: a [`History`]. Out: [`Facts`], every one with the ids of its events.

mod tally;
pub mod time;
mod view;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use hkfr_events::{Event, History};
use serde::{Deserialize, Serialize};

use tally::Tally;
pub use tally::{Count, Counts};
pub(crate) use view::FactsView;

use crate::wording::{ItemNames, Wording};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FactsConfig {
    /// Names kept of each list.
    pub top: usize,
    /// Only the last so many events are condensed (the paper: 300); older ones are counted as cut.
    pub max_events: usize,
}

impl Default for FactsConfig {
    fn default() -> Self {
        Self {
            top: 12,
            max_events: 300,
        }
    }
}

/// What is known of a user as-of a time. Lists are ranked by count, ties by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    pub as_of: i64,
    pub profile: BTreeMap<String, String>,
    /// Events condensed, and older ones left out by [`FactsConfig::max_events`].
    pub n_events: u32,
    pub n_events_cut: u32,
    /// Distinct times at which something was chosen (an order, a visit).
    pub n_orders: u32,
    /// Chosen things.
    pub n_chosen: u32,
    pub days_since_order: Option<i64>,
    /// Median days between orders; absent below three orders.
    pub order_interval: Option<i64>,
    /// Median things an order.
    pub order_size: u32,
    /// Of the chosen things, the percentage whose item had been chosen before.
    pub repeat_percent: u32,
    /// Events by action, all kinds.
    pub actions: Counts,
    /// Of the chosen things: at the data set's category level, and one level coarser.
    pub categories: Counts,
    pub departments: Counts,
    pub items: Counts,
    /// Items by recency: the latest orders first.
    pub recent_items: Counts,
    pub brands: Counts,
    /// Of the orders.
    pub dayparts: Counts,
    pub weekdays: Counts,
    pub places: Counts,
    /// Chosen things by the price ladder of [`price_band`].
    pub price_bands: Counts,
    /// Categories that were exposed and then (or with it) chosen, with the number of exposures.
    pub converted: Counts,
    /// Categories that were exposed and never chosen.
    pub ignored: Counts,
    /// Categories whose share in the latest third is at least twice that before, 3 or more times.
    pub rising: Counts,
    /// Mean of the values of rated things, if the values are ratings.
    pub mean_rating: Option<f32>,
    /// Categories of things rated low.
    pub disliked: Counts,
}

/// The latest events: those that something is condensed from.
pub(crate) fn recent<'h>(history: &History<'h>, max_events: usize) -> &'h [Event] {
    let all = history.events();
    &all[all.len().saturating_sub(max_events)..]
}

pub fn facts(wording: &Wording, history: &History, config: &FactsConfig) -> Arc<Facts> {
    let ds = wording.ds;
    let as_of = history.as_of().seconds();
    let all = history.events();
    let events = recent(history, config.max_events);
    let chosen: Vec<&Event> = events.iter().filter(|e| ds.is_target(e)).collect();
    let names = |e: &Event| e.item.map(|i| wording.item(i));
    let category = |e: &Event| names(e).and_then(|n| n.category.as_deref());

    let mut orders: Vec<(i64, u32)> = Vec::new();
    let mut actions = Tally::default();
    let (mut exposed, mut disliked, mut ratings) = (Tally::default(), Tally::default(), Vec::new());
    for e in events {
        let action = ds.kind(e).action.as_str();
        actions.add(&wording.kind(e.kind).action, e.ts, e.row);
        if action.starts_with("exposure") || action == "impression" {
            if let Some(c) = category(e) {
                exposed.add(c, e.ts, e.row);
            }
        } else if action == "rate-low"
            && let Some(c) = category(e)
        {
            disliked.add(c, e.ts, e.row);
        }
        if action.starts_with("rate") {
            ratings.extend(e.value);
        }
    }
    let (mut categories, mut departments) = (Tally::default(), Tally::default());
    let (mut items, mut brands) = (Tally::default(), Tally::default());
    let (mut dayparts, mut weekdays) = (Tally::default(), Tally::default());
    let (mut places, mut bands) = (Tally::default(), Tally::default());
    let mut seen = HashSet::new();
    let mut repeats = 0;
    for e in &chosen {
        let item = e.item.expect("a target event has an item");
        match orders.last_mut() {
            Some((ts, n)) if *ts == e.ts => *n += 1,
            _ => {
                orders.push((e.ts, 1));
                dayparts.add(time::daypart(e.ts), e.ts, e.row);
                weekdays.add(time::weekday(e.ts), e.ts, e.row);
                if let Some(p) = e.place {
                    places.add(wording.place(p), e.ts, e.row);
                }
            }
        }
        repeats += u32::from(!seen.insert(item));
        let ItemNames {
            title,
            category,
            department,
            brand,
        } = wording.item(item);
        items.add(title, e.ts, e.row);
        for (tally, name) in [
            (&mut categories, category),
            (&mut departments, department),
            (&mut brands, brand),
        ] {
            if let Some(name) = name {
                tally.add(name, e.ts, e.row);
            }
        }
        if let Some(price) = ds.items[item as usize].price {
            bands.add(price_band(price), e.ts, e.row);
        }
    }
    let percent = |n: u32, of: u32| {
        if of == 0 {
            0
        } else {
            (100.0 * n as f32 / of as f32).round() as u32
        }
    };
    let of_exposed = |was_chosen: bool| {
        let keeps = |name: &str, _| (categories.count(name) > 0) == was_chosen;
        exposed.top_of(config.top, as_of, keeps)
    };
    Arc::new(Facts {
        as_of,
        profile: history
            .profile()
            .attributes
            .iter()
            .map(|(k, v)| (wording.text(k), wording.text(v)))
            .collect(),
        n_events: events.len() as u32,
        n_events_cut: (all.len() - events.len()) as u32,
        n_orders: orders.len() as u32,
        n_chosen: chosen.len() as u32,
        days_since_order: orders.last().map(|o| time::days_between(o.0, as_of)),
        order_interval: median(
            orders
                .windows(2)
                .map(|w| time::days_between(w[0].0, w[1].0))
                .collect(),
            2,
        ),
        order_size: median(orders.iter().map(|o| i64::from(o.1)).collect(), 1).unwrap_or(0) as u32,
        repeat_percent: percent(repeats, chosen.len() as u32),
        actions: actions.top(config.top, as_of),
        categories: categories.top(config.top, as_of),
        departments: departments.top(config.top, as_of),
        items: items.top(config.top, as_of),
        recent_items: items.latest(config.top, as_of),
        brands: brands.top(config.top, as_of),
        dayparts: dayparts.top(config.top, as_of),
        weekdays: weekdays.top(config.top, as_of),
        places: places.top(config.top, as_of),
        price_bands: bands.top(4, as_of),
        converted: of_exposed(true),
        ignored: of_exposed(false),
        rising: rising(&chosen, &category, config.top, as_of),
        mean_rating: (!ratings.is_empty())
            .then(|| ratings.iter().sum::<f32>() / ratings.len() as f32),
        disliked: disliked.top(config.top, as_of),
    })
}

/// The upper median; absent with fewer than `least` values.
fn median(mut values: Vec<i64>, least: usize) -> Option<i64> {
    values.sort_unstable();
    (values.len() >= least).then(|| values[values.len() / 2])
}

/// The price ladder that facts and the price-band task share, in the data set's currency.
pub fn price_band(price: f32) -> &'static str {
    match price {
        p if p < 2.0 => "under 2",
        p if p < 5.0 => "2 to 5",
        p if p < 10.0 => "5 to 10",
        _ => "over 10",
    }
}

fn rising<'n>(
    chosen: &[&Event],
    category: &dyn Fn(&Event) -> Option<&'n str>,
    top: usize,
    as_of: i64,
) -> Counts {
    let (before, latest) = chosen.split_at(chosen.len() - chosen.len() / 3);
    let tally = |events: &[&Event]| {
        let mut t = Tally::default();
        for e in events {
            if let Some(c) = category(e) {
                t.add(c, e.ts, e.row);
            }
        }
        t
    };
    let (before, latest) = (tally(before), tally(latest));
    let share = |tally: &Tally, n: u32| n as f32 / tally.total().max(1) as f32;
    latest.top_of(top, as_of, |name, n| {
        n >= 3 && share(&latest, n) >= 2.0 * share(&before, before.count(name))
    })
}
