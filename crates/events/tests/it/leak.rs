//! Nothing at or after a cut-off reaches what a model may learn from or look at, shown twice:
//! marked events are looked for in everything that a split hands out, and rewriting the future
//! changes nothing in the past.

use hkfr_events::split::build;
use hkfr_events::{
    AsOf, Dataset, Event, History, MARKER, Phase, Split, SplitConfig, SplitKind, mark_future,
    shuffle_time,
};

use crate::fixtures::{DAY, builder, push};

const HORIZON: i64 = 20;
const DAYS: i64 = 120;
const MARK: &str = "FUTURE";

fn config(kind: SplitKind, phase: Phase) -> SplitConfig {
    SplitConfig {
        kind,
        phase,
        horizon_days: HORIZON as u32,
        min_item_buyers: 1,
        cold_start_max: 3,
        simulated_users: 5,
        instances_per_user: 100,
        ..SplitConfig::default()
    }
}

/// (user, time, action) of a log in which every user orders every few days and looks in between,
/// also at the very second of an order.
fn skeleton() -> Vec<(usize, i64, &'static str)> {
    let mut rows = Vec::new();
    for user in 0..30 {
        let step = 2 + user as i64 % 7;
        for day in (0..DAYS).step_by(step as usize) {
            let ts = day * DAY + 600 * user as i64;
            rows.push((user, ts, "see"));
            rows.push((user, ts, "buy"));
            rows.push((user, ts + 3_600, "see"));
        }
    }
    // The last target event is known, and so is the cut-off.
    rows.push((0, DAYS * DAY, "buy"));
    rows
}

/// By user: the first second that belongs to the future.
fn cuts(kind: SplitKind, phase: Phase) -> Vec<i64> {
    let back = if phase == Phase::Test { 1 } else { 2 };
    (0..30)
        .map(|user| match kind {
            SplitKind::GlobalTemporal => DAYS * DAY + 1 - back * HORIZON * DAY,
            SplitKind::LeaveOneOut => {
                let mut orders: Vec<i64> = skeleton()
                    .into_iter()
                    .filter(|r| r.0 == user && r.2 == "buy")
                    .map(|r| r.1)
                    .collect();
                orders.sort_unstable();
                orders[orders.len() - back as usize]
            }
        })
        .collect()
}

/// Past events name items `p0…`; what lies at or after a cut names `FUTURE<salt>…`.
fn dataset(cuts: &[i64], salt: usize) -> Dataset {
    let mut b = builder();
    // Interned first, so that indices do not depend on what happens later.
    for i in 0..17 {
        b.item(&format!("p{i}"));
    }
    for i in 0..17 {
        b.item(&format!("{MARK}{i}"));
    }
    for (n, (user, ts, action)) in skeleton().into_iter().enumerate() {
        let (prefix, i) = if ts >= cuts[user] {
            (MARK, (n + salt) % 17)
        } else {
            ("p", n % 17)
        };
        push(
            &mut b,
            &format!("u{user}"),
            action,
            &format!("{prefix}{i}"),
            ts,
            Some(prefix),
        );
    }
    b.build()
}

fn is_marked(d: &Dataset, item: u32) -> bool {
    d.items[item as usize].id.starts_with(MARK)
}

fn assert_clean(d: &Dataset, h: History, what: &str) {
    for e in h.events() {
        assert!(
            e.ts < h.as_of().seconds(),
            "{what}: event at or after its as-of"
        );
        assert_ne!(e.text.as_deref(), Some(MARK), "{what}: marked text");
        assert!(
            !e.item.is_some_and(|i| is_marked(d, i)),
            "{what}: marked item"
        );
    }
}

fn all() -> Vec<(SplitKind, Phase)> {
    let kinds = [SplitKind::GlobalTemporal, SplitKind::LeaveOneOut];
    kinds
        .into_iter()
        .flat_map(|k| [(k, Phase::Test), (k, Phase::Validation)])
        .collect()
}

fn split(kind: SplitKind, phase: Phase, salt: usize) -> (Dataset, Split) {
    let d = dataset(&cuts(kind, phase), salt);
    let s = build(&d, &config(kind, phase)).unwrap();
    (d, s)
}

