//! What a network is shown of a history: orders, windows, packed rows and what is held out.

use std::collections::BTreeSet;
use std::path::Path;

use hkfr_events::adapters::{IngestConfig, IngestLimits, ingest};
use hkfr_events::store::{Store, read};
use hkfr_events::{AsOf, IngestReport, Phase};
use hkfr_rec::baselines::{Entities, Scorer};
use hkfr_rec::sequence::{
    Gru4Rec, Orders, Packed, Query, SequenceScorer, Sequences, TrainConfig, fit, training_orders,
};

use crate::fixtures::{dataset, go_on, split};
use crate::sequence::rng;

/// Items 0 to n − 1, an order ending before each of `ends` and with the last item.
fn orders(n: u32, ends: &[u32]) -> Orders {
    let mut orders = Orders::default();
    (0..n).for_each(|i| orders.push(i, i > 0 && !ends.contains(&i)));
    orders
}

#[test]
fn rows_predict_one_of_the_next_order() {
    let orders = orders(6, &[2, 5]);
    assert_eq!(
        orders.each().collect::<Vec<_>>(),
        [&[0, 1][..], &[2, 3, 4], &[5]]
    );
    let mut seen = BTreeSet::new();
    for key in 0..100 {
        let mut packed = Packed::default();
        packed.push_next_item(&orders, &mut rng(key));
        assert_eq!(packed.tokens, [0, 1, 2, 3, 4]);
        let rows: Vec<u32> = packed.targets.iter().map(|t| t.row).collect();
        assert_eq!(rows, [0, 1, 2, 3, 4]);
        let targets: Vec<u32> = packed.targets.iter().map(|t| t.item).collect();
        assert_eq!(targets[2..], [5, 5, 5]);
        seen.extend(targets[..2].iter().copied());
    }
    assert_eq!(Vec::from_iter(seen), [2, 3, 4]);
}

#[test]
fn a_window_keeps_orders_and_reaches_all_of_a_history() {
    let history = orders(10, &[2, 5, 6]);
    let mut starts = BTreeSet::new();
    let mut orders_of_three = BTreeSet::new();
    for key in 0..200 {
        // What fits is whole.
        let all = history.window(10, &mut rng(key));
        let sorted = |orders: &Orders| -> Vec<Vec<u32>> {
            let of = orders
                .each()
                .map(|o| BTreeSet::from_iter(o.iter().copied()));
            of.map(Vec::from_iter).collect()
        };
        assert_eq!(sorted(&all), sorted(&history));
        orders_of_three.insert(all.items()[2..5].to_vec());
        let window = sorted(&history.window(4, &mut rng(key)));
        starts.insert(window[0][0]);
        assert!(
            [
                &[vec![1], vec![2, 3, 4]][..],
                &[vec![2, 3, 4], vec![5]],
                &[vec![6, 7, 8, 9]],
            ]
            .contains(&&window[..]),
            "{window:?}"
        );
    }
    assert_eq!(Vec::from_iter(starts), [1, 2, 6]);
    assert_eq!(orders_of_three.len(), 6, "every order of three items");
}

#[test]
fn what_was_chosen_at_one_time_has_no_order() {
    // The log lists each basket by rising numbers.
    let events: Vec<_> = (0..40u32)
        .flat_map(|u| (0..12).map(move |k| (u, k, i64::from(k / 4), 0)))
        .collect();
    let ds = dataset(12, &events);
    let split = split(&ds, Phase::Test, 1).unwrap();
    let entities = Entities::items(&ds, &split.catalogue);
    let all = training_orders(&ds, &split, &entities);
    let mut n_rising = 0;
    for orders in &all {
        assert_eq!(orders.n(), 2);
        for order in orders.each() {
            n_rising += order.windows(2).filter(|w| w[0] < w[1]).count();
        }
    }
    // Half of 40 users' two orders' three pairs.
    assert!((95..145).contains(&n_rising), "{n_rising} of 240");
    let held_out = Sequences::hold_out_last(entities.n(), all.clone(), &Vec::from_iter(0..40));
    for (query, orders) in held_out.validation.iter().zip(&all) {
        assert_eq!(query.history, orders.items()[..4]);
        assert!(orders.items()[4..].contains(&query.target));
    }
    let targets = held_out.validation.iter().map(|q| q.target);
    assert_eq!(BTreeSet::from_iter(targets).len(), 4);
}

