//! Times: units, types, zones, and the order within a second.

use std::sync::Arc;

use arrow_array::{ArrayRef, Date32Array, TimestampMillisecondArray};
use hkfr_events::adapters::{IngestLimits, ingest};
use hkfr_events::{AsOf, IngestReport, store};

use super::{NOW, config, items, read, read_at, refusal, refused, seconds};
use crate::fixtures::{ints, parquet, texts, write};

#[test]
fn a_wrong_unit_is_refused_with_the_one_that_fits() {
    let log = |times: &[i64]| {
        let rows = times.iter().map(|t| format!("u,i{t},{t}\n"));
        "user,item,at\n".to_owned() + &rows.collect::<String>()
    };
    let millis = log(&[1_577_836_800_123, 1_578_186_000_123]);
    for more in ["", "time_format = \"seconds\""] {
        refused(
            &millis,
            "log.csv",
            more,
            &["2 of 2 times", "`time_format = \"millis\"`", "any_time"],
        );
    }
    let seconds = log(&[1_577_836_800, 1_578_186_000]);
    refused(
        &seconds,
        "log.csv",
        "time_format = \"millis\"",
        &["of 1970-01-19", "\"seconds\""],
    );
    refused(
        &seconds,
        "log.csv",
        "time_format = \"iso\"",
        &["no time is read", "\"seconds\""],
    );
    refused(
        "user,item,at\nu,i,05/31/2020 18:30\nu,j,06/01/2020 18:30\n",
        "log.csv",
        "time_format = \"iso\"",
        &["\"%m/%d/%Y %H:%M\""],
    );
    let micros = log(&[1_577_836_800_123_456]);
    refused(
        &micros,
        "log.csv",
        "time_format = \"millis\"",
        &["\"micros\""],
    );
    let d = read(&micros, "log.csv", "time_format = \"micros\"")
        .0
        .unwrap();
    assert_eq!(
        d.history(0, AsOf::new(i64::MAX)).events()[0].ts,
        1_577_836_800
    );
    // Old times are meant.
    let old = log(&[10, 20]);
    refused(&old, "log.csv", "", &["2 of 2 times", "any_time = true"]);
    assert!(read(&old, "log.csv", "any_time = true").0.is_ok());
    // A few wrong times do not stop a log. The report notes them.
    let few = log(&[-62_135_596_800, 1_577_836_800, 1_577_836_801]);
    let (loaded, report) = read(&few, "log.csv", "");
    assert_eq!(loaded.unwrap().n_events(), 3);
    assert!(report.notes[0].contains("1 of 3 times") && report.notes[0].contains("0001-01-01"));
}

#[test]
fn times_after_tomorrow_are_refused_by_the_callers_clock() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        "log.csv",
        format!("user,item,at\nu,i,{}\n", NOW + 40 * 86_400),
    );
    let config = config(dir.path(), "log.csv", "").unwrap();
    let ingested = |now| {
        let limits = IngestLimits {
            memory: 1 << 20,
            shard: None,
            now,
            forgotten: None,
            go_on: &mut |_| true,
        };
        ingest(
            &config,
            &dir.path().join("out"),
            limits,
            &mut IngestReport::new(false),
        )
    };
    let error = ingested(Some(NOW)).err().unwrap().to_string();
    assert!(error.contains("in the future"), "{error}");
    assert!(ingested(Some(NOW + 41 * 86_400)).is_ok() && ingested(None).is_ok());
}

#[test]
fn what_the_type_of_a_column_says_counts() {
    let dir = tempfile::tempdir().unwrap();
    let write_at = |at: ArrayRef| {
        let columns = vec![("user", texts(["u"])), ("item", texts(["i"])), ("at", at)];
        parquet(dir.path(), "log", columns);
    };
    let millis = TimestampMillisecondArray::from_iter_values([NOW * 1_000 + 7]);
    write_at(Arc::new(millis));
    for format in [
        "",
        "time_format = \"millis\"",
        "time_format = \"seconds\"",
        "time_format = \"iso\"",
    ] {
        let d = read_at(dir.path(), "log.parquet", format).0.unwrap();
        assert_eq!(seconds(&d, "u"), [NOW], "{format}");
    }
    for format in ["micros", "%Y-%m-%d"] {
        let more = format!("time_format = \"{format}\"");
        let with = [
            "holds timestamps in millis",
            "contradicts",
            "set \"millis\"",
        ];
        refusal(
            read_at(dir.path(), "log.parquet", &more).0,
            "log.parquet",
            &with,
        );
    }
    write_at(Arc::new(Date32Array::from_iter_values([19_000])));
    assert_eq!(
        seconds(&read_at(dir.path(), "log.parquet", "").0.unwrap(), "u"),
        [19_000 * 86_400]
    );
    write_at(ints([NOW * 1_000]));
    refusal(
        read_at(dir.path(), "log.parquet", "").0,
        "log.parquet",
        &["\"millis\""],
    );
    write_at(Arc::new(
        arrow_array::Time64MicrosecondArray::from_iter_values([5]),
    ));
    refusal(
        read_at(dir.path(), "log.parquet", "").0,
        "log.parquet",
        &["times of day without a date"],
    );
}

