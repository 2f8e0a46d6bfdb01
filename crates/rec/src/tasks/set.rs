//! The instruction texts of a template set, checked when loaded, and the rows they make.

use std::collections::BTreeMap;
use std::path::Path;

use hkfr_events::{Dataset, Instance};
use minijinja::{Environment, UndefinedBehavior, context};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::builtin::FILES;
use super::label::{Labelled, label};
use super::{ITEM_TASKS, InstructionRow, ItemSampler, LABEL_TASKS, TASKS, row, row_id};
use crate::error::{Error, Result};
use crate::scores::hash;

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
}

impl TaskSet {
    /// The built-in `set`, with the files of `<dir>/tasks/` in place of its own.
    ///
    /// # Errors
    /// An unknown set or file name, a template that does not parse, names an unknown variable or
    /// renders to nothing; the message has file and line.
    pub fn load(set: &str, dir: Option<&Path>) -> Result<Self> {
        let mut files: BTreeMap<String, (String, String)> = FILES
            .iter()
            .filter(|f| f.0 == set)
            .map(|&(_, task, text)| {
                (
                    task.to_owned(),
                    (
                        format!("templates/{set}/tasks/{task}.jinja"),
                        text.to_owned(),
                    ),
                )
            })
            .collect();
        if files.is_empty() {
            let mut sets: Vec<_> = FILES.iter().map(|f| f.0).collect();
            sets.dedup();
            return Err(Error::Config(format!(
                "there is no template set {set:?}; the sets are {}",
                sets.join(", ")
            )));
        }
        if let Some(dir) = dir.map(|d| d.join("tasks")).filter(|d| d.is_dir()) {
            read_own(&dir, &mut files)?;
        }
        let mut set = Self {
            env: Environment::new(),
            origins: BTreeMap::new(),
        };
        set.env.set_undefined_behavior(UndefinedBehavior::Strict);
        set.env.set_fuel(Some(100_000));
        set.env
            .set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        for (task, (origin, text)) in files {
            set.origins.insert(task.clone(), origin);
            set.env
                .add_template_owned(task.clone(), text)
                .map_err(|e| set.error(&task, &e))?;
        }
        for task in TASKS {
            set.check(task)?;
        }
        Ok(set)
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
                let label = label(task, ds, instance, target, sampler, &mut rng);
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
            .get_template(task)
            .map_err(|e| self.error(task, &e))?;
        let text = match title {
            Some(title) => template.render(context! { title }),
            None => template.render(context! {}),
        };
        Ok(text.map_err(|e| self.error(task, &e))?.trim().to_owned())
    }

    fn check(&self, task: &str) -> Result<()> {
        let template = self
            .env
            .get_template(task)
            .map_err(|e| self.error(task, &e))?;
        let has_title = ITEM_TASKS.contains(&task);
        let wrong = |line, reason| Error::Template {
            file: self.origins[task].clone(),
            line,
            reason,
        };
        for variable in template.undeclared_variables(false) {
            let is_known = (has_title && variable == "title")
                || self.env.globals().any(|(g, _)| g == variable);
            if !is_known {
                let line = 1 + template
                    .source()
                    .lines()
                    .position(|l| l.contains(&variable))
                    .unwrap_or(0);
                let remedy = if has_title {
                    "known here: title"
                } else {
                    "this instruction must be constant: no variables"
                };
                return Err(wrong(
                    line,
                    format!("unknown variable {variable:?}; {remedy}"),
                ));
            }
        }
        let text = self.render(task, has_title.then_some("a sample title"))?;
        if text.is_empty() {
            return Err(wrong(1, "renders to nothing; write the instruction".into()));
        }
        if has_title && !text.contains("a sample title") {
            return Err(wrong(
                1,
                "does not name the item; write {{ title }} where it belongs".into(),
            ));
        }
        Ok(())
    }

    fn error(&self, task: &str, e: &minijinja::Error) -> Error {
        let detail = e.detail().map(|d| format!(": {d}")).unwrap_or_default();
        Error::Template {
            file: self.origins[task].clone(),
            line: e.line().unwrap_or(1),
            reason: format!("{}{detail}", e.kind()),
        }
    }
}

/// Replaces built-in texts by the `.jinja` files of a user's directory.
fn read_own(dir: &Path, files: &mut BTreeMap<String, (String, String)>) -> Result<()> {
    let mut paths = fs_err::read_dir(dir)?
        .map(|e| Ok(e?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    for path in paths
        .into_iter()
        .filter(|p| p.extension().is_some_and(|e| e == "jinja"))
    {
        let file = path.display().to_string();
        let task = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if !files.contains_key(&task) {
            let reason = format!(
                "there is no task {task:?}; the tasks are {}",
                TASKS.join(", ")
            );
            return Err(Error::Template {
                file,
                line: 1,
                reason,
            });
        }
        let text = String::from_utf8(fs_err::read(&path)?).map_err(|e| Error::Template {
            file: file.clone(),
            line: 1 + e.as_bytes()[..e.utf8_error().valid_up_to()]
                .iter()
                .filter(|&&b| b == b'\n')
                .count(),
            reason: "is not UTF-8; save it as UTF-8".into(),
        })?;
        files.insert(task, (file, text));
    }
    Ok(())
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
