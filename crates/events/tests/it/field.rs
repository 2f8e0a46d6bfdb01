//! What teams reported about logs that were read wrong, and the right value of each.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Date32Array, StringArray, TimestampMillisecondArray, UInt64Array};
use hkfr_events::adapters::{IngestConfig, IngestLimits, ingest, load};
use hkfr_events::{AsOf, Dataset, Error, IngestReport, store};

use crate::fixtures::{ints, parquet, texts, write};

/// 2023-11-14T22:13:20Z.
const NOW: i64 = 1_700_000_000;

/// A mapping of `file` with the columns `user`, `item` and `at`, and more lines for it.
fn config(dir: &Path, file: &str, more: &str) -> Result<IngestConfig, toml::de::Error> {
    let (events, tables) = more.split_once("---").unwrap_or((more, ""));
    toml::from_str(&format!(
        r#"
        format = "mapping"
        dir = "{}"
        target_actions = ["buy"]
        [[events]]
        path = "{file}"
        user = "user"
        item = "item"
        time = "at"
        subject = "thing"
        action = "buy"
        scenario = "shop"
        {events}
        {tables}
        "#,
        dir.display()
    ))
}

fn read_at(dir: &Path, file: &str, more: &str) -> (Result<Dataset, Error>, IngestReport) {
    let mut report = IngestReport::new(false);
    let loaded = load(&config(dir, file, more).unwrap(), &mut report);
    (loaded, report)
}

fn read(bytes: impl AsRef<[u8]>, file: &str, more: &str) -> (Result<Dataset, Error>, IngestReport) {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), file, bytes);
    read_at(dir.path(), file, more)
}

/// Items of a user in the order of the data set.
fn items<'d>(d: &'d Dataset, user: &str) -> Vec<&'d str> {
    let history = d.history(d.user_by_id(user).unwrap(), AsOf::new(i64::MAX));
    let items = history.events().iter().map(|e| e.item.unwrap() as usize);
    items.map(|i| d.items[i].id.as_str()).collect()
}

fn seconds(d: &Dataset, user: &str) -> Vec<i64> {
    let history = d.history(d.user_by_id(user).unwrap(), AsOf::new(i64::MAX));
    history.events().iter().map(|e| e.ts).collect()
}

fn refused(bytes: impl AsRef<[u8]>, file: &str, more: &str, with: &[&str]) {
    refusal(read(bytes, file, more).0, file, with);
}

fn refusal(loaded: Result<Dataset, Error>, file: &str, with: &[&str]) {
    let message = loaded.expect_err(file).to_string();
    for part in with {
        assert!(
            message.contains(part),
            "{file}: `{part}` is not in: {message}"
        );
    }
    assert!(
        !message.contains(|c: char| c.is_control() && c != '\n'),
        "{message:?}"
    );
}

#[test]
fn a_file_without_a_header_is_read_by_names_or_positions_and_its_first_row_is_never_lost() {
    let log = "1,2014-04-07T17:51:09.277Z,214530003,S\n1,2014-04-07T17:52:09.278Z,214530004,0\n";
    let named = r#"columns = ["user", "at", "item", "category"]
        time_format = "iso""#;
    let placed = r#"header = false
        time_format = "iso""#;
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "clicks.csv", log);
    let by_name = read_at(dir.path(), "clicks.csv", named).0.unwrap();
    let text = toml::to_string(&config(dir.path(), "clicks.csv", placed).unwrap()).unwrap();
    let text = text
        .replace("user = \"user\"", "user = \"1\"")
        .replace("time = \"at\"", "time = \"2\"")
        .replace("item = \"item\"", "item = \"3\"");
    let by_place = load(
        &toml::from_str(&text).unwrap(),
        &mut IngestReport::new(true),
    )
    .unwrap();
    for d in [by_name, by_place] {
        assert_eq!(items(&d, "1"), ["214530003", "214530004"]);
        assert_eq!(seconds(&d, "1")[0], 1_396_893_069);
    }
    // Whatever the columns are called, values are no names.
    let with = [
        "the first line holds values",
        "`columns = [",
        "`header = false`",
    ];
    refused(log, "clicks.csv", "time_format = \"iso\"", &with);
    let as_names = text.replace("header = false\n", "");
    let as_names = as_names.replace("\"2\"", "\"2014-04-07T17:51:09.277Z\"");
    let loaded = load(
        &toml::from_str(&as_names).unwrap(),
        &mut IngestReport::new(false),
    );
    refusal(loaded, "clicks.csv", &with);
    // Names that are numbers are names if the config says so.
    let years = "user,item,at,2019,2020,2021,2022\nu,i,1600000000,1,2,3,4\n";
    assert!(read(years, "log.csv", "header = true").0.is_ok());
    refused(years, "log.csv", "", &["set `header = true`"]);
    refused(
        log,
        "clicks.csv",
        "columns = [\"user\", \"at\"]",
        &["names 2 columns", "has 4"],
    );
}

