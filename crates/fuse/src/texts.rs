//! The texts of a template set: the built-in ones with a user's own in their place, and every mistake
//! that can be found in them before a user is written about.
//!
//! A template is parsed, its variables are held against what it will be given, and it is rendered with
//! sample values. Where a value is undefined, the expression is made empty and the template is
//! rendered again, so that the next mistake is found too.

use std::collections::BTreeMap;
use std::path::Path;

use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value};

use crate::words::{self, Words};

/// A template's text, and where it came from, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    pub origin: String,
    pub text: String,
}

/// By name inside the set.
pub type Texts = BTreeMap<String, Text>;

/// What is wrong with a user's file, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {reason}")]
pub struct Mistake {
    pub file: String,
    /// From 1.
    pub line: usize,
    pub reason: String,
}

impl Mistake {
    /// Of a template, as the engine says it.
    pub fn of(origin: &str, e: &minijinja::Error) -> Self {
        let detail = e.detail().map(|d| format!(": {d}")).unwrap_or_default();
        Self {
            file: origin.into(),
            line: e.line().unwrap_or(1),
            reason: format!("{}{detail}", e.kind()),
        }
    }
}

/// The file of a set that says what its tasks call things.
pub const TASK_WORDS: &str = "tasks/words.json";

/// Mistakes of one template that are told at most.
const MAX_MISTAKES: usize = 20;

/// The files below `dir` in place of those of the same name. `concerns` are the names to look at;
/// `is_new` are those of them that need no file of the same name.
///
/// # Errors
/// An unreadable directory or file.
pub fn lay_over(
    texts: &mut Texts,
    dir: &Path,
    concerns: impl Fn(&str) -> bool,
    is_new: impl Fn(&str) -> bool,
) -> std::io::Result<Vec<Mistake>> {
    let mut mistakes = Vec::new();
    for name in list(dir)?.into_iter().filter(|n| concerns(n)) {
        let path = dir.join(&name);
        let file = path.display().to_string();
        if !texts.contains_key(&name) && !is_new(&name) {
            let names: Vec<&str> = texts.keys().map(String::as_str).collect();
            let hint = nearest(&name, &names);
            let reason = if hint.is_empty() {
                format!(
                    "no template has this name; the names are {}",
                    names.join(", ")
                )
            } else {
                format!("no template has this name{hint}")
            };
            mistakes.push(Mistake {
                file,
                line: 1,
                reason,
            });
            continue;
        }
        match String::from_utf8(fs_err::read(&path)?) {
            Ok(text) => {
                texts.insert(name, Text { origin: file, text });
            }
            Err(e) => {
                let good = &e.as_bytes()[..e.utf8_error().valid_up_to()];
                mistakes.push(Mistake {
                    file,
                    line: 1 + good.iter().filter(|&&b| b == b'\n').count(),
                    reason: "is not UTF-8; save it as UTF-8".into(),
                });
            }
        }
    }
    Ok(mistakes)
}

/// Where templates are rendered: user text is only ever a value, an unknown name is an error, `fuel`
/// bounds the steps of one rendering, and the filter `word` says a word of the program in the set's.
pub fn environment(words: Words, fuel: u64) -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(fuel));
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.add_filter("word", move |word: String| words.say(&word).to_owned());
    env
}

/// What is wrong with a template that will be given `values`, and what it writes of them if nothing is.
pub fn rendered(
    env: &Environment,
    text: &Text,
    values: &Value,
) -> std::result::Result<String, Vec<Mistake>> {
    let Text { origin, text } = text;
    let template = env
        .template_from_str(text)
        .map_err(|e| vec![Mistake::of(origin, &e)])?;
    let unknown = unknown_variables(env, &template, values);
    let mut mistakes: Vec<Mistake> = unknown
        .iter()
        .map(|(path, reason)| Mistake {
            file: origin.clone(),
            line: line_of(text, path),
            reason: reason.clone(),
        })
        .collect();
    let mut source = text.clone();
    let mut tries = 0;
    loop {
        let e = match env.render_str(&source, values) {
            Ok(written) if mistakes.is_empty() => return Ok(written.trim().to_owned()),
            Ok(_) => break,
            // Where emptying broke the template, what is left of it cannot be looked at.
            Err(e) if tries > 0 && e.kind() == ErrorKind::SyntaxError => break,
            Err(e) => e,
        };
        let undefined = expression(&source, &e).filter(|_| e.kind() == ErrorKind::UndefinedError);
        let written = undefined.clone().map_or("", |r| &source[r]);
        if !unknown.iter().any(|u| written.contains(&u.0)) {
            let mut mistake = Mistake::of(origin, &e);
            if !written.is_empty() {
                let attribute = written.rsplit('.').next().unwrap_or_default();
                let mut names = Vec::new();
                names_in(values, &mut names);
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                mistake.reason += &format!(" {written:?}{}", nearest(attribute, &names));
            }
            mistakes.push(mistake);
        }
        tries += 1;
        let Some(range) = undefined.filter(|_| tries < MAX_MISTAKES) else {
            break;
        };
        let empty = match range.len() {
            1 => "0".to_owned(),
            n => format!("''{}", " ".repeat(n - 2)),
        };
        source.replace_range(range, &empty);
    }
    mistakes.sort_by_key(|m| m.line);
    Err(mistakes)
}

