//! Instruction tasks: labels by hand and against an oracle, nothing from the future, texts, rows, files.

mod files;
mod labels;
mod leaks;
mod log;
mod rows;
mod texts;

use hkfr_events::{AsOf, Dataset, DatasetBuilder, Event, Instance, Phase, Split};
use hkfr_rec::tasks::{Answer, InstructionRow, ItemSampler, Next, RowsConfig, TaskSet};

use crate::fixtures::{DAY, MONDAY, builder, push, split};

pub const AS_OF: i64 = 40 * DAY;
/// Day 42 of the epoch, 08:00: 1970-02-12, a Thursday.
pub const ORDER: i64 = 42 * DAY + MONDAY % DAY;

/// All that there are, but of one wording.
pub fn asked(tasks: &[&str]) -> RowsConfig {
    RowsConfig {
        tasks: tasks.iter().map(|t| (*t).to_owned()).collect(),
        labels: 1,
        others: None,
        wordings: 1,
    }
}

pub struct World {
    pub ds: Dataset,
    pub split: Split,
    pub instance: Instance,
}

/// Five things, `i0` to `i4`, in the categories c0 to c2, which cost as much as their numbers. u0 bought i1 and
/// i2, and orders `targets` next; u1 bought everything, i0 most often.
pub fn world_of(targets: &[u32], more: impl Fn(&mut DatasetBuilder)) -> World {
    let mut b = builder();
    for i in 0..5 {
        let item = b.item(&format!("i{i}"));
        let item = b.item_mut(item);
        item.title = format!("thing {i}");
        item.categories = vec![format!("c{}", i % 3)];
        item.price = Some(i as f32);
    }
    for (user, item, day) in [
        ("u0", 1, 1),
        ("u0", 2, 2),
        ("u1", 0, 5),
        ("u1", 0, 6),
        ("u1", 0, 60),
    ] {
        push(&mut b, user, &format!("i{item}"), "buy", day * DAY);
    }
    for i in 0..5 {
        push(&mut b, "u1", &format!("i{i}"), "buy", 3 * DAY);
    }
    for target in targets {
        push(&mut b, "u0", &format!("i{target}"), "buy", ORDER);
    }
    more(&mut b);
    let ds = b.build();
    // So that what u1 bought is what is drawn by popularity, the order is not learnt from.
    let split = split(&ds, Phase::Test, 20).unwrap();
    let mut targets: Vec<u32> = targets
        .iter()
        .map(|t| {
            ds.items
                .iter()
                .position(|i| i.id == format!("i{t}"))
                .unwrap() as u32
        })
        .collect();
    targets.sort_unstable();
    targets.dedup();
    let instance = Instance {
        user: ds.user_by_id("u0").unwrap(),
        as_of: AsOf::new(AS_OF),
        keep_last: None,
        targets,
        target_ts: ORDER,
        target_scenario: "store".into(),
    };
    World {
        ds,
        split,
        instance,
    }
}

pub fn world(targets: &[u32]) -> World {
    world_of(targets, |_| ())
}

impl World {
    pub fn next(&self) -> Next<'_> {
        Next::of(&self.ds, &self.instance, AsOf::new(i64::MAX)).unwrap()
    }

    pub fn answers(&self, set: &str, config: &RowsConfig, seed: u64) -> Vec<Answer> {
        let sampler = ItemSampler::new(&self.ds, &self.split);
        let set = TaskSet::load(set, None).unwrap();
        set.answers(&self.next(), &sampler, config, seed).unwrap()
    }

    pub fn one(&self, task: &str, seed: u64) -> Option<Answer> {
        let mut answers = self.answers("grocery", &asked(&[task]), seed);
        assert!(answers.len() <= 1);
        answers.pop()
    }

    pub fn label(&self, task: &str) -> String {
        self.one(task, 1).map_or("–".into(), |a| a.output)
    }

    pub fn rows(&self, set: &str, config: &RowsConfig, seed: u64) -> (Vec<InstructionRow>, usize) {
        let sampler = ItemSampler::new(&self.ds, &self.split);
        let set = TaskSet::load(set, None).unwrap();
        set.rows(&self.next(), &sampler, "known", config, seed)
            .unwrap()
    }
}

/// An event of any kind; its item exists already.
pub fn event(b: &mut DatasetBuilder, user: &str, item: &str, action: &str, ts: i64) -> Event {
    Event {
        user: b.user(user),
        item: Some(b.item(item)),
        kind: b.kind("product", action, "store"),
        ts,
        value: None,
        place: None,
        text: None,
        row: 0,
    }
}