#[test]
fn separators_are_the_files_own() {
    let row = |separator: &str| {
        ["user,item,at", "u,i1,1600000001", "u,i0,1600000000"]
            .join("\n")
            .replace(',', separator)
    };
    for (separator, said) in [
        (";", "delimiter = \";\""),
        (";", ""),
        ("\t", ""),
        ("|", ""),
        ("::", "delimiter = \"::\""),
        ("::", ""),
        ("\u{1}", ""),
        ("  \t", "delimiter = \"whitespace\""),
        (" ", "delimiter = \"space\""),
        ("\u{1}", "delimiter = \"\\u0001\""),
    ] {
        let (loaded, report) = read(row(separator), "log.csv", said);
        assert_eq!(items(&loaded.unwrap(), "u"), ["i0", "i1"], "{separator:?}");
        assert_eq!(report.notes.len(), usize::from(said.is_empty()), "{report}");
    }
    // Of a file without a header the number of columns tells.
    let ratings = "1::1193::5::978300760\n1::661::3::978302109\n";
    let named = "columns = [\"user\", \"item\", \"stars\", \"at\"]";
    refused(
        ratings,
        "ratings.csv",
        named,
        &["has 1", "set `delimiter = \"::\"`"],
    );
    let said = format!("{named}\ndelimiter = \"::\"");
    assert_eq!(
        items(&read(ratings, "ratings.csv", &said).0.unwrap(), "1"),
        ["1193", "661"]
    );
    // Another column is wanted: the separator is named all the same, and no control byte is shown.
    let other = row(";").replace("item", "product");
    refused(
        other,
        "log.csv",
        "",
        &["no column `user`", "set `delimiter = \";\"`"],
    );
    let other = row("\t").replace("item", "pro\u{1b}[31mduct");
    refused(other, "log.csv", "", &["set `delimiter = \"tab\"`"]);
    refused(
        "user,item,at,at\nu,i,1,2\n",
        "log.csv",
        "",
        &["`at` stands twice in the header"],
    );
}

