//! Where templates are rendered, and every mistake that can be found in one before a user is written about.
//!
//! A template is parsed, its variables are held against what it will be given, and it is rendered with
//! sample values. Where a value is undefined, the expression is made empty and the template is
//! rendered again, so that the next mistake is found too.

use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value};

use crate::mistake::Mistake;
use crate::texts::{Text, nearest};
use crate::words::Words;

/// Mistakes of one template that are told at most.
const MAX_MISTAKES: usize = 20;

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
