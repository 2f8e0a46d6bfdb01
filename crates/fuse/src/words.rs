//! The set's words for what the program itself says (weekdays, parts of the day, price bands, the
//! answers of tasks): `words.json`, from "Monday" to "周一". A set without one says the English word.
//!
//! ```
//! let zh = hkfr_fuse::Words::load("generic-zh", None)?;
//! assert_eq!((zh.say("Monday"), zh.say("oat milk")), ("周一", "oat milk"));
//! # Ok::<(), hkfr_fuse::Error>(())
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::Result;
use crate::mistake::Mistake;
use crate::texts::{self, Text, Texts, WORDS};

/// What [`crate::time::weekday`], [`crate::time::daypart`] and [`crate::price_band`] say.
pub(crate) const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];
pub(crate) const DAYPARTS: [&str; 5] = ["morning", "midday", "afternoon", "evening", "night"];
pub(crate) const PRICE_BANDS: [&str; 4] = ["under 2", "2 to 5", "5 to 10", "over 10"];

/// What the program says, by what it answers: a table has all of it, and words each differently within
/// a group, because as labels of one task they must stay apart.
const OWN: [&[&str]; 9] = [
    &WEEKDAYS,
    &DAYPARTS,
    &PRICE_BANDS,
    &["2 to 4", "5 to 9", "10 or more"],
    &["under 5", "5 to 10", "10 to 20", "20 to 50", "over 50"],
    &[
        "the same day",
        "1 day",
        "2 to 3 days",
        "4 to 7 days",
        "8 to 14 days",
        "over 14 days",
    ],
    &["yes", "no"],
    &["repeat", "new"],
    // Between the parts of a description.
    &[", "],
];

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words(BTreeMap<String, String>);

impl Words {
    /// Of the built-in `set`, or of the directory's own `words.json`.
    ///
    /// # Errors
    /// An unknown set; a table that is no JSON object of texts, lacks a word or says two alike.
    pub fn load(set: &str, dir: Option<&Path>) -> Result<Self> {
        let (texts, mistakes) = texts::of_set(set, dir)?;
        if let Some(mistake) = mistakes.into_iter().find(|m| m.file.ends_with(WORDS)) {
            return Err(mistake.into());
        }
        let (words, mistakes) = Self::of(&texts);
        match mistakes.into_iter().next() {
            Some(mistake) => Err(mistake.into()),
            None => Ok(words),
        }
    }

    /// The word of the set, where it has one; data may say anything, and stays as it is.
    pub fn say<'a>(&'a self, word: &'a str) -> &'a str {
        self.0.get(word).map_or(word, String::as_str)
    }

    /// What the texts' `words.json` says, as far as it can be read, and what is wrong with it.
    pub(crate) fn of(texts: &Texts) -> (Self, Vec<Mistake>) {
        let Some(Text { origin, text }) = texts.get(WORDS) else {
            return Default::default();
        };
        let mistake = |line, reason| Mistake {
            file: origin.clone(),
            line,
            reason,
        };
        let words: BTreeMap<String, String> = match serde_json::from_str(text) {
            Ok(words) => words,
            Err(e) => {
                let reason =
                    format!("is no JSON object of texts ({e}); write {{\"Monday\": \"…\"}}");
                return (Self::default(), vec![mistake(e.line().max(1), reason)]);
            }
        };
        let line = |word: &str| {
            let key = format!("{word:?}");
            1 + text.lines().position(|l| l.contains(&key)).unwrap_or(0)
        };
        let mut mistakes = Vec::new();
        for group in OWN {
            for (i, word) in group.iter().enumerate() {
                let Some(said) = words.get(*word).filter(|w| !w.is_empty()) else {
                    mistakes.push(mistake(
                        line(word),
                        format!("has no word for {word:?}; say it as the set would"),
                    ));
                    continue;
                };
                if let Some(other) = group[..i].iter().find(|w| words.get(**w) == Some(said)) {
                    mistakes.push(mistake(
                        line(word),
                        format!("says {other:?} and {word:?} alike ({said:?}); as answers they must differ"),
                    ));
                }
            }
        }
        (Self(words), mistakes)
    }
}
