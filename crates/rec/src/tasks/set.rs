//! The instruction texts of a template set, checked when loaded, and the rows they make.

use std::collections::BTreeMap;
use std::path::Path;

use hkfr_events::{Dataset, Instance};
use hkfr_fuse::Words;
use hkfr_fuse::texts::{Mistake, Text, Texts, environment, lay_over, rendered};
use minijinja::{Environment, Value, context};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::builtin::SETS;
use super::label::{Labelled, label};
use super::{ITEM_TASKS, InstructionRow, ItemSampler, LABEL_TASKS, TASKS, row, row_id};
use crate::error::{Error, Result};
use crate::scores::hash;

/// Steps that one rendering may take.
const FUEL: u64 = 100_000;

/// What an instance is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowsConfig {
    pub tasks: Vec<String>,
    /// Rows of each of [`LABEL_TASKS`] at most, one a distinct label of the order.
    pub labels: usize,
    /// Of the other tasks, so many are drawn for each instance; `None`: all.
    pub others: Option<usize>,
}

impl RowsConfig {
    /// The tasks of one instance in the order of the list: those of [`LABEL_TASKS`], and the others
    /// with the least `key`.
    fn draw(&self, key: impl Fn(&str) -> u64) -> Result<Vec<&str>> {
        let mut others = Vec::new();
        for task in &self.tasks {
            known(task)?;
            if !LABEL_TASKS.contains(&task.as_str()) {
                others.push(task.as_str());
            }
        }
        others.sort_by_key(|task| key(task));
        others.truncate(self.others.unwrap_or(usize::MAX));
        let drawn = |task: &&str| LABEL_TASKS.contains(task) || others.contains(task);
        Ok(self
            .tasks
            .iter()
            .map(String::as_str)
            .filter(drawn)
            .collect())
    }
}

pub struct TaskSet {
    env: Environment<'static>,
    /// Where each template came from, for messages.
    origins: BTreeMap<String, String>,
    words: Words,
}

