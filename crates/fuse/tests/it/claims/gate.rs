//! Planted lies with the verdicts that they must get, and laws that hold over random histories.

use std::collections::{BTreeMap, BTreeSet};

use hkfr_events::{AsOf, Dataset, DatasetBuilder, DatasetInfo, Event, History};
use hkfr_fuse::claims::{ClaimKind, Gate, MadeClaim, Reason, Trend, Verdict, Vocabulary};
use hkfr_fuse::{Count, Facts, FactsConfig, TemplateSet, Wording, facts, false_claims};
use proptest::prelude::*;
use serde::Deserialize;

use crate::fixture::{DAY, describe, event, info};

/// JSON lines: first histories, then claims about them.
const LIES: &str = include_str!("lies.jsonl");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    history: String,
    set: String,
    target: String,
    level: usize,
    items: BTreeMap<String, (Vec<String>, Option<f32>)>,
    events: Vec<Behaviour>,
}

/// Day (4 is a Monday), hour, action, scenario, item, text.
type Behaviour = (i64, i64, String, String, Option<String>, Option<String>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Planted {
    of: String,
    claim: MadeClaim,
    expect: String,
    /// Id of the first event that the model is shown.
    #[serde(default)]
    shown_from: Option<usize>,
}

fn dataset(told: &Told) -> Dataset {
    let mut b = DatasetBuilder::new(DatasetInfo {
        target_actions: vec![told.target.clone()],
        category_level: told.level,
        ..info()
    });
    for (title, (categories, price)) in &told.items {
        let i = b.item(title);
        let item = b.item_mut(i);
        item.title.clone_from(title);
        item.categories.clone_from(categories);
        item.price = *price;
    }
    for (day, hour, action, scenario, item, text) in &told.events {
        let event = Event {
            user: b.user("u"),
            item: item.as_ref().map(|i| b.item(i)),
            kind: b.kind("product", action, scenario),
            ts: day * DAY + hour * 3600,
            value: None,
            place: None,
            text: text.as_deref().map(Into::into),
            row: 0,
        };
        b.push(event);
    }
    b.build()
}

fn of(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Supported(_) => "supported".into(),
        Verdict::Unsupported(reason) => reason.to_string(),
    }
}

