//! [`Facts`] as templates see them.

use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Enumerator, Object};

use super::{Counts, Facts};

/// Every list shortened to its first `keep` names, but for the ladder of prices, which is one statement.
#[derive(Debug)]
pub(crate) struct FactsView {
    pub facts: Arc<Facts>,
    pub keep: usize,
}

impl Object for FactsView {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let f = &*self.facts;
        let first = |counts: &Counts, n: usize| -> Value {
            let counts = counts.iter().take(n);
            counts.cloned().map(Value::from_dyn_object).collect()
        };
        let list = |counts| first(counts, self.keep);
        let all = |counts| first(counts, usize::MAX);
        Some(match key.as_str()? {
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
            "actions" => list(&f.actions),
            "categories" => list(&f.categories),
            "departments" => list(&f.departments),
            "items" => list(&f.items),
            "recent_items" => list(&f.recent_items),
            "brands" => list(&f.brands),
            "dayparts" => list(&f.dayparts),
            "weekdays" => list(&f.weekdays),
            "places" => list(&f.places),
            "price_bands" => all(&f.price_bands),
            "converted" => list(&f.converted),
            "ignored" => list(&f.ignored),
            "rising" => list(&f.rising),
            "disliked" => list(&f.disliked),
            _ => return None,
        })
    }

    /// For whoever misspells one.
    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&[
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
        ])
    }
}
