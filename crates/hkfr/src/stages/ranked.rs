//! From scores to lists: who may be in them, how long they are, and which come first.

use anyhow::{Context, Result};
use hkfr_eval::{RankedList, Run};
use hkfr_events::{Dataset, Instance, Split};
use hkfr_lm::Pool;
use hkfr_rec::baselines::{Entities, RepeatPolicy, Scorer};
use hkfr_rec::rank;
use hkfr_rec::systems::Fitting;

use super::n_threads;
use crate::config::RecommendConfig;
use crate::stop::Stop;

/// From scores to lists, the same way for every system.
pub struct Lists<'a> {
    pub dataset: &'a Dataset,
    pub split: &'a Split,
    items: Entities,
    categories: Entities,
    depth: usize,
    repeats: RepeatPolicy,
    seed: u64,
}

impl<'a> Lists<'a> {
    pub fn new(
        dataset: &'a Dataset,
        split: &'a Split,
        config: &RecommendConfig,
        seed: u64,
    ) -> Self {
        Self {
            items: Entities::items(dataset, &split.catalogue),
            categories: Entities::categories(dataset, &split.catalogue),
            depth: config.depth as usize,
            repeats: config.repeats,
            dataset,
            split,
            seed,
        }
    }

    /// What a system learns from. The policy of the table is about items: a category is never used up.
    pub fn fitting(&self, task: &str) -> Fitting<'_> {
        let repeats = match task {
            "item" => self.repeats,
            _ => RepeatPolicy::Allow,
        };
        let entities = self.entities(task);
        Fitting::new(self.dataset, self.split, entities, repeats, n_threads())
    }

    /// Length of the lists.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// What the policy of the table leaves out of a list of items.
    pub fn excluded(&self, asked: &Instance) -> Option<Vec<u32>> {
        let history = asked.history(self.dataset);
        self.repeats.excluded(self.dataset, &self.items, &history)
    }

    /// What a task ranks.
    pub fn entities(&self, task: &str) -> &Entities {
        if task == "item" {
            &self.items
        } else {
            &self.categories
        }
    }

    /// The list of a case: (entity, score), best first. What was chosen before is excluded by the
    /// policy of the table from the items; a category is never used up.
    pub fn rank(&self, task: &str, case: usize, scores: &[f32]) -> Result<Vec<(u32, f32)>> {
        let case = &self.split.cases[case];
        let exclude = match task {
            "item" => self.excluded(&case.instance),
            _ => None,
        };
        Ok(rank(
            scores,
            self.depth,
            &case.case_id,
            self.seed,
            exclude.as_deref(),
        )?)
    }

    /// The run of a fitted system, which is asked on all threads.
    pub fn of_scorer(
        &self,
        system: &str,
        task: &str,
        scorer: &dyn Scorer,
        stop: &Stop,
    ) -> Result<Run> {
        let n_cases = self.split.cases.len();
        let share = n_cases.div_ceil(n_threads()).max(1);
        let mut ranked: Vec<Result<Vec<(u32, f32)>>> = (0..n_cases).map(|_| Ok(vec![])).collect();
        let parts = (0..).step_by(share).zip(ranked.chunks_mut(share)).collect();
        Pool::new(n_threads()).each(parts, |(first, ranked): (usize, &mut [Result<_>])| {
            let mut scores = vec![0.0; self.entities(task).n()];
            for (case, ranked) in (first..).zip(ranked) {
                if stop.requested() {
                    return;
                }
                let history = self.split.cases[case].instance.history(self.dataset);
                scorer.score(self.dataset, &history, &mut scores);
                *ranked = self.rank(task, case, &scores);
            }
        });
        stop.check()?;
        self.run(system, task, |case| {
            std::mem::replace(&mut ranked[case], Ok(vec![]))
        })
    }

    /// A run of what `list` gives for each case.
    pub fn run(
        &self,
        system: &str,
        task: &str,
        mut list: impl FnMut(usize) -> Result<Vec<(u32, f32)>>,
    ) -> Result<Run> {
        let entities = self.entities(task);
        let mut lists = Vec::with_capacity(self.split.cases.len());
        for (i, case) in self.split.cases.iter().enumerate() {
            let ranked = list(i).with_context(|| format!("case {}", case.case_id))?;
            lists.push(RankedList {
                case: case.case_id.clone(),
                items: ranked.iter().map(|r| entities.id(r.0).to_owned()).collect(),
                scores: ranked.iter().map(|r| r.1.into()).collect(),
            });
        }
        Ok(Run {
            system: system.into(),
            task: task.into(),
            depth: self.depth,
            seed: Some(self.seed),
            lists,
            ..Run::default()
        })
    }
}
