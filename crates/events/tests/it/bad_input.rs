//! What a user's files can do wrong: each gets a clear error, or is handled and counted.

use std::path::Path;

use hkfr_events::adapters::{IngestConfig, MappingConfig, load, mapping};
use hkfr_events::{AsOf, Dataset, Error, IngestReport, store};

use crate::fixtures::{builder, ints, parquet, push, texts, write};

fn config(dir: &Path, file: &str) -> MappingConfig {
    let text = format!(
        r#"
        dir = "{}"
        target_actions = ["buy"]
        [[events]]
        any_time = true
        path = "{file}"
        user = "user"
        item = "item"
        text = "text"
        time = "time"
        subject = "thing"
        action = "buy"
        scenario = "shop"
        "#,
        dir.display()
    );
    toml::from_str(&text).unwrap()
}

fn ingest(bytes: impl AsRef<[u8]>, file: &str) -> (Result<Dataset, Error>, IngestReport) {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), file, bytes);
    let mut report = IngestReport::new(false);
    let loaded = mapping::load(&config(dir.path(), file), &mut report);
    (loaded, report)
}

const HEADER: &str = "user,item,time,text\n";

#[test]
fn an_empty_log_is_an_error() {
    for (bytes, expected) in [
        ("", "its first line must name the columns"),
        (HEADER, "holds no events"),
        (
            "user,item,time,text\nu,i,soon,\n",
            "all rows are bad, the first at",
        ),
    ] {
        let (loaded, _) = ingest(bytes, "log.csv");
        let message = loaded.unwrap_err().to_string();
        assert!(
            message.contains(expected) && message.contains("log.csv"),
            "{message}"
        );
    }
    let (loaded, _) = ingest("", "log.jsonl");
    assert!(loaded.unwrap_err().to_string().contains("holds no events"));
}

#[test]
fn bad_rows_are_counted_and_the_first_are_shown_with_their_line() {
    let mut log = HEADER.to_owned() + "u,i,1,\n";
    for _ in 0..12 {
        log += "u,i,soon,\n";
    }
    log += ",i,2,\nu,,3,\nu,i,4,cut\nu,i,5";
    let (loaded, report) = ingest(log, "log.csv");
    assert_eq!(loaded.unwrap().n_events(), 2);
    // 12 bad times, no user, neither item nor text, and a last line that is cut off.
    assert_eq!(report.n_bad(), 15);
    assert_eq!(report.first_bad.len(), 10);
    assert_eq!(report.first_bad[0].line, 3);
    assert_eq!(
        report.first_bad[0].reason,
        "time is not a number of seconds: `soon`"
    );
    assert_eq!(report.bad["3 columns, the header has 4"], 1, "{report}");
    assert_eq!(
        report.rows_read,
        report.rows_kept + report.n_bad() + report.n_skipped()
    );
}

#[test]
fn strict_stops_at_the_first_bad_row() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        "log.csv",
        HEADER.to_owned() + "u,i,1,\nu,i,soon,\nu,i,later,\n",
    );
    let mut report = IngestReport::new(true);
    let error = mapping::load(&config(dir.path(), "log.csv"), &mut report).unwrap_err();
    assert!(matches!(&error, Error::BadRow { line: 3, .. }), "{error}");
    assert!(
        error.to_string().contains("log.csv:3: time is not"),
        "{error}"
    );
}

#[test]
fn bytes_that_are_no_utf8_make_a_bad_row_with_its_line() {
    for (file, bytes) in [
        (
            "log.csv",
            b"user,item,time,text\nu,i,1,ok\nu,i,2,\xff\xfe\n".to_vec(),
        ),
        (
            "log.jsonl",
            b"{\"user\":\"u\",\"item\":\"i\",\"time\":1}\n{\"user\":\"\xff\"}\n".to_vec(),
        ),
    ] {
        let (loaded, report) = ingest(bytes, file);
        assert_eq!(loaded.unwrap().n_events(), 1);
        assert_eq!(report.bad["not UTF-8"], 1, "{file}");
        assert_eq!(
            report.first_bad[0].line,
            if file == "log.csv" { 3 } else { 2 }
        );
    }
}

