//! From everything that could be asked to the rows that are: once each, within the length, balanced.
//!
//! In this order: rows that are there already (same instruction, input and output) go; rows that are too long
//! go, whole, because a cut one would teach a cut answer; of each task, the rows of answers that are too common
//! go, so that no answer has more than its share; of what is left, each instance is asked so many tasks; and
//! what the drawing brought out of balance goes. What goes is decided by hashes, the same in every run.
//!
//! The tasks that rank keep their answers as they are distributed: that is what they are to learn.

use std::collections::{BTreeMap, HashMap, HashSet};

use hkfr_events::{Dataset, Instance};
use serde::{Deserialize, Serialize};

use super::{Answer, LABEL_TASKS, draw_key, drawn};
use crate::scores::{hash, mix};

#[derive(Debug, Clone, PartialEq)]
pub struct CurateConfig {
    /// As [`super::RowsConfig::others`].
    pub others: Option<usize>,
    /// The most that one answer may have of a task's rows; 1: no balancing.
    pub max_label_share: f32,
    /// The most tokens of a row, its answer included.
    pub max_tokens: usize,
}

/// What may become a row.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Position in the split's training instances.
    pub instance: usize,
    /// Of the whole row: prompt and answer.
    pub tokens: usize,
    pub answer: Answer,
    /// Decides which of equal answers stay.
    stays: u64,
    /// Decides which tasks are drawn.
    draw: u64,
    /// Of the row's texts.
    text: (u64, u64),
}

impl Candidate {
    pub fn new(
        ds: &Dataset,
        (position, instance): (usize, &Instance),
        input: &str,
        (answer, tokens): (Answer, usize),
        seed: u64,
    ) -> Self {
        let text = |salt: u64| {
            [&*answer.instruction, input, &*answer.output]
                .iter()
                .fold(salt, |h, part| mix(h ^ hash(salt, part)))
        };
        Self {
            instance: position,
            tokens,
            stays: mix(hash(seed, &answer.id(ds, instance))),
            draw: draw_key(ds, instance, answer.task, seed),
            text: (text(1), text(2)),
            answer,
        }
    }
}

/// Rows of a task that were left out, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    pub duplicates: usize,
    /// Longer than the limit.
    pub too_long: usize,
    /// Their answer is too common in the task.
    pub too_common: usize,
    /// The instance is asked other tasks.
    pub not_drawn: usize,
}

/// The rows that are kept, in their order, and what was left out by task.
pub fn curate(
    mut candidates: Vec<Candidate>,
    config: &CurateConfig,
) -> (Vec<Candidate>, BTreeMap<&'static str, Dropped>) {
    let mut dropped: BTreeMap<&'static str, Dropped> = BTreeMap::new();
    let mut seen = HashSet::new();
    candidates.retain(|c| {
        let dropped = dropped.entry(c.answer.task).or_default();
        if !seen.insert(c.text) {
            dropped.duplicates += 1;
            return false;
        }
        let fits = c.tokens <= config.max_tokens;
        dropped.too_long += usize::from(!fits);
        fits
    });
    balance(&mut candidates, config.max_label_share, &mut dropped);
    if config.others.is_some() {
        draw(&mut candidates, config.others, &mut dropped);
        balance(&mut candidates, config.max_label_share, &mut dropped);
    }
    dropped.retain(|_, d| *d != Dropped::default());
    (candidates, dropped)
}

/// Leaves the rows of the tasks that each instance is asked.
fn draw(
    candidates: &mut Vec<Candidate>,
    others: Option<usize>,
    dropped: &mut BTreeMap<&'static str, Dropped>,
) {
    let mut stays = Vec::with_capacity(candidates.len());
    for rows in candidates.chunk_by(|a, b| a.instance == b.instance) {
        let mut keys: Vec<(&str, u64)> = rows.iter().map(|c| (c.answer.task, c.draw)).collect();
        keys.dedup();
        let tasks: Vec<&str> = keys.iter().map(|k| k.0).collect();
        let key = |task: &str| keys.iter().find(|k| k.0 == task).map_or(0, |k| k.1);
        let asked = drawn(&tasks, others, key);
        stays.extend(rows.iter().map(|c| asked.contains(&c.answer.task)));
    }
    let mut stays = stays.into_iter();
    candidates.retain(|c| {
        let stays = stays.next().expect("one a candidate");
        dropped.entry(c.answer.task).or_default().not_drawn += usize::from(!stays);
        stays
    });
}

fn balance(
    candidates: &mut Vec<Candidate>,
    share: f32,
    dropped: &mut BTreeMap<&'static str, Dropped>,
) {
    let mut stays = balanced(candidates, share).into_iter();
    candidates.retain(|c| {
        let stays = stays.next().expect("one a candidate");
        dropped.entry(c.answer.task).or_default().too_common += usize::from(!stays);
        stays
    });
}

/// Which candidates stay if no answer may have more than `share` of its task's rows.
fn balanced(candidates: &[Candidate], share: f32) -> Vec<bool> {
    let mut keeps = vec![true; candidates.len()];
    let mut tasks: HashMap<&str, HashMap<&str, Vec<usize>>> = HashMap::new();
    for (i, c) in candidates.iter().enumerate() {
        if !LABEL_TASKS.contains(&c.answer.task) {
            let answers = tasks.entry(c.answer.task).or_default();
            answers.entry(&c.answer.output).or_default().push(i);
        }
    }
    for answers in tasks.into_values() {
        let counts: Vec<usize> = answers.values().map(Vec::len).collect();
        let most = most_each(&counts, share);
        for mut rows in answers.into_values() {
            rows.sort_by_key(|&i| candidates[i].stays);
            rows.iter().skip(most).for_each(|&i| keeps[i] = false);
        }
    }
    keeps
}

/// The largest k with k <= share · Σ min(count, k). Both sides are 0 at 0, and the right one is concave: what
/// fits is all up to some k. 0 if there are too few answers for the share, one alone among them.
fn most_each(counts: &[usize], share: f32) -> usize {
    let largest = counts.iter().copied().max().unwrap_or(0);
    if share >= 1.0 {
        return largest;
    }
    let fits = |k: usize| {
        let sum: usize = counts.iter().map(|&c| c.min(k)).sum();
        k as f64 <= f64::from(share) * sum as f64
    };
    let (mut low, mut high) = (0, largest + 1);
    while high - low > 1 {
        let k = usize::midpoint(low, high);
        match fits(k) {
            true => low = k,
            false => high = k,
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::most_each;

    #[test]
    fn no_answer_has_more_than_its_share_and_one_more_would_be_too_much() {
        assert_eq!(most_each(&[70, 30], 0.5), 30);
        assert_eq!(most_each(&[70], 0.5), 0);
        assert_eq!(most_each(&[70], 1.0), 70);
        assert_eq!(most_each(&[100, 5, 5], 0.5), 10);
        assert_eq!(most_each(&[10, 10, 10], 0.3), 0);
        assert_eq!(most_each(&[], 0.5), 0);
        for counts in [vec![9, 4, 1, 1], vec![50, 2, 2, 2, 2], vec![3, 3]] {
            for share in [0.4, 0.5, 0.7] {
                let k = most_each(&counts, share);
                let of = |k: usize| counts.iter().map(|&c| c.min(k)).sum::<usize>() as f32;
                assert!(k as f32 <= share * of(k) + 1e-4);
                let more = k + 1;
                let largest = *counts.iter().max().unwrap();
                assert!(k == largest || more as f32 > share * of(more));
            }
        }
    }
}
