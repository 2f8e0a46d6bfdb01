//! Reads a template set, and finds every mistake in it.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::mistake::Mistake;
use crate::rendering::{environment, rendered};
use crate::sample;
use crate::templates::{TemplateSet, slug};
use crate::texts::{self, WORDS};
use crate::words::Words;

/// Steps that one rendering may take; a template that loops for ever is an error, not a hang.
const FUEL: u64 = 1_000_000;

impl TemplateSet {
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
        let (texts, mut mistakes) = texts::of_set(set, dir)?;
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
        for (name, text) in texts.iter().filter(|(name, _)| *name != WORDS) {
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