#[test]
fn a_quotation_mark_in_a_tsv_swallows_no_row() {
    let log = "\"user\"\titem\ttime\ttext\nu\ti\t1\t\"red shoes\nu\ti\t2\tplain\n\
        u\ti\t3\t\"green hat\nu\ti\t4\t\"quoted as a \"\"whole\"\"\"\nu\ti\t5\t\"a\" or \"b\"\n";
    let (loaded, report) = ingest(log, "log.tsv");
    let d = loaded.unwrap();
    let h = d.history(0, AsOf::new(i64::MAX));
    let texts: Vec<_> = h
        .events()
        .iter()
        .filter_map(|e| e.text.as_deref())
        .collect();
    assert_eq!(
        texts,
        [
            "\"red shoes",
            "plain",
            "\"green hat",
            "quoted as a \"whole\"",
            "\"a\" or \"b\""
        ]
    );
    assert_eq!((report.n_bad(), report.rows_read), (0, 5), "{report}");
}

#[test]
fn a_quotation_mark_that_is_left_open_in_a_csv_is_a_bad_row() {
    let mut log = HEADER.to_owned() + "u,i,1,\"a review\nof two lines\"\nu,i,2,\"red shoes\n";
    for n in 3..203 {
        log += &format!("u,i,{n},\n");
    }
    log += "u,i,203,\"green hat\nu,i,204,\n";
    let (loaded, report) = ingest(log, "log.csv");
    assert_eq!(loaded.unwrap().n_events(), 2);
    let bad = &report.first_bad[0];
    assert!(
        bad.line == 4
            && bad
                .reason
                .contains("a quotation mark is left open: close it"),
        "{bad:?}"
    );
    assert_eq!(report.n_bad(), 1, "{report}");
}

#[test]
fn a_file_cut_in_the_middle_is_noticed() {
    let (loaded, report) = ingest(
        "{\"user\":\"u\",\"item\":\"i\",\"time\":1}\n{\"user\":\"u\",\"it",
        "log.jsonl",
    );
    assert_eq!(loaded.unwrap().n_events(), 1);
    assert_eq!(report.bad["JSON object is cut off"], 1);

    let dir = tempfile::tempdir().unwrap();
    parquet(
        dir.path(),
        "log",
        vec![
            ("user", ints([1])),
            ("item", ints([2])),
            ("time", ints([3])),
            ("text", texts(["x"])),
        ],
    );
    let whole = fs_err::read(dir.path().join("log.parquet")).unwrap();
    let (loaded, _) = ingest(&whole, "log.parquet");
    assert_eq!(loaded.unwrap().n_events(), 1);
    let (loaded, _) = ingest(&whole[..whole.len() / 2], "log.parquet");
    let message = loaded.unwrap_err().to_string();
    assert!(
        message.contains("not a whole Parquet file") && message.contains("copy or fetch it again"),
        "{message}"
    );
}

#[test]
fn long_texts_control_characters_and_markup() {
    let long = "é".repeat(100_000);
    let (loaded, report) = ingest(
        format!(
            "{HEADER}u,i,1,{long}\nu,i,2,\"a\u{0}b\tc\u{1b}[0m\"\nu,i,3,<|im_start|>{{{{ x }}}}\n"
        ),
        "log.csv",
    );
    let d = loaded.unwrap();
    let h = d.history(0, AsOf::new(10));
    let text = |i: usize| h.events()[i].text.as_deref().unwrap();
    assert_eq!(text(0), "é".repeat(10_000));
    assert_eq!(text(1), "a b c [0m");
    assert_eq!(
        text(2),
        "<|im_start|>{{ x }}",
        "markup is data here; it is escaped where it is rendered"
    );
    assert_eq!((report.texts_cut, report.control_characters), (1, 1));
}

