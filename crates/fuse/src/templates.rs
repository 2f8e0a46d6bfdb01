//! Template sets: one Jinja template a kind of behaviour, and those of profile, prompts and knowledge.
//!
//! A set is checked when it is loaded: every template is parsed, its variables are held against
//! what it will be given, and it is rendered once with sample values. User text is only ever a
//! value, never a template.

use std::collections::BTreeMap;
use std::path::Path;

use hkfr_events::Kind;
use minijinja::{Environment, UndefinedBehavior, Value};
use sha2::{Digest, Sha256};

use crate::builtin::FILES;
use crate::error::{Error, Result};
use crate::sample;

/// Steps that one rendering may take; a template that loops for ever is an error, not a hang.
const FUEL: u64 = 1_000_000;

pub struct TemplateSet {
    env: Environment<'static>,
    /// Where each template came from, for messages.
    origins: BTreeMap<String, String>,
    hash: String,
}

impl TemplateSet {
    /// The names of the built-in sets.
    pub fn builtin_sets() -> Vec<&'static str> {
        let mut sets: Vec<_> = FILES.iter().map(|f| f.0).collect();
        sets.dedup();
        sets
    }

    /// The built-in `set`, with the files of `dir` (same names, below `dir`) in place of its own.
    pub fn load(set: &str, dir: Option<&Path>) -> Result<Self> {
        let mut files: BTreeMap<String, (String, String)> = FILES
            .iter()
            .filter(|f| f.0 == set)
            .map(|&(_, name, text)| {
                (
                    name.to_owned(),
                    (format!("templates/{set}/{name}"), text.to_owned()),
                )
            })
            .collect();
        if files.is_empty() {
            let nearest = nearest(set, &Self::builtin_sets());
            return Err(Error::Config(format!(
                "there is no template set {set:?}{nearest}; the sets are {:?}",
                Self::builtin_sets()
            )));
        }
        if let Some(dir) = dir {
            for name in list(dir, dir)? {
                let path = dir.join(&name);
                let text = fs_err::read(&path)?;
                let text = String::from_utf8(text).map_err(|e| Error::Template {
                    file: path.display().to_string(),
                    line: 1 + e.as_bytes()[..e.utf8_error().valid_up_to()]
                        .iter()
                        .filter(|&&b| b == b'\n')
                        .count(),
                    reason: "is not UTF-8; save it as UTF-8".into(),
                })?;
                let known = files.contains_key(&name) || name.starts_with("events/");
                if !known && !name.starts_with("tasks/") {
                    let names: Vec<&str> = files.keys().map(String::as_str).collect();
                    let reason = format!("no template has this name{}", nearest(&name, &names));
                    return Err(Error::Template {
                        file: path.display().to_string(),
                        line: 1,
                        reason,
                    });
                }
                if known {
                    files.insert(name, (path.display().to_string(), text));
                }
            }
        }
        let mut hash = Sha256::new();
        let mut set = Self {
            env: Environment::new(),
            origins: BTreeMap::new(),
            hash: String::new(),
        };
        set.env.set_undefined_behavior(UndefinedBehavior::Strict);
        set.env.set_fuel(Some(FUEL));
        set.env
            .set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        for (name, (origin, text)) in files {
            hash.update(name.as_bytes());
            hash.update([0]);
            hash.update(text.as_bytes());
            hash.update([0]);
            set.origins.insert(name.clone(), origin);
            set.env
                .add_template_owned(name.clone(), text)
                .map_err(|e| set.error(&name, &e))?;
        }
        set.hash = hash
            .finalize()
            .iter()
            .take(8)
            .map(|b| format!("{b:02x}"))
            .collect();
        set.check()?;
        Ok(set)
    }

    /// Hash of all texts of the set: knowledge made by other templates is other knowledge.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    pub(crate) fn render(&self, name: &str, values: Value) -> Result<String> {
        let template = self
            .env
            .get_template(name)
            .map_err(|e| self.error(name, &e))?;
        Ok(template
            .render(values)
            .map_err(|e| self.error(name, &e))?
            .trim()
            .to_owned())
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

    fn check(&self) -> Result<()> {
        for name in self.origins.keys() {
            let values = sample::values(name);
            let known: Vec<String> = values
                .try_iter()
                .map_err(|e| self.error(name, &e))?
                .map(|k| k.to_string())
                .collect();
            let template = self
                .env
                .get_template(name)
                .map_err(|e| self.error(name, &e))?;
            for variable in template.undeclared_variables(false) {
                if !known.contains(&variable) && !self.env.globals().any(|(g, _)| g == variable) {
                    let line = 1 + template
                        .source()
                        .lines()
                        .position(|l| l.contains(&variable))
                        .unwrap_or(0);
                    let names: Vec<&str> = known.iter().map(String::as_str).collect();
                    let reason = format!(
                        "unknown variable {variable:?}{}; known here: {}",
                        nearest(&variable, &names),
                        known.join(", ")
                    );
                    return Err(Error::Template {
                        file: self.origins[name].clone(),
                        line,
                        reason,
                    });
                }
            }
            template.render(values).map_err(|e| self.error(name, &e))?;
        }
        Ok(())
    }

    fn error(&self, name: &str, e: &minijinja::Error) -> Error {
        let file = self
            .origins
            .get(name)
            .cloned()
            .unwrap_or_else(|| name.into());
        let detail = e.detail().map(|d| format!(": {d}")).unwrap_or_default();
        Error::Template {
            file,
            line: e.line().unwrap_or(1),
            reason: format!("{}{detail}", e.kind()),
        }
    }
}

/// `, did you mean "x"?` if something is near.
fn nearest(word: &str, words: &[&str]) -> String {
    let best = words
        .iter()
        .map(|w| (strsim::jaro_winkler(word, w), w))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|b| b.0 > 0.8)
        .map(|b| format!(", did you mean {:?}?", b.1))
        .unwrap_or_default()
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

/// The `.jinja` files below `dir`, relative to `root`, with `/` between the parts.
fn list(root: &Path, dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs_err::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            names.extend(list(root, &path)?);
        } else if path.extension().is_some_and(|e| e == "jinja") {
            let relative = path.strip_prefix(root).expect("below the root");
            names.push(
                relative
                    .iter()
                    .map(|p| p.to_string_lossy())
                    .collect::<Vec<_>>()
                    .join("/"),
            );
        }
    }
    names.sort();
    Ok(names)
}
