//! Which rows are made: determinism, drawing, wordings, and what is dropped.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use hkfr_rec::tasks::{
    Candidate, CurateConfig, Guard, InstructionRow, ItemSampler, LABEL_TASKS, Report, RowsConfig,
    TASKS, TaskSet, curate,
};

use super::log::food_delivery;
use super::{asked, world};

#[test]
fn rows_are_deterministic_and_independent_of_the_other_tasks() {
    let world = world(&[1, 2, 3]);
    let all = |seed| world.rows("generic", &asked(&TASKS), seed).0;
    let rows = all(5);
    assert!(rows.len() >= 14, "{}", rows.len());
    assert_eq!(rows, all(5));
    for row in &rows {
        assert_eq!(&world.rows("generic", &asked(&[&row.task]), 5).0[0], row);
    }
    assert!((6..40).any(|seed| all(seed) != rows));
    let ids: BTreeSet<&str> = rows.iter().map(|r| r.id.as_str()).collect();
    assert_eq!(ids.len(), rows.len());
}

#[test]
fn an_order_of_several_things_gives_several_labels_and_tasks_can_be_drawn() {
    let world = world(&[1, 2, 2, 3]);
    let config = RowsConfig {
        labels: 2,
        others: Some(3),
        ..asked(&TASKS)
    };
    let mut drawn = BTreeSet::new();
    let answered = world.rows("generic", &asked(&TASKS), 1).0.len();
    for seed in 0..80 {
        let rows = world.rows("generic", &config, seed).0;
        let of = |task: &str| -> Vec<&InstructionRow> {
            rows.iter().filter(|r| r.task == task).collect()
        };
        let items = of("next_item");
        assert_eq!(items.len(), 2);
        assert_ne!(items[0].output, items[1].output);
        assert_eq!(format!("{}#2", items[0].id), items[1].id);
        let others = rows
            .iter()
            .filter(|r| !LABEL_TASKS.contains(&r.task.as_str()));
        let others: Vec<&str> = others.map(|r| r.task.as_str()).collect();
        // Of those that have an answer: none is drawn in vain.
        assert_eq!(others.len(), 3, "{others:?}");
        drawn.extend(others.into_iter().map(str::to_owned));
    }
    assert!(drawn.len() >= answered - LABEL_TASKS.len(), "{drawn:?}");
    let many = RowsConfig {
        labels: 9,
        ..asked(&["next_item"])
    };
    assert_eq!(
        world.rows("generic", &many, 1).0.len(),
        3,
        "as many as there are items"
    );
}

#[test]
fn wordings_are_drawn_and_what_ranks_is_asked_half_as_it_is_served() {
    let world = world(&[1, 2, 3]);
    let set = TaskSet::load("grocery", None).unwrap();
    let config = RowsConfig {
        wordings: 3,
        labels: 3,
        ..asked(&["next_item", "weekday"])
    };
    let mut counts: HashMap<(&str, usize), u32> = HashMap::new();
    for seed in 0..600 {
        let answers = world.answers("grocery", &config, seed);
        let of_items: BTreeSet<&str> = answers
            .iter()
            .filter(|a| a.task == "next_item")
            .map(|a| a.instruction.as_str())
            .collect();
        assert_eq!(
            of_items.len(),
            1,
            "an instance's rows of a task share a question"
        );
        for a in answers.iter().filter(|a| a.n == 0) {
            *counts.entry((a.task, a.wording)).or_default() += 1;
            let served = set.instruction(a.task).unwrap();
            assert_eq!(a.wording == 0, a.instruction == served, "{a:?}");
        }
    }
    for (key, expected) in [
        (("next_item", 0), 300),
        (("next_item", 1), 150),
        (("next_item", 2), 150),
        (("weekday", 0), 200),
        (("weekday", 1), 200),
        (("weekday", 2), 200),
    ] {
        let n = f64::from(counts[&key]) / f64::from(expected);
        assert!((0.75..1.25).contains(&n), "{counts:?}");
    }
    let served = |seed| world.answers("grocery", &asked(&TASKS), seed);
    assert!((0..20).flat_map(served).all(|a| a.wording == 0));
}

const YES_NO: [&str; 4] = ["yes_no", "category_yes_no", "click_yes_no", "new_category"];

