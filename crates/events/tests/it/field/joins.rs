//! Ids, and tables that join a log by them.

use std::sync::Arc;

use arrow_array::{ArrayRef, UInt64Array};
use hkfr_events::IngestReport;
use hkfr_events::adapters::{IngestConfig, IngestLimits, ingest, load};

use super::{NOW, config, read, read_at, refusal};
use crate::fixtures::{ints, parquet, texts, write};

#[test]
fn ids_beyond_signed_integers_stay_apart() {
    let dir = tempfile::tempdir().unwrap();
    let users: Vec<u64> = (0..6).map(|i| u64::MAX - i).collect();
    let columns = vec![
        (
            "user",
            Arc::new(UInt64Array::from(users.clone())) as ArrayRef,
        ),
        ("item", texts(["i"; 6])),
        ("at", ints([NOW; 6])),
    ];
    parquet(dir.path(), "log", columns);
    let d = read_at(dir.path(), "log.parquet", "").0.unwrap();
    let ids: Vec<&str> = d.users.iter().map(|u| u.id.as_str()).collect();
    assert_eq!(ids, users.iter().map(u64::to_string).collect::<Vec<_>>());
    // A float that has lost digits is no id: others were rounded to it.
    let users: ArrayRef = Arc::new(arrow_array::Float64Array::from(vec![1000.0, 2f64.powi(60)]));
    let columns = vec![
        ("user", users),
        ("item", texts(["i"; 2])),
        ("at", ints([NOW; 2])),
    ];
    parquet(dir.path(), "log", columns);
    let (loaded, report) = read_at(dir.path(), "log.parquet", "");
    let d = loaded.unwrap();
    assert_eq!(
        (d.n_users(), d.users[0].id.as_str(), report.n_bad()),
        (1, "1000", 1)
    );
    assert!(
        report.first_bad[0].reason.contains("rounded number"),
        "{report}"
    );
    for (file, log) in [
        (
            "log.csv",
            "user,item,at\n1.23457E+12,i,1600000000\nu,i,1600000000\n",
        ),
        (
            "log.jsonl",
            "{\"user\":1.23457E+12,\"item\":\"i\",\"at\":1600000000}\n{\"user\":\"u\",\"item\":\"i\",\"at\":1600000000}",
        ),
    ] {
        let (loaded, report) = read(log, file, "");
        assert_eq!(
            (loaded.unwrap().n_users(), report.n_bad()),
            (1, 1),
            "{file} {report}"
        );
    }
    // JSON numbers have as many digits as they are written with.
    let big = "{\"user\":123456789012345678901234567890,\"item\":1000.0,\"at\":1600000000}";
    let d = read(big, "log.jsonl", "").0.unwrap();
    assert_eq!(d.users[0].id, "123456789012345678901234567890");
    assert_eq!(d.items[0].id, "1000");
}

