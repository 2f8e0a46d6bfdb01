//! Laws: order of events, cutting of histories, and the event store's round trip.

use hkfr_events::{AsOf, Dataset, store};
use proptest::prelude::*;

use crate::fixtures::{builder, push};

type Row = (u8, bool, u8, i64, Option<String>);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (
        0..6u8,
        any::<bool>(),
        0..9u8,
        -50..50i64,
        proptest::option::of(".{0,12}"),
    );
    proptest::collection::vec(row, 0..80)
}

fn dataset(rows: &[Row]) -> Dataset {
    let mut b = builder();
    for (user, buys, item, ts, text) in rows {
        let action = if *buys { "buy" } else { "see" };
        push(
            &mut b,
            &format!("u{user}"),
            action,
            &format!("i{item}"),
            *ts,
            text.as_deref(),
        );
    }
    b.build()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn histories_are_sorted_complete_and_before_their_cut_off(rows in rows(), as_of in -60..60i64) {
        let d = dataset(&rows);
        let mut n = 0;
        for user in 0..d.n_users() as u32 {
            let h = d.history(user, AsOf::new(as_of));
            n += h.events().len();
            prop_assert!(h.events().is_sorted_by_key(|e| (e.ts, e.row)));
            prop_assert!(h.events().iter().all(|e| e.ts < as_of && e.user == user));
        }
        prop_assert_eq!(n, rows.iter().filter(|r| r.3 < as_of).count());
    }

    #[test]
    fn keep_last_is_the_shortest_suffix_with_n_that_count(rows in rows(), n in 0..8usize) {
        let d = dataset(&rows);
        for user in 0..d.n_users() as u32 {
            let all = d.history(user, AsOf::new(1_000));
            let kept = all.keep_last(n, |e| d.is_target(e)).events();
            let count = |events: &[hkfr_events::Event]| events.iter().filter(|e| d.is_target(e)).count();
            let wanted = n.min(count(all.events()));
            let shortest = (0..=all.events().len()).rev().find(|&i| count(&all.events()[i..]) == wanted).unwrap();
            prop_assert_eq!(kept, &all.events()[shortest..]);
        }
    }

    #[test]
    fn the_store_gives_back_what_it_got(rows in rows(), title in ".{0,20}", price in proptest::option::of(0.0f32..9.0)) {
        let dir = tempfile::tempdir().unwrap();
        let mut b = builder();
        for (user, buys, item, ts, text) in &rows {
            push(&mut b, &format!("u{user}"), if *buys { "buy" } else { "see" }, &format!("i{item}"), *ts, text.as_deref());
        }
        let lonely = b.item("never bought");
        let item = b.item_mut(lonely);
        item.title = title;
        item.price = price;
        item.categories = vec!["a|b".into(), "ü".into()];
        let silent = b.user("silent");
        b.profile_mut(silent).attributes.insert("age".into(), "42".into());
        b.place("store 7");
        let d = b.build();
        store::write(&d, dir.path()).unwrap();
        let back = store::read(dir.path()).unwrap();
        prop_assert_eq!(&back.info, &d.info);
        prop_assert_eq!(&back.users, &d.users);
        prop_assert_eq!(&back.items, &d.items);
        prop_assert_eq!(&back.kinds, &d.kinds);
        prop_assert_eq!(&back.places, &d.places);
        for user in 0..d.n_users() as u32 {
            let end = AsOf::new(i64::MAX);
            prop_assert_eq!(back.history(user, end).events(), d.history(user, end).events());
        }
    }
}
