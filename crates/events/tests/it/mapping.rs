//! The mapping adapter: one log in four formats gives one data set.

use hkfr_events::adapters::{IngestConfig, load};
use hkfr_events::{AsOf, IngestReport};

use crate::fixtures::{floats, parquet, seconds, texts, write};

fn config(dir: &std::path::Path, events: &str, time: &str) -> IngestConfig {
    toml::from_str(&format!(
        r#"
        format = "mapping"
        dir = "{}"
        name = "shop"
        target_actions = ["buy"]
        category_level = 1
        [strengths]
        buy = 1.0
        [[events]]
        any_time = true
        path = "{events}"
        user = "who"
        item = "sku"
        time = "at"
        time_format = "{time}"
        subject = "product"
        action_column = "what"
        scenario = "web shop"
        value = "paid"
        text = "query"
        place = "city"
        [items]
        path = "items.jsonl"
        id = "sku"
        title = "name"
        categories = ["department", "shelves"]
        separator = "|"
        price = "price"
        attributes = ["brand"]
        [users]
        path = "users.tsv"
        id = "who"
        attributes = ["age"]
        "#,
        dir.display()
    ))
    .unwrap()
}

#[test]
fn csv_tsv_jsonl_and_parquet_give_the_same_events() {
    let dir = tempfile::tempdir().unwrap();
    let csv = "\u{feff}who,sku,at,what,paid,query,city\r\n\
        ann,s1,1970-01-02 00:00:10,buy,2.5,,Rome\r\n\
        ann,,1970-01-02 00:00:05,search,,\"red, or \"\"blue\"\" shoes\",\r\n";
    write(dir.path(), "log.csv", csv);
    write(
        dir.path(),
        "log.tsv",
        "who\tsku\tat\twhat\tpaid\tquery\tcity\nann\ts1\t86410\tbuy\t2.5\t\tRome\nann\t\t86405\tsearch\t\t\"red, or \"\"blue\"\" shoes\"\t\n",
    );
    write(
        dir.path(),
        "log.jsonl",
        "{\"who\":\"ann\",\"sku\":\"s1\",\"at\":86410000,\"what\":\"buy\",\"paid\":2.5,\"city\":\"Rome\"}\n\
         {\"who\":\"ann\",\"at\":86405999,\"what\":\"search\",\"query\":\"red, or \\\"blue\\\" shoes\",\"sku\":null}",
    );
    parquet(
        dir.path(),
        "log",
        vec![
            ("who", texts(["ann", "ann"])),
            ("sku", texts(["s1", ""])),
            ("at", seconds([86_410, 86_405])),
            ("what", texts(["buy", "search"])),
            (
                "paid",
                std::sync::Arc::new(arrow_array::Float64Array::from(vec![Some(2.5), None])),
            ),
            ("query", texts(["", "red, or \"blue\" shoes"])),
            ("city", texts(["Rome", ""])),
            ("unused", floats([0.0, 0.0])),
        ],
    );
    write(
        dir.path(),
        "items.jsonl",
        "{\"sku\":\"s1\",\"name\":\"Shoe\",\"department\":\"wear\",\"shelves\":[\"shoes\",\"boots\"],\"price\":3,\"brand\":\"B\"}\n{\"sku\":\"s2\",\"name\":\"\"}\n",
    );
    write(dir.path(), "users.tsv", "who\tage\nann\t33\n");
    for (file, time) in [
        ("log.csv", "iso"),
        ("log.tsv", "seconds"),
        ("log.jsonl", "millis"),
        ("log.parquet", "seconds"),
    ] {
        let mut report = IngestReport::new(true);
        let d = load(&config(dir.path(), file, time), &mut report).unwrap();
        let h = d.history(0, AsOf::new(i64::MAX));
        let [search, buy] = h.events() else {
            panic!("{file}: {:?}", h.events())
        };
        assert_eq!((search.ts, buy.ts), (86_405, 86_410), "{file}");
        assert_eq!(
            search.text.as_deref(),
            Some("red, or \"blue\" shoes"),
            "{file}"
        );
        assert_eq!(
            (search.item, search.place, search.value),
            (None, None, None),
            "{file}"
        );
        assert_eq!((buy.item, buy.value), (Some(0), Some(2.5)), "{file}");
        assert_eq!(d.places[buy.place.unwrap() as usize], "Rome");
        assert!(d.is_target(buy) && !d.is_target(search));
        assert_eq!(d.items[0].categories, ["wear", "shoes", "boots"]);
        assert_eq!(
            (d.category(0), d.items[0].price),
            (Some("shoes"), Some(3.0))
        );
        assert_eq!(d.items[0].attributes["brand"], "B");
        assert_eq!(d.title(1), "untitled item s2");
        assert_eq!(d.users[0].attributes["age"], "33");
        assert_eq!((report.n_bad(), report.rows_kept), (0, 5), "{file}");
    }
}
