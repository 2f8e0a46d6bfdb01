//! Template sets: one Jinja template a kind of behaviour, and those of profile, prompts and knowledge.
//!
//! A set is checked when it is loaded ([`crate::texts`]). User text is only ever a value, never a
//! template.

use std::collections::BTreeMap;
use std::path::Path;

use hkfr_events::Kind;
use minijinja::{Environment, Value};
use sha2::{Digest, Sha256};

use crate::builtin::SETS;
use crate::error::{Error, Result};
use crate::sample;
use crate::texts::{Mistake, Text, Texts, environment, lay_over, nearest, rendered};
use crate::words::{self, Words};

/// Steps that one rendering may take; a template that loops for ever is an error, not a hang.
const FUEL: u64 = 1_000_000;

pub struct TemplateSet {
    env: Environment<'static>,
    /// Where each template came from, for messages.
    origins: BTreeMap<String, String>,
    words: Words,
    hash: String,
}

/// The texts of the built-in `set` with those of `dir` in their place, and what is wrong with the files
/// themselves.
pub(crate) fn texts(set: &str, dir: Option<&Path>) -> Result<(Texts, Vec<Mistake>)> {
    let Some((_, files)) = SETS.iter().find(|s| s.0 == set) else {
        let sets = TemplateSet::builtin_sets();
        let nearest = nearest(set, &sets);
        return Err(Error::Config(format!(
            "there is no template set {set:?}{nearest}; the sets are {sets:?}"
        )));
    };
    let text = |&(name, text): &(&str, &str)| {
        let origin = format!("templates/{set}/{name}");
        let text = text.to_owned();
        (name.to_owned(), Text { origin, text })
    };
    let mut texts: Texts = files.iter().map(text).collect();
    let mut mistakes = Vec::new();
    if let Some(dir) = dir {
        let is_new = |name: &str| name == words::FILE || name.starts_with("events/");
        let concerns = |name: &str| !name.starts_with("tasks/");
        mistakes = lay_over(&mut texts, dir, concerns, is_new)?;
    }
    Ok((texts, mistakes))
}

impl TemplateSet {
    /// The names of the built-in sets.
    pub fn builtin_sets() -> Vec<&'static str> {
        SETS.iter().map(|s| s.0).collect()
    }

    /// The built-in `set`, with the files of `dir` (same names, below `dir`) in place of its own.
    ///
    /// # Errors
    /// An unknown set, an unreadable directory, or the first of the [`Self::mistakes`].
    pub fn load(set: &str, dir: Option<&Path>) -> Result<Self> {
        let (set, mistakes) = Self::read(set, dir)?;
        match mistakes.into_iter().next() {
            Some(mistake) => Err(mistake.into()),
            None => Ok(set),
        }
    }

    /// Every mistake in the files of a set (but those of its tasks), and the origins of all files.
    ///
    /// # Errors
    /// An unknown set or an unreadable directory.
    pub fn mistakes(set: &str, dir: Option<&Path>) -> Result<(Vec<String>, Vec<Mistake>)> {
        let (set, mistakes) = Self::read(set, dir)?;
        Ok((set.origins.into_values().collect(), mistakes))
    }

    fn read(set: &str, dir: Option<&Path>) -> Result<(Self, Vec<Mistake>)> {
        let (texts, mut mistakes) = texts(set, dir)?;
        let (words, wrong) = Words::of(&texts);
        mistakes.extend(wrong);
        let mut hash = Sha256::new();
        let mut env = environment(words.clone(), FUEL);
        // The built-in texts loop over what they are given, and end; counting their steps takes time.
        if dir.is_none() {
            env.set_fuel(None);
        }
        let mut set = Self {
            env,
            origins: BTreeMap::new(),
            words,
            hash: String::new(),
        };
        for (name, text) in &texts {
            hash.update(name.as_bytes());
            hash.update([0]);
            hash.update(text.text.as_bytes());
            hash.update([0]);
            set.origins.insert(name.clone(), text.origin.clone());
            // One that does not parse is told below.
            let _ = set.env.add_template_owned(name.clone(), text.text.clone());
        }
        for (name, text) in texts.iter().filter(|(name, _)| *name != words::FILE) {
            let wrong = |reason: String| {
                let file = text.origin.clone();
                vec![Mistake {
                    file,
                    line: 1,
                    reason,
                }]
            };
            mistakes.extend(match rendered(&set.env, text, &sample::values(name)) {
                Err(wrong) => wrong,
                // Who knows nothing of people may leave the profile out.
                Ok(written) if written.is_empty() && *name != "profile.jinja" => {
                    wrong("renders to nothing; write what is to be said, or delete the file".into())
                }
                Ok(_) if !can_be_asked(name) => wrong(format!(
                    "no kind of behaviour asks for this name; write it as {:?}",
                    asked_name(name)
                )),
                Ok(_) => Vec::new(),
            });
        }
        set.hash = hash
            .finalize()
            .iter()
            .take(8)
            .map(|b| format!("{b:02x}"))
            .collect();
        Ok((set, mistakes))
    }

    /// Hash of all texts of the set: knowledge made by other templates is other knowledge.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// What the set says for the program's own words.
    pub fn words(&self) -> &Words {
        &self.words
    }

    pub(crate) fn render(&self, name: &str, values: Value) -> Result<String> {
        let template = self
            .env
            .get_template(name)
            .map_err(|e| self.error(name, &e))?;
        let mut text = template.render(values).map_err(|e| self.error(name, &e))?;
        text.truncate(text.trim_end().len());
        let begin = text.len() - text.trim_start().len();
        text.drain(..begin);
        Ok(text)
    }

    /// The template of a kind: `events/<subject>.<action>.<scenario>`, `<subject>.<action>`,
    /// `<action>` or `default`, the first that exists.
    pub fn event_template(&self, kind: &Kind) -> String {
        let [subject, action, scenario] =
            [&kind.subject, &kind.action, &kind.scenario].map(|s| slug(s));
        [
            format!("{subject}.{action}.{scenario}"),
            format!("{subject}.{action}"),
            action,
        ]
        .into_iter()
        .map(|name| format!("events/{name}.jinja"))
        .find(|name| self.origins.contains_key(name))
        .unwrap_or_else(|| "events/default.jinja".into())
    }

    fn error(&self, name: &str, e: &minijinja::Error) -> Error {
        let origin = self.origins.get(name).map_or(name, String::as_str);
        Mistake::of(origin, e).into()
    }
}

/// An events file is found by the slugs of a kind.
fn can_be_asked(name: &str) -> bool {
    !name.starts_with("events/") || asked_name(name) == name
}

fn asked_name(name: &str) -> String {
    let stem = name
        .trim_start_matches("events/")
        .trim_end_matches(".jinja");
    let parts: Vec<String> = stem.split('.').map(slug).collect();
    format!("events/{}.jinja", parts.join("."))
}

/// Lower case, everything but letters and digits to single hyphens.
fn slug(text: &str) -> String {
    let lower = text.to_lowercase();
    lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|p| !p.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}
