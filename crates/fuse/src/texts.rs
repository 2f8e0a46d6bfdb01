//! The texts of a template set: the built-in ones with a user's own in their place.

use std::collections::BTreeMap;
use std::path::Path;

use crate::builtin::SETS;
use crate::error::{Error, Result};
use crate::mistake::Mistake;

/// A template's text, and where it came from, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    pub origin: String,
    pub text: String,
}

/// By name inside the set.
pub type Texts = BTreeMap<String, Text>;

/// The file of a set with its words for what the program itself says.
pub(crate) const WORDS: &str = "words.json";

/// The file of a set that says what its tasks call things.
pub const TASK_WORDS: &str = "tasks/words.json";

/// The texts of the built-in `set` with those of `dir` in their place, and what is wrong with the files
/// themselves.
pub(crate) fn of_set(set: &str, dir: Option<&Path>) -> Result<(Texts, Vec<Mistake>)> {
    let Some((_, files)) = SETS.iter().find(|s| s.0 == set) else {
        let sets: Vec<&str> = SETS.iter().map(|s| s.0).collect();
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
        let is_new = |name: &str| name == WORDS || name.starts_with("events/");
        let concerns = |name: &str| !name.starts_with("tasks/");
        mistakes = lay_over(&mut texts, dir, concerns, is_new)?;
    }
    Ok((texts, mistakes))
}

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
            } else if [WORDS, TASK_WORDS].contains(&&*name) || name.ends_with(".jinja") {
                names.push(name);
            }
        }
    }
    names.sort();
    Ok(names)
}
