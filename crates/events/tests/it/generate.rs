//! Synthetic logs: the same bytes from the same seed, and a truth that shows in what was ordered.

use std::collections::BTreeMap;
use std::path::Path;

use hkfr_events::adapters::{IngestConfig, load};
use hkfr_events::generate::{Counts, FoodDelivery, FoodDeliveryConfig};
use hkfr_events::{AsOf, Dataset, Event, IngestReport};
use serde_json::Value;

fn write(dir: &Path, users: u32, seed: u64) -> Counts {
    let days = 60;
    let config = FoodDeliveryConfig { users, days, seed };
    let mut log = FoodDelivery::new(config, dir).unwrap();
    while log.next_user().unwrap() {}
    log.finish().unwrap().1
}

/// As the config that is written beside the log says.
fn read(dir: &Path) -> Dataset {
    let text = std::fs::read_to_string(dir.join("food-delivery.toml")).unwrap();
    let config: toml::Table = text.parse().unwrap();
    let mut options = config["data"]["options"].as_table().unwrap().clone();
    options.insert("format".into(), "mapping".into());
    options.insert(
        "dir".into(),
        dir.join("log").to_string_lossy().into_owned().into(),
    );
    let config: IngestConfig = options.try_into().unwrap();
    let mut report = IngestReport::new(true);
    let ds = load(&config, &mut report).unwrap();
    assert_eq!((report.n_bad(), report.n_skipped()), (0, 0), "{report}");
    ds
}

#[test]
fn a_seed_decides_every_byte_and_every_file_says_that_it_is_synthetic() {
    let [a, b, c] = [1, 1, 2].map(|seed| {
        let dir = tempfile::tempdir().unwrap();
        let counts = write(dir.path(), 40, seed);
        (dir, counts)
    });
    assert_eq!(a.1, b.1);
    let files = [
        "README.md",
        "food-delivery.toml",
        "truth.jsonl",
        "log/events.csv",
        "log/items.csv",
        "log/users.csv",
    ];
    for file in files {
        let of = |dir: &tempfile::TempDir| std::fs::read_to_string(dir.path().join(file)).unwrap();
        assert_eq!(of(&a.0), of(&b.0), "{file}");
        let first = of(&a.0).lines().next().unwrap().to_lowercase();
        assert!(first.contains("synthetic"), "{file}: {first}");
        if file != "README.md" {
            assert_ne!(of(&a.0), of(&c.0), "{file}");
        }
    }
    // Of fewer users the same ones: nobody depends on who else there is.
    let few = tempfile::tempdir().unwrap();
    write(few.path(), 10, 1);
    let of = |dir: &tempfile::TempDir| {
        std::fs::read_to_string(dir.path().join("log/events.csv")).unwrap()
    };
    assert!(of(&a.0).starts_with(&of(&few)));
    let ds = read(a.0.path());
    assert_eq!(ds.n_events() as u64, a.1.events);
    assert!(ds.info.licence.starts_with("Synthetic") && ds.info.name.contains("synthetic"));
    assert!(ds.items.iter().all(|i| i.title.contains("Synthetic")));
}

#[test]
fn impossible_numbers_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (users, days, part) in [(0, 60, "--users 0"), (5, 3, "--days 3")] {
        let seed = 1;
        let config = FoodDeliveryConfig { users, days, seed };
        let error = FoodDelivery::new(config, dir.path()).err().unwrap();
        assert!(error.to_string().contains(part), "{error}");
    }
}

const DAY: i64 = 86_400;
/// 2024-01-01.
const START: i64 = 1_704_067_200;

fn meal(ts: i64) -> &'static str {
    match ts.rem_euclid(DAY) / 3600 {
        5..11 => "morning",
        11..14 => "midday",
        14..18 => "afternoon",
        18..22 => "evening",
        _ => "night",
    }
}

fn day(e: &Event) -> i64 {
    (e.ts - START).div_euclid(DAY)
}

fn most<K: Ord + Clone>(names: impl Iterator<Item = K>) -> Option<K> {
    let mut counts = BTreeMap::new();
    names.for_each(|n| *counts.entry(n).or_insert(0) += 1);
    counts.into_iter().max_by_key(|c| c.1).map(|c| c.0)
}

