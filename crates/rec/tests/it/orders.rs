//! What a network is shown of a history: orders, windows, packed rows and what is held out.

use std::collections::BTreeSet;

use hkfr_events::Phase;
use hkfr_rec::baselines::Entities;
use hkfr_rec::sequence::{Orders, Packed, Query, Sequences, training_orders};

use crate::fixtures::{dataset, split};
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
