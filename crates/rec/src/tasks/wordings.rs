//! The texts of the tasks: the language's, the user's own in their place, and the set's words for them.
//!
//! A task is one file. A line `---` ends a wording and begins the next; the first is the one that is served.
//! `tasks/words.json` says what a set calls things (`{"item": "dish", "order": "order", …}`), as variables of
//! every wording; a user's own file may say some of them, and more.

use std::collections::BTreeMap;
use std::path::Path;

use hkfr_fuse::rendering::{environment, rendered};
use hkfr_fuse::texts::{TASK_WORDS, Text, Texts, lay_over};
use hkfr_fuse::{Mistake, TemplateSet, Words};
use minijinja::{Environment, Value};

use super::builtin::{SETS, Set};
use super::{TASKS, named};
use crate::error::{Error, Result};

/// Steps that one rendering may take.
const FUEL: u64 = 100_000;

/// What ends a wording.
const BETWEEN: &str = "---";

pub(super) struct Wordings {
    env: Environment<'static>,
    /// By task, in the order of [`TASKS`]: file and number of wordings.
    files: Vec<(String, usize)>,
    words: BTreeMap<String, String>,
    /// What all of it was made from.
    pub source: String,
}

impl Wordings {
    /// Of the built-in `set`, with the files of `<dir>/tasks/` in place of its own, and every mistake in them.
    ///
    /// # Errors
    /// An unknown set or an unreadable directory.
    pub fn read(set: &str, dir: Option<&Path>, words: Words) -> Result<(Self, Vec<Mistake>)> {
        let Some(set) = SETS.iter().find(|s| s.name == set) else {
            return Err(Error::Config(format!(
                "there is no template set {set:?}; the sets are {}",
                TemplateSet::builtin_sets().join(", ")
            )));
        };
        let mut texts = built_in(set);
        let mut mistakes = Vec::new();
        let mut own_words = words_of(&texts[TASK_WORDS], &mut mistakes);
        if let Some(dir) = dir.filter(|d| d.join("tasks").is_dir()) {
            mistakes = lay_over(&mut texts, dir, |n| n.starts_with("tasks/"), |_| false)?;
            own_words.extend(words_of(&texts[TASK_WORDS], &mut mistakes));
        }
        let source = |(name, text): (&String, &Text)| format!("{name}\0{}\0", text.text);
        let source = format!("{words:?}\0") + &texts.iter().map(source).collect::<String>();
        let mut wordings = Self {
            env: environment(words, FUEL),
            files: Vec::new(),
            words: own_words,
            source,
        };
        for task in TASKS {
            let text = &texts[&file(task)];
            let parts = parts(text);
            mistakes.extend(wordings.wrong(task, &parts));
            wordings.files.push((text.origin.clone(), parts.len()));
            for (i, part) in parts.into_iter().enumerate() {
                // One that does not parse is among the mistakes.
                let _ = wordings.env.add_template_owned(name(task, i), part.text);
            }
        }
        Ok((wordings, mistakes))
    }

    /// The files that the texts came from, without those of the words.
    pub fn origins(&self) -> Vec<String> {
        self.files.iter().map(|f| f.0.clone()).collect()
    }

    /// How many wordings a task has; at least one.
    pub fn n(&self, task: &str) -> usize {
        self.files[position(task)].1
    }

    /// A wording with what it names, in the order of [`named`].
    pub fn render(&self, task: &str, wording: usize, names: &[String]) -> Result<String> {
        let error = |e| Error::from(Mistake::of(&self.files[position(task)].0, &e));
        let template = self.env.get_template(&name(task, wording)).map_err(error)?;
        let text = template.render(self.values(task, names)).map_err(error)?;
        Ok(text.trim().to_owned())
    }

    /// What a set calls things, and what is asked about.
    fn values(&self, task: &str, names: &[String]) -> Value {
        let words = self.words.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        let named = named(task).iter().copied();
        words
            .chain(named.zip(names.iter().map(String::as_str)))
            .collect()
    }

