//! Laws: order of events, cutting of histories, and the event store's round trip.

use hkfr_events::adapters::{IngestConfig, load};
use hkfr_events::{AsOf, Dataset, IngestReport, store};
use proptest::prelude::*;

use crate::fixtures::{builder, push, write};

type Row = (u8, bool, u8, i64, Option<String>);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (
        0..6u8,
        any::<bool>(),
        0..9u8,
        -50..50i64,
        proptest::option::of(".{0,12}"),
    );
    proptest::collection::vec(row, 0..80)
}

fn dataset(rows: &[Row]) -> Dataset {
    let mut b = builder();
    for (user, buys, item, ts, text) in rows {
        let action = if *buys { "buy" } else { "see" };
        push(
            &mut b,
            &format!("u{user}"),
            action,
            &format!("i{item}"),
            *ts,
            text.as_deref(),
        );
    }
    b.build()
}

/// User, item, milliseconds after a time, text.
type Line = (String, String, i64, Option<String>);

/// Any text that has no white space around it; control characters become spaces, and are another test's.
fn cell() -> impl Strategy<Value = String> {
    let is_text = |s: &String| !s.is_empty() && s.trim() == s && s != "\\N";
    "[a-z0-9 \"',;|#\\\\:{}é面]{1,9}".prop_filter("a text", is_text)
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let line = (cell(), cell(), 0..5_000i64, proptest::option::of(cell()));
    proptest::collection::vec(line, 1..30)
}

/// What a reader must see: each user's lines by time, equal ones once.
fn expected(lines: &[Line]) -> std::collections::BTreeMap<String, Vec<Line>> {
    let mut by_user = std::collections::BTreeMap::<String, Vec<Line>>::new();
    for line in lines {
        let of_user = by_user.entry(line.0.clone()).or_default();
        if !of_user.contains(line) {
            of_user.push(line.clone());
        }
    }
    by_user.values_mut().for_each(|l| l.sort_by_key(|l| l.2));
    by_user
}

const START: i64 = 1_600_000_000_000;

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_random_log_is_read_back_from_csv_and_json_alike(lines in lines(), separator in prop::sample::select(vec![",", ";", "|", "\t"])) {
        let dir = tempfile::tempdir().unwrap();
        let mut csv = csv::WriterBuilder::new().delimiter(separator.as_bytes()[0]).from_writer(Vec::new());
        csv.write_record(["user", "item", "at", "text"]).unwrap();
        let mut json = String::new();
        for (user, item, ms, text) in &lines {
            let at = (START + ms).to_string();
            csv.write_record([user, item, &at, text.as_deref().unwrap_or("")]).unwrap();
            json += &serde_json::json!({"text": text, "at": START + ms, "item": item, "user": user}).to_string();
            json += "\n";
        }
        write(dir.path(), "log.csv", csv.into_inner().unwrap());
        write(dir.path(), "log.jsonl", json);
        for (file, options) in [
            ("log.csv", serde_json::json!({"delimiter": separator, "quote": "\""})),
            ("log.jsonl", serde_json::json!({})),
        ] {
            let mut events = serde_json::json!({
                "path": file, "user": "user", "item": "item", "time": "at", "time_format": "millis", "text": "text",
                "subject": "thing", "action": "buy", "scenario": "shop",
            });
            events.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
            let config = serde_json::json!({"format": "mapping", "dir": dir.path(), "events": [events]});
            let config: IngestConfig = serde_json::from_value(config).unwrap();
            let mut report = IngestReport::new(true);
            let d = load(&config, &mut report).unwrap();
            let read = (0..d.n_users() as u32).map(|user| {
                let history = d.history(user, AsOf::new(i64::MAX));
                let id = history.profile().id.clone();
                let row = |e: &hkfr_events::Event| {
                    let item = d.items[e.item.unwrap() as usize].id.clone();
                    (item, e.ts, e.text.as_deref().map(str::to_owned))
                };
                (id, history.events().iter().map(row).collect::<Vec<_>>())
            });
            let read: std::collections::BTreeMap<_, _> = read.collect();
            let expected: std::collections::BTreeMap<_, _> = expected(&lines)
                .into_iter()
                .map(|(user, lines)| {
                    let row = |l: Line| (l.1, (START + l.2).div_euclid(1_000), l.3);
                    (user, lines.into_iter().map(row).collect::<Vec<_>>())
                })
                .collect();
            prop_assert_eq!(&read, &expected, "{}", file);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn histories_are_sorted_complete_and_before_their_cut_off(rows in rows(), as_of in -60..60i64) {
        let d = dataset(&rows);
        let mut n = 0;
        for user in 0..d.n_users() as u32 {
            let h = d.history(user, AsOf::new(as_of));
            n += h.events().len();
            prop_assert!(h.events().is_sorted_by_key(|e| (e.ts, e.row)));
            prop_assert!(h.events().iter().all(|e| e.ts < as_of && e.user == user));
        }
        prop_assert_eq!(n, rows.iter().filter(|r| r.3 < as_of).count());
    }

    #[test]
    fn keep_last_is_the_shortest_suffix_with_n_that_count(rows in rows(), n in 0..8usize) {
        let d = dataset(&rows);
        for user in 0..d.n_users() as u32 {
            let all = d.history(user, AsOf::new(1_000));
            let kept = all.keep_last(n, |e| d.is_target(e)).events();
            let count = |events: &[hkfr_events::Event]| events.iter().filter(|e| d.is_target(e)).count();
            let wanted = n.min(count(all.events()));
            let shortest = (0..=all.events().len()).rev().find(|&i| count(&all.events()[i..]) == wanted).unwrap();
            prop_assert_eq!(kept, &all.events()[shortest..]);
        }
    }

    #[test]
    fn the_store_gives_back_what_it_got(rows in rows(), title in ".{0,20}", price in proptest::option::of(0.0f32..9.0)) {
        let dir = tempfile::tempdir().unwrap();
        let mut b = builder();
        for (user, buys, item, ts, text) in &rows {
            push(&mut b, &format!("u{user}"), if *buys { "buy" } else { "see" }, &format!("i{item}"), *ts, text.as_deref());
        }
        let lonely = b.item("never bought");
        let item = b.item_mut(lonely);
        item.title = title;
        item.price = price;
        item.categories = vec!["a|b".into(), "ü".into()];
        let silent = b.user("silent");
        b.profile_mut(silent).attributes.insert("age".into(), "42".into());
        b.place("store 7");
        let d = b.build();
        store::write(&d, dir.path()).unwrap();
        let back = store::read(dir.path()).unwrap();
        prop_assert_eq!(&back.info, &d.info);
        prop_assert_eq!(&back.users, &d.users);
        prop_assert_eq!(&back.items, &d.items);
        prop_assert_eq!(&back.kinds, &d.kinds);
        prop_assert_eq!(&back.places, &d.places);
        for user in 0..d.n_users() as u32 {
            let end = AsOf::new(i64::MAX);
            prop_assert_eq!(back.history(user, end).events(), d.history(user, end).events());
        }
    }
}
