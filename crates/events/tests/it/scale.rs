//! Logs larger than memory: the external sort gives what a sort in memory gives, and shards give what one
//! machine gives.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hkfr_events::adapters::{IngestConfig, IngestLimits, ingest, load};
use hkfr_events::store::{self, Shard, Store};
use hkfr_events::{AsOf, Dataset, Error, Event, History, IngestReport};
use proptest::prelude::*;

use crate::fixtures::write;

const CONFIG: &str = r#"
format = "mapping"
name = "log"
target_actions = ["buy"]
[[events]]
any_time = true
path = "log.csv"
user = "user"
item = "item"
time = "at"
subject = "product"
action_column = "action"
scenario = "shop"
value = "paid"
text = "query"
place = "city"
[items]
path = "items.csv"
id = "item"
few_match = true
title = "title"
[users]
path = "users.csv"
id = "user"
few_match = true
attributes = ["age"]
"#;

fn config(dir: &Path) -> IngestConfig {
    toml::from_str(&format!("dir = {:?}\n{CONFIG}", dir.to_str().unwrap())).unwrap()
}

/// user, item, time, action, paid, query, city; negative or empty: none.
type Row = (u8, i8, i8, bool, i8, String, u8);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (
        0..7u8,
        -1..6i8,
        // Many at one time.
        -3..3i8,
        any::<bool>(),
        -1..3i8,
        "[a-c]{0,2}",
        0..3u8,
    );
    proptest::collection::vec(row, 1..120)
}

fn write_log(dir: &Path, rows: &[Row]) {
    let mut log = "user,item,at,action,paid,query,city\n".to_owned();
    for (user, item, at, buys, paid, query, city) in rows {
        let number = |n: i8, before: &str| match n {
            -1 => String::new(),
            n => format!("{before}{n}"),
        };
        let (item, paid, city) = (
            number(*item, "i"),
            number(*paid, ""),
            number(*city as i8 - 1, "c"),
        );
        let action = if *buys { "buy" } else { "see" };
        log += &format!("user {user},{item},{at},{action},{paid},{query},{city}\n");
    }
    write(dir, "log.csv", log);
    write(
        dir,
        "items.csv",
        "item,title\ni1,One\ni9,Nine\ni1,Once more\n",
    );
    write(
        dir,
        "users.csv",
        "user,age\nuser 3,30\nsilent,99\nuser 1,10\nuser 3,31\n,5\nsilent,98\n",
    );
}

fn into_store(
    dir: &Path,
    out: &Path,
    memory: usize,
    shard: Option<Shard>,
) -> Result<(IngestReport, IngestReport), Error> {
    let mut report = IngestReport::new(false);
    let limits = IngestLimits {
        now: None,
        forgotten: None,
        memory,
        shard,
        go_on: &mut |_| true,
    };
    let ingested = ingest(&config(dir), out, limits, &mut report)?;
    Ok((report, ingested.own))
}

/// An event in words, but for its id.
type Told = (
    Option<String>,
    String,
    i64,
    Option<f32>,
    Option<String>,
    Option<String>,
);

fn told(d: &Dataset, e: &Event) -> Told {
    (
        e.item.map(|i| d.items[i as usize].id.clone()),
        d.kind(e).action.clone(),
        e.ts,
        e.value,
        e.place.map(|p| d.places[p as usize].clone()),
        e.text.as_deref().map(str::to_owned),
    )
}

/// By user: profile and events, whose ids must rise where times are equal.
fn users(d: &Dataset) -> BTreeMap<String, (BTreeMap<String, String>, Vec<Told>)> {
    let user = |u: usize| {
        let events = d.history(u as u32, AsOf::new(i64::MAX)).events();
        assert!(events.is_sorted_by(|a, b| (a.ts, a.row) < (b.ts, b.row)));
        let events = events.iter().map(|e| told(d, e)).collect();
        let profile = &d.users[u];
        (profile.id.clone(), (profile.attributes.clone(), events))
    };
    (0..d.n_users()).map(user).collect()
}

