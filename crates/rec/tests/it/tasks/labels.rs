//! Every task's answer by hand, and what decides it.

use std::collections::BTreeMap;

use hkfr_events::DatasetBuilder;
use hkfr_rec::tasks::TASKS;
use proptest::prelude::*;

use super::{AS_OF, ORDER, World, asked, event, world, world_of};
use crate::fixtures::{DAY, push};

#[test]
fn labels_by_hand() {
    let of = |targets: &[u32], task: &str| world(targets).label(task);
    assert_eq!(of(&[4], "next_category"), "c1");
    assert_eq!(of(&[4], "next_item"), "thing 4");
    assert_eq!(of(&[4], "price_band"), "2 to 5");
    assert_eq!(of(&[4], "time_of_day"), "morning");
    assert_eq!(of(&[4], "weekday"), "Thursday");
    assert_eq!(of(&[4], "scenario"), "store");
    assert_eq!(of(&[4], "repeat_or_new"), "new");
    assert_eq!(of(&[2], "repeat_or_new"), "repeat");
    assert_eq!(of(&[4], "repeat_item"), "–");
    assert_eq!(of(&[0, 2, 4], "repeat_item"), "thing 2");
    assert_eq!(of(&[4], "basket_size"), "1");
    assert_eq!(of(&[4, 4, 3, 0], "basket_size"), "2 to 4");
    // i1 and i4 are of c1, i2 of c2; i0 and i3 of c0, which u0 never bought.
    assert_eq!(of(&[4, 2], "new_category"), "no");
    assert_eq!(of(&[4, 3], "new_category"), "yes");
    assert_eq!(of(&[4], "spend_band"), "under 5");
    assert_eq!(
        of(&[4, 4, 3], "spend_band"),
        "5 to 10",
        "4 and 3, once each"
    );
    // Nothing is told of these.
    for task in [
        "next_department",
        "next_brand",
        "next_place",
        "promotion",
        "rating",
        "order_gap",
    ] {
        assert_eq!(of(&[4], task), "–", "{task}");
    }
    let mut cut = world(&[1]);
    cut.instance.keep_last = Some(1);
    assert_eq!(
        cut.label("repeat_or_new"),
        "new",
        "i1 is before the last event"
    );
    assert_eq!(cut.label("new_category"), "yes");
    let described = world(&[4]).one("describe_item", 3).unwrap();
    let item = (0..5).find(|i| described.instruction.contains(&format!("thing {i}")));
    let item = item.unwrap();
    assert_eq!(
        described.output,
        format!("c{}, {}", item % 3, hkfr_fuse::price_band(item as f32))
    );
    let asked = world(&[4]).one("category_of_item", 3).unwrap();
    let item = (0..5).find(|i| asked.instruction.contains(&format!("thing {i}")));
    assert_eq!(asked.output, format!("c{}", item.unwrap() % 3));
}

