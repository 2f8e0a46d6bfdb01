//! Nothing that a row may not hold reaches it, and what would is refused.

use hkfr_events::{AsOf, Instance, MARKER, Phase, mark_future};
use hkfr_rec::Error;
use hkfr_rec::tasks::{Guard, ITEM_TASKS, ItemSampler, Next, TASKS, TaskSet};

use super::{AS_OF, ORDER, asked, event, world, world_of};
use crate::fixtures::{DAY, builder, push, split};

/// Items of the future bear a mark. It may be in the answer, and in the instruction of the tasks that ask
/// about something by name; nowhere else.
#[test]
fn marked_events_at_or_after_as_of_reach_labels_only() {
    let mut b = builder();
    for (user, shift) in [("u0", 0), ("u1", 1)] {
        for k in 0..12i64 {
            let item = match k {
                0..8 => format!("past{}", k % 4),
                _ => format!("FUTURE{k}"),
            };
            let index = b.item(&item);
            let item_mut = b.item_mut(index);
            item_mut.title = format!("title {item}");
            item_mut.categories = vec![format!("category {item}")];
            item_mut.price = Some(2.0);
            let ts = (4 * k + shift) * DAY;
            push(&mut b, user, &item, "buy", ts);
            for action in ["impression", "click"] {
                let event = event(&mut b, user, &item, action, ts + 1);
                b.push(event);
            }
        }
    }
    let ds = b.build();
    let split = split(&ds, Phase::Test, 16).unwrap();
    let is_marked = |i: &u32| ds.items[*i as usize].id.contains("FUTURE");
    assert!(!split.catalogue.items.iter().any(is_marked));
    let sampler = ItemSampler::new(&ds, &split);
    let set = TaskSet::load("grocery", None).unwrap();
    let mut marked_labels = 0;
    for case in &split.cases {
        let next = Next::of(&ds, &case.instance, AsOf::new(i64::MAX)).unwrap();
        let history = case.instance.history(&ds);
        let titles: Vec<_> = history
            .events()
            .iter()
            .map(|e| ds.title(e.item.unwrap()))
            .collect();
        let input = titles.join(", ");
        for seed in 0..40 {
            let (rows, _) = set
                .rows(&next, &sampler, &input, &asked(&TASKS), seed)
                .unwrap();
            for row in rows {
                assert!(!row.input.contains("FUTURE"), "{row:?}");
                let names = ITEM_TASKS.contains(&row.task.as_str());
                assert!(names || !row.instruction.contains("FUTURE"), "{row:?}");
                assert_eq!(row.as_of, case.instance.as_of.seconds());
                marked_labels += usize::from(row.output.contains("FUTURE"));
            }
        }
    }
    assert!(
        marked_labels > 0,
        "the mark was never asked for: the test would prove nothing"
    );
}

/// With everything from the end of training on replaced, every training instance is asked and answered the
/// same; one event earlier, it is not.
#[test]
fn no_answer_of_a_training_row_is_from_after_the_end_of_training() {
    let (ds, split) = super::log::food_delivery(60, 60);
    let set = TaskSet::load("food-delivery", None).unwrap();
    let answers = |ds: &hkfr_events::Dataset| {
        let (sampler, guard) = (ItemSampler::new(ds, &split), Guard::new(ds, &split));
        let mut all = Vec::new();
        for instance in &split.train {
            let next = guard.next(instance).unwrap();
            all.extend(set.answers(&next, &sampler, &asked(&TASKS), 3).unwrap());
        }
        all
    };
    let before = answers(&ds);
    assert!(before.len() > 500, "{}", before.len());
    let marked = mark_future(&ds, &split);
    let n = marked.n_items() as u32 - 1;
    let is_there = (0..marked.n_users() as u32)
        .flat_map(|u| marked.history(u, AsOf::new(i64::MAX)).events())
        .any(|e| e.item == Some(n));
    assert!(is_there && marked.items[n as usize].id == MARKER);
    assert_eq!(before, answers(&marked));
}

#[test]
fn what_training_may_not_see_is_refused() {
    let world = world(&[4]);
    let refused =
        |instance: &Instance, until: i64| match Next::of(&world.ds, instance, AsOf::new(until))
            .err()
        {
            Some(Error::Leak { user, reason, .. }) => {
                assert_eq!(user, "u0");
                reason
            }
            other => panic!("{other:?}"),
        };
    assert!(Next::of(&world.ds, &world.instance, AsOf::new(ORDER + 1)).is_ok());
    let reason = refused(&world.instance, ORDER);
    assert!(
        reason.contains("not before") && reason.contains("training ends"),
        "{reason}"
    );
    let past = Instance {
        as_of: AsOf::new(ORDER + 1),
        ..world.instance.clone()
    };
    assert!(refused(&past, i64::MAX).contains("before as-of"));
    let other = Instance {
        target_ts: ORDER + 1,
        ..world.instance.clone()
    };
    assert!(refused(&other, i64::MAX).contains("not the next in the log"));
    let target = Instance {
        targets: vec![0],
        ..world.instance.clone()
    };
    assert!(refused(&target, i64::MAX).contains("not in its order"));

    let guard = Guard::new(&world.ds, &world.split);
    assert!(
        guard.next(&world.instance).is_err(),
        "it is of the test period"
    );
    let mut split = world.split.clone();
    split.fit_before[world.instance.user as usize] = Some(AsOf::new(ORDER + 1));
    split.cases.clear();
    assert!(Guard::new(&world.ds, &split).next(&world.instance).is_ok());
    split.cases.clone_from(&world.split.cases);
    let error = Guard::new(&world.ds, &split)
        .next(&world.instance)
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("a case asks for its order"),
        "{error}"
    );
    split.fit_before[world.instance.user as usize] = None;
    let error = Guard::new(&world.ds, &split)
        .next(&world.instance)
        .err()
        .unwrap();
    assert!(error.to_string().contains("held out"), "{error}");

    let rows = |until| -> Vec<u32> {
        let history = world.ds.history(world.instance.user, AsOf::new(until));
        history.events().iter().map(|e| e.row).collect()
    };
    let (known, all) = (rows(AS_OF), rows(i64::MAX));
    assert_eq!(guard.cited(&world.instance, &known).unwrap(), 2);
    assert_eq!(all.len(), 3);
    let error = guard.cited(&world.instance, &all).unwrap_err().to_string();
    assert!(
        error.starts_with(
            "LEAK: the instruction rows about u0 as of 3456000: its input cites event"
        ),
        "{error}"
    );
    // What a shortened history does not hold was not told either.
    let cut = Instance {
        keep_last: Some(1),
        ..world.instance.clone()
    };
    assert!(guard.cited(&cut, &known).is_err());
}

/// What comes of the last thing shown would be seen only after the end.
#[test]
fn a_visit_that_the_end_of_training_cuts_is_not_asked_about() {
    let world = world_of(&[4], |b| {
        for (action, ts) in [("impression", ORDER + 10), ("click", ORDER + 20)] {
            let event = event(b, "u0", "i3", action, ts);
            b.push(event);
        }
    });
    let set = TaskSet::load("grocery", None).unwrap();
    let sampler = ItemSampler::new(&world.ds, &world.split);
    let asks = |until: i64| {
        let next = Next::of(&world.ds, &world.instance, AsOf::new(until)).unwrap();
        let answers = |seed| set.answers(&next, &sampler, &asked(&["click_yes_no"]), seed);
        (0..20).any(|seed| !answers(seed).unwrap().is_empty())
    };
    assert!(asks(ORDER + 10 + 3600));
    assert!(!asks(ORDER + 10 + 3599));
}
