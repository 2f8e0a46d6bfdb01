//! A user leaves: what stays is what a data set and a split without the user hold, and one way of doing it is
//! held against the other.

use hkfr_events::split::build;
use hkfr_events::store::{self, FeatureRow, Found};
use hkfr_events::{AsOf, Dataset, Event, SplitConfig};

use crate::fixtures::{DAY, builder};

/// 30 users, a place each, and one that all share.
fn log() -> Dataset {
    let mut b = builder();
    for n in 0..600_i64 {
        let user = format!("user {}", n % 30);
        let place = match n % 3 {
            0 => "market".to_owned(),
            _ => format!("home of {user}"),
        };
        let event = Event {
            user: b.user(&user),
            item: Some(b.item(&format!("item {}", n * 7 % 11))),
            kind: b.kind("thing", "buy", "shop"),
            ts: n / 30 * 2 * DAY + n,
            value: None,
            place: Some(b.place(&place)),
            text: (n % 5 == 0).then(|| format!("words of {user}").into()),
            row: 0,
        };
        b.push(event);
    }
    b.build()
}

/// What is known of each user, with names in place of indices.
fn told(ds: &Dataset) -> Vec<String> {
    let event = |e: &Event| {
        let place = e.place.map(|p| ds.places[p as usize].as_str());
        let item = e.item.map(|i| ds.items[i as usize].id.as_str());
        format!("{} {item:?} {place:?} {:?} {}", e.ts, e.text, e.row)
    };
    (0..ds.n_users() as u32)
        .map(|u| {
            let history = ds.history(u, AsOf::new(i64::MAX));
            let events: Vec<String> = history.events().iter().map(event).collect();
            format!("{}: {}", ds.users[u as usize].id, events.join("; "))
        })
        .collect()
}

#[test]
fn files_and_memory_forget_the_same() {
    let whole = log();
    for id in ["user 0", "user 17", "user 29"] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        store::write(&whole, dir).unwrap();
        let user = whole.user_by_id(id).unwrap();
        let found = Found {
            user,
            n_users: 30,
            n_events: 20,
        };
        assert_eq!(store::find_user(dir, id).unwrap(), Some(found));
        let files = || -> Vec<Vec<u8>> {
            let part = |n| std::fs::read(dir.join(format!("events/part-{n:03}.parquet"))).unwrap();
            (0..8).map(part).collect()
        };
        let before = files();
        store::forget_user(dir, id).unwrap();
        let changed = before.iter().zip(files()).filter(|(a, b)| *a != b).count();
        assert_eq!(changed, 1, "only the user's partition is written anew");
        assert_eq!(store::find_user(dir, id).unwrap(), None);
        let mut forgotten = whole.clone();
        assert_eq!(forgotten.forget(|other| other == id), (1, 20));
        let read = store::read(dir).unwrap();
        assert_eq!(told(&read), told(&forgotten));
        let sorted = |ds: &Dataset| {
            let mut places = ds.places.clone();
            places.sort();
            places
        };
        assert_eq!(sorted(&read), sorted(&forgotten));
        assert!(!read.places.iter().any(|p| *p == format!("home of {id}")));
        // All others are as they were.
        let mut others = told(&whole);
        others.remove(user as usize);
        assert_eq!(told(&read), others);
        // Again: nothing.
        let after = files();
        store::forget_user(dir, id).unwrap();
        assert_eq!(files(), after);
    }
}

#[test]
fn a_split_without_a_user_asks_the_others_the_same() {
    let whole = log();
    let config = SplitConfig {
        horizon_days: 6,
        min_item_buyers: 1,
        simulated_users: 2,
        ..SplitConfig::default()
    };
    let split = build(&whole, &config).unwrap();
    let in_both = |u: &u32| matches!(split.n_of(*u), (1.., 1..));
    let user = (3..30).find(in_both).unwrap();
    let id = &*whole.users[user as usize].id;
    let mut rest = whole.clone();
    rest.forget(|other| other == id);
    let mut without = split.clone();
    without.forget(user, 30);
    let once = without.clone();
    without.forget(user, 30);
    assert_eq!(without, once, "a second time changes nothing");
    let asked = |ds: &Dataset, split: &hkfr_events::Split| -> Vec<String> {
        let cases = split
            .cases
            .iter()
            .map(|c| (&c.instance, c.case_id.as_str()));
        let train = split.train.iter().map(|i| (i, "train"));
        let asked = train.chain(cases).map(|(i, case)| {
            let events = i.history(ds).events().len();
            let user = &ds.users[i.user as usize].id;
            format!(
                "{case} {user} {} {events} {:?}",
                i.as_of.seconds(),
                i.targets
            )
        });
        asked.collect()
    };
    let mut expected = asked(&whole, &split);
    expected.retain(|line| !line.contains(&format!(" {id} ")));
    assert_eq!(asked(&rest, &without), expected);
    assert_eq!(without.n_of(30), (0, 0));
    assert_eq!(without.fit_before.len(), 29);
}

#[test]
fn features_of_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.parquet");
    let row = |n: u32| FeatureRow {
        case_id: format!("case {n}"),
        user_id: format!("user {}", n % 3),
        as_of: AsOf::new(i64::from(n)),
        vector: vec![n as f32; 4],
    };
    let rows: Vec<FeatureRow> = (0..20_000).map(row).collect();
    store::write_features(&rows, &path).unwrap();
    let others: Vec<FeatureRow> = rows.into_iter().filter(|r| r.user_id != "user 1").collect();
    let expected = dir.path().join("expected.parquet");
    store::write_features(&others, &expected).unwrap();
    assert_eq!(store::count_rows(&path, "user 1").unwrap(), 6667);
    store::forget_rows(&path, "user 1").unwrap();
    for user in ["user 0", "user 1", "user 2"] {
        let n = |path| store::count_rows(path, user).unwrap();
        assert_eq!(n(&path), n(&expected), "{user}");
    }
}
