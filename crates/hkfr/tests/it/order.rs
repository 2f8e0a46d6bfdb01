//! What order is worth: shuffled time takes the advantage of whoever reads order, and of nobody else.

use hkfr::eval::{EvalConfig, RankedList, Run, Truth, TruthCase, changed_lists, worth_of_order};
use hkfr::events::{
    Dataset, DatasetBuilder, DatasetInfo, Event, History, Split, SplitConfig, shuffle_time, split,
};

use crate::walk::{run, toy};

const ITEMS: u32 = 12;
const USERS: u32 = 150;

/// Every user walks around a ring of items from a place of their own, and jumps once in five steps.
fn ring() -> Dataset {
    let mut b = DatasetBuilder::new(DatasetInfo {
        target_actions: vec!["buy".into()],
        ..DatasetInfo::default()
    });
    let items: Vec<u32> = (0..ITEMS).map(|i| b.item(&format!("i{i}"))).collect();
    let kind = b.kind("thing", "buy", "shop");
    let mut state = 9_u64;
    let mut draw = |n: u32| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        ((state >> 33) as u32) % n
    };
    for u in 0..USERS {
        let user = b.user(&format!("u{u}"));
        let mut at = draw(ITEMS);
        for n in 0..20 {
            at = if draw(5) == 0 {
                draw(ITEMS)
            } else {
                (at + 1) % ITEMS
            };
            b.push(Event {
                user,
                item: Some(items[at as usize]),
                kind,
                ts: i64::from(n) * 86_400 + i64::from(u),
                value: None,
                place: None,
                text: None,
                row: 0,
            });
        }
    }
    b.build()
}

fn config() -> SplitConfig {
    SplitConfig {
        horizon_days: 3,
        min_item_buyers: 1,
        simulated_cold_start: Vec::new(),
        ..SplitConfig::default()
    }
}

fn bought(history: &History) -> Vec<u32> {
    history.events().iter().filter_map(|e| e.item).collect()
}

/// What most often came next after the last item; how often an item was bought; and a cheat that knows.
fn runs(dataset: &Dataset, split: &Split) -> [Run; 3] {
    let mut follows = vec![vec![0.0; ITEMS as usize]; ITEMS as usize];
    let mut counts = vec![0.0; ITEMS as usize];
    for user in 0..USERS {
        let items = bought(&split.training_history(dataset, user).unwrap());
        items
            .windows(2)
            .for_each(|w| follows[w[0] as usize][w[1] as usize] += 1.0);
        items.iter().for_each(|&i| counts[i as usize] += 1.0);
    }
    let lists = |score: &dyn Fn(&split::Case, u32) -> f64| {
        let list = |case: &split::Case| {
            let mut ranked: Vec<(f64, u32)> = (0..ITEMS).map(|i| (score(case, i), i)).collect();
            ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
            RankedList {
                case: case.case_id.clone(),
                items: ranked.iter().map(|r| format!("i{}", r.1)).collect(),
                scores: ranked.iter().map(|r| r.0).collect(),
            }
        };
        split.cases.iter().map(list).collect()
    };
    let last = |case: &split::Case| *bought(&case.instance.history(dataset)).last().unwrap();
    let of = |system: &str, lists| Run {
        system: system.into(),
        task: "item".into(),
        depth: ITEMS as usize,
        lists,
        ..Run::default()
    };
    [
        of(
            "markov",
            lists(&|c, i| follows[last(c) as usize][i as usize]),
        ),
        of("popularity", lists(&|_, i| counts[i as usize])),
        of(
            "cheat",
            lists(&|c, i| f64::from(u8::from(c.instance.targets.contains(&i)))),
        ),
    ]
}

fn truth(split: &Split) -> Truth {
    let case = |c: &split::Case| TruthCase {
        case: c.case_id.clone(),
        targets: c.instance.targets.iter().map(|i| format!("i{i}")).collect(),
        ..TruthCase::default()
    };
    Truth {
        task: "item".into(),
        cases: split.cases.iter().map(case).collect(),
        ..Truth::default()
    }
}