#[test]
fn rows_predict_the_next_item() {
    let mut packed = Packed::default();
    for sequence in [&[4, 5, 6][..], &[7], &[], &[8, 9]] {
        packed.push_next_item(&sequence.to_vec().into(), &mut rng(1));
    }
    assert_eq!(packed.tokens, [4, 5, 8]);
    let targets: Vec<_> = packed.targets.iter().map(|t| (t.row, t.item)).collect();
    assert_eq!(targets, [(0, 5), (1, 6), (2, 9)]);
    let rows: Vec<_> = packed.sequences().collect();
    assert_eq!(rows, [0..2, 2..2, 2..2, 2..3]);
}

#[test]
fn leave_one_out_asks_for_the_last_two_items() {
    let data = Sequences::leave_one_out(9, vec![vec![1, 2, 3, 4], vec![5, 6]]);
    assert_eq!(data.train, [vec![1, 2].into(), vec![5, 6].into()]);
    let query = |history: &[u32], target| Query {
        history: history.to_vec(),
        target,
    };
    assert_eq!(data.validation, [query(&[1, 2], 3)]);
    assert_eq!(data.test, [query(&[1, 2, 3], 4)]);
}

/// Baskets of 8 among 30 items by 40 users, as a store that was sorted by user.
fn store_of_baskets(dir: &Path) {
    let mut log = "user,item,day\n".to_owned();
    for (user, day) in (0..40u32).flat_map(|u| (0..3u32).map(move |d| (u, d))) {
        for line in 0..8 {
            let item = (user * 7 + day * 5 + line * 11) % 30;
            log += &format!("shopper {},i{item},{}\n", 97 * user % 41, day * 86_400);
        }
    }
    fs_err::write(dir.join("log.csv"), log).unwrap();
    let mapping = serde_json::json!({
        "dir": dir,
        "target_actions": ["buy"],
        "events": [{
            "path": "log.csv", "user": "user", "item": "item", "time": "day", "any_time": true,
            "subject": "product", "action": "buy", "scenario": "store",
        }],
    });
    let config = IngestConfig::Mapping(serde_json::from_value(mapping).unwrap());
    let limits = IngestLimits {
        now: None,
        memory: 1 << 20,
        shard: None,
        forgotten: None,
        go_on: &mut |_| true,
    };
    ingest(&config, dir, limits, &mut IngestReport::new(true)).unwrap();
}

/// The two readers of a store number its users differently; a list must not depend on who reads.
#[test]
fn a_basket_is_read_in_one_order_whoever_reads_the_store() {
    let dir = tempfile::tempdir().unwrap();
    store_of_baskets(dir.path());
    let (ds, store) = (read(dir.path()).unwrap(), Store::open(dir.path()).unwrap());
    let split = split(&ds, Phase::Test, 1).unwrap();
    let entities = Entities::items(&ds, &split.catalogue);
    let data = Sequences {
        n_items: entities.n(),
        train: training_orders(&ds, &split, &entities),
        ..Sequences::default()
    };
    let config = TrainConfig {
        max_epochs: 2,
        ..TrainConfig::default()
    };
    let network = Gru4Rec::new(Default::default()).unwrap();
    let (model, _) = fit(network, &data, &config, false, 1, &mut go_on).unwrap();
    let scorer = SequenceScorer::new(entities, model);
    let (mut renumbered, mut readings) = (0, BTreeSet::new());
    for p in 0..store.partitions() {
        let mut users = store.users(p).unwrap();
        while let Some(user) = users.next_user().unwrap() {
            let one = user.history(AsOf::new(i64::MAX));
            let index = ds.user_by_id(&user.profile().id).unwrap();
            let other = ds.history(index, AsOf::new(i64::MAX));
            renumbered += usize::from(one.user() != index);
            let mut scores = [vec![0.0; data.n_items], vec![0.0; data.n_items]];
            scorer.score(store.catalogue(), &one, &mut scores[0]);
            scorer.score(&ds, &other, &mut scores[1]);
            assert_eq!(scores[0], scores[1], "{}", user.profile().id);
            readings.insert(scores[0].iter().map(|s| s.to_bits()).collect::<Vec<_>>());
        }
    }
    // Otherwise the readers would agree whatever decides the order.
    assert!(renumbered > 20, "{renumbered}");
    assert!(readings.len() > 20, "{}", readings.len());
}
