//! Is the knowledge grounded? Two checks that do not trust the stage that made it: claims are
//! recounted from the events, and sentences that a service wrote freely are held against the facts.

use hkfr_events::{Dataset, Event, History};

use crate::facts::{Facts, FactsConfig, time};
use crate::statements::Claim;
use crate::wording::name;

/// The claims that the history does not bear out, recounted event by event.
pub fn false_claims<'a>(
    ds: &Dataset,
    history: &History,
    config: &FactsConfig,
    claims: &'a [Claim],
) -> Vec<&'a Claim> {
    let all = history.events();
    let events = &all[all.len().saturating_sub(config.max_events)..];
    claims
        .iter()
        .filter(|c| !holds(ds, history, events, c))
        .collect()
}

fn holds(ds: &Dataset, history: &History, events: &[Event], claim: &Claim) -> bool {
    let chosen = |e: &&Event| ds.is_target(e);
    let in_category = |e: &Event| {
        e.item
            .and_then(|i| ds.category(i))
            .is_some_and(|c| name(c) == claim.value)
    };
    let exposed = |e: &Event| matches!(ds.kind(e).action.as_str(), a if a.starts_with("exposure") || a == "impression");
    let n = |f: &dyn Fn(&Event) -> bool| events.iter().filter(|e| f(e)).count();
    let orders = |f: &dyn Fn(i64) -> bool| {
        let mut times: Vec<i64> = events.iter().filter(chosen).map(|e| e.ts).collect();
        times.dedup();
        times.into_iter().filter(|&t| f(t)).count()
    };
    let expected = claim.n as usize;
    match claim.slot.as_str() {
        "favourite" => n(&|e| ds.is_target(e) && in_category(e)) == expected,
        // The count of a rising category is that of the latest third.
        "rising" => n(&|e| ds.is_target(e) && in_category(e)) >= expected,
        "staple" | "recent" => {
            n(&|e| ds.is_target(e) && e.item.is_some_and(|i| name(&ds.title(i)) == claim.value))
                == expected
        }
        "promotion" => {
            n(&|e| exposed(e) && in_category(e)) == expected
                && n(&|e| ds.is_target(e) && in_category(e)) > 0
        }
        "ignored" => {
            n(&|e| exposed(e) && in_category(e)) == expected
                && n(&|e| ds.is_target(e) && in_category(e)) == 0
        }
        "disliked" => n(&|e| ds.kind(e).action == "rate-low" && in_category(e)) == expected,
        "weekday" => orders(&|t| time::weekday(t) == claim.value) == expected,
        "daypart" => orders(&|t| time::daypart(t) == claim.value) == expected,
        "price" => {
            let band = |e: &Event| {
                e.item
                    .and_then(|i| ds.items[i as usize].price)
                    .map(crate::facts::price_band)
            };
            n(&|e| ds.is_target(e) && band(e) == Some(claim.value.as_str())) == expected
        }
        "brand" => {
            let brand = |e: &Event| {
                e.item
                    .and_then(|i| ds.items[i as usize].attributes.get("brand"))
                    .map(|b| name(b))
            };
            n(&|e| ds.is_target(e) && brand(e).as_ref() == Some(&claim.value)) == expected
        }
        "household" => {
            let profile = &history.profile().attributes;
            profile
                .iter()
                .any(|(k, v)| format!("{} {}", name(k), name(v)) == claim.value)
        }
        _ => false,
    }
}

/// Freely written text, sentence by sentence: kept are those that name nothing of the catalogue's
/// `vocabulary` (lower-case names) which the facts do not name. Returns the kept text and how many were dropped.
pub fn grounded_sentences(text: &str, facts: &Facts, vocabulary: &[String]) -> (String, usize) {
    let lists = [
        &facts.categories,
        &facts.departments,
        &facts.items,
        &facts.recent_items,
        &facts.brands,
        &facts.converted,
        &facts.ignored,
        &facts.disliked,
    ];
    let known: Vec<String> = lists
        .iter()
        .flat_map(|l| l.iter())
        .map(|c| c.name.to_lowercase())
        .collect();
    let mut kept = Vec::new();
    let mut dropped = 0;
    for sentence in text
        .split_inclusive(['.', '!', '?', '。', '！', '？', '\n'])
        .map(str::trim)
        .filter(|s| !s.is_empty())
    {
        let lower = sentence.to_lowercase();
        let invented = vocabulary
            .iter()
            .any(|v| contains_words(&lower, v) && !known.iter().any(|k| k.contains(v.as_str())));
        if invented {
            dropped += 1;
        } else {
            kept.push(sentence);
        }
    }
    (kept.join(" "), dropped)
}

/// Does `text` contain `words` between word boundaries? Beside a letter of a script that is written
/// without spaces there is always one.
fn contains_words(text: &str, words: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() && !is_unspaced(c);
    let joined =
        |a: Option<char>, b: Option<char>| a.is_some_and(is_part) && b.is_some_and(is_part);
    text.match_indices(words).any(|(i, m)| {
        let (before, after) = (&text[..i], &text[i + m.len()..]);
        !joined(before.chars().next_back(), m.chars().next())
            && !joined(m.chars().next_back(), after.chars().next())
    })
}

/// Kana, Chinese characters and their extensions.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}