#[test]
fn shuffled_time_takes_what_order_gave() {
    let logged = ring();
    let shuffled = shuffle_time(&logged, 1);
    let (a, b) = (
        split::build(&logged, &config()).unwrap(),
        split::build(&shuffled, &config()).unwrap(),
    );
    // The same people are asked at the same times, about other orders.
    let asked = |s: &Split| -> Vec<_> {
        let cases = s
            .cases
            .iter()
            .map(|c| (c.case_id.clone(), c.instance.as_of, c.instance.target_ts));
        cases.collect()
    };
    assert_eq!(asked(&a), asked(&b));
    assert_ne!(truth(&a), truth(&b));
    let cfg = EvalConfig {
        ks: vec![3],
        ..EvalConfig::default()
    };
    let (runs_a, runs_b) = (runs(&logged, &a), runs(&shuffled, &b));
    let rows = worth_of_order((&truth(&a), &runs_a), (&truth(&b), &runs_b), &cfg).unwrap();
    let [markov, popularity, cheat] = &rows[..] else {
        panic!("{rows:?}")
    };
    // Four of five steps can be foreseen; three places of twelve hold a random item with NDCG .18.
    assert!(markov.logged > 0.75 && markov.shuffled < 0.3, "{markov:?}");
    assert!(
        markov.interval.lo > 0.4 && markov.p_holm < 0.01,
        "{markov:?}"
    );
    assert!(popularity.p_holm > 0.05, "{popularity:?}");
    assert!(popularity.interval.lo < 0.0 && popularity.interval.hi > 0.0);
    // An advantage that does not come from order stays.
    assert_eq!(
        (cheat.logged, cheat.shuffled, cheat.p_holm),
        (1.0, 1.0, 1.0)
    );
}

#[test]
fn a_list_that_changes_and_a_run_that_is_gone_are_found() {
    let dataset = ring();
    let split = split::build(&dataset, &config()).unwrap();
    let before = runs(&dataset, &split);
    assert_eq!(changed_lists(&before, &before), None);
    let changed = |change: &dyn Fn(&mut Vec<Run>)| {
        let mut after = before.to_vec();
        change(&mut after);
        let told = changed_lists(&before, &after).unwrap();
        assert!(changed_lists(&after, &before).is_some(), "{told}");
        told
    };
    let case = &before[1].lists[2].case;
    assert_eq!(
        changed(&|r| r[1].lists[2].items.swap(3, 4)),
        format!("the lists of `popularity` for task item change (first in case {case})")
    );
    // One bit of a score.
    changed(&|r| r[0].lists[0].scores[0] = r[0].lists[0].scores[0].next_up());
    assert_eq!(
        changed(&|r| r.truncate(2)),
        "there are lists of `cheat` for task item only before"
    );
    assert!(changed(&|r| r[2].task = "category".into()).ends_with("task category only after"));
    assert!(changed(&|r| r[0].lists.truncate(5)).contains(" 5 after)"));
}

#[test]
fn the_command_walks_both_altered_logs_once() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    toy(dir);
    let (code, out, err) = run(dir, &["check-leaks", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    for part in [
        " lists of 4 runs are the same, bit by bit",
        "item: NDCG@10 as logged, and with every user's visits shuffled in time",
        "category: NDCG@10 as logged",
        "own-frequency ",
    ] {
        assert!(out.contains(part), "`{part}` is not in\n{out}");
    }
    let marked = std::fs::read_to_string(
        dir.join("out/toy/check-leaks/another-future/evaluate/truth.item.jsonl"),
    );
    assert!(marked.unwrap().contains(r#""targets":["hkfr-marker"]"#));
    let (_, again, err) = run(dir, &["check-leaks", "toy.toml"]);
    assert_eq!(out, again);
    let ran = |line: &str| !line.ends_with(": up to date") && !line.starts_with("── ");
    assert!(!err.lines().any(ran), "{err}");
}
