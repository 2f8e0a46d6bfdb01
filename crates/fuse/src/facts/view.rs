//! [`Facts`] as templates see them.

use std::sync::{Arc, OnceLock};

use minijinja::Value;
use minijinja::value::{Enumerator, Object};

use super::{Counts, Facts};
use crate::views::named;

/// Every list shortened to its first `keep` names, but for the ladder of prices, which is one statement.
#[derive(Debug)]
pub(crate) struct FactsView {
    facts: Arc<Facts>,
    keep: usize,
    /// Lists that a template asked for: it asks whether there is one, and then for it, in every rendering.
    lists: [OnceLock<Value>; LISTS.len()],
}

const LISTS: [&str; 14] = [
    "actions",
    "categories",
    "departments",
    "items",
    "recent_items",
    "brands",
    "dayparts",
    "weekdays",
    "places",
    "price_bands",
    "converted",
    "ignored",
    "rising",
    "disliked",
];

impl FactsView {
    pub fn new(facts: Arc<Facts>, keep: usize) -> Self {
        let lists = Default::default();
        Self { facts, keep, lists }
    }

    fn list(&self, list: usize, counts: &Counts, keep: usize) -> Value {
        let first = || {
            let counts = counts.iter().take(keep);
            counts.cloned().map(Value::from_dyn_object).collect()
        };
        self.lists[list].get_or_init(first).clone()
    }

    fn named(&self, name: &str) -> Option<Value> {
        let f = &*self.facts;
        Some(match name {
            "as_of" => f.as_of.into(),
            "profile" => Value::from_serialize(&f.profile),
            "n_events" => f.n_events.into(),
            "n_events_cut" => f.n_events_cut.into(),
            "n_orders" => f.n_orders.into(),
            "n_chosen" => f.n_chosen.into(),
            "days_since_order" => f.days_since_order.into(),
            "order_interval" => f.order_interval.into(),
            "order_size" => f.order_size.into(),
            "repeat_percent" => f.repeat_percent.into(),
            "mean_rating" => f.mean_rating.into(),
            name => {
                let list = LISTS.iter().position(|l| *l == name)?;
                let lists = [
                    &f.actions,
                    &f.categories,
                    &f.departments,
                    &f.items,
                    &f.recent_items,
                    &f.brands,
                    &f.dayparts,
                    &f.weekdays,
                    &f.places,
                    &f.price_bands,
                    &f.converted,
                    &f.ignored,
                    &f.rising,
                    &f.disliked,
                ];
                let whole = name == "price_bands";
                let keep = if whole { usize::MAX } else { self.keep };
                self.list(list, lists[list], keep)
            }
        })
    }
}

// The names are for whoever misspells one.
named!(
    FactsView,
    &[
        "as_of",
        "profile",
        "n_events",
        "n_events_cut",
        "n_orders",
        "n_chosen",
        "days_since_order",
        "order_interval",
        "order_size",
        "repeat_percent",
        "mean_rating",
        "actions",
        "categories",
        "departments",
        "items",
        "recent_items",
        "brands",
        "dayparts",
        "weekdays",
        "places",
        "price_bands",
        "converted",
        "ignored",
        "rising",
        "disliked",
    ]
);