fn candidates(config: &RowsConfig) -> (Vec<Candidate>, usize, HashMap<&'static str, usize>) {
    let (ds, split) = food_delivery(150, 60);
    let set = TaskSet::load("food-delivery", None).unwrap();
    let (sampler, guard) = (ItemSampler::new(&ds, &split), Guard::new(&ds, &split));
    let mut all = Vec::new();
    let mut answered: HashMap<&'static str, usize> = HashMap::new();
    for (i, instance) in split.train.iter().enumerate() {
        let next = guard.next(instance).unwrap();
        // Few different inputs, so that there are rows that are there twice.
        let input = format!("somebody {}", i % 7);
        for answer in set.answers(&next, &sampler, config, 3).unwrap() {
            if answer.n == 0 {
                *answered.entry(answer.task).or_default() += 1;
            }
            let length = answer.instruction.len() + answer.output.len();
            all.push(Candidate::new(
                &ds,
                (i, instance),
                &input,
                (answer, length),
                3,
            ));
        }
    }
    (all, split.train.len(), answered)
}

#[test]
fn what_is_kept_is_there_once_fits_and_is_balanced() {
    let config = RowsConfig {
        labels: 4,
        wordings: 3,
        ..asked(&TASKS)
    };
    let (all, n_instances, answered) = candidates(&config);
    let curation = |others, max_label_share| CurateConfig {
        others,
        max_label_share,
        max_tokens: 110,
    };
    // Every task that this log can answer has answers that differ.
    let mut labels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for c in &all {
        labels
            .entry(c.answer.task)
            .or_default()
            .insert(&c.answer.output);
    }
    assert_eq!(labels.len(), 20, "{:?}", labels.keys());
    assert!(labels.values().all(|l| l.len() >= 2), "{labels:?}");

    for others in [None, Some(3)] {
        let (kept, dropped) = curate(all.clone(), &curation(others, 0.5));
        let mut texts = HashSet::new();
        let mut by_label: BTreeMap<&str, HashMap<&str, usize>> = BTreeMap::new();
        let mut tasks: HashMap<usize, BTreeSet<&str>> = HashMap::new();
        for c in &kept {
            let a = &c.answer;
            assert!(
                texts.insert((c.instance % 7, &a.instruction, &a.output)),
                "{a:?}"
            );
            assert!(c.tokens <= 110);
            *by_label
                .entry(a.task)
                .or_default()
                .entry(&a.output)
                .or_default() += 1;
            if !LABEL_TASKS.contains(&a.task) {
                tasks.entry(c.instance).or_default().insert(a.task);
            }
        }
        for (task, labels) in &by_label {
            let n: usize = labels.values().sum();
            let most = labels.values().max().unwrap();
            assert!(
                LABEL_TASKS.contains(task) || 2 * most <= n,
                "{task}: {labels:?}"
            );
            if YES_NO.contains(task) {
                assert_eq!(labels["yes"], labels["no"], "{task}");
            }
        }
        let all_there = YES_NO.iter().all(|t| by_label.contains_key(t));
        assert!(all_there, "{:?}", by_label.keys());
        if let Some(n) = others {
            assert!(tasks.values().all(|t| t.len() <= n));
        }
        // Nothing is lost uncounted, and each reason is there.
        let sum =
            |f: fn(&hkfr_rec::tasks::Dropped) -> usize| dropped.values().map(f).sum::<usize>();
        let (twice, long) = (sum(|d| d.duplicates), sum(|d| d.too_long));
        let (common, drawn) = (sum(|d| d.too_common), sum(|d| d.not_drawn));
        assert_eq!(kept.len() + twice + long + common + drawn, all.len());
        assert!(twice > 0 && long > 0 && common > 0 && (drawn > 0) == others.is_some());
        let again = curate(all.clone(), &curation(others, 0.5));
        let same =
            |(a, b): (&Candidate, &Candidate)| a.answer == b.answer && a.instance == b.instance;
        assert!(again.0.len() == kept.len() && again.0.iter().zip(&kept).all(same));

        let tasks: Vec<String> = TASKS.map(str::to_owned).into();
        let report = Report::new(&kept, (n_instances, &answered), &dropped, (&tasks, 110));
        assert_eq!(
            report.rows,
            report.tasks.iter().map(|t| t.1.rows).sum::<usize>()
        );
        for (name, task) in &report.tasks {
            assert_eq!(task.rows, task.wordings.iter().sum::<usize>(), "{name}");
            let listed: usize = task.labels.iter().map(|l| l.1).sum();
            assert!(
                listed == task.rows || task.n_labels > task.labels.len(),
                "{name}"
            );
            let l = task.tokens;
            assert!(l.min <= l.median && l.median <= l.p95 && l.p95 <= l.max && l.max <= 110);
        }
        let table = report.table();
        assert_eq!(
            table
                .lines()
                .filter(|l| l.contains("skipped: the data have no answer"))
                .count(),
            4
        );
        assert_eq!(
            table.lines().count(),
            2 + TASKS.len() + usize::from(others.is_some())
        );
    }
    // Without balancing only what is twice or too long goes.
    let (_, dropped) = curate(all, &curation(None, 1.0));
    assert!(dropped.values().all(|d| d.too_common + d.not_drawn == 0));
}
