//! Text files: headers, separators, packing, encodings, several files.

use std::io::Write;
use std::path::Path;

use hkfr_events::adapters::load;
use hkfr_events::{AsOf, IngestReport};

use super::{NOW, config, items, read, read_at, refusal, refused, seconds};
use crate::fixtures::write;

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
    // Without an encoding in the config, each bad row names one that may fit.
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
