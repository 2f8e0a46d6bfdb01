//! Is the knowledge grounded? A check that does not trust the stage that made it: stored claims, the
//! embedded model's and a service's, are recounted from the events.

use hkfr_events::{Dataset, Event, History};

use crate::facts::{FactsConfig, time};
use crate::sanitise::name;
use crate::statements::Claim;

/// The claims that the history does not bear out, recounted event by event.
pub fn false_claims<'a>(
    ds: &Dataset,
    history: &History,
    config: &FactsConfig,
    claims: &'a [Claim],
) -> Vec<&'a Claim> {
    let all = history.events();
    let events = &all[all.len().saturating_sub(config.max_events)..];
    claims
        .iter()
        .filter(|c| !holds(ds, history, events, c))
        .collect()
}

fn holds(ds: &Dataset, history: &History, events: &[Event], claim: &Claim) -> bool {
    let chosen = |e: &&Event| ds.is_target(e);
    let in_category = |e: &Event| {
        e.item
            .and_then(|i| ds.category(i))
            .is_some_and(|c| name(c) == claim.value)
    };
    let named = |e: &Event| e.item.is_some_and(|i| name(&ds.title(i)) == claim.value);
    let exposed = |e: &Event| is_exposure(&ds.kind(e).action);
    let low = |e: &Event| ds.kind(e).action == "rate-low";
    let n = |f: &dyn Fn(&Event) -> bool| events.iter().filter(|e| f(e)).count();
    let orders = |f: &dyn Fn(i64) -> bool| {
        let mut times: Vec<i64> = events.iter().filter(chosen).map(|e| e.ts).collect();
        times.dedup();
        times.into_iter().filter(|&t| f(t)).count()
    };
    let expected = claim.n as usize;
    match claim.slot.as_str() {
        "favourite" => n(&|e| ds.is_target(e) && in_category(e)) == expected,
        // The count of a rising category is that of the latest third, of a falling one that before it.
        "rising" | "falling" => n(&|e| ds.is_target(e) && in_category(e)) >= expected,
        "department" => {
            let level = ds.info.category_level.checked_sub(1);
            let department = |e: &Event| {
                let categories = &ds.items[e.item? as usize].categories;
                Some(name(categories.get(level?)?))
            };
            n(&|e| ds.is_target(e) && department(e).as_ref() == Some(&claim.value)) == expected
        }
        "staple" | "recent" | "item" => n(&|e| ds.is_target(e) && named(e)) == expected,
        "scenario" => n(&|e| name(&ds.kind(e).scenario) == claim.value) >= expected,
        // The count of an intent is that of the latest third.
        "intent" => {
            let about = |e: &Event| {
                let text = e.text.as_deref().map(name);
                in_category(e) || named(e) || text.as_ref() == Some(&claim.value)
            };
            expected > 0 && n(&|e| about(e) && !exposed(e) && !low(e)) >= expected
        }
        "ignored-item" => {
            n(&|e| exposed(e) && named(e)) == expected && n(&|e| ds.is_target(e) && named(e)) == 0
        }
        "disliked-item" => n(&|e| low(e) && named(e)) == expected,
        "promotion" => {
            n(&|e| exposed(e) && in_category(e)) == expected
                && n(&|e| ds.is_target(e) && in_category(e)) > 0
        }
        "ignored" => {
            n(&|e| exposed(e) && in_category(e)) == expected
                && n(&|e| ds.is_target(e) && in_category(e)) == 0
        }
        "disliked" => n(&|e| low(e) && in_category(e)) == expected,
        "weekday" => orders(&|t| time::weekday(t) == claim.value) == expected,
        "daypart" => orders(&|t| time::daypart(t) == claim.value) == expected,
        "price" => {
            let band = |e: &Event| {
                e.item
                    .and_then(|i| ds.items[i as usize].price)
                    .map(crate::facts::price_band)
            };
            n(&|e| ds.is_target(e) && band(e) == Some(claim.value.as_str())) == expected
        }
        "brand" => {
            let brand = |e: &Event| {
                e.item
                    .and_then(|i| ds.items[i as usize].attributes.get("brand"))
                    .map(|b| name(b))
            };
            n(&|e| ds.is_target(e) && brand(e).as_ref() == Some(&claim.value)) == expected
        }
        "household" => {
            let profile = &history.profile().attributes;
            profile
                .iter()
                .any(|(k, v)| format!("{} {}", name(k), name(v)) == claim.value)
        }
        _ => false,
    }
}

/// Something was shown to the user, who need not have wanted it.
pub(crate) fn is_exposure(action: &str) -> bool {
    action.starts_with("exposure") || action == "impression"
}
