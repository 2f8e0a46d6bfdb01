//! An entity → its tokens.
//!
//! | of an item | tokens |
//! |---|---|
//! | title | its words, lowercased |
//! | category | `@category=Nail Polish` |
//! | attribute | `@brand=OPI`, one for each part of a list (`;` or `\|`); the words of a part longer than 6 words |
//!
//! A category has the words of its name. No token says which item it is: what repeats the item's id, or its
//! [`SOURCE_ID`], is left out, of titles too.

use hkfr_events::{Dataset, Item, ItemIdx, SOURCE_ID};

use crate::baselines::Entities;

/// A longer attribute is a text: nobody else would have it as a whole.
const LONGEST_NAME: usize = 6;

/// By entity, as often as they occur. A token that names an attribute or a category begins with `@`.
pub fn tokens(ds: &Dataset, entities: &Entities) -> Vec<Vec<String>> {
    if entities.are_categories() {
        let n = entities.n() as u32;
        return (0..n).map(|e| words(entities.id(e))).collect();
    }
    let mut all = vec![Vec::new(); entities.n()];
    for item in 0..ds.n_items() as ItemIdx {
        if let Some(entity) = entities.of_item(item) {
            all[entity as usize] = of_item(&ds.items[item as usize]);
        }
    }
    all
}

fn of_item(item: &Item) -> Vec<String> {
    let source = item.attributes.get(SOURCE_ID);
    let ids: Vec<&str> = std::iter::once(&item.id)
        .chain(source)
        .map(|id| id.trim())
        .filter(|id| !id.is_empty())
        .collect();
    let ids_in_words: Vec<Vec<String>> = ids.iter().map(|id| words(id)).collect();
    let text = |text: &str| {
        let mut found = words(text);
        ids_in_words.iter().for_each(|id| remove(&mut found, id));
        found
    };
    let mut found = text(&item.title);
    for name in &item.categories {
        if !ids.contains(&name.trim()) {
            found.push(format!("@category={}", name.trim()));
        }
    }
    for (key, value) in item.attributes.iter().filter(|a| a.0 != SOURCE_ID) {
        for part in value.split([';', '|']).map(str::trim) {
            if part.is_empty() || ids.contains(&part) {
                continue;
            }
            if part.split_whitespace().count() > LONGEST_NAME {
                found.extend(text(part));
            } else {
                found.push(format!("@{key}={part}"));
            }
        }
    }
    found
}

/// Letters and digits that stand together, lowercased.
fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric());
    let words = words.filter(|w| !w.is_empty());
    words.map(str::to_lowercase).collect()
}

/// Takes every place of `part` out of `words`.
fn remove(words: &mut Vec<String>, part: &[String]) {
    if part.is_empty() {
        return;
    }
    let mut at = 0;
    while at + part.len() <= words.len() {
        if words[at..].starts_with(part) {
            words.drain(at..at + part.len());
        } else {
            at += 1;
        }
    }
}