#[test]
fn hours_are_the_users_by_offset_zone_or_a_column() {
    let log = "user,item,at,offset\nu,i,2012-04-03 18:00:09,-240\n";
    for more in [
        "utc_offset_minutes = -240",
        "time_zone = \"America/New_York\"",
        "utc_offset_column = \"offset\"",
    ] {
        for log in [log.to_owned(), log.replace(",-240", "Z,-240")] {
            let more = format!("time_format = \"iso\"\n{more}");
            let d = read(log, "log.csv", &more).0.unwrap();
            assert_eq!(seconds(&d, "u"), [1_333_461_609], "{more}");
        }
    }
    let both = "utc_offset_minutes = -240\ntime_zone = \"America/New_York\"";
    refused(log, "log.csv", both, &["leave one out"]);
    refused(
        log,
        "log.csv",
        "time_zone = \"New York\"",
        &["America/New_York"],
    );
}

#[test]
fn the_order_within_a_second_is_that_of_the_log() {
    let rows = [360, 90, 120, 480, 0, 500, 630, 599];
    let log = rows
        .map(|ms| format!("u,i{ms:03},{}\n", NOW * 1_000 + ms))
        .concat();
    let log = format!("user,item,at\n{log}u,i000,{}\n", NOW * 1_000 + 7);
    let expected = [
        "i000", "i000", "i090", "i120", "i360", "i480", "i500", "i599", "i630",
    ];
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "log.csv", log);
    let more = "time_format = \"millis\"";
    let (loaded, report) = read_at(dir.path(), "log.csv", more);
    // The same item within one second, at another millisecond, is another event.
    assert_eq!(items(&loaded.unwrap(), "u"), expected);
    assert_eq!(
        (
            report.out_of_order,
            report.equal_timestamps,
            report.duplicates
        ),
        (4, 0, 0)
    );
    for memory in [100, 1 << 20] {
        let limits = IngestLimits {
            memory,
            shard: None,
            now: None,
            forgotten: None,
            go_on: &mut |_| true,
        };
        let out = dir.path().join("out");
        let mut report = IngestReport::new(true);
        let config = config(dir.path(), "log.csv", more).unwrap();
        let ingested = ingest(&config, &out, limits, &mut report).unwrap();
        assert_eq!(
            (ingested.own.out_of_order, ingested.own.equal_timestamps),
            (4, 0)
        );
        assert_eq!(
            items(&store::read(&out).unwrap(), "u"),
            expected,
            "{memory}"
        );
        let store = store::Store::open(&out).unwrap();
        for p in 0..store.partitions() {
            let mut users = store.users(p).unwrap();
            while let Some(user) = users.next_user().unwrap() {
                let history = user.history(AsOf::new(i64::MAX));
                let ids = history.events().iter().map(|e| e.item.unwrap() as usize);
                let ids: Vec<_> = ids
                    .map(|i| store.catalogue().items[i].id.as_str())
                    .collect();
                assert_eq!(ids, expected);
            }
        }
    }
}

#[test]
fn a_second_column_breaks_ties() {
    let log = "user;item;frame;at\nu;i7;148000;2016-05-02\nu;i5;74000;2016-05-02\nu;i6;81000;2016-05-02\nu;i4;9000;2016-05-02\n";
    let more = "time_format = \"iso\"\ntie_breaker = \"frame\"";
    let d = read(log, "log.csv", more).0.unwrap();
    assert_eq!(items(&d, "u"), ["i4", "i5", "i6", "i7"]);
    let (_, report) = read(log.replace("9000", "soon"), "log.csv", more);
    assert!(
        report.first_bad[0].reason.contains("tie breaker"),
        "{report}"
    );
}
