//! The table for other rankers: what its lists hold, and that no feature sees past its as-of.

use std::collections::BTreeMap;

use hkfr_events::{Dataset, Phase};
use hkfr_rec::Error;
use hkfr_rec::baselines::{Entities, RepeatPolicy};
use hkfr_rec::method::{Column, HkfrConfig, Part, Scope, Visit, each_list};
use hkfr_rec::systems::Fitting;

use crate::fixtures::{dataset, go_on, split};

const HORIZON: u32 = 10;
/// The test period is the last 10 days of 60, the window before it the 10 days before.
const CUT: i64 = 50;

type Log = Vec<(u32, u32, i64, u8)>;

/// Everybody buys every third day and looks at something the day after. After nine visits everybody has bought
/// everything, so that the catalogue is the same whatever is bought later.
fn log() -> Log {
    let mut log = Log::new();
    for user in 0..12 {
        for n in 0..20i64 {
            let item = (user + n as u32 * (1 + user % 2)) % 9;
            log.push((user, item, 3 * n, 0));
            log.push((user, (item + 2) % 9, 3 * n + 1, 2));
        }
    }
    // So that the last day is the same whatever changes before it.
    log.push((0, 0, 60, 0));
    log
}

#[derive(Debug, Clone, PartialEq)]
struct List {
    part: Part,
    as_of: i64,
    candidates: Vec<u32>,
    labels: Vec<u8>,
    /// Bits: missing values are compared too.
    rows: Vec<u32>,
}

#[derive(Debug, PartialEq)]
struct Made {
    columns: Vec<Column>,
    /// (part, as-of, bits of the statistics of all entities).
    windows: Vec<(Part, i64, Vec<u32>)>,
    lists: BTreeMap<String, List>,
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

fn made(ds: &Dataset) -> Made {
    let split = split(ds, Phase::Test, HORIZON).unwrap();
    let entities = Entities::items(ds, &split.catalogue);
    let from = Fitting::new(ds, &split, &entities, RepeatPolicy::Allow, 2);
    let config = HkfrConfig {
        windows: 2,
        ..HkfrConfig::default()
    };
    let mut made = Made {
        columns: Vec::new(),
        windows: Vec::new(),
        lists: BTreeMap::new(),
    };
    each_list::<Error>(&from, &config, None, &mut go_on, &mut |visit| {
        match visit {
            Visit::Window(window) => {
                if made.windows.is_empty() {
                    made.columns = window.columns.to_vec();
                }
                assert_eq!(made.columns, window.columns);
                let values = bits(window.of_entities);
                made.windows.push((window.part, window.as_of, values));
            }
            Visit::List(window, list) => {
                let kept = List {
                    part: window.part,
                    as_of: list.question.as_of.seconds(),
                    candidates: list.candidates.to_vec(),
                    labels: list.labels.to_vec(),
                    rows: bits(list.rows),
                };
                assert_eq!(list.rows.len(), kept.labels.len() * window.columns.len());
                for (candidate, label) in list.candidates.iter().zip(list.labels) {
                    let targets = list.question.targets.iter();
                    let mut targets = targets.filter_map(|&i| entities.of_item(i));
                    assert_eq!(*label == 1, targets.any(|t| t == *candidate));
                }
                let twice = made.lists.insert(list.id.clone(), kept);
                assert!(twice.is_none(), "{} is there twice", list.id);
            }
        }
        Ok(())
    })
    .unwrap();
    made
}

fn of(made: &Made, part: Part) -> impl Iterator<Item = (&String, &List)> {
    made.lists.iter().filter(move |l| l.1.part == part)
}

#[test]
fn lists_of_both_parts_have_the_same_columns() {
    let ds = dataset(9, &log());
    let made = made(&ds);
    let parts: Vec<Part> = made.windows.iter().map(|w| w.0).collect();
    assert_eq!(parts, [Part::Train, Part::Train, Part::Test]);
    assert!(of(&made, Part::Test).count() >= 10);
    assert!(of(&made, Part::Train).count() >= 20);
    assert!(made.lists.contains_key("u3") && made.lists.contains_key("train/1/u3"));
    assert!(made.columns.iter().all(|c| c.meaning.len() > 10));
    for scope in [Scope::User, Scope::Item, Scope::Pair] {
        assert!(made.columns.iter().any(|c| c.scope == scope));
    }
    // What is the same for all candidates is a column of the user, and nothing else is.
    let n = made.columns.len();
    for (c, column) in made.columns.iter().enumerate() {
        let is_one = |l: &List| {
            let mut values = l.rows.iter().skip(c).step_by(n);
            let first = values.next();
            values.all(|v| Some(v) == first)
        };
        if column.scope == Scope::User {
            assert!(made.lists.values().all(is_one), "{}", column.name);
        }
    }
}

#[test]
fn the_future_of_the_test_period_changes_nothing_but_test_labels() {
    let before = log();
    let after: Log = before
        .iter()
        .map(|&(u, i, day, a)| (u, if day >= CUT { (i + 4) % 9 } else { i }, day, a))
        .collect();
    let (before, after) = (made(&dataset(9, &before)), made(&dataset(9, &after)));
    assert_eq!(before.columns, after.columns);
    assert_eq!(before.windows, after.windows);
    let mut changed = 0;
    for (id, list) in &before.lists {
        let mut other = after.lists[id].clone();
        if list.part == Part::Test {
            changed += usize::from(other.labels != list.labels);
            other.labels.clone_from(&list.labels);
        }
        assert!(*list == other, "{id} saw the future");
    }
    assert!(changed > 5, "{changed}");
}

#[test]
fn training_lists_see_nothing_of_the_order_that_they_ask_about() {
    let before = log();
    // The period that the first window asks about.
    let asked = CUT - i64::from(HORIZON) + 1..CUT;
    let after: Log = before
        .iter()
        .map(|&(u, i, day, a)| {
            (
                u,
                if asked.contains(&day) { (i + 4) % 9 } else { i },
                day,
                a,
            )
        })
        .collect();
    let (before, after) = (made(&dataset(9, &before)), made(&dataset(9, &after)));
    assert_eq!(before.windows[..2], after.windows[..2]);
    let (mut labels, mut test) = (0, 0);
    for (id, list) in &before.lists {
        let other = &after.lists[id];
        if list.part == Part::Test {
            test += usize::from(other.rows != list.rows);
            continue;
        }
        labels += usize::from(other.labels != list.labels);
        assert_eq!(list.as_of, other.as_of, "{id}");
        assert_eq!(list.candidates, other.candidates, "{id}");
        let cells = list.rows.iter().zip(&other.rows);
        let changed = cells.enumerate().find(|(_, (a, b))| a != b);
        let column = changed.map(|(i, _)| &before.columns[i % before.columns.len()].name);
        assert_eq!(column, None, "{id}");
    }
    // The change was one: the window's answers, and the histories of the test part.
    assert!(labels > 5 && test > 5, "{labels} {test}");
}

#[test]
fn a_behaviour_that_began_later_has_its_columns_in_every_window() {
    let late: Log = log()
        .into_iter()
        .filter(|e| e.3 == 0 || (42..CUT).contains(&e.2))
        .collect();
    let made = made(&dataset(9, &late));
    let views = made.columns.iter().filter(|c| c.name.contains("view"));
    assert_eq!(views.count(), 2);
    assert_eq!(made.windows.len(), 3);
}
