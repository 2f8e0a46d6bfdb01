//! The names of a data set: what may be claimed at all, and which of them a text mentions.
//!
//! ```
//! use hkfr_fuse::claims::Vocabulary;
//!
//! let names = Vocabulary::of(["fluid milk", "bread"], ["Whole milk, 1 GA", "面包"]);
//! assert!(names.is_category("Fluid milk") && !names.is_category("breadth"));
//! assert_eq!(names.mentioned("fluid milk, breadth and 全麦面包"), ["fluid milk", "面包"]);
//! ```

use std::collections::HashSet;

use foldhash::HashMap;
use hkfr_events::Dataset;

use crate::sanitise::name;

/// A name as it is compared: as prompts have it, in lower case.
pub(crate) fn folded(text: &str) -> String {
    name(text).to_lowercase()
}

/// Names that are looked for in texts are this long at least, so that a title like "It" is no mention.
const MIN_SPACED: usize = 4;
const MIN_UNSPACED: usize = 2;

#[derive(Debug, Default)]
pub struct Vocabulary {
    categories: HashSet<String>,
    items: HashSet<String>,
    /// Of the names that texts are searched for, by their first two characters; longest first.
    index: HashMap<[char; 2], Vec<String>>,
}

impl Vocabulary {
    pub fn new(ds: &Dataset) -> Self {
        let categories = ds.items.iter().flat_map(|i| &i.categories);
        let titles = (0..ds.n_items() as u32).map(|i| ds.title(i));
        Self::of(categories, titles)
    }

    /// Of categories (of all levels) and titles.
    pub fn of(
        categories: impl IntoIterator<Item = impl AsRef<str>>,
        titles: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Self {
        let folded = |s: &str| Some(folded(s)).filter(|s| !s.is_empty());
        // A category is the name of many items: what was looked up once need not be again.
        let mut seen = HashSet::new();
        let mut named = HashSet::new();
        for category in categories {
            if seen.insert(category.as_ref().to_owned()) {
                named.extend(folded(category.as_ref()));
            }
        }
        let items: HashSet<String> = titles
            .into_iter()
            .filter_map(|t| folded(t.as_ref()))
            .collect();
        let mut index: HashMap<[char; 2], Vec<String>> = HashMap::default();
        // A title of one spaced word ("Rain", "Heat") is a word of any text.
        let is_sought =
            |title: &&String| title.contains(' ') || title.chars().next().is_some_and(is_unspaced);
        for sought in named.union(&items.iter().filter(is_sought).cloned().collect()) {
            let mut first = sought.chars();
            let (Some(a), Some(b)) = (first.next(), first.next()) else {
                continue;
            };
            let least = if is_unspaced(a) {
                MIN_UNSPACED
            } else {
                MIN_SPACED
            };
            if sought.chars().count() >= least {
                index.entry([a, b]).or_default().push(sought.clone());
            }
        }
        for names in index.values_mut() {
            names.sort_by_key(|n| std::cmp::Reverse(n.len()));
        }
        Self {
            categories: named,
            items,
            index,
        }
    }

    /// Of any level.
    pub fn is_category(&self, value: &str) -> bool {
        self.categories.contains(&folded(value))
    }

    pub fn is_item(&self, value: &str) -> bool {
        self.items.contains(&folded(value))
    }

    /// The names that stand in a text of lower case, each by itself and once; of those that begin at one
    /// place the longest.
    pub fn mentioned<'a>(&'a self, lower: &str) -> Vec<&'a str> {
        let mut found: Vec<&str> = Vec::new();
        for (at, first) in lower.char_indices() {
            let Some(second) = lower[at + first.len_utf8()..].chars().next() else {
                break;
            };
            let names = self.index.get(&[first, second]).into_iter().flatten();
            let stands = |name: &&String| {
                lower[at..].starts_with(name.as_str()) && stands_alone(lower, at, name.len())
            };
            if let Some(name) = names.into_iter().find(stands)
                && !found.contains(&name.as_str())
            {
                found.push(name);
            }
        }
        found
    }
}

/// Is the part of a text between word boundaries? Beside a letter of a script that is written without
/// spaces there is always one.
pub(crate) fn stands_alone(text: &str, at: usize, len: usize) -> bool {
    let is_part = |c: char| c.is_alphanumeric() && !is_unspaced(c);
    let joined =
        |a: Option<char>, b: Option<char>| a.is_some_and(is_part) && b.is_some_and(is_part);
    let (before, part, after) = (&text[..at], &text[at..at + len], &text[at + len..]);
    !joined(before.chars().next_back(), part.chars().next())
        && !joined(part.chars().next_back(), after.chars().next())
}

/// Does `text` contain `words` between word boundaries?
pub(crate) fn contains_words(text: &str, words: &str) -> bool {
    let mut places = text.match_indices(words);
    places.any(|(at, m)| stands_alone(text, at, m.len()))
}

/// Kana, Chinese characters and their extensions.
pub(crate) fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}
