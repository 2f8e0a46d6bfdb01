//! Template sets: one Jinja template a kind of behaviour, and those of profile, prompts and knowledge.
//!
//! A set is checked when it is loaded ([`TemplateSet::load`]). User text is only ever a value, never a
//! template.

use std::collections::BTreeMap;

use hkfr_events::Kind;
use minijinja::{Environment, Value};

use crate::builtin::SETS;
use crate::error::{Error, Result};
use crate::mistake::Mistake;
use crate::words::Words;

pub struct TemplateSet {
    pub(crate) env: Environment<'static>,
    /// Where each template came from, for messages.
    pub(crate) origins: BTreeMap<String, String>,
    pub(crate) words: Words,
    pub(crate) hash: String,
}

impl TemplateSet {
    /// The names of the built-in sets.
    pub fn builtin_sets() -> Vec<&'static str> {
        SETS.iter().map(|s| s.0).collect()
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

/// Lower case, everything but letters and digits to single hyphens.
pub(crate) fn slug(text: &str) -> String {
    let lower = text.to_lowercase();
    lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|p| !p.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}
