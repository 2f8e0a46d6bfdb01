//! Sample values: what every template is rendered with when a set is loaded, so that a misspelt
//! name is found then and not in the middle of a night's fusion.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::{Value, context};

use crate::facts::{Count, Counts, Facts, FactsView};

/// Values for the template of this file name, with every list filled so that every branch is taken.
pub(crate) fn values(file: &str) -> Value {
    match file.split('/').next().unwrap_or_default() {
        "events" => event(),
        "statements" => Value::from_dyn_object(count()),
        "profile.jinja" => context! { profile => profile() },
        "behaviour.jinja" => {
            context! { profile_text => "sample", facts => facts(), recent => vec![visit()] }
        }
        "raw.jinja" => context! { profile_text => "sample", recent => vec![visit()] },
        "cohort.jinja" => {
            let chosen = vec![Value::from_dyn_object(count())];
            context! { chosen, members => 2, segment => vec!["age 35-44"] }
        }
        "fusion.jinja" => context! { behaviour => "sample" },
        "fusion-claims.jinja" => {
            context! { data => "sample", max_claims => 16, length => 160 }
        }
        "fusion-lines.jinja" => {
            context! { data => "sample", kind => "category", max_lines => 8 }
        }
        "fusion-again.jinja" => context! { problem => "sample" },
        _ => {
            let slots = crate::statements::SLOTS
                .iter()
                .map(|s| (s.name, Value::from_iter([Value::from_dyn_object(count())])));
            context! { facts => facts(), chosen => slots.collect::<BTreeMap<_, _>>() }
        }
    }
}

fn profile() -> BTreeMap<String, String> {
    BTreeMap::from([("age".into(), "35-44".into())])
}

fn count() -> Arc<Count> {
    Arc::new(Count {
        name: "sample".into(),
        n: 2,
        share: 0.5,
        percent: 50,
        days_ago: 3,
        evidence: vec![1],
    })
}

fn visit() -> Value {
    context! { days_ago => 3, weekday => "Monday", daypart => "morning", place => "sample", lines => vec!["sample"] }
}

fn event() -> Value {
    let item = context! { title => "sample", category => "sample", value => 1.0 };
    context! {
        subject => "product", action => "purchase", scenario => "store", items => vec![item],
        more => 1, texts => vec!["sample"], place => "sample", weekday => "Monday",
        daypart => "morning", days_ago => 3,
    }
}

fn facts() -> Value {
    let some = || -> Counts { vec![count()] };
    let facts = Facts {
        as_of: 0,
        profile: profile(),
        n_events: 2,
        n_events_cut: 1,
        n_orders: 2,
        n_chosen: 2,
        days_since_order: Some(3),
        order_interval: Some(7),
        order_size: 1,
        repeat_percent: 50,
        actions: some(),
        categories: some(),
        departments: some(),
        items: some(),
        recent_items: some(),
        brands: some(),
        dayparts: some(),
        weekdays: some(),
        places: some(),
        price_bands: some(),
        converted: some(),
        ignored: some(),
        rising: some(),
        mean_rating: Some(3.5),
        disliked: some(),
    };
    Value::from_object(FactsView::new(Arc::new(facts), usize::MAX))
}
