//! What a split asks, of whom, and what it leaves out.

use hkfr_events::split::build;
use hkfr_events::{Dataset, Error, Segment, Split, SplitConfig, SplitKind};

use crate::fixtures::{DAY, builder, push};

fn config(kind: SplitKind) -> SplitConfig {
    SplitConfig {
        kind,
        horizon_days: 10,
        min_item_buyers: 1,
        simulated_users: 0,
        ..SplitConfig::default()
    }
}

/// `a` is warm, `b` cold; `late` and `never` have no history or no future.
fn log() -> Dataset {
    let mut b = builder();
    for day in 0..20 {
        push(
            &mut b,
            "a",
            "buy",
            ["x", "y"][day as usize % 2],
            day * DAY,
            None,
        );
    }
    push(&mut b, "a", "buy", "x", 32 * DAY, None);
    push(&mut b, "a", "buy", "new", 32 * DAY, None);
    push(&mut b, "a", "buy", "z", 33 * DAY, None);
    push(&mut b, "b", "buy", "x", 5 * DAY, None);
    push(&mut b, "b", "see", "y", 31 * DAY, None);
    push(&mut b, "b", "buy", "y", 35 * DAY, None);
    push(&mut b, "never", "buy", "x", DAY, None);
    push(&mut b, "late", "buy", "x", 40 * DAY - 1, None);
    b.build()
}

fn case<'s>(s: &'s Split, id: &str) -> Option<&'s hkfr_events::Case> {
    s.cases.iter().find(|c| c.case_id == id)
}

fn ids(d: &Dataset, items: &[u32]) -> Vec<String> {
    let mut ids: Vec<String> = items
        .iter()
        .map(|&i| d.items[i as usize].id.clone())
        .collect();
    ids.sort();
    ids
}

#[test]
fn global_temporal_asks_for_the_first_order_of_the_horizon() {
    let d = log();
    let s = build(&d, &config(SplitKind::GlobalTemporal)).unwrap();
    let a = case(&s, "a").unwrap();
    assert_eq!(a.instance.as_of.seconds(), 30 * DAY);
    assert_eq!(a.instance.target_ts, 32 * DAY);
    assert_eq!(ids(&d, &a.instance.targets), ["new", "x"]);
    assert_eq!(a.segment, Segment::Warm);
    assert_eq!(case(&s, "b").unwrap().segment, Segment::ColdStart);
    assert!(case(&s, "never").is_none(), "no order to ask for");
    assert!(case(&s, "late").is_none(), "no history");
    assert_eq!(ids(&d, &s.catalogue.items), ["x", "y"]);
    // `new` of a; y of b and x of a are in the catalogue.
    assert_eq!(s.unreachable_targets(), (1, 3));
    let without_history = SplitConfig {
        min_history: 0,
        ..config(SplitKind::GlobalTemporal)
    };
    assert!(case(&build(&d, &without_history).unwrap(), "late").is_some());
}

#[test]
fn leave_one_out_asks_for_the_last_order() {
    let d = log();
    let s = build(&d, &config(SplitKind::LeaveOneOut)).unwrap();
    let a = case(&s, "a").unwrap();
    assert_eq!(a.instance.as_of.seconds(), 33 * DAY);
    assert_eq!(ids(&d, &a.instance.targets), ["z"]);
    assert_eq!(ids(&d, &s.catalogue.items), ["new", "x", "y"]);
    assert!(case(&s, "never").is_none());
}

#[test]
fn an_earlier_split_asks_about_the_period_before() {
    let d = log();
    let s = build(&d, &config(SplitKind::GlobalTemporal)).unwrap();
    let earlier = s.earlier(&d, 1);
    let cut = |s: &Split| {
        s.fit_before
            .iter()
            .flatten()
            .map(|t| t.seconds() / DAY)
            .max()
    };
    assert_eq!((cut(&s), cut(&earlier)), (Some(30), Some(20)));
    // The last order of `a` before the test cut-off is on day 19: before this cut, so that nobody is asked.
    assert!(earlier.cases.is_empty());
    let before = s.earlier(&d, 2);
    let a = case(&before, "a").unwrap();
    assert_eq!(a.instance.as_of.seconds(), 10 * DAY);
    assert_eq!(a.instance.target_ts, 10 * DAY);
    assert_eq!(ids(&d, &a.instance.targets), ["x"]);
    assert_eq!(before.catalogue, s.catalogue);
    // What tunes a model is from before the window that a ranker learns from.
    assert!(!s.train.is_empty());
    assert!(s.train.iter().all(|i| i.target_ts < 20 * DAY));
}

