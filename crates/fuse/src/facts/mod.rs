//! A long history condensed into facts: counts, shares, recency, rhythm, price band, repeat rate and
//! what exposure led to. In: a [`History`]. Out: [`Facts`], every one with the ids of its events.

mod tally;
pub mod time;

use std::collections::{BTreeMap, BTreeSet};

use hkfr_events::{Dataset, Event, History};
use serde::Serialize;

pub use tally::Count;
use tally::Tally;

use crate::sanitise::sanitise;

/// Characters that a name (title, category, brand, place) may have in a prompt.
const MAX_NAME: usize = 80;

#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    pub actions: Vec<Count>,
    /// Of the chosen things: at the data set's category level, and one level coarser.
    pub categories: Vec<Count>,
    pub departments: Vec<Count>,
    pub items: Vec<Count>,
    /// Items by recency: the latest orders first.
    pub recent_items: Vec<Count>,
    pub brands: Vec<Count>,
    /// Of the orders.
    pub dayparts: Vec<Count>,
    pub weekdays: Vec<Count>,
    pub places: Vec<Count>,
    /// Chosen things by the price ladder of [`price_band`].
    pub price_bands: Vec<Count>,
    /// Categories that were exposed and then (or with it) chosen, with the number of exposures.
    pub converted: Vec<Count>,
    /// Categories that were exposed and never chosen.
    pub ignored: Vec<Count>,
    /// Categories whose share in the latest third is at least twice that before, 3 or more times.
    pub rising: Vec<Count>,
    /// Mean of the values of rated things, if the values are ratings.
    pub mean_rating: Option<f32>,
    /// Categories of things rated low.
    pub disliked: Vec<Count>,
}

/// The names of an item as facts use them, sanitised.
pub(crate) fn name(text: &str) -> String {
    sanitise(text, MAX_NAME).0
}

pub fn facts(ds: &Dataset, history: &History, config: &FactsConfig) -> Facts {
    let as_of = history.as_of().seconds();
    let all = history.events();
    let events = &all[all.len().saturating_sub(config.max_events)..];
    let chosen: Vec<&Event> = events.iter().filter(|e| ds.is_target(e)).collect();
    let category = |e: &Event| e.item.and_then(|i| ds.category(i)).map(name);

    let mut orders: Vec<(i64, u32)> = Vec::new();
    let (mut actions, mut categories, mut departments, mut items, mut brands) = (
        Tally::default(),
        Tally::default(),
        Tally::default(),
        Tally::default(),
        Tally::default(),
    );
    let (mut dayparts, mut weekdays, mut places) =
        (Tally::default(), Tally::default(), Tally::default());
    let (mut exposed, mut disliked, mut ratings) = (Tally::default(), Tally::default(), Vec::new());
    let mut seen = BTreeSet::new();
    let mut repeats = 0;
    for e in events {
        let kind = ds.kind(e);
        actions.add(&kind.action, e.ts, e.row);
        if kind.action.starts_with("exposure") || kind.action == "impression" {
            if let Some(c) = category(e) {
                exposed.add(&c, e.ts, e.row);
            }
        } else if kind.action == "rate-low"
            && let Some(c) = category(e)
        {
            disliked.add(&c, e.ts, e.row);
        }
        if kind.action.starts_with("rate") {
            ratings.extend(e.value);
        }
    }
    for e in &chosen {
        let item = e.item.expect("a target event has an item");
        match orders.last_mut() {
            Some((ts, n)) if *ts == e.ts => *n += 1,
            _ => {
                orders.push((e.ts, 1));
                dayparts.add(time::daypart(e.ts), e.ts, e.row);
                weekdays.add(time::weekday(e.ts), e.ts, e.row);
                if let Some(p) = e.place {
                    places.add(&name(&ds.places[p as usize]), e.ts, e.row);
                }
            }
        }
        repeats += u32::from(!seen.insert(item));
        items.add(&name(&ds.title(item)), e.ts, e.row);
        let categories_of = &ds.items[item as usize].categories;
        if let Some(c) = category(e) {
            categories.add(&c, e.ts, e.row);
        }
        if ds.info.category_level > 0
            && let Some(c) = categories_of.get(ds.info.category_level - 1)
        {
            departments.add(&name(c), e.ts, e.row);
        }
        if let Some(b) = ds.items[item as usize].attributes.get("brand") {
            brands.add(&name(b), e.ts, e.row);
        }
    }
    let percent = |n: u32, of: u32| {
        if of == 0 {
            0
        } else {
            (100.0 * n as f32 / of as f32).round() as u32
        }
    };
    let (converted, ignored): (Vec<Count>, Vec<Count>) = exposed
        .top(usize::MAX, as_of)
        .into_iter()
        .partition(|c| categories.count(&c.name) > 0);
    let cut = |mut counts: Vec<Count>| {
        counts.truncate(config.top);
        counts
    };
    let mut recent_items = items.top(usize::MAX, as_of);
    recent_items.sort_by(|a, b| {
        a.days_ago
            .cmp(&b.days_ago)
            .then(b.n.cmp(&a.n))
            .then(a.name.cmp(&b.name))
    });
    Facts {
        as_of,
        profile: ds.users[history.user() as usize]
            .attributes
            .iter()
            .map(|(k, v)| (name(k), name(v)))
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
        recent_items: cut(recent_items),
        brands: brands.top(config.top, as_of),
        dayparts: dayparts.top(config.top, as_of),
        weekdays: weekdays.top(config.top, as_of),
        places: places.top(config.top, as_of),
        price_bands: price_bands(ds, &chosen, as_of),
        converted: cut(converted),
        ignored: cut(ignored),
        rising: rising(&chosen, &category, config.top, as_of),
        mean_rating: (!ratings.is_empty())
            .then(|| ratings.iter().sum::<f32>() / ratings.len() as f32),
        disliked: disliked.top(config.top, as_of),
    }
}

/// The upper median; absent with fewer than `least` values.
fn median(mut values: Vec<i64>, least: usize) -> Option<i64> {
    values.sort_unstable();
    (values.len() >= least).then(|| values[values.len() / 2])
}

/// Chosen items with a known price, by [`price_band`].
fn price_bands(ds: &Dataset, chosen: &[&Event], as_of: i64) -> Vec<Count> {
    let mut bands = Tally::default();
    for e in chosen {
        if let Some(price) = e.item.and_then(|i| ds.items[i as usize].price) {
            bands.add(price_band(price), e.ts, e.row);
        }
    }
    bands.top(4, as_of)
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

fn rising(
    chosen: &[&Event],
    category: &dyn Fn(&Event) -> Option<String>,
    top: usize,
    as_of: i64,
) -> Vec<Count> {
    let (before, latest) = chosen.split_at(chosen.len() - chosen.len() / 3);
    let tally = |events: &[&Event]| {
        let mut t = Tally::default();
        for e in events {
            if let Some(c) = category(e) {
                t.add(&c, e.ts, e.row);
            }
        }
        t
    };
    let (before, latest) = (tally(before), tally(latest));
    let share_before = |name: &str| before.count(name) as f32 / before.total().max(1) as f32;
    let mut rising = latest.top(usize::MAX, as_of);
    rising.retain(|c| c.n >= 3 && c.share >= 2.0 * share_before(&c.name));
    rising.truncate(top);
    rising
}
