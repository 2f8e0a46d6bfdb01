//! Values of features, counted by hand.

use hkfr_events::{Dataset, Phase};
use hkfr_rec::Error;
use hkfr_rec::baselines::{Entities, RepeatPolicy};
use hkfr_rec::method::{Expectation, HkfrConfig, Visit, each_list};
use hkfr_rec::systems::Fitting;

use crate::fixtures::{DAY, dataset, go_on, split};

/// `u0` buys i0 on days 40, 43 and 46 and i1 on day 46, and looks at i2; others make the log long enough.
fn log() -> Dataset {
    let mut log = vec![
        (0, 0, 40, 0),
        (0, 0, 43, 0),
        (0, 0, 46, 0),
        (0, 1, 46, 0),
        (0, 2, 47, 2),
    ];
    for user in 1..9 {
        for n in 0..20i64 {
            log.push((user, (user + n as u32) % 9, 3 * n, 0));
        }
    }
    log.push((0, 0, 55, 0));
    log.push((1, 0, 60, 0));
    dataset(9, &log)
}

/// The features of a candidate of a user's case, by name.
fn features(expectations: Option<&[Expectation]>, candidate: &str) -> Vec<(String, f32)> {
    let ds = log();
    let split = split(&ds, Phase::Test, 10).unwrap();
    let entities = Entities::items(&ds, &split.catalogue);
    let from = Fitting::new(&ds, &split, &entities, RepeatPolicy::Allow, 1);
    let config = HkfrConfig::default();
    let mut columns = Vec::new();
    let mut found = Vec::new();
    each_list::<Error>(&from, &config, expectations, &mut go_on, &mut |visit| {
        match visit {
            Visit::Window(window) => {
                columns = window.columns.iter().map(|c| c.name.clone()).collect();
            }
            Visit::List(_, list) if list.id == "u0" => {
                let n = columns.len();
                let at = list
                    .candidates
                    .iter()
                    .position(|&e| entities.id(e) == candidate);
                let row = &list.rows[at.unwrap() * n..][..n];
                found = columns.iter().cloned().zip(row.iter().copied()).collect();
            }
            Visit::List(..) => {}
        }
        Ok(())
    })
    .unwrap();
    found
}

fn value(features: &[(String, f32)], name: &str) -> f32 {
    let found = features.iter().find(|f| f.0 == name);
    found
        .unwrap_or_else(|| panic!("no {name} in {features:?}"))
        .1
}

fn near(a: f32, b: f32) {
    assert!((a - b).abs() < 1e-4 * b.abs().max(1.0), "{a}, not {b}");
}

/// The cut-off: the last event, day 60 and a second, less ten days.
const CUT: f32 = 50.0;

#[test]
fn own_choices_are_counted_with_their_ages() {
    let of = features(None, "i0");
    near(value(&of, "own item choices"), 3.0);
    near(value(&of, "user visits"), 3.0);
    near(value(&of, "user choices"), 4.0);
    near(value(&of, "own item share of visits"), 1.0);
    near(value(&of, "own item visits since"), 0.0);
    near(value(&of, "own item days since"), CUT - 46.0);
    near(value(&of, "own item interval, days"), 3.0);
    near(
        value(&of, "own item days since / interval"),
        (CUT - 46.0) / 3.0,
    );
    near(
        value(&of, "own item half-life 2 visits"),
        1.0 + 0.5f32.powf(0.5) + 0.5,
    );
    let decayed: f32 = [4.0, 7.0, 10.0]
        .map(|d: f32| 0.5f32.powf(d / 7.0))
        .iter()
        .sum();
    near(value(&of, "own item half-life 7 days"), decayed);
    // i1 is alone in its category but for i4 and i7, which u0 never chose.
    let other = features(None, "i1");
    near(value(&other, "own item choices"), 1.0);
    assert!(value(&other, "own item interval, days").is_nan());
    let never = features(None, "i3");
    near(value(&never, "own item choices"), 0.0);
    assert!(value(&never, "own item days since").is_nan());
    // i3 is of category c0, as i0 is.
    near(value(&never, "own category choices"), 3.0);
}

#[test]
fn what_was_looked_at_is_told_apart_from_what_was_chosen() {
    let of = features(None, "i2");
    near(value(&of, "own item choices"), 0.0);
    near(value(&of, "days since view"), CUT - 47.0);
    near(
        value(&of, "view, half-life 14 days"),
        0.5f32.powf(3.0 / 14.0),
    );
    assert!(value(&features(None, "i0"), "days since view").is_nan());
}

#[test]
fn the_latest_answer_of_the_model_before_the_list_is_a_feature() {
    let at = |day: i64, said: f32| Expectation {
        user_id: "u0".into(),
        as_of: day * DAY,
        n_events: 5,
        categories: vec![said; 3],
        items: vec![said; 9],
        knowledge: Vec::new(),
        claims: vec![
            "c1".into(),
            "thing 1".into(),
            "nothing of the catalogue".into(),
        ],
    };
    let said = [at(20, -1.0), at(45, -2.0), at(90, -3.0)];
    let of = features(Some(&said), "i1");
    near(value(&of, "semantic: expected item"), -2.0);
    near(value(&of, "semantic: expected category"), -2.0);
    near(value(&of, "semantic: claims that name it"), 2.0);
    assert!(value(&of, "semantic: knowledge").is_nan());
    // Nothing later is known, and of a user who was not asked about nothing at all.
    let later = features(Some(&said[2..]), "i1");
    assert!(value(&later, "semantic: expected item").is_nan());
}