#[test]
fn an_earlier_leave_one_out_split_asks_for_the_order_before() {
    let d = log();
    let s = build(&d, &config(SplitKind::LeaveOneOut)).unwrap();
    for (back, day, targets) in [(1, 32, vec!["new", "x"]), (2, 19, vec!["y"])] {
        let earlier = s.earlier(&d, back);
        let a = case(&earlier, "a").unwrap();
        assert_eq!(a.instance.as_of.seconds(), day * DAY);
        assert_eq!(ids(&d, &a.instance.targets), targets);
        let user = a.instance.user as usize;
        assert_eq!(earlier.fit_before[user], Some(a.instance.as_of));
        // `b` has one order before its case: there is nothing to predict it from, and it stays unseen.
        assert!(case(&earlier, "b").is_none());
        let b = d.user_by_id("b").unwrap();
        let history = earlier.training_history(&d, b).unwrap();
        assert!(history.events().iter().all(|e| !d.is_target(e)));
    }
    assert!(s.train.iter().all(|i| i.target_ts < 32 * DAY));
}

#[test]
fn simulated_cold_starts_are_cut_and_held_out() {
    let mut b = builder();
    for user in 0..20 {
        for day in 0..30 {
            push(&mut b, &format!("u{user}"), "see", "x", day * DAY, None);
            push(&mut b, &format!("u{user}"), "buy", "x", day * DAY, None);
        }
    }
    let d = b.build();
    let c = SplitConfig {
        simulated_users: 4,
        max_cases: Some(10),
        ..config(SplitKind::GlobalTemporal)
    };
    let s = build(&d, &c).unwrap();
    let simulated: Vec<_> = s
        .cases
        .iter()
        .filter_map(|c| match c.segment {
            Segment::SimulatedColdStart(n) => Some((n, c)),
            _ => None,
        })
        .collect();
    assert_eq!(simulated.len(), 4 * 3);
    assert_eq!(s.cases.len(), 4 * 3 + 10);
    for (n, case) in simulated {
        let history = case.instance.history(&d);
        let kept = history.events().iter().filter(|e| d.is_target(e)).count();
        assert_eq!(kept, n as usize);
        assert!(case.case_id.ends_with(&format!("@{n}")));
        assert!(s.fit_before[case.instance.user as usize].is_none());
        assert!(s.train.iter().all(|q| q.user != case.instance.user));
    }
    assert_eq!(
        s,
        build(&d, &c).unwrap(),
        "the same seed gives the same split"
    );
    assert_ne!(s, build(&d, &SplitConfig { seed: 18, ..c }).unwrap());
}

#[test]
fn training_samples_are_bounded_and_have_targets_in_the_catalogue() {
    let d = log();
    let c = SplitConfig {
        instances_per_user: 3,
        max_train_instances: Some(2),
        ..config(SplitKind::LeaveOneOut)
    };
    let s = build(&d, &c).unwrap();
    assert_eq!(s.train.len(), 2);
    let buyers = SplitConfig {
        min_item_buyers: 3,
        instances_per_user: 99,
        ..config(SplitKind::GlobalTemporal)
    };
    let s = build(&d, &buyers).unwrap();
    assert_eq!(ids(&d, &s.catalogue.items), ["x"]);
    assert_eq!(
        s.train.len(),
        9,
        "the orders of y, and the first of x, are no instances"
    );
    assert!(s.train.iter().all(|q| ids(&d, &q.targets) == ["x"]));
}

#[test]
fn a_split_survives_its_file_and_refuses_a_newer_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/split.json");
    let s = build(&log(), &config(SplitKind::GlobalTemporal)).unwrap();
    s.save(&path).unwrap();
    assert_eq!(Split::load(&path).unwrap(), s);
    fs_err::write(&path, r#"{"format_version": 99}"#).unwrap();
    assert!(matches!(
        Split::load(&path),
        Err(Error::Version {
            found: 99,
            known: 2,
            ..
        })
    ));
    fs_err::write(&path, r#"{"format_version": 1, "spl"#).unwrap();
    assert!(
        Split::load(&path)
            .unwrap_err()
            .to_string()
            .contains("run the split again")
    );
}

#[test]
fn impossible_requests_are_explained() {
    let d = log();
    let too_long = SplitConfig {
        horizon_days: 400,
        ..config(SplitKind::GlobalTemporal)
    };
    assert!(
        build(&d, &too_long)
            .unwrap_err()
            .to_string()
            .contains("the log spans 40 days")
    );
    let too_much = SplitConfig {
        min_history: 1_000,
        ..config(SplitKind::LeaveOneOut)
    };
    assert!(
        build(&d, &too_much)
            .unwrap_err()
            .to_string()
            .contains("min_history")
    );
    let mut b = builder();
    push(&mut b, "u", "see", "x", 0, None);
    let nothing = build(&b.build(), &config(SplitKind::GlobalTemporal)).unwrap_err();
    assert!(nothing.to_string().contains("target action (buy)"));
    let misspelt = toml::from_str::<SplitConfig>("horizon_day = 3").unwrap_err();
    assert!(misspelt.to_string().contains("horizon_days"), "{misspelt}");
}
