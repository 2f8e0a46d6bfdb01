//! Is knowledge of an earlier time good enough, and never of a later one?

use std::sync::Arc;

use hkfr_events::{AsOf, DatasetBuilder};
use hkfr_fuse::{
    Error, Facts, FactsConfig, FusionMode, KnowledgeRecord, Known, Refresh, TemplateSet, Wording,
    distance, facts, refresh,
};
use proptest::prelude::*;

use crate::fixture::{DAY, describe, event, info};

type Log = Vec<(usize, i64, bool)>;

/// The facts of a log of (item, day, bought), of nine items in three categories, as-of a day.
fn facts_of(log: &Log, as_of: i64) -> Arc<Facts> {
    let mut b = DatasetBuilder::new(info());
    for i in 0..9 {
        let category = ["milk", "bread", "cola"][i % 3];
        describe(
            &mut b,
            &i.to_string(),
            &format!("Product {i}"),
            category,
            i as f32,
        );
    }
    describe(&mut b, "new", "Something new", "new", 1.0);
    b.user("u");
    for &(item, day, bought) in log {
        let action = if bought {
            "purchase"
        } else {
            "exposure-mailer"
        };
        let item = if item == 9 {
            "new".into()
        } else {
            item.to_string()
        };
        event(&mut b, "u", &item, action, day * DAY);
    }
    let ds = b.build();
    let templates = TemplateSet::load("generic", None).unwrap();
    let wording = Wording::new(&ds, &templates);
    let history = ds.history(0, AsOf::new(as_of * DAY));
    facts(&wording, &history, &FactsConfig::default())
}

fn log() -> impl Strategy<Value = Log> {
    prop::collection::vec((0usize..9, 0i64..40, prop::bool::ANY), 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_distance_is_symmetric_and_0_for_equal_facts(log in log(), a in 0i64..45, b in 0i64..45) {
        let (a, b) = (facts_of(&log, a), facts_of(&log, b));
        let there = distance(&a, &b);
        prop_assert_eq!(there, distance(&b, &a));
        prop_assert!((0.0..=1.0).contains(&there.shares) && (0.0..=1.0).contains(&there.claims), "{there:?}");
        prop_assert_eq!(distance(&a, &a).total(), 0.0);
        // Time alone moves nobody.
        let later = Facts { as_of: a.as_of + DAY, days_since_order: Some(99), ..(*a).clone() };
        prop_assert_eq!(distance(&a, &later).total(), 0.0);
    }

    /// The more is chosen of a category that is new, the further away the shares are.
    #[test]
    fn shares_move_with_every_choice_of_a_new_category(log in log(), n in 1usize..40) {
        let old = facts_of(&log, 50);
        let mut log = log;
        let mut before = 0.0;
        for i in 0..n {
            log.push((9, 45, true));
            let now = distance(&old, &facts_of(&log, 50)).shares;
            prop_assert!(now >= before - 1e-6, "choice {i}: {before} then {now}");
            prop_assert!(now > 0.0);
            before = now;
        }
    }

    /// Against the rule as it is told, one cut-off after the other.
    #[test]
    fn nothing_later_or_further_away_is_taken(
        mut at in prop::collection::vec(0i64..50, 1..12),
        earlier in prop::collection::vec(0i64..50, 0..5),
        threshold in 0f32..1.0,
        far in 0.005f32..0.1,
    ) {
        at.sort_unstable();
        at.dedup();
        let times = |ts: &[i64]| ts.iter().map(|&t| AsOf::new(t)).collect::<Vec<_>>();
        let between = |a: AsOf, b: AsOf| far * (b.seconds() - a.seconds()) as f32;
        let done = refresh(&times(&at), &times(&earlier), threshold, between);
        let mut known = earlier.clone();
        for (&at, done) in at.iter().zip(&done) {
            let latest = known.iter().copied().filter(|&k| k <= at).max();
            let taken = latest.filter(|&k| threshold > 0.0 && (k == at || far * (at - k) as f32 <= threshold));
            match taken {
                Some(of) => prop_assert_eq!(*done, Refresh::Reuse(AsOf::new(of))),
                None => {
                    prop_assert_eq!(*done, Refresh::Anew);
                    known.push(at);
                }
            }
        }
        let always = refresh(&times(&at), &times(&earlier), 0.0, |_, _| 0.0);
        prop_assert!(always.iter().all(|r| *r == Refresh::Anew));
    }
}

fn record(as_of: i64) -> KnowledgeRecord {
    KnowledgeRecord {
        user: "a".into(),
        as_of,
        keep_last: None,
        template_hash: "t".into(),
        model: "m".into(),
        mode: FusionMode::Embedded,
        text: String::new(),
        claims: Vec::new(),
        n_tokens: 0,
        prompt_tokens: 0,
        cut: Default::default(),
        n_dropped: 0,
    }
}

#[test]
fn knowledge_of_a_later_time_is_refused() {
    let at = AsOf::new(100);
    let of = |times: &[i64]| Known::latest(times.iter().map(|&t| record(t)), at);
    assert_eq!(of(&[]).unwrap(), None);
    let taken = |times| of(times).unwrap().unwrap().into_record().as_of;
    assert_eq!(taken(&[50, 101, 99, 7]), 99);
    assert_eq!(taken(&[100, 99]), 100);
    let refused = of(&[300, 101]).unwrap_err();
    assert!(
        matches!(&refused, Error::LaterKnowledge { user, cut_off: 101, as_of: 100 } if user == "a"),
        "{refused}"
    );
    assert_eq!(
        Known::at(record(101), at).unwrap_err().to_string(),
        "the knowledge of user a is as of 1970-01-01 00:01:41, later than 1970-01-01 00:01:40, for which it was \
         asked: it may hold what was not known then, and is refused; run with --force fuse"
    );
}