#[test]
fn marked_events_reach_nothing_that_is_learnt_from() {
    for (kind, phase) in all() {
        let (d, s) = split(kind, phase, 0);
        let what = format!("{kind:?} {phase:?}");
        assert!(!s.cases.is_empty() && !s.train.is_empty() && !s.catalogue.items.is_empty());
        let mut n_held_out = 0;
        for user in 0..d.n_users() as u32 {
            match s.training_history(&d, user) {
                Some(h) => assert_clean(&d, h, &what),
                None => n_held_out += 1,
            }
        }
        assert_eq!(n_held_out, 5, "{what}");
        for q in &s.train {
            assert_clean(&d, q.history(&d), &what);
            assert!(
                q.targets.iter().all(|&i| !is_marked(&d, i)),
                "{what}: marked target"
            );
            assert!(
                s.fit_before[q.user as usize].is_some(),
                "{what}: held-out user in training"
            );
        }
        for case in &s.cases {
            assert_clean(&d, case.instance.history(&d), &what);
            // The marks are where they should be: what is asked for IS the future.
            assert!(
                case.instance.targets.iter().all(|&i| is_marked(&d, i)),
                "{what}"
            );
            assert!(case.instance.target_ts >= case.instance.as_of.seconds());
        }
        assert!(
            s.catalogue.items.iter().all(|&i| !is_marked(&d, i)),
            "{what}: catalogue"
        );
    }
}

#[test]
fn another_future_leaves_the_past_as_it_was() {
    for (kind, phase) in all() {
        let (_, a) = split(kind, phase, 0);
        let (_, b) = split(kind, phase, 5);
        assert_eq!(a.train, b.train, "{kind:?} {phase:?}");
        assert_eq!(a.catalogue, b.catalogue);
        assert_eq!(a.fit_before, b.fit_before);
        assert_ne!(a.cases, b.cases, "the futures do differ");
    }
}

#[test]
fn validation_does_not_see_the_test_period() {
    let test = cuts(SplitKind::GlobalTemporal, Phase::Test)[0];
    let (_, s) = split(SplitKind::GlobalTemporal, Phase::Validation, 0);
    assert!(s.cases.iter().all(|c| c.instance.target_ts < test));
}

#[test]
fn a_marked_future_is_another_future() {
    for (kind, phase) in all() {
        let (d, s) = split(kind, phase, 0);
        let marked = mark_future(&d, &s);
        let again = build(&marked, &config(kind, phase)).unwrap();
        let what = format!("{kind:?} {phase:?}");
        assert_eq!(s.train, again.train, "{what}");
        assert_eq!(s.catalogue, again.catalogue, "{what}");
        assert_eq!(s.fit_before, again.fit_before, "{what}");
        let marker = d.n_items() as u32;
        assert_eq!(marked.items[marker as usize].id, MARKER);
        for (before, after) in s.cases.iter().zip(&again.cases) {
            let (before, after) = (&before.instance, &after.instance);
            assert_eq!(after.targets, [marker], "{what}");
            assert_eq!(before.target_ts, after.target_ts, "{what}");
            let (h, g) = (before.history(&d), after.history(&marked));
            assert_eq!(h.events(), g.events(), "{what}");
        }
    }
}

#[test]
fn shuffled_time_moves_visits_and_nothing_else() {
    let d = dataset(&cuts(SplitKind::GlobalTemporal, Phase::Test), 0);
    let shuffled = shuffle_time(&d, 3);
    let end = AsOf::new(i64::MAX);
    let mut n_moved = 0;
    for user in 0..d.n_users() as u32 {
        let (before, after) = (
            d.history(user, end).events(),
            shuffled.history(user, end).events(),
        );
        // The second of every event, and whether something was bought in it.
        let times = |events: &[Event]| -> Vec<(i64, bool)> {
            let visits = events.chunk_by(|a, b| a.ts == b.ts);
            visits
                .map(|v| (v[0].ts, v.iter().any(|e| d.is_target(e))))
                .collect()
        };
        assert_eq!(times(before), times(after));
        // Visits stay whole.
        let visits = |events: &[Event]| {
            let rows = events.chunk_by(|a, b| a.ts == b.ts);
            let mut rows: Vec<Vec<u32>> = rows.map(|v| v.iter().map(|e| e.row).collect()).collect();
            rows.sort();
            rows
        };
        assert_eq!(visits(before), visits(after));
        let by_row = |events: &[Event]| {
            let mut events: Vec<Event> = events.to_vec();
            events.sort_by_key(|e| e.row);
            events
        };
        for (a, b) in by_row(before).iter().zip(by_row(after)) {
            n_moved += usize::from(a.ts != b.ts);
            assert_eq!(*a, Event { ts: a.ts, ..b });
        }
    }
    assert!(n_moved > d.n_events() / 2, "{n_moved} of {}", d.n_events());
    let again = shuffle_time(&d, 3);
    let of = |d: &Dataset| d.history(7, end).events().to_vec();
    assert_eq!(of(&again), of(&shuffled));
    assert_ne!(of(&shuffle_time(&d, 4)), of(&shuffled));
}