#[test]
fn what_the_truth_says_shows_in_what_is_ordered() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 600, 5);
    let ds = read(dir.path());
    let text = std::fs::read_to_string(dir.path().join("truth.jsonl")).unwrap();
    let mut lines = text
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap());
    let parameters = lines.next().unwrap();
    assert_eq!(
        (&parameters["users"], &parameters["seed"]),
        (&600.into(), &5.into())
    );

    let (mut judged, mut favourite, mut meals, mut scenarios) = (0, 0, 0, 0);
    let mut prices: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    let mut weekends: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    // Before the drift and after it: orders of what it leaves, of what it goes to, all.
    let mut drift = [[0.0; 3]; 2];
    let (mut n_cold, mut n_drift) = (0, 0);
    for truth in lines {
        let user = ds.users.iter().position(|u| u.id == truth["user"]);
        let Some(user) = user.filter(|_| truth["synthetic"] == true) else {
            panic!("{truth}")
        };
        let history = ds.history(user as u32, AsOf::new(i64::MAX));
        let orders: Vec<&Event> = history
            .events()
            .iter()
            .filter(|e| ds.is_target(e))
            .collect();
        let category = |e: &Event| ds.category(e.item.unwrap()).unwrap().to_owned();
        let said = |key: &str| truth[key].as_str().unwrap().to_owned();
        let first = history.events().first().map_or(60, day);
        assert!(first >= truth["first_day"].as_i64().unwrap());
        if truth["cold_start"] == true {
            n_cold += 1;
            assert!(first >= 60 - 60 / 7 - 2, "{truth}");
            continue;
        }
        for e in &orders {
            let price = f64::from(ds.items[e.item.unwrap() as usize].price.unwrap());
            let entry = prices.entry(said("price_level")).or_default();
            (entry.0, entry.1) = (entry.0 + price, entry.1 + 1.0);
            let entry = weekends.entry(said("rhythm")).or_default();
            (entry.0, entry.1) = (
                entry.0 + f64::from(u8::from(day(e) % 7 >= 5)),
                entry.1 + 1.0,
            );
        }
        if let Some(changed) = truth["drift"].as_object() {
            n_drift += 1;
            for e in &orders {
                let after = usize::from(day(e) >= changed["day"].as_i64().unwrap());
                drift[after][0] += f64::from(u8::from(changed["from"] == category(e)));
                drift[after][1] += f64::from(u8::from(changed["to"] == category(e)));
                drift[after][2] += 1.0;
            }
        } else if orders.len() >= 20 {
            judged += 1;
            let top = most(orders.iter().map(|e| category(e))).unwrap();
            favourite += usize::from(truth["favourites"][0][0] == top);
            let best = |shares: &Value| {
                let shares = shares.as_object().unwrap().clone();
                let best = shares
                    .into_iter()
                    .max_by(|a, b| a.1.as_f64().unwrap().total_cmp(&b.1.as_f64().unwrap()));
                best.unwrap().0
            };
            meals += usize::from(
                best(&truth["meals"]) == most(orders.iter().map(|e| meal(e.ts))).unwrap(),
            );
            let scenario = |e: &Event| ds.kind(e).scenario.clone();
            let searches_and_pages = history
                .events()
                .iter()
                .filter(|e| ds.kind(e).action == "click");
            scenarios += usize::from(
                best(&truth["scenarios"]) == most(searches_and_pages.map(scenario)).unwrap(),
            );
        }
    }
    let share = |n: usize| n as f64 / judged as f64;
    assert!(judged > 60, "{judged}");
    assert!(share(favourite) > 0.8, "favourites {}", share(favourite));
    assert!(share(meals) > 0.9, "meals {}", share(meals));
    assert!(share(scenarios) > 0.7, "scenarios {}", share(scenarios));
    let mean = |of: &BTreeMap<String, (f64, f64)>, key: &str| of[key].0 / of[key].1;
    let levels = ["low", "middle", "high"].map(|l| mean(&prices, l));
    assert!(
        levels[0] < 0.85 * levels[1] && levels[1] < 0.85 * levels[2],
        "{levels:?}"
    );
    let rhythm = ["workdays", "every day", "weekends"].map(|r| mean(&weekends, r));
    assert!(
        rhythm[0] < 0.15 && (0.2..0.4).contains(&rhythm[1]) && rhythm[2] > 0.5,
        "{rhythm:?}"
    );
    let [before, after] = drift.map(|d| [d[0] / d[2], d[1] / d[2]]);
    assert!(
        before[0] > 3.0 * after[0] && after[1] > 3.0 * before[1],
        "{before:?} {after:?}"
    );
    assert!(
        (40..110).contains(&n_cold) && (100..220).contains(&n_drift),
        "{n_cold} {n_drift}"
    );
}