    fn wrong(&self, task: &str, parts: &[Text]) -> Vec<Mistake> {
        let names = named(task);
        let samples: Vec<String> = names.iter().map(|n| format!("a sample {n}")).collect();
        let values = self.values(task, &samples);
        let mut mistakes = Vec::new();
        let mut said: Vec<String> = Vec::new();
        for (i, part) in parts.iter().enumerate() {
            let written = match rendered(&self.env, part, &values) {
                Ok(written) => written,
                Err(wrong) => {
                    mistakes.extend(wrong);
                    continue;
                }
            };
            let missing = samples.iter().position(|s| !written.contains(s));
            let reason = match (missing, said.iter().position(|s| *s == written)) {
                _ if written.is_empty() && parts.len() > 1 => {
                    format!(
                        "wording {} renders to nothing; write it, or delete the line {BETWEEN}",
                        i + 1
                    )
                }
                _ if written.is_empty() => "renders to nothing; write the instruction".into(),
                (Some(n), _) => format!(
                    "does not name the {}; write {{{{ {} }}}} where it belongs",
                    thing(names[n]),
                    names[n]
                ),
                (None, Some(other)) => format!(
                    "wording {} says the same as wording {}; delete one of them",
                    i + 1,
                    other + 1
                ),
                (None, None) => {
                    said.push(written);
                    continue;
                }
            };
            mistakes.push(Mistake {
                file: part.origin.clone(),
                line: begins_at(part),
                reason,
            });
        }
        mistakes
    }
}

fn thing(name: &str) -> &'static str {
    match name {
        "title" => "item",
        "other" => "other item",
        _ => "category",
    }
}

/// The texts of a set before anything is laid over them.
fn built_in(set: &Set) -> Texts {
    let (language, files) = set.language;
    let task = |(task, text): (&&str, &&str)| {
        let origin = format!("templates/tasks/{language}/{task}.jinja");
        let text = (*text).to_owned();
        (file(task), Text { origin, text })
    };
    let mut texts: Texts = TASKS.iter().zip(files).map(task).collect();
    let words = Text {
        origin: format!("templates/{}/{TASK_WORDS}", set.name),
        text: set.words.to_owned(),
    };
    texts.insert(TASK_WORDS.into(), words);
    texts
}

fn words_of(Text { origin, text }: &Text, mistakes: &mut Vec<Mistake>) -> BTreeMap<String, String> {
    serde_json::from_str(text).unwrap_or_else(|e| {
        mistakes.push(Mistake {
            file: origin.clone(),
            line: e.line().max(1),
            reason: format!("is no JSON object of texts ({e}); write {{\"item\": \"dish\"}}"),
        });
        BTreeMap::new()
    })
}

/// The wordings of a file. As many empty lines as stand before it in the file stand before each, so that
/// what the engine says of a line is about the file's.
fn parts(Text { origin, text }: &Text) -> Vec<Text> {
    let mut parts = vec![String::new()];
    for (n, line) in text.lines().enumerate() {
        match line.trim_end() == BETWEEN {
            true => parts.push("\n".repeat(n + 1)),
            false => {
                let part = parts.last_mut().expect("one at least");
                part.push_str(line);
                part.push('\n');
            }
        }
    }
    let text = |text| Text {
        origin: origin.clone(),
        text,
    };
    parts.into_iter().map(text).collect()
}

/// The line of a wording's first word; where there is none, its first.
fn begins_at(part: &Text) -> usize {
    let lead = part.text.len() - part.text.trim_start().len();
    match lead == part.text.len() {
        true => 1 + part.text.chars().take_while(|c| *c == '\n').count(),
        false => 1 + part.text[..lead].matches('\n').count(),
    }
}

fn position(task: &str) -> usize {
    let known = TASKS.iter().position(|t| *t == task);
    known.expect("task names are checked before")
}

/// The name of a task's file inside a set.
fn file(task: &str) -> String {
    format!("tasks/{task}.jinja")
}

/// The name of a wording among the templates.
fn name(task: &str, wording: usize) -> String {
    format!("{task}#{wording}")
}
