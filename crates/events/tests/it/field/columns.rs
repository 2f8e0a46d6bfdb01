//! Optional cells and nested columns.

use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};
use hkfr_events::AsOf;

use super::{NOW, read, read_at, refusal, refused};
use crate::fixtures::{ints, parquet, texts, write};

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
