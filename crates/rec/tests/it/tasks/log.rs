//! The synthetic food-delivery log, and its answers against an oracle that reads the log's lines.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use hkfr_events::adapters::mapping::{MappingConfig, load};
use hkfr_events::generate::{FoodDelivery, FoodDeliveryConfig};
use hkfr_events::split::build;
use hkfr_events::{Dataset, IngestReport, Split, SplitConfig};
use hkfr_rec::tasks::{Guard, ItemSampler, TaskSet};
use serde_json::json;

use super::asked;
use crate::fixtures::DAY;

pub fn food_delivery(users: u32, days: u32) -> (Dataset, Split) {
    let dir = tempfile::tempdir().unwrap();
    read(dir.path(), users, days)
}

fn read(dir: &Path, users: u32, days: u32) -> (Dataset, Split) {
    let config = FoodDeliveryConfig {
        users,
        days,
        seed: 11,
    };
    let mut log = FoodDelivery::new(config, dir).unwrap();
    while log.next_user().unwrap() {}
    log.finish().unwrap();
    let mapping: MappingConfig = serde_json::from_value(json!({
        "dir": dir.join("log"),
        "target_actions": ["order"],
        "category_level": 1,
        "events": [{
            "path": "events.csv", "user": "user", "item": "item", "time": "time", "text": "query",
            "subject_column": "subject", "action_column": "action", "scenario_column": "scenario",
        }],
        "items": {
            "path": "items.csv", "id": "item", "title": "title", "categories": ["cuisine", "category"],
            "price": "price",
        },
    }))
    .unwrap();
    let ds = load(&mapping, &mut IngestReport::new(true)).unwrap();
    let split = SplitConfig {
        horizon_days: 10,
        min_item_buyers: 1,
        simulated_users: 2,
        min_history: 1,
        instances_per_user: 3,
        ..SplitConfig::default()
    };
    let split = build(&ds, &split).unwrap();
    (ds, split)
}

/// A line of `events.csv`.
struct Line<'a> {
    item: &'a str,
    ts: i64,
    action: &'a str,
    scenario: &'a str,
}

#[test]
fn answers_are_what_the_lines_of_the_log_say() {
    let dir = tempfile::tempdir().unwrap();
    let (ds, split) = read(dir.path(), 80, 60);
    let csv = |name: &str| std::fs::read_to_string(dir.path().join("log").join(name)).unwrap();
    let (events, items) = (csv("events.csv"), csv("items.csv"));
    let mut of_user: HashMap<&str, Vec<Line>> = HashMap::new();
    for line in events.lines().skip(1) {
        let f: Vec<&str> = line.split(',').collect();
        let (item, ts, action, scenario) = (f[1], f[2].parse().unwrap(), f[4], f[5]);
        let line = Line {
            item,
            ts,
            action,
            scenario,
        };
        of_user.entry(f[0]).or_default().push(line);
    }
    // Title, cuisine, category, price.
    let about: HashMap<&str, Vec<&str>> = items
        .lines()
        .skip(1)
        .map(|line| {
            let f: Vec<&str> = line.split(',').collect();
            (f[0], f[1..5].to_vec())
        })
        .collect();
    let end = split.fit_before.iter().flatten().next().unwrap().seconds();
    let set = TaskSet::load("food-delivery", None).unwrap();
    let (sampler, guard) = (ItemSampler::new(&ds, &split), Guard::new(&ds, &split));
    let tasks = [
        "next_click",
        "order_gap",
        "spend_band",
        "basket_size",
        "new_category",
        "scenario",
        "weekday",
        "next_department",
        "repeat_item",
    ];
    let (mut n, mut gaps) = (0, BTreeSet::new());
    for instance in &split.train {
        let lines = &of_user[ds.users[instance.user as usize].id.as_str()];
        let as_of = instance.as_of.seconds();
        let (before, after): (Vec<&Line>, Vec<&Line>) = lines
            .iter()
            .filter(|l| l.ts < end)
            .partition(|l| l.ts < as_of);
        let orders: Vec<&&Line> = after.iter().filter(|l| l.action == "order").collect();
        let order: Vec<&&&Line> = orders.iter().filter(|l| l.ts == orders[0].ts).collect();
        let chosen: BTreeSet<&str> = order.iter().map(|l| l.item).collect();
        let known: Vec<&&Line> = before.iter().filter(|l| l.action == "order").collect();
        let answers = set
            .answers(&guard.next(instance).unwrap(), &sampler, &asked(&tasks), 7)
            .unwrap();
        let of = |task: &str| {
            answers
                .iter()
                .find(|a| a.task == task)
                .map(|a| a.output.as_str())
        };
        let band =
            |n: f64, bands: &[(f64, &'static str)]| bands.iter().find(|b| n < b.0).unwrap().1;

        let click = after
            .iter()
            .find(|l| l.action == "click")
            .map(|l| about[l.item][0]);
        assert_eq!(of("next_click"), click);
        let following = orders.iter().find(|l| l.ts > orders[0].ts);
        let days = following.map(|l| (l.ts / DAY - orders[0].ts / DAY) as f64);
        let gap = days.map(|d| {
            let bands = [
                (1.0, "the same day"),
                (2.0, "1 day"),
                (4.0, "2 to 3 days"),
                (8.0, "4 to 7 days"),
                (15.0, "8 to 14 days"),
                (1e9, "over 14 days"),
            ];
            band(d, &bands)
        });
        assert_eq!(of("order_gap"), gap);
        gaps.extend(gap);
        let total: f64 = chosen
            .iter()
            .map(|i| about[i][3].parse::<f64>().unwrap())
            .sum();
        let bands = [
            (5.0, "under 5"),
            (10.0, "5 to 10"),
            (20.0, "10 to 20"),
            (50.0, "20 to 50"),
            (1e9, "over 50"),
        ];
        assert_eq!(of("spend_band"), Some(band(total, &bands)), "{total}");
        let bands = [
            (2.0, "1"),
            (5.0, "2 to 4"),
            (10.0, "5 to 9"),
            (1e9, "10 or more"),
        ];
        assert_eq!(of("basket_size"), Some(band(chosen.len() as f64, &bands)));
        let category = |item: &str| about[item][2];
        let is_new = chosen
            .iter()
            .any(|i| known.iter().all(|k| category(k.item) != category(i)));
        assert_eq!(of("new_category"), Some(if is_new { "yes" } else { "no" }));
        assert_eq!(of("scenario"), Some(order[0].scenario));
        // The log begins on a Monday, 2024-01-01.
        let days = [
            "Monday",
            "Tuesday",
            "Wednesday",
            "Thursday",
            "Friday",
            "Saturday",
            "Sunday",
        ];
        let monday = 1_704_067_200 / DAY;
        assert_eq!(
            of("weekday"),
            Some(days[((order[0].ts / DAY - monday) % 7) as usize])
        );
        let cuisines: Vec<&str> = chosen.iter().map(|i| about[i][1]).collect();
        assert!(cuisines.contains(&of("next_department").unwrap()));
        let again: Vec<&str> = chosen
            .iter()
            .filter(|i| known.iter().any(|k| k.item == **i))
            .map(|i| about[i][0])
            .collect();
        match of("repeat_item") {
            Some(title) => assert!(again.contains(&title)),
            None => assert!(again.is_empty()),
        }
        n += 1;
    }
    assert!(n > 60 && gaps.len() >= 4, "{n} {gaps:?}");
}
