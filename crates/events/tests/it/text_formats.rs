//! RecBole atomic files, sequences, and Entree sessions.

use hkfr_events::adapters::{
    EntreeConfig, RecboleConfig, SequencesConfig, entree, recbole, sequences,
};
use hkfr_events::{AsOf, Dataset, IngestReport};

use crate::fixtures::write;

/// (action, item id, ts) of a user's events.
fn events(d: &Dataset, user: &str) -> Vec<(String, String, i64)> {
    let user = d.user_by_id(user).unwrap();
    let h = d.history(user, AsOf::new(i64::MAX));
    h.events()
        .iter()
        .map(|e| {
            let item = e
                .item
                .map_or_else(String::new, |i| d.items[i as usize].id.clone());
            (d.kind(e).action.clone(), item, e.ts)
        })
        .collect()
}

fn row(action: &str, item: &str, ts: i64) -> (String, String, i64) {
    (action.into(), item.into(), ts)
}

#[test]
fn recbole_files_become_ratings_films_and_viewers() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        "ml-100k.inter",
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\nu\t1\t4\t20\nu\t2\t3.5\t10\nu\t1\t4\t20\nu\t3\tgood\t5\nu\t3\n",
    );
    write(
        dir.path(),
        "ml-100k.item",
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n1\tToy Story\t1995\tAnimation Comedy\n2\t\t\t\n",
    );
    write(
        dir.path(),
        "ml-100k.user",
        "user_id:token\tage:token\tzip_code:token\nu\t24\t85711\n",
    );
    let config = RecboleConfig {
        dir: dir.path().into(),
        any_time: true,
        ..RecboleConfig::default()
    };
    let mut report = IngestReport::new(false);
    let d = recbole::load(&config, None, &mut report).unwrap();
    assert_eq!(
        events(&d, "u"),
        [
            row("interact", "3", 5),
            row("rate-low", "2", 10),
            row("rate", "1", 20)
        ]
    );
    assert_eq!(d.items[0].title, "Toy Story (1995)");
    assert_eq!(d.items[0].categories, ["Animation", "Comedy"]);
    assert_eq!(d.title(1), "untitled film 2");
    assert_eq!(d.users[0].attributes["zip code"], "85711");
    assert_eq!(
        (report.duplicates, report.n_bad(), report.out_of_order),
        (1, 1, 2)
    );
    assert_eq!(report.first_bad_cells[0].line, 5);
    assert_eq!(report.first_bad[0].line, 6);
    write(dir.path(), "ml-100k.inter", "user_id\titem_id\n");
    let error = recbole::load(&config, None, &mut report).unwrap_err();
    assert!(
        error.to_string().contains("is this a RecBole atomic file?"),
        "{error}"
    );
}

#[test]
fn sequences_get_their_positions_as_time() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        "sequential_data.txt",
        "7 1 2 1\n8\n9 2\n9 2\n9 1\n",
    );
    write(
        dir.path(),
        "items.tsv",
        "item_id\tsource_id\ttext_tags\tattributes\n1\tB1\tred polish\tOPI|Makeup|Nails\n2\tB2\tsoap\tUnknown|Skin Care\n3\tcut\n",
    );
    let config = SequencesConfig {
        dir: dir.path().into(),
        category_roots: vec!["Makeup".into(), "Skin Care".into()],
        ..SequencesConfig::default()
    };
    let mut report = IngestReport::new(false);
    let d = sequences::load(&config, &mut report).unwrap();
    assert_eq!(
        events(&d, "7"),
        [
            row("interact", "1", 0),
            row("interact", "2", 1),
            row("interact", "1", 2)
        ]
    );
    assert_eq!(events(&d, "9").len(), 1);
    assert!(d.user_by_id("8").is_none());
    assert_eq!(d.items[0].categories, ["Makeup", "Nails"]);
    assert_eq!(d.items[0].attributes["brand"], "OPI");
    assert_eq!(d.items[1].categories, ["Skin Care"]);
    assert_eq!((report.n_bad(), report.duplicates), (3, 1), "{report}");
}

#[test]
fn entree_sessions_become_steps_and_an_end() {
    let dir = tempfile::tempdir().unwrap();
    for city in [
        "atlanta",
        "boston",
        "los_angeles",
        "new_orleans",
        "new_york",
        "san_francisco",
        "washington_dc",
    ] {
        write(
            dir.path(),
            &format!("data/{city}.txt"),
            format!("0000005\t{city} diner\t001\n"),
        );
    }
    write(
        dir.path(),
        "data/chicago.txt",
        "0000001\tMoti Mahal\t001 002 003 004\n0000002\tVillage\t002\n",
    );
    write(
        dir.path(),
        "data/features.txt",
        "001\tIndian\n002\t$15-$30\n003\tExcellent Food\n004\tBuffet Dining\n",
    );
    write(
        dir.path(),
        "session/session.1996-Q4",
        "07/Oct/1996:00:00:00 \tv\t0\t2L\t2L\t-1\n",
    );
    write(
        dir.path(),
        "session/session.1996-Q3",
        "07/Sep/1996:12:17:05 \tv\t5A\t1N\t2T\t2\n07/Sep/1996:12:17:05 \tv\t5A\t1N\t2T\t2\nsoon\tv\t0\t2\n08/Sep/1996:00:00:00\tw\t0\t1X\t2\n08/Sep/1996:00:00:00\tw\t0\t9L\t2\n08/Sep/1996:00:00:00\tw\t0\t-1\n",
    );
    let config = EntreeConfig {
        dir: dir.path().into(),
        ..EntreeConfig::default()
    };
    let mut report = IngestReport::new(false);
    let d = entree::load(&config, &mut report).unwrap();
    let (first, second) = (842_098_625, 844_646_400);
    assert_eq!(
        events(&d, "v"),
        [
            row("entry", "", first),
            row("nicer", "1", first),
            row("change-cuisine", "2", first),
            row("end", "2", first),
            row("browse", "2", second),
            row("browse", "2", second),
        ]
    );
    let entry = &d.history(0, AsOf::new(i64::MAX)).events()[0];
    assert_eq!(entry.text.as_deref(), Some("atlanta diner"));
    assert_eq!(d.places[entry.place.unwrap() as usize], "Atlanta");
    let item = &d.items[0];
    assert_eq!(
        (item.title.as_str(), item.categories.as_slice()),
        ("Moti Mahal", &["Indian".to_owned()][..])
    );
    assert_eq!(
        (item.price, item.attributes["food"].as_str()),
        (Some(22.5), "excellent")
    );
    assert_eq!(item.attributes["features"], "Buffet Dining");
    assert_eq!(
        (report.n_bad(), report.duplicates, report.n_skipped()),
        (3, 1, 2),
        "{report}"
    );
    let spread = entree::load(
        &EntreeConfig {
            seconds_between_steps: 1,
            ..config
        },
        &mut IngestReport::new(false),
    )
    .unwrap();
    assert_eq!(events(&spread, "v")[3], row("end", "2", first + 3));
}
