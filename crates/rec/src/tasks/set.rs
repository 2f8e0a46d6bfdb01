//! The instruction texts of a template set, checked when loaded, and what they ask about an instance.

use std::path::Path;

use hkfr_fuse::Mistake;
use hkfr_fuse::{TemplateSet, Words};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::label::{Ask, labels};
use super::wordings::Wordings;
use super::{
    Answer, ITEM_TASKS, InstructionRow, ItemSampler, LABEL_TASKS, Next, TASKS, draw_key, drawn,
    row_id,
};
use crate::error::{Error, Result};
use crate::scores::{hash, mix};

/// What an instance is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowsConfig {
    pub tasks: Vec<String>,
    /// Rows of each of [`LABEL_TASKS`] at most, one a distinct answer of the order.
    pub labels: usize,
    /// Of the other tasks that have an answer, so many are drawn for each instance; `None`: all.
    pub others: Option<usize>,
    /// Of a task's wordings, the first so many take part.
    pub wordings: usize,
}

pub struct TaskSet {
    wordings: Wordings,
    words: Words,
}

impl TaskSet {
    /// The names of the built-in sets.
    pub fn builtin_sets() -> Vec<&'static str> {
        TemplateSet::builtin_sets()
    }

    /// The built-in `set`, with the files of `<dir>/tasks/` in place of its own.
    ///
    /// # Errors
    /// An unknown set or file name, a template that does not parse, names an unknown variable or
    /// renders to nothing; the message has file and line.
    pub fn load(set: &str, dir: Option<&Path>) -> Result<Self> {
        let words = Words::load(set, dir).map_err(|e| match e {
            hkfr_fuse::Error::Template(mistake) => mistake.into(),
            other => Error::Config(other.to_string()),
        })?;
        let (wordings, mistakes) = Wordings::read(set, dir, words.clone())?;
        match mistakes.into_iter().next() {
            Some(mistake) => Err(mistake.into()),
            None => Ok(Self { wordings, words }),
        }
    }

    /// Every mistake in the task files of a set, and the origins of all of them.
    ///
    /// # Errors
    /// An unknown set or an unreadable directory.
    pub fn mistakes(set: &str, dir: Option<&Path>) -> Result<(Vec<String>, Vec<Mistake>)> {
        let (wordings, mistakes) = Wordings::read(set, dir, Words::default())?;
        Ok((wordings.origins(), mistakes))
    }

    /// All texts of the set as one, to tell it from another.
    pub fn source(&self) -> &str {
        &self.wordings.source
    }

    /// The first wording of a task that names nothing: the same text for every user of the set, and the one
    /// that is served.
    ///
    /// # Errors
    /// An unknown task, or one of [`ITEM_TASKS`].
    pub fn instruction(&self, task: &str) -> Result<String> {
        let task = known(task)?;
        if ITEM_TASKS.contains(&task) {
            return Err(Error::Config(format!(
                "the instruction of {task} names something and is not constant"
            )));
        }
        self.wordings.render(task, 0, &[])
    }

    /// What the tasks of the config ask about an instance, in their order, each with its true answer. Those
    /// that have no answer (no category, no price, …) are left out. The same arguments give the same
    /// answers; a task's do not depend on which others are listed.
    ///
    /// # Errors
    /// An unknown task.
    pub fn answers(
        &self,
        next: &Next,
        sampler: &ItemSampler,
        config: &RowsConfig,
        seed: u64,
    ) -> Result<Vec<Answer>> {
        let ask = Ask {
            next,
            sampler,
            words: &self.words,
        };
        let mut answers = Vec::new();
        for task in &config.tasks {
            let task = known(task)?;
            let key = hash(seed, &row_id(next.dataset(), next.instance(), task));
            let wanted = match LABEL_TASKS.contains(&task) {
                true => config.labels.max(1),
                false => 1,
            };
            let mut rng = ChaCha8Rng::seed_from_u64(key);
            let wording = self.wording(task, config.wordings, mix(key ^ WORDING));
            let labels = labels(task, &ask, wanted, &mut rng);
            for (n, label) in labels.into_iter().enumerate() {
                answers.push(Answer {
                    task,
                    n,
                    wording,
                    instruction: self.wordings.render(task, wording, &label.names)?,
                    output: label.output,
                });
            }
        }
        Ok(answers)
    }

    /// Which of the first `n` wordings: each as likely, but that one half of the questions that rank are
    /// asked as they will be served. An instance's rows of a task share one, so that it is computed once.
    fn wording(&self, task: &str, n: usize, key: u64) -> usize {
        let n = self.wordings.n(task).min(n.max(1)) as u64;
        match LABEL_TASKS.contains(&task) && n > 1 {
            true if key & 1 == 0 => 0,
            true => 1 + ((key >> 1) % (n - 1)) as usize,
            false => (key % n) as usize,
        }
    }

    /// The rows of one instance, with `config.others` drawn, and how many tasks had no answer for it.
    /// `input` must have been made from `instance.history()`.
    ///
    /// # Errors
    /// An unknown task.
    pub fn rows(
        &self,
        next: &Next,
        sampler: &ItemSampler,
        input: &str,
        config: &RowsConfig,
        seed: u64,
    ) -> Result<(Vec<InstructionRow>, usize)> {
        let answers = self.answers(next, sampler, config, seed)?;
        let (ds, instance) = (next.dataset(), next.instance());
        let mut answered: Vec<&str> = answers.iter().map(|a| a.task).collect();
        answered.dedup();
        let skipped = config.tasks.len() - answered.len();
        let asked = drawn(&answered, config.others, |task| {
            draw_key(ds, instance, task, seed)
        });
        let rows = answers
            .iter()
            .filter(|a| asked.contains(&a.task))
            .map(|a| a.row(ds, instance, input))
            .collect();
        Ok((rows, skipped))
    }
}

/// Keeps the drawing of wordings apart from that of answers.
const WORDING: u64 = 0x776f_7264;

fn known(task: &str) -> Result<&'static str> {
    let known = TASKS.into_iter().find(|t| *t == task);
    known.ok_or_else(|| {
        Error::Config(format!(
            "there is no task {task:?}; the tasks are {}",
            TASKS.join(", ")
        ))
    })
}