#[test]
fn a_table_that_hardly_matches_is_refused_with_the_reason_and_the_key_that_mends_it() {
    // What the log and the table call the items, the reason, and the key.
    type Id = fn(usize) -> String;
    let cases: [(Id, Id, &str, &str); 7] = [
        (
            |i| format!("{i}.0"),
            |i| i.to_string(),
            "with a point",
            "item_ids = [\"integer\"]",
        ),
        (
            |i| i.to_string(),
            |i| format!("{i}.0"),
            "with a point",
            "ids = [\"integer\"]",
        ),
        (
            |i| format!("{i:05}"),
            |i| i.to_string(),
            "leading zeros",
            "item_ids = [\"no-leading-zeros\"]",
        ),
        (
            |i| format!("ab{i}"),
            |i| format!("AB{i}"),
            "upper and lower case",
            "ids = [\"lowercase\"]",
        ),
        (
            |i| format!("a {i}"),
            |i| format!("a{i}"),
            "white space",
            "item_ids = [\"no-spaces\"]",
        ),
        (
            |i| i.to_string(),
            |i| format!("item-{i}"),
            "begin with `item-`",
            "ids = [\"without:item-\"]",
        ),
        (
            |i| format!("sku:{i}"),
            |i| i.to_string(),
            "begin with `sku:`",
            "item_ids = [\"without:sku:\"]",
        ),
    ];
    for (log, table, reason, key) in cases {
        let dir = tempfile::tempdir().unwrap();
        let rows = (10..40)
            .map(|i| format!("u,{},{}\n", log(i), NOW))
            .collect::<String>();
        write(dir.path(), "log.csv", format!("user,item,at\n{rows}"));
        let rows = (0..60)
            .map(|i| format!("{},Title {i}\n", table(i)))
            .collect::<String>();
        write(dir.path(), "items.csv", format!("sku,name\n{rows}"));
        let items = "---\n[items]\npath = \"items.csv\"\nid = \"sku\"\ntitle = \"name\"\n";
        refusal(
            read_at(dir.path(), "log.csv", items).0,
            "items.csv",
            &[reason, key, "0 of 30 items"],
        );
        let mended = match key.strip_prefix("item_") {
            Some(_) => format!("{key}\n{items}"),
            None => format!("{items}{key}\n"),
        };
        let (loaded, report) = read_at(dir.path(), "log.csv", &mended);
        let d = loaded.unwrap();
        assert!((0..30).all(|i| d.title(i).starts_with("Title")), "{key}");
        assert_eq!(
            (report.joins[0].of, report.joins[0].known),
            (30, 30),
            "{key}"
        );
        let meant = format!("{items}few_match = true\n");
        assert!(read_at(dir.path(), "log.csv", &meant).0.is_ok());
    }
}

#[test]
fn a_table_of_users_that_hardly_matches_is_refused_too() {
    let dir = tempfile::tempdir().unwrap();
    let rows = (10..40)
        .map(|i| format!("{i}.0,i,{NOW}\n"))
        .collect::<String>();
    write(dir.path(), "log.csv", format!("user,item,at\n{rows}"));
    let rows = (10..39).map(|i| format!("{i},x\n")).collect::<String>();
    write(dir.path(), "users.csv", format!("who,town\n{rows}"));
    let users = "---\n[users]\npath = \"users.csv\"\nid = \"who\"\nattributes = [\"town\"]\n";
    let config = |more: &str| config(dir.path(), "log.csv", more).unwrap();
    let out = dir.path().join("out");
    let ingested = |config: &IngestConfig| {
        let limits = IngestLimits {
            memory: 1 << 12,
            shard: None,
            now: None,
            forgotten: None,
            go_on: &mut |_| true,
        };
        ingest(config, &out, limits, &mut IngestReport::new(false))
    };
    let error = ingested(&config(users)).err().unwrap().to_string();
    assert!(error.contains("user_ids = [\"integer\"]"), "{error}");
    let mended = config(&format!("user_ids = [\"integer\"]\n{users}"));
    let joined = &ingested(&mended).unwrap().own.joins[0];
    assert_eq!(
        (joined.what.as_str(), joined.of, joined.known),
        ("users", 30, 29)
    );
    let mut report = IngestReport::new(false);
    load(&mended, &mut report).unwrap();
    assert_eq!((report.joins[0].of, report.joins[0].known), (30, 29));
}

#[test]
fn a_short_table_that_the_log_knows_joins_it() {
    let dir = tempfile::tempdir().unwrap();
    let rows = (0..30)
        .map(|i| format!("u,i{i},{NOW}\n"))
        .collect::<String>();
    write(dir.path(), "log.csv", format!("user,item,at\n{rows}"));
    write(dir.path(), "items.csv", "sku,name\ni7,Seven\n");
    let more = "---\n[items]\npath = \"items.csv\"\nid = \"sku\"\ntitle = \"name\"\n";
    let (loaded, report) = read_at(dir.path(), "log.csv", more);
    assert_eq!(loaded.unwrap().title(7), "Seven");
    assert_eq!((report.joins[0].of, report.joins[0].known), (30, 1));
}