#[test]
fn every_planted_lie_is_found_and_every_truth_stands() {
    let mut histories = BTreeMap::new();
    let (mut wrong, mut lies, mut truths) = (Vec::new(), 0, 0);
    let mut seen: BTreeSet<(ClaimKind, bool)> = BTreeSet::new();
    let mut reasons: BTreeSet<String> = BTreeSet::new();
    for line in LIES.lines() {
        if let Ok(told) = serde_json::from_str::<Told>(line) {
            histories.insert(told.history.clone(), (told.set.clone(), dataset(&told)));
            continue;
        }
        let planted: Planted = serde_json::from_str(line).unwrap();
        let (set, ds) = &histories[&planted.of];
        let templates = TemplateSet::load(set, None).unwrap();
        let (wording, vocabulary) = (Wording::new(ds, &templates), Vocabulary::new(ds));
        let history = ds.history(0, AsOf::new(99 * DAY));
        let first = planted.shown_from.map_or(0, |id| id - 1);
        let gate = Gate::new(&wording, &vocabulary, history.events(), first);
        let verdict = gate.judge(&planted.claim);
        let is_truth = planted.expect == "supported";
        (lies, truths) = (
            lies + usize::from(!is_truth),
            truths + usize::from(is_truth),
        );
        seen.insert((planted.claim.kind, is_truth));
        reasons.insert(planted.expect.clone());
        if of(&verdict) != planted.expect {
            wrong.push(format!("{line}\n  is {}", of(&verdict)));
        }
        // What stands is borne out by the other recount too.
        if let Verdict::Supported(claim) = verdict {
            let claims = [claim];
            let config = FactsConfig::default();
            let denied = false_claims(ds, &history, &config, &claims);
            assert!(denied.is_empty(), "{denied:?}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(lies >= 100 && truths >= 50, "{lies} lies, {truths} truths");
    for kind in ClaimKind::ALL {
        assert!(
            seen.contains(&(kind, true)) && seen.contains(&(kind, false)),
            "{kind:?}"
        );
    }
    // One alone cannot repeat another.
    for reason in Reason::ALL.iter().filter(|r| **r != Reason::Repeated) {
        assert!(
            reasons.contains(&reason.to_string()),
            "no lie is a {reason}"
        );
    }
}

#[test]
fn a_claim_that_is_made_twice_counts_once() {
    let ds = crate::fixture::household();
    let templates = TemplateSet::load("grocery", None).unwrap();
    let (wording, vocabulary) = (Wording::new(&ds, &templates), Vocabulary::new(&ds));
    let history = ds.history(0, AsOf::new(30 * DAY));
    let gate = Gate::new(&wording, &vocabulary, history.events(), 0);
    let made = |value: &str, events: &[i64]| MadeClaim {
        kind: ClaimKind::Category,
        value: value.into(),
        number: None,
        percent: None,
        trend: None,
        events: events.into(),
    };
    let mut standing = Vec::new();
    let claims = [
        made("fluid milk", &[1]),
        made("Fluid milk", &[1, 4]),
        made("bread", &[2]),
    ];
    let verdicts = gate.judge_all(&claims, &mut standing);
    assert_eq!(
        verdicts.iter().map(of).collect::<Vec<_>>(),
        ["supported", "repeated", "supported"]
    );
    // The evidence is in the ids of the data set, the latest first.
    assert_eq!(standing.len(), 2);
    assert_eq!((standing[0].n, standing[0].percent), (3, 50));
}

/// (item, day, what is done).
type Log = Vec<(usize, i64, u8)>;

fn random(log: &Log) -> Dataset {
    let mut b = DatasetBuilder::new(info());
    for i in 0..9 {
        let (title, category) = (format!("Product {i}"), format!("kind {}", i % 4));
        describe(&mut b, &i.to_string(), &title, &category, i as f32 * 1.5);
    }
    b.user("u");
    for (item, day, what) in log {
        let action = [
            "purchase",
            "purchase",
            "exposure-mailer",
            "rate-low",
            "click",
        ][*what as usize];
        event(
            &mut b,
            "u",
            &item.to_string(),
            action,
            day * DAY + 3600 * *item as i64,
        );
    }
    b.build()
}

/// What the facts say, as claims that cite all of the facts' evidence.
fn claims_of(facts: &Facts, ds: &Dataset, history: &History) -> Vec<MadeClaim> {
    let all = history.events();
    let id = |row: &u32| 1 + all.iter().position(|e| e.row == *row).unwrap() as i64;
    let claim = |kind, c: &Count| MadeClaim {
        kind,
        value: c.name.to_string(),
        number: Some(i64::from(c.n)),
        percent: Some(i64::from(c.percent)),
        trend: None,
        events: c.evidence.iter().map(id).collect(),
    };
    let mut claims = Vec::new();
    let habits = |c: &&std::sync::Arc<Count>| c.share >= 0.25;
    claims.extend(
        facts
            .categories
            .iter()
            .map(|c| claim(ClaimKind::Category, c)),
    );
    claims.extend(
        facts
            .departments
            .iter()
            .map(|c| claim(ClaimKind::Category, c)),
    );
    claims.extend(facts.items.iter().map(|c| claim(ClaimKind::Item, c)));
    let bands = facts.price_bands.iter().filter(habits);
    claims.extend(bands.map(|c| claim(ClaimKind::Price, c)));
    let days = facts.weekdays.iter().filter(habits);
    claims.extend(days.map(|c| claim(ClaimKind::Weekday, c)));
    let parts = facts.dayparts.iter().filter(habits);
    claims.extend(parts.map(|c| claim(ClaimKind::Daypart, c)));
    claims.extend(facts.ignored.iter().map(|c| claim(ClaimKind::Avoided, c)));
    for c in &facts.disliked {
        let in_category = |e: &&Event| ds.category(e.item.unwrap()) == Some(&c.name);
        let chosen = all.iter().filter(|e| ds.is_target(e)).filter(in_category);
        if chosen.count() < c.n as usize {
            claims.push(claim(ClaimKind::Avoided, c));
        }
    }
    claims.extend(facts.rising.iter().map(|c| MadeClaim {
        number: None,
        percent: None,
        trend: Some(Trend::Rising),
        ..claim(ClaimKind::Category, c)
    }));
    claims
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// The gate cuts nothing that the facts say, and lets through nothing that was changed in it.
    #[test]
    fn what_facts_say_stands_and_what_is_changed_falls(
        log in prop::collection::vec((0usize..9, 0i64..40, 0u8..5), 0..70),
        max_events in 10usize..80,
        pick in any::<prop::sample::Index>(),
    ) {
        let ds = random(&log);
        let templates = TemplateSet::load("grocery", None).unwrap();
        let (wording, vocabulary) = (Wording::new(&ds, &templates), Vocabulary::new(&ds));
        let history = ds.history(0, AsOf::new(45 * DAY));
        let config = FactsConfig { max_events, ..FactsConfig::default() };
        let f = facts(&wording, &history, &config);
        let all = history.events();
        let cut = all.len().saturating_sub(max_events);
        let gate = Gate::new(&wording, &vocabulary, &all[cut..], 0);
        let mut claims = claims_of(&f, &ds, &history);
        // Ids are those of the events that are condensed.
        claims.iter_mut().flat_map(|c| &mut c.events).for_each(|id| *id -= cut as i64);
        for made in &claims {
            let verdict = gate.judge(made);
            let Verdict::Supported(claim) = verdict else {
                return Err(TestCaseError::fail(format!("{made:?} is {}", of(&verdict))));
            };
            let claims = [claim];
            let denied = false_claims(&ds, &history, &config, &claims);
            prop_assert!(denied.is_empty(), "{denied:?}");
            prop_assert!(claims[0].evidence.iter().all(|row| all.iter().any(|e| e.row == *row)));
        }
        for made in &claims {
            for lie in lies(made, &all[cut..], &ds, pick) {
                let verdict = gate.judge(&lie);
                prop_assert!(matches!(verdict, Verdict::Unsupported(_)), "{made:?} as {lie:?} stands");
            }
        }
    }
}

/// A claim changed so that it cannot be true.
fn lies(
    made: &MadeClaim,
    events: &[Event],
    ds: &Dataset,
    pick: prop::sample::Index,
) -> Vec<MadeClaim> {
    let changed = |change: &dyn Fn(&mut MadeClaim)| {
        let mut lie = made.clone();
        change(&mut lie);
        lie
    };
    let mut lies = vec![
        changed(&|c| c.events.clear()),
        changed(&|c| c.events.push(0)),
        changed(&|c| c.events.push(events.len() as i64 + 1)),
        changed(&|c| c.value.push_str(" deluxe")),
        changed(&|c| c.trend = Some(Trend::Falling)),
    ];
    if let Some(n) = made.number {
        lies.push(changed(&|c| c.number = Some(n + 1)));
        lies.push(changed(&|c| c.number = Some(n - 1)));
    }
    if let Some(n) = made.percent {
        lies.push(changed(&|c| c.percent = Some(n + 1)));
    }
    // Another of its sort: the cited events are not of it.
    let others: Vec<String> = match made.kind {
        ClaimKind::Category | ClaimKind::Avoided => (0..4).map(|i| format!("kind {i}")).collect(),
        ClaimKind::Item => (0..9).map(|i| format!("Product {i}")).collect(),
        ClaimKind::Price => ["under 2", "2 to 5", "5 to 10", "over 10"]
            .map(String::from)
            .into(),
        ClaimKind::Weekday => ["Monday", "Tuesday", "Friday"].map(String::from).into(),
        _ => ["morning", "night"].map(String::from).into(),
    };
    // All are of the department.
    if made.value != "grocery" {
        let others = others.into_iter().filter(|o| *o != made.value);
        lies.extend(others.map(|other| changed(&|c| c.value.clone_from(&other))));
    }
    // An event of another item is no evidence.
    let foreign: Vec<i64> = events
        .iter()
        .zip(1..)
        .filter(|(e, _)| {
            let title = format!("Product {}", ds.items[e.item.unwrap() as usize].id);
            let category = ds.category(e.item.unwrap()).unwrap();
            match made.kind {
                ClaimKind::Category => made.value != category && made.value != "grocery",
                ClaimKind::Avoided => made.value != category,
                ClaimKind::Item => made.value != title,
                _ => !ds.is_target(e),
            }
        })
        .map(|(_, id)| id)
        .collect();
    if !foreign.is_empty() {
        lies.push(changed(&|c| {
            c.events.push(foreign[pick.index(foreign.len())])
        }));
    }
    // What was chosen is not avoided.
    if made.kind == ClaimKind::Category && made.value != "grocery" {
        lies.push(changed(&|c| {
            (c.kind, c.trend, c.number, c.percent) = (ClaimKind::Avoided, None, None, None);
        }));
    }
    // The falling trend may be true of a category that is not said to rise.
    if made.kind == ClaimKind::Category && made.trend.is_none() {
        lies.retain(|l| l.trend.is_none());
    }
    lies
}
