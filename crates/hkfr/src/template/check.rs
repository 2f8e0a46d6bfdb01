//! `hkfr template check`: every mistake in a template set, each with file, line and remedy.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hkfr_fuse::TemplateSet;
use hkfr_fuse::texts::TASK_WORDS;
use hkfr_rec::tasks::TaskSet;

/// What is fine and what is wrong with the built-in `set` under the files of `dir`, a line each, and how
/// many mistakes there are.
///
/// # Errors
/// An unknown set or an unreadable directory.
pub fn check(set: &str, dir: Option<&Path>) -> Result<(String, usize)> {
    let (mut files, mut mistakes) = TemplateSet::mistakes(set, dir)?;
    let (tasks, wrong) = TaskSet::mistakes(set, dir)?;
    files.extend(tasks);
    mistakes.extend(wrong);
    mistakes.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    files.retain(|file| mistakes.iter().all(|m| m.file != *file));
    let own = |file: &String| dir.is_some_and(|d| Path::new(file).starts_with(d));
    let (own, built_in): (Vec<String>, Vec<String>) = files.into_iter().partition(own);
    let mut text = String::new();
    for file in &own {
        text += &format!("fine    {file}\n");
    }
    text += &format!(
        "fine    {} built-in files of the set {set}\n",
        built_in.len()
    );
    if let Some(dir) = dir {
        for path in unread(dir).with_context(|| format!("cannot read {}", dir.display()))? {
            let remedy = "only .jinja files are read, words.json and tasks/words.json";
            text += &format!("unread  {}: {remedy}\n", path.display());
        }
    }
    for mistake in &mistakes {
        text += &format!("wrong   {mistake}\n");
    }
    Ok((text, mistakes.len()))
}

/// The files below `dir` that are no part of a set.
fn unread(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut unread = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(below) = dirs.pop() {
        for entry in fs_err::read_dir(below)? {
            let path = entry?.path();
            let is_words = ["words.json", TASK_WORDS]
                .iter()
                .any(|w| path == dir.join(w));
            let is_read = path.extension().is_some_and(|e| e == "jinja") || is_words;
            match path.is_dir() {
                true => dirs.push(path),
                false if !is_read => unread.push(path),
                false => {}
            }
        }
    }
    unread.sort();
    Ok(unread)
}