impl TaskSet {
    /// The names of the built-in sets.
    pub fn builtin_sets() -> Vec<&'static str> {
        SETS.iter().map(|s| s.0).collect()
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
        });
        let (set, mistakes) = Self::read(set, dir, words?)?;
        match mistakes.into_iter().next() {
            Some(mistake) => Err(mistake.into()),
            None => Ok(set),
        }
    }

    /// Every mistake in the task files of a set, and the origins of all of them.
    ///
    /// # Errors
    /// An unknown set or an unreadable directory.
    pub fn mistakes(set: &str, dir: Option<&Path>) -> Result<(Vec<String>, Vec<Mistake>)> {
        let (set, mistakes) = Self::read(set, dir, Words::default())?;
        Ok((set.origins.into_values().collect(), mistakes))
    }

    fn read(set: &str, dir: Option<&Path>, words: Words) -> Result<(Self, Vec<Mistake>)> {
        let Some((_, files)) = SETS.iter().find(|s| s.0 == set) else {
            return Err(Error::Config(format!(
                "there is no template set {set:?}; the sets are {}",
                Self::builtin_sets().join(", ")
            )));
        };
        let text = |(task, text): (&&str, &&str)| {
            let origin = format!("templates/{set}/{}", file(task));
            let text = (*text).to_owned();
            (file(task), Text { origin, text })
        };
        let mut texts: Texts = TASKS.iter().zip(files.iter()).map(text).collect();
        let mut mistakes = Vec::new();
        if let Some(dir) = dir.filter(|d| d.join("tasks").is_dir()) {
            mistakes = lay_over(&mut texts, dir, |n| n.starts_with("tasks/"), |_| false)?;
        }
        let mut set = Self {
            env: environment(words.clone(), FUEL),
            origins: BTreeMap::new(),
            words,
        };
        for task in TASKS {
            let (name, text) = (file(task), &texts[&file(task)]);
            set.origins.insert(name.clone(), text.origin.clone());
            mistakes.extend(set.wrong(task, text));
            // One that does not parse is among the mistakes.
            let _ = set.env.add_template_owned(name, text.text.clone());
        }
        Ok((set, mistakes))
    }

    /// The instruction of a task that names no item: the same text for every user of the set.
    ///
    /// # Errors
    /// An unknown task, or one of [`ITEM_TASKS`].
    pub fn instruction(&self, task: &str) -> Result<String> {
        known(task)?;
        if ITEM_TASKS.contains(&task) {
            return Err(Error::Config(format!(
                "the instruction of {task} names an item and is not constant"
            )));
        }
        self.render(task, None)
    }

    /// The rows of an instance, and how many tasks had no answer for it (no category, no price, …).
    /// `input` must have been made from `instance.history()`. The same arguments give the same rows;
    /// a row does not depend on which other tasks are listed.
    ///
    /// # Errors
    /// An unknown task.
    pub fn rows(
        &self,
        ds: &Dataset,
        sampler: &ItemSampler,
        instance: &Instance,
        input: &str,
        config: &RowsConfig,
        seed: u64,
    ) -> Result<(Vec<InstructionRow>, usize)> {
        let id = |task: &str| row_id(ds, instance, task);
        let mut rows = Vec::new();
        let mut skipped = 0;
        for task in config.draw(|task| hash(seed, &id(task)))? {
            let mut rng = ChaCha8Rng::seed_from_u64(hash(seed, &id(task)));
            let mut targets = instance.targets.clone();
            targets.shuffle(&mut rng);
            let wanted = if LABEL_TASKS.contains(&task) {
                config.labels.max(1)
            } else {
                targets.truncate(1);
                1
            };
            let mut labels: Vec<Labelled> = Vec::new();
            for target in targets {
                let label = label(task, ds, instance, target, sampler, &self.words, &mut rng);
                labels.extend(label.filter(|l| !labels.contains(l)));
                if labels.len() == wanted {
                    break;
                }
            }
            skipped += usize::from(labels.is_empty());
            for (n, labelled) in labels.into_iter().enumerate() {
                let asked = self.render(task, labelled.asked.as_deref())?;
                let asked = (asked, labelled.output);
                rows.push(row(ds, instance, task, n, input, asked));
            }
        }
        Ok((rows, skipped))
    }

    fn render(&self, task: &str, title: Option<&str>) -> Result<String> {
        let template = self
            .env
            .get_template(&file(task))
            .map_err(|e| self.error(task, &e))?;
        let text = template.render(values(title));
        Ok(text.map_err(|e| self.error(task, &e))?.trim().to_owned())
    }

    fn wrong(&self, task: &str, text: &Text) -> Vec<Mistake> {
        let sample = ITEM_TASKS.contains(&task).then_some("a sample title");
        let written = match rendered(&self.env, text, &values(sample)) {
            Ok(written) => written,
            Err(mistakes) => return mistakes,
        };
        let reason = match sample {
            _ if written.is_empty() => "renders to nothing; write the instruction",
            Some(title) if !written.contains(title) => {
                "does not name the item; write {{ title }} where it belongs"
            }
            _ => return Vec::new(),
        };
        vec![Mistake {
            file: text.origin.clone(),
            line: 1,
            reason: reason.into(),
        }]
    }

    fn error(&self, task: &str, e: &minijinja::Error) -> Error {
        Mistake::of(&self.origins[&file(task)], e).into()
    }
}

/// The name of a task's template inside a set.
fn file(task: &str) -> String {
    format!("tasks/{task}.jinja")
}

fn values(title: Option<&str>) -> Value {
    title.map_or_else(|| context! {}, |title| context! { title })
}

fn known(task: &str) -> Result<()> {
    if TASKS.contains(&task) {
        return Ok(());
    }
    Err(Error::Config(format!(
        "there is no task {task:?}; the tasks are {}",
        TASKS.join(", ")
    )))
}