/// Where the expression stands that an error is about, from its first name on.
fn expression(source: &str, e: &minijinja::Error) -> Option<std::ops::Range<usize>> {
    let range = e
        .range()
        .filter(|r| !r.is_empty() && source.get(r.clone()).is_some())?;
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    let before = source[..range.start].trim_end_matches(is_part).len();
    Some(before..range.end)
}

/// The names of everything in a value: of maps, and of the maps in lists.
fn names_in(value: &Value, names: &mut Vec<String>) {
    let (is_map, parts) = (value.kind() == ValueKind::Map, value.try_iter());
    for part in parts.into_iter().flatten() {
        if is_map {
            names.extend(part.as_str().map(str::to_owned));
            if let Ok(inner) = value.get_item(&part) {
                names_in(&inner, names);
            }
        } else if part.kind() == ValueKind::Map {
            names_in(&part, names);
        }
    }
}

/// `name` or `name.attribute` as it is written, and why it cannot be meant.
fn unknown_variables(
    env: &Environment,
    template: &minijinja::Template,
    values: &Value,
) -> Vec<(String, String)> {
    let keys = |value: &Value| -> Vec<String> {
        let keys = value.try_iter().into_iter().flatten();
        keys.map(|k| k.to_string()).collect()
    };
    let known = keys(values);
    let mut paths: Vec<String> = template.undeclared_variables(true).into_iter().collect();
    paths.sort();
    let mut unknown = Vec::new();
    for path in paths {
        let (root, attribute) = path.split_once('.').unwrap_or((&path, ""));
        let attribute = attribute.split('.').next().unwrap_or("");
        if !known.iter().any(|k| k == root) {
            if env.globals().any(|(g, _)| g == root) {
                continue;
            }
            let reason = if known.is_empty() {
                format!("unknown variable {root:?}; this text must be constant: no variables")
            } else {
                let names: Vec<&str> = known.iter().map(String::as_str).collect();
                let hint = nearest(root, &names);
                format!(
                    "unknown variable {root:?}{hint}; known here: {}",
                    known.join(", ")
                )
            };
            if !unknown.iter().any(|(r, _)| r == root) {
                unknown.push((root.to_owned(), reason));
            }
            continue;
        }
        // What a profile holds depends on the log.
        let Ok(value) = values.get_attr(root) else {
            continue;
        };
        if attribute.is_empty() || root == "profile" || value.kind() != ValueKind::Map {
            continue;
        }
        if value.get_attr(attribute).is_ok_and(|v| v.is_undefined()) {
            let attributes = keys(&value);
            let names: Vec<String> = attributes.iter().map(|a| format!("{root}.{a}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let path = format!("{root}.{attribute}");
            let hint = nearest(&path, &names);
            let reason = format!(
                "unknown variable {path:?}{hint}; known here: {}",
                names.join(", ")
            );
            unknown.push((path, reason));
        }
    }
    unknown
}

/// The line on which a name stands by itself; 1 if none.
fn line_of(text: &str, path: &str) -> usize {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let stands = |line: &str| {
        line.match_indices(path).any(|(i, m)| {
            !line[..i].ends_with(|c| is_part(c) || c == '.')
                && !line[i + m.len()..].starts_with(is_part)
        })
    };
    1 + text.lines().position(stands).unwrap_or(0)
}

/// `, did you mean "x"?` if something is near.
pub(crate) fn nearest(word: &str, words: &[&str]) -> String {
    let best = words
        .iter()
        .map(|w| (strsim::jaro_winkler(word, w), w))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|b| b.0 > 0.8)
        .map(|b| format!(", did you mean {:?}?", b.1))
        .unwrap_or_default()
}

/// The files of a set below `root` (`.jinja`, and both files of words), by name, with `/` between the parts.
pub(crate) fn list(root: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs_err::read_dir(dir)? {
            let path = entry?.path();
            let parts = path.strip_prefix(root).expect("below the root").iter();
            let parts: Vec<_> = parts.map(|p| p.to_string_lossy()).collect();
            let name = parts.join("/");
            if path.is_dir() {
                dirs.push(path);
            } else if [words::FILE, TASK_WORDS].contains(&&*name) || name.ends_with(".jinja") {
                names.push(name);
            }
        }
    }
    names.sort();
    Ok(names)
}