/// All files below a directory with their bytes.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut files, mut todo) = (BTreeMap::new(), vec![dir.to_owned()]);
    todo.retain(|dir| dir.exists());
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            todo.extend(fs_err::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else {
            let bytes = fs_err::read(&path).unwrap();
            files.insert(path.strip_prefix(dir).unwrap().to_owned(), bytes);
        }
    }
    files
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_external_sort_is_the_sort_in_memory(rows in rows(), memory in prop_oneof![Just(1usize), 1..4000usize, Just(1 << 20)]) {
        let dir = tempfile::tempdir().unwrap();
        write_log(dir.path(), &rows);
        let mut expected_report = IngestReport::new(false);
        let expected = load(&config(dir.path()), &mut expected_report);
        let out = dir.path().join("out");
        let stored = into_store(dir.path(), &out, memory, None);
        let Ok(expected) = expected else {
            prop_assert!(stored.is_err() && files(&out).is_empty());
            return Ok(());
        };
        let (mut report, own) = stored.unwrap();
        report.absorb(&own);
        expected_report.absorb(&IngestReport::default());
        prop_assert_eq!(report, expected_report);
        let found = store::read(&out).unwrap();
        prop_assert_eq!(users(&found), users(&expected));
        // Users in the order of the log.
        let n = expected.users.iter().filter(|u| u.id.starts_with("user")).count();
        let ids = |d: &Dataset| -> Vec<String> { d.users[..n].iter().map(|u| u.id.clone()).collect() };
        let silent = |id: &String| expected.history(expected.user_by_id(id).unwrap(), AsOf::new(i64::MAX)).is_empty();
        prop_assert!(ids(&found).iter().filter(|u| !silent(u)).eq(ids(&expected).iter().filter(|u| !silent(u))));
        prop_assert_eq!(&found.items, &expected.items);
        prop_assert_eq!(&found.kinds, &expected.kinds);
        prop_assert_eq!(&found.places, &expected.places);
        prop_assert!(!out.join("sorting").exists());
        // The limit decides no byte.
        let roomy = dir.path().join("roomy");
        into_store(dir.path(), &roomy, 1 << 24, None).unwrap();
        prop_assert!(files(&out) == files(&roomy));

        // User by user the same comes out as all at once, whoever wrote the store.
        let in_memory = dir.path().join("in-memory");
        store::write(&expected, &in_memory).unwrap();
        for (dir, whole) in [(&out, &found), (&in_memory, &expected)] {
            let store = Store::open(dir).unwrap();
            prop_assert_eq!(store.end(), rows.iter().filter(|r| r.1 >= 0 || !r.5.is_empty()).map(|r| AsOf::new(i64::from(r.2) + 1)).max());
            let mut n = 0;
            for p in 0..store.partitions() {
                let mut of_part = store.users(p).unwrap();
                while let Some(user) = of_part.next_user().unwrap() {
                    let history = user.history(AsOf::new(1));
                    let index = whole.user_by_id(&user.profile().id).unwrap();
                    let expected = whole.history(index, AsOf::new(1));
                    prop_assert_eq!(history.profile(), expected.profile());
                    let told = |h: History, d: &Dataset| h.events().iter().map(|e| (e.row, told(d, e))).collect::<Vec<_>>();
                    prop_assert_eq!(told(history, whole), told(expected, whole));
                    n += 1;
                }
            }
            prop_assert_eq!(n, whole.n_users());
        }
    }

    #[test]
    fn shards_merge_into_what_one_machine_writes(rows in rows(), of in prop_oneof![Just(1u32), Just(3), Just(8)]) {
        let dir = tempfile::tempdir().unwrap();
        write_log(dir.path(), &rows);
        let whole = dir.path().join("whole");
        let Ok((mut log, own)) = into_store(dir.path(), &whole, 600, None) else {
            return Ok(());
        };
        log.absorb(&own);
        let mut dirs = Vec::new();
        let mut owns = IngestReport::default();
        let mut scanned = None;
        for k in (1..=of).rev() {
            let out = dir.path().join(format!("shard-{k}"));
            let (log, own) = into_store(dir.path(), &out, 600, Some(Shard::new(k, of).unwrap())).unwrap();
            owns.absorb(&own);
            prop_assert!(scanned.replace(log.clone()).is_none_or(|s| s == log));
            dirs.push(out);
        }
        let merged = dir.path().join("merged");
        store::merge(&dirs, &merged, &mut |_| true).unwrap();
        prop_assert!(files(&merged) == files(&whole));
        let mut report = scanned.unwrap();
        report.absorb(&owns);
        prop_assert_eq!(report, log);
    }
}