#[test]
fn quotes_escapes_and_comments_are_the_files_own() {
    let escaped = "# made by a tool\nuser,item,at,note\nu,i0,1600000000,\"say \\\"hi\\\", twice\"\n#u,no,1600000000,\n";
    let more = "comment = \"#\"\nescape = \"\\\\\"\ntext = \"note\"";
    let d = read(escaped, "log.csv", more).0.unwrap();
    let history = d.history(0, AsOf::new(i64::MAX));
    assert_eq!(history.events().len(), 1);
    assert_eq!(
        history.events()[0].text.as_deref(),
        Some("say \"hi\", twice")
    );
    let single = "user,item,at\n'u, v',i0,1600000000\n";
    let d = read(single, "log.csv", "quote = \"'\"").0.unwrap();
    assert_eq!(d.users[0].id, "u, v");
    let none = "user,item,at\n\"u,i0,1600000000\n";
    let d = read(none, "log.csv", "quote = \"\"").0.unwrap();
    assert_eq!(d.users[0].id, "\"u");
    let unknown = config(Path::new("."), "log.csv", "delimeter = \";\"").unwrap_err();
    assert!(unknown.to_string().contains("delimeter"), "{unknown}");
    let json = "{\"user\":\"u\",\"item\":\"i\",\"at\":1600000000}";
    refused(
        json,
        "log.jsonl",
        "delimiter = \";\"",
        &["`delimiter` is of CSV files"],
    );
}

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
    // A few that are wrong do not stop a log; they are told.
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
fn a_bad_cell_of_an_optional_field_loses_the_cell_and_not_the_row() {
    let dir = tempfile::tempdir().unwrap();
    let prices = [
        "12.5",
        "null",
        "NaN",
        "\"None\"",
        "\"from 14.50\"",
        "\"$7.25\"",
        "\"1,299.00\"",
        "\"19.99 - 24.99\"",
        "\"—\"",
        "\"3\"",
    ];
    let mut table = String::new();
    let mut log = "user,item,at,value\n".to_owned();
    for (i, price) in prices.iter().enumerate() {
        table += &format!(
            "{{\"id\":\"i{i}\",\"title\":\"T{i}\",\"categories\":[\"a|b\",\"c\"],\"price\":{price}}}\n"
        );
        log += &format!(
            "u,i{i},{},{}\n",
            NOW + i as i64,
            if i == 3 { "$5" } else { "5" }
        );
    }
    write(dir.path(), "log.csv", log);
    write(dir.path(), "meta.jsonl", table);
    let more = "value = \"value\"\n---\n[items]\npath = \"meta.jsonl\"\nid = \"id\"\ntitle = \"title\"\ncategories = [\"categories\"]\nseparator = \"|\"\nprice = \"price\"";
    let (loaded, report) = read_at(dir.path(), "log.csv", more);
    let d = loaded.unwrap();
    assert_eq!(
        (d.n_events(), d.n_items(), report.n_bad()),
        (10, 10, 0),
        "{report}"
    );
    assert!((0..10).all(|i| d.title(i) == format!("T{i}")));
    // A list holds its values as they are.
    assert_eq!(d.items[0].categories, ["a|b", "c"]);
    let prices: Vec<f32> = d.items.iter().filter_map(|i| i.price).collect();
    assert_eq!(prices, [12.5, 3.0]);
    assert_eq!(report.bad_cells["price is no number"], 4, "{report}");
    assert_eq!(report.bad_cells["value is no number"], 1, "{report}");
    assert_eq!(report.first_bad_cells[0].line, 5);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in files {
        archive
            .start_file(*name, zip::write::SimpleFileOptions::default())
            .unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn packed_files_are_read_as_they_are() {
    let log = b"user,item,at\nu,i0,1600000000\nu,i1,1600000001\n";
    let halves = [gzip(&log[..30]), gzip(&log[30..])].concat();
    let mut bz2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bz2.write_all(log).unwrap();
    for (file, bytes) in [
        ("log.csv.gz", gzip(log)),
        // Log shippers append members, and the name says nothing.
        ("log.csv", halves),
        ("log.csv.zst", zstd::encode_all(&log[..], 1).unwrap()),
        ("log.csv.bz2", bz2.finish().unwrap()),
        (
            "log.csv.zip",
            zipped(&[("inner.csv", log), ("__MACOSX/inner.csv", b"x")]),
        ),
    ] {
        let d = read(bytes, file, "").0.unwrap();
        assert_eq!(items(&d, "u"), ["i0", "i1"], "{file}");
    }
    let many = log.repeat(2_000);
    let cut = gzip(&many);
    refused(
        &cut[..cut.len() / 2],
        "log.csv.gz",
        "",
        &["log.csv.gz", "cut off"],
    );
    refused(
        zipped(&[("a.csv", log), ("b.csv", log)]),
        "log.csv.zip",
        "",
        &["2 files", "unpack"],
    );
    refused(
        zipped(&[("[Content_Types].xml", log), ("xl/a", log)]),
        "log.csv",
        "",
        &["spreadsheet"],
    );
    let mut tar = vec![b'a'; 257];
    tar.extend(b"ustar");
    refused(gzip(&tar), "log.csv.gz", "", &["tar archive"]);
    refused(b"PAR1....", "log.csv", "", &["Parquet"]);
    refused(b"\x7fELF\0\0\0 what", "log.csv", "", &["zero bytes"]);
}

#[test]
fn encodings_are_named_or_seen() {
    let row = |user: &[u8]| {
        [
            b"user,item,at\n".as_slice(),
            user,
            b",i,1600000000\nann,i,1600000001\n",
        ]
        .concat()
    };
    let d = read(row(b"Caf\xe9"), "log.csv", "encoding = \"latin-1\"")
        .0
        .unwrap();
    assert_eq!(d.users[0].id, "Café");
    let d = read(row(b"\xc3\xe6\xb0\xfc"), "log.csv", "encoding = \"gbk\"")
        .0
        .unwrap();
    assert_eq!(d.users[0].id, "面包");
    let utf16 = |text: &str, little: bool| -> Vec<u8> {
        let units = text.encode_utf16();
        units
            .flat_map(|u| {
                if little {
                    u.to_le_bytes()
                } else {
                    u.to_be_bytes()
                }
            })
            .collect()
    };
    let text = "user,item,at\nZoë,i,1600000000\n";
    for bytes in [
        utf16(&format!("\u{feff}{text}"), true),
        utf16(&format!("\u{feff}{text}"), false),
        utf16(text, true),
        format!("\u{feff}{text}").into_bytes(),
    ] {
        assert_eq!(read(bytes, "log.csv", "").0.unwrap().users[0].id, "Zoë");
    }
    // What is not said is told, row by row, with the encoding that may fit.
    let (loaded, report) = read(row(b"Caf\xe9"), "log.csv", "");
    assert_eq!(
        (loaded.unwrap().n_events(), report.bad["not UTF-8"]),
        (1, 1)
    );
    assert!(
        report.notes[0].contains("`encoding = \"windows-1252\"`"),
        "{report}"
    );
    let unknown = config(Path::new("."), "log.csv", "encoding = \"klingon\"").unwrap_err();
    assert!(unknown.to_string().contains("klingon"), "{unknown}");
}

#[test]
fn a_directory_or_a_pattern_is_read_file_by_file() {
    let dir = tempfile::tempdir().unwrap();
    let log = |n: i64| format!("user,item,at\nu,i{n},{}\n", NOW + n);
    write(dir.path(), "logs/day=2/part-0.csv", log(2));
    write(
        dir.path(),
        "logs/day=1/part-0.csv.gz",
        gzip(log(1).as_bytes()),
    );
    write(dir.path(), "logs/_SUCCESS", "");
    write(dir.path(), "logs/.part-0.csv.crc", "x");
    write(
        dir.path(),
        "logs/day=__HIVE_DEFAULT_PARTITION__/part-1.csv",
        log(3),
    );
    for path in ["logs", "logs/*", "logs/day=*/part-*.csv*"] {
        let (loaded, report) = read_at(dir.path(), path, "place = \"day\"");
        let d = loaded.unwrap();
        assert_eq!(items(&d, "u"), ["i1", "i2", "i3"], "{path} {report}");
        let history = d.history(0, AsOf::new(i64::MAX));
        let places = history
            .events()
            .iter()
            .map(|e| Some(d.places[e.place? as usize].as_str()));
        assert_eq!(
            places.collect::<Vec<_>>(),
            [Some("1"), Some("2"), None],
            "{path}"
        );
    }
    refusal(
        read_at(dir.path(), "logs/*.tsv", "").0,
        "logs/*.tsv",
        &["no file fits this pattern"],
    );
}

#[test]
fn fields_of_objects_are_columns_and_what_is_no_table_is_named() {
    let line = "{\"user\":\"u\",\"item\":\"i\",\"at\":1600000000,\"meta\":{\"page\":{\"name\":\"home\"},\"tags\":[\"a\",\"b\"]}}";
    let more = "place = \"meta.page.name\"\ntext = \"meta.tags\"";
    let d = read(line, "log.jsonl", more).0.unwrap();
    let history = d.history(0, AsOf::new(i64::MAX));
    assert_eq!(
        (d.places[0].as_str(), history.events()[0].text.as_deref()),
        ("home", Some("a|b"))
    );
    refused(format!("[{line}]"), "log.json", "", &["JSON array", "jq"]);
    refused(
        "{\n\"user\": \"u\"\n}",
        "log.json",
        "",
        &["over several lines"],
    );
    let (loaded, report) = read("{'user': 'u', 'item': 'i'}\n", "log.json", "");
    assert!(
        loaded.is_err() && report.first_bad[0].reason.contains("Python dictionary"),
        "{report}"
    );
    let dir = tempfile::tempdir().unwrap();
    let inner: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let field = Arc::new(arrow_schema::Field::new(
        "a",
        arrow_schema::DataType::Utf8,
        true,
    ));
    let meta: ArrayRef = Arc::new(arrow_array::StructArray::from(vec![(field, inner)]));
    let columns = vec![
        ("user", texts(["u"])),
        ("item", texts(["i"])),
        ("at", ints([NOW])),
        ("meta", meta),
    ];
    parquet(dir.path(), "log", columns);
    refusal(
        read_at(dir.path(), "log.parquet", "place = \"meta\"").0,
        "log.parquet",
        &["`meta` is Struct", "`meta.a`"],
    );
    let d = read_at(dir.path(), "log.parquet", "place = \"meta.a\"")
        .0
        .unwrap();
    assert_eq!(d.places[0], "x");
}

#[test]
fn a_log_of_which_hardly_any_row_is_of_use_is_refused() {
    let rows = (0..30)
        .map(|i| format!("u,,{}\n", NOW + i))
        .collect::<String>();
    refused(
        format!("user,item,at\nu,i,{NOW}\n{rows}"),
        "log.csv",
        "",
        &["30 of 31 rows are bad", "neither item nor text"],
    );
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