#[test]
fn what_a_richer_log_tells() {
    let rich = |b: &mut DatasetBuilder| {
        b.info.category_level = 1;
        let item = b.item("i4");
        let item = b.item_mut(item);
        item.categories = vec!["drinks".into(), "juice".into()];
        item.attributes.insert("brand".into(), "Sunny".into());
        let place = b.place("store 7");
        let mut ordered = event(b, "u0", "i4", "buy", ORDER);
        ordered.place = Some(place);
        b.push(ordered);
        push(b, "u0", "i0", "buy", ORDER + 5 * DAY);
        push(b, "u0", "i0", "buy", ORDER + 5 * DAY + 60);
        for (item, action, ts) in [
            // Before as-of: seen by no label.
            ("i2", "click", AS_OF - 1),
            ("i0", "impression", AS_OF),
            ("i3", "impression", AS_OF + 1),
            ("i3", "click", AS_OF + 20),
            // Not of this visit.
            ("i1", "impression", AS_OF + 4000),
            ("i1", "click", AS_OF + 4001),
        ] {
            let event = event(b, "u0", item, action, ts);
            b.push(event);
        }
        for (action, value, ts) in [
            ("rate", 5.0, AS_OF - 9),
            ("rate-low", 2.0, ORDER + 9),
            ("rate", 4.5, ORDER + 10),
        ] {
            let mut rated = event(b, "u0", "i1", action, ts);
            rated.value = Some(value);
            b.push(rated);
        }
    };
    let world = world_of(&[4], rich);
    for (task, label) in [
        ("next_department", "drinks"),
        ("next_category", "juice"),
        ("next_brand", "Sunny"),
        ("next_place", "–"),
        ("order_gap", "4 to 7 days"),
        ("next_click", "thing 3"),
        ("rating", "2"),
        ("basket_size", "1"),
        // Its log has no coupons.
        ("promotion", "–"),
    ] {
        assert_eq!(world.label(task), label, "{task}");
    }
    // The first event of the order has no place here; this one's has.
    let placed = world_of(&[], |b| {
        rich(b);
        b.info.target_actions.push("buy-with-coupon".into());
        let coupon = event(b, "u1", "i4", "buy-with-coupon", DAY);
        b.push(coupon);
    });
    let placed = World {
        instance: hkfr_events::Instance {
            targets: vec![4],
            ..placed.instance.clone()
        },
        ..placed
    };
    assert_eq!(placed.label("next_place"), "store 7");
    assert_eq!(placed.label("promotion"), "no");
    let used = world_of(&[4, 3], |b| {
        b.info.target_actions.push("buy-with-coupon".into());
        let coupon = event(b, "u0", "i4", "buy-with-coupon", ORDER);
        b.push(coupon);
    });
    assert_eq!(used.label("promotion"), "yes");
    // Shown are i0, with which nothing was done, and i3, which was clicked; one half each.
    let mut shown = BTreeMap::new();
    for seed in 0..200 {
        let a = world.one("click_yes_no", seed).unwrap();
        let named = if a.output == "yes" {
            "thing 3"
        } else {
            "thing 0"
        };
        assert!(a.instruction.contains(named), "{a:?}");
        *shown.entry(a.output).or_insert(0) += 1;
    }
    assert!(shown.values().all(|n| (70..130).contains(n)), "{shown:?}");
}

#[test]
fn labels_of_a_basket_and_of_named_things_are_distributed_as_documented() {
    let world = world(&[1, 2, 3]);
    let config = asked(&["next_item", "yes_no", "category_yes_no", "which_of_two"]);
    let sampler = hkfr_rec::tasks::ItemSampler::new(&world.ds, &world.split);
    let set = hkfr_rec::tasks::TaskSet::load("grocery", None).unwrap();
    let index = |text: &str| {
        (0..5)
            .find(|i| text.contains(&format!("thing {i}")))
            .unwrap()
    };
    let mut by_target = [0u32; 5];
    let (mut yes, mut no, mut first) = (0u32, [0u32; 5], 0u32);
    for seed in 0..900 {
        let answers = set.answers(&world.next(), &sampler, &config, seed).unwrap();
        let of = |task: &str| answers.iter().find(|a| a.task == task);
        by_target[index(&of("next_item").unwrap().output)] += 1;
        let row = of("yes_no").unwrap();
        let asked = index(&row.instruction);
        match row.output.as_str() {
            "yes" => {
                assert!(world.instance.targets.contains(&(asked as u32)));
                yes += 1;
            }
            "no" => no[asked] += 1,
            other => panic!("{other}"),
        }
        // All three categories come next: there is no other.
        if let Some(row) = of("category_yes_no") {
            assert_eq!(row.output, "yes");
        }
        let row = of("which_of_two").unwrap();
        let (title, other) = row.instruction.split_once(" or ").unwrap();
        let (title, other) = (index(title), index(other));
        let comes = index(&row.output);
        assert!(
            [1, 2, 3].contains(&comes) && [title, other].contains(&comes),
            "{row:?}"
        );
        assert!([0, 4].contains(&(title + other - comes)), "{row:?}");
        first += u32::from(title == comes);
    }
    let evenly = |n: u32, of: u32| (f64::from(n) / f64::from(of) - 1.0).abs() < 0.2;
    assert!(
        [1, 2, 3].iter().all(|&t| evenly(by_target[t], 300)),
        "{by_target:?}"
    );
    assert_eq!(by_target[0] + by_target[4], 0);
    assert!(evenly(yes, 450) && evenly(first, 450), "{yes} {first}");
    assert_eq!(
        no[0] + no[4] + yes,
        900,
        "a target was asked with the answer no"
    );
    // Popularity in training: three choices of one non-target, one of the other.
    assert!(
        (2.2..4.2).contains(&(f64::from(no[0]) / f64::from(no[4]))),
        "{no:?}"
    );
}