fn small(dir: &Path) {
    let rows: Vec<Row> = (0..40)
        .map(|n| (n % 7, (n % 5) as i8, n as i8, true, 1, String::new(), 1))
        .collect();
    write_log(dir, &rows);
}

#[test]
fn shards_that_do_not_belong_together_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    small(dir.path());
    let make = |k, of| {
        let out = dir.path().join(format!("{k}-of-{of}"));
        into_store(dir.path(), &out, 1 << 20, Some(Shard::new(k, of).unwrap())).unwrap();
        out
    };
    let [a, b, c] = [1, 2, 3].map(|k| make(k, 3));
    let other = make(2, 2);
    let out = dir.path().join("out");
    let error = |dirs: &[&PathBuf]| {
        let dirs: Vec<PathBuf> = dirs.iter().map(|d| (*d).clone()).collect();
        let error = store::merge(&dirs, &out, &mut |_| true).unwrap_err();
        assert!(!out.join("info.json").exists());
        error.to_string()
    };
    assert_eq!(
        error(&[&a, &c]),
        "shard 2/3 is missing: make it, then merge again"
    );
    assert_eq!(
        error(&[&a, &b, &c, &b]),
        "more than one of shard 2/3: name each once"
    );
    assert!(error(&[&a, &b, &other]).contains("one is of 3, one of 2"));
    assert!(error(&[]).contains("no shards"));
    let whole = dir.path().join("whole");
    into_store(dir.path(), &whole, 1 << 20, None).unwrap();
    assert!(error(&[&whole]).contains("holds all users"));
    // Another log in one of them.
    let log = fs_err::read_to_string(dir.path().join("log.csv")).unwrap();
    write(dir.path(), "log.csv", log + "user 1,i77,99,buy,,,\n");
    make(2, 3);
    assert!(error(&[&a, &b, &c]).contains("not made from one log"));
}

#[test]
fn a_stop_leaves_no_half_files() {
    let dir = tempfile::tempdir().unwrap();
    small(dir.path());
    let out = dir.path().join("out");
    for stop_at in 0..4 {
        let mut asked = 0;
        let mut go_on = |_| {
            asked += 1;
            asked <= stop_at
        };
        let limits = IngestLimits {
            now: None,
            forgotten: None,
            memory: 1,
            shard: None,
            go_on: &mut go_on,
        };
        let mut report = IngestReport::new(false);
        let stopped = ingest(&config(dir.path()), &out, limits, &mut report);
        assert!(matches!(stopped, Err(Error::Stopped)));
        assert_eq!(files(&out).len(), 0);
    }
    // What a killed process left is in nobody's way.
    write(&out, "sorting/run-00001", "half a run");
    write(&out, "events/part-000.parquet.tmp", "half a part");
    into_store(dir.path(), &out, 1, None).unwrap();
    assert_eq!(files(&out).len(), 3 + 8);
}

#[test]
fn shards_are_written_and_read_as_k_of_n() {
    let shard: Shard = "2/3".parse().unwrap();
    assert_eq!(
        (shard.k(), shard.of(), shard.to_string()),
        (2, 3, "2/3".into())
    );
    for wrong in ["", "2", "0/3", "4/3", "a/b", "1/0", "-1/3"] {
        assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
    }
    // Every user is in one shard, and each has its share.
    let n = (0..3000)
        .filter(|u| shard.holds(&format!("user {u}")))
        .count();
    assert!((900..1100).contains(&n), "{n}");
}