#[test]
fn duplicates_disorder_and_equal_times_are_counted() {
    let (loaded, report) = ingest(
        format!("{HEADER}u,i,5,\nu,j,3,\nu,k,3,\nu,i,5,\nw,i,5,\n"),
        "log.csv",
    );
    let d = loaded.unwrap();
    assert_eq!(d.n_events(), 4);
    let ids: Vec<&str> = d
        .history(0, AsOf::new(10))
        .events()
        .iter()
        .map(|e| d.items[e.item.unwrap() as usize].id.as_str())
        .collect();
    assert_eq!(
        ids,
        ["j", "k", "i"],
        "sorted by time, equal times in order of arrival"
    );
    assert_eq!(
        (
            report.duplicates,
            report.out_of_order,
            report.equal_timestamps
        ),
        (1, 1, 1)
    );
    assert_eq!(report.rows_read, report.rows_kept + report.n_skipped());
}

#[test]
fn a_missing_file_or_column_is_named() {
    let mut report = IngestReport::new(false);
    let error = mapping::load(&config(Path::new("nowhere"), "log.csv"), &mut report).unwrap_err();
    assert!(error.to_string().contains("nowhere/log.csv"), "{error}");
    let (loaded, _) = ingest("user,item,time\n", "log.csv");
    assert!(
        loaded
            .unwrap_err()
            .to_string()
            .contains("no column `text`; the file has user, item, time")
    );
    let (loaded, _) = ingest("", "log.xyz");
    assert!(loaded.unwrap_err().to_string().contains("set `format`"));
    let misspelt =
        toml::from_str::<IngestConfig>("format = \"recbole\"\ndirr = \"x\"").unwrap_err();
    assert!(
        misspelt.to_string().contains("unknown field `dirr`"),
        "{misspelt}"
    );
    let mut config = config(Path::new("x"), "log.csv");
    config.events[0].action = None;
    let error = load(&IngestConfig::Mapping(config.into()), &mut report).unwrap_err();
    assert!(error.to_string().contains("`action_column`"), "{error}");
}

#[test]
fn a_column_of_ids_as_scenario_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let rows: String = (0..2_000)
        .map(|i| format!("u,i,{i},session {i}\n"))
        .collect();
    write(dir.path(), "log.csv", HEADER.to_owned() + &rows);
    let mut config = config(dir.path(), "log.csv");
    config.events[0].scenario = None;
    config.events[0].scenario_column = Some("text".into());
    let error = mapping::load(&config, &mut IngestReport::new(false)).unwrap_err();
    assert!(
        error.to_string().contains("belongs into `place`"),
        "{error}"
    );
}

fn small(item: &str) -> Dataset {
    let mut b = builder();
    push(&mut b, "u", "buy", item, 1, None);
    b.build()
}

#[test]
fn a_write_that_fails_leaves_the_older_store_in_place() {
    let dir = tempfile::tempdir().unwrap();
    store::write(&small("old"), dir.path()).unwrap();
    // A directory where a temporary file has to go makes the write fail as a full disk would.
    fs_err::create_dir(dir.path().join("events/part-005.parquet.tmp")).unwrap();
    assert!(store::write(&small("new"), dir.path()).is_err());
    assert_eq!(store::read(dir.path()).unwrap().items[0].id, "old");
    assert!(
        !dir.path().join("items.parquet.tmp").exists(),
        "nothing half-written is left behind"
    );
    fs_err::remove_dir(dir.path().join("events/part-005.parquet.tmp")).unwrap();
    store::write(&small("new"), dir.path()).unwrap();
    assert_eq!(store::read(dir.path()).unwrap().items[0].id, "new");
}

#[test]
fn a_damaged_store_says_so() {
    let dir = tempfile::tempdir().unwrap();
    store::write(&small("x"), dir.path()).unwrap();
    let info = dir.path().join("info.json");
    let json = fs_err::read_to_string(&info).unwrap();
    fs_err::write(&info, json.replace("\"n_events\": 1", "\"n_events\": 2")).unwrap();
    assert!(
        store::read(dir.path())
            .unwrap_err()
            .to_string()
            .contains("run ingest again")
    );
    fs_err::write(
        &info,
        json.replace("\"format_version\": 2", "\"format_version\": 7"),
    )
    .unwrap();
    assert!(matches!(
        store::read(dir.path()),
        Err(Error::Version {
            found: 7,
            known: 2,
            ..
        })
    ));
    fs_err::remove_file(&info).unwrap();
    assert!(
        store::read(dir.path())
            .unwrap_err()
            .to_string()
            .contains("no complete data set")
    );
}