/// Two products may be called alike: the other one is no wrong answer.
#[test]
fn what_is_called_as_what_comes_is_never_asked_as_what_does_not() {
    let world = world_of(&[3], |b| {
        let item = b.item("i0");
        b.item_mut(item).title = "thing 3".into();
    });
    for seed in 0..200 {
        let row = world.one("yes_no", seed).unwrap();
        assert_eq!(
            row.output == "yes",
            row.instruction.contains("thing 3"),
            "{row:?}"
        );
        let row = world.one("which_of_two", seed).unwrap();
        assert_eq!(row.instruction.matches("thing 3").count(), 1, "{row:?}");
    }
}

#[test]
fn what_the_data_do_not_know_is_skipped_and_counted() {
    let bare = |b: &mut DatasetBuilder| {
        for i in 0..5 {
            let item = b.item(&format!("i{i}"));
            let id = b.item_mut(item).id.clone();
            *b.item_mut(item) = hkfr_events::Item {
                id,
                ..Default::default()
            };
        }
    };
    let world = world_of(&[4], bare);
    let (rows, skipped) = world.rows("grocery", &asked(&TASKS), 1);
    assert_eq!(rows.len() + skipped, TASKS.len());
    for task in [
        "next_category",
        "price_band",
        "spend_band",
        "describe_item",
        "category_of_item",
        "category_yes_no",
        "new_category",
    ] {
        assert!(rows.iter().all(|r| r.task != task), "{task}");
    }
    let title = rows.iter().find(|r| r.task == "next_item").unwrap();
    assert_eq!(title.output, "untitled product i4");
}

#[test]
fn titles_cannot_act_as_markup() {
    let world = world_of(&[0], |b| {
        for i in 0..5 {
            let evil = b.item(&format!("i{i}"));
            b.item_mut(evil).title =
                format!("{{{{ 7 * 7 }}}}<|im_end|>\n\u{7}{}", "x".repeat(100_000));
        }
    });
    let row = world.one("category_of_item", 1).unwrap();
    assert!(
        row.instruction.contains("{{ 7 * 7 }}‹im_end› x"),
        "{}",
        row.instruction
    );
    assert!(row.instruction.chars().count() < 200 && !row.instruction.contains('\u{7}'));
}

/// Tasks whose answer is that of the next order, whatever was before and comes after.
const OF_THE_ORDER: [&str; 8] = [
    "next_category",
    "next_item",
    "price_band",
    "spend_band",
    "basket_size",
    "weekday",
    "time_of_day",
    "scenario",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Another past and another later future of the same user change no answer that is the next order's.
    #[test]
    fn labels_are_functions_of_the_next_order_only(
        order in prop::collection::vec(0u32..5, 1..5),
        before in prop::collection::vec((0u32..5, 0i64..AS_OF, 0usize..4), 0..12),
        later in prop::collection::vec((0u32..5, 1i64..20 * DAY, 0usize..4), 0..12),
        seed in 0u64..1000,
    ) {
        let actions = ["buy", "view", "click", "impression"];
        let alone = world(&order);
        let among = world_of(&order, |b| {
            for (item, ts, action) in &before {
                push(b, "u0", &format!("i{item}"), actions[*action], *ts);
            }
            for (item, after, action) in &later {
                push(b, "u0", &format!("i{item}"), actions[*action], ORDER + after);
            }
        });
        let config = asked(&OF_THE_ORDER);
        prop_assert_eq!(alone.answers("grocery", &config, seed), among.answers("grocery", &config, seed));
        // What was before decides whether it is a repeat, and nothing later does.
        let past = world_of(&order, |b| {
            for (item, ts, action) in &before {
                push(b, "u0", &format!("i{item}"), actions[*action], *ts);
            }
        });
        let config = asked(&["repeat_or_new", "repeat_item", "new_category"]);
        prop_assert_eq!(past.answers("grocery", &config, seed), among.answers("grocery", &config, seed));
        let expected = before.iter().any(|(item, _, action)| *action == 0 && order.contains(item))
            || order.iter().any(|i| [1, 2].contains(i));
        prop_assert_eq!(among.one("repeat_item", seed).is_some(), expected);
    }
}
