//! The text of an answer, sentence by sentence: what stands stays.
//!
//! A sentence stands if it says something of the user that is known, and nothing that is not:
//! - it names, counts or dates something that a standing claim or a fact says;
//! - it names no other category or item of the catalogue, no other weekday, part of the day or price;
//! - its numbers are those of what it names, or of the user as a whole where it names no thing;
//! - it does not deny what was chosen, and claims no love of what was only shown or rated low.
//!
//! What is no name, number or time of the data is not judged ("buys fresh bread, being sporty"): rules cannot
//! know. A prompt that asks for short sentences of facts, and the model's precision, keep it small.

use std::collections::BTreeSet;

use super::names::{Vocabulary, contains_words, is_unspaced};
use crate::facts::{Count, Facts};
use crate::statements::{Claim, common};
use crate::words::{DAYPARTS, PRICE_BANDS, WEEKDAYS, Words};

/// What is left of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grounded {
    pub kept: Vec<String>,
    pub n_cut: usize,
}

/// Words that deny, of spaced and of unspaced languages.
const DENIALS: [&str; 15] = [
    "not", "no", "never", "avoids", "avoid", "avoided", "ignores", "ignore", "dislikes", "dislike",
    "rarely", "hardly", "without", "hates", "neither",
];
const DENIALS_UNSPACED: [&str; 9] = [
    "不", "没", "从未", "避免", "讨厌", "忽略", "无视", "避开", "拒绝",
];

/// Something that may be said: its name in lower case, and the numbers that may be said with it.
struct Known {
    name: String,
    numbers: Vec<String>,
    chosen: bool,
    /// A category, an item, a brand: a number beside it is its own.
    thing: bool,
}

pub fn ground(
    text: &str,
    facts: &Facts,
    standing: &[Claim],
    vocabulary: &Vocabulary,
    words: &Words,
) -> Grounded {
    let known = known(facts, standing, words);
    let of_all = numbers_of_all(facts);
    let mut grounded = Grounded::default();
    for sentence in sentences(text) {
        if stands(&sentence.to_lowercase(), &known, &of_all, vocabulary, words) {
            grounded.kept.push(sentence.to_owned());
        } else {
            grounded.n_cut += 1;
        }
    }
    grounded
}

/// With their ends. A point within a number or a name (2.50, 1.5 l) ends none.
fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        let ends = match c {
            '。' | '！' | '？' | '\n' => true,
            '.' | '!' | '?' => text[end..].chars().next().is_none_or(char::is_whitespace),
            _ => false,
        };
        if ends {
            found.push(&text[start..end]);
            start = end;
        }
    }
    found.push(&text[start..]);
    let trimmed = found.into_iter().map(str::trim);
    trimmed
        .filter(|s| s.chars().any(char::is_alphanumeric))
        .collect()
}

fn known(facts: &Facts, standing: &[Claim], words: &Words) -> Vec<Known> {
    let mut known = Vec::new();
    let mut add = |name: &str, numbers: Vec<String>, chosen, thing| {
        let names: BTreeSet<String> = [name, words.say(name)].map(str::to_lowercase).into();
        for name in names.into_iter().filter(|n| !n.is_empty()) {
            let numbers = numbers.clone();
            known.push(Known {
                name,
                numbers,
                chosen,
                thing,
            });
        }
    };
    let numbers = |c: &Count| {
        let numbers = [i64::from(c.n), i64::from(c.percent), c.days_ago];
        numbers.map(|n| n.to_string()).to_vec()
    };
    let things = [
        &facts.categories,
        &facts.departments,
        &facts.items,
        &facts.recent_items,
        &facts.brands,
        &facts.rising,
        &facts.converted,
    ];
    for c in things.into_iter().flatten() {
        add(&c.name, numbers(c), true, true);
    }
    for c in facts.ignored.iter().chain(&facts.disliked) {
        add(&c.name, numbers(c), false, true);
    }
    let when = [
        &facts.places,
        &common(&facts.weekdays),
        &common(&facts.dayparts),
        &common(&facts.price_bands),
    ];
    for c in when.into_iter().flatten() {
        add(&c.name, numbers(c), true, false);
    }
    for (name, value) in &facts.profile {
        add(value, Vec::new(), true, false);
        add(name, Vec::new(), true, false);
    }
    for claim in standing {
        let numbers = [claim.n, claim.percent].map(|n| n.to_string()).to_vec();
        let slot = claim.slot.as_str();
        let avoided = ["ignored", "disliked", "ignored-item", "disliked-item"].contains(&slot);
        let thing = !["price", "weekday", "daypart", "scenario"].contains(&slot);
        add(&claim.value, numbers, !avoided, thing);
    }
    known
}

/// Numbers that are of no one name.
fn numbers_of_all(facts: &Facts) -> BTreeSet<String> {
    let counts = [
        facts.n_events,
        facts.n_orders,
        facts.n_chosen,
        facts.order_size,
        facts.repeat_percent,
    ];
    let days = [facts.days_since_order, facts.order_interval];
    let mut all: BTreeSet<String> = counts.iter().map(u32::to_string).collect();
    all.extend(days.into_iter().flatten().map(|d| d.to_string()));
    if let Some(mean) = facts.mean_rating {
        all.extend([format!("{mean:.1}"), format!("{mean:.2}")].map(|m| plain_number(&m)));
    }
    all
}

fn stands(
    lower: &str,
    known: &[Known],
    of_all: &BTreeSet<String>,
    vocabulary: &Vocabulary,
    words: &Words,
) -> bool {
    let named: Vec<&Known> = known.iter().filter(|k| says(lower, &k.name)).collect();
    // A longer known name accounts for the shorter one in it.
    let invents = |name: &&str| !known.iter().any(|k| k.name.contains(*name));
    if vocabulary.mentioned(lower).iter().any(invents) {
        return false;
    }
    let own = WEEKDAYS.iter().chain(&DAYPARTS).chain(&PRICE_BANDS);
    let mut own = own.flat_map(|w| [w.to_lowercase(), words.say(w).to_lowercase()]);
    if own.any(|w| says(lower, &w) && !known.iter().any(|k| k.name.contains(&w))) {
        return false;
    }
    let may_be_said: BTreeSet<String> = named
        .iter()
        .flat_map(|k| k.numbers.iter().cloned().chain(numbers(&k.name)))
        .collect();
    let said = numbers(lower);
    let names_a_thing = named.iter().any(|k| k.thing);
    let holds = |n: &String| may_be_said.contains(n) || (!names_a_thing && of_all.contains(n));
    if !said.iter().all(holds) {
        return false;
    }
    let denies = DENIALS.iter().any(|d| contains_words(lower, d))
        || ["n't", "n’t"].iter().any(|d| lower.contains(d))
        || DENIALS_UNSPACED.iter().any(|d| lower.contains(d));
    // What is both (shown often, chosen after all; liked and once rated low) may be said either way.
    let is_both = |k: &Known| {
        known
            .iter()
            .any(|o| o.name == k.name && o.chosen != k.chosen)
    };
    if named.iter().any(|k| k.chosen == denies && !is_both(k)) {
        return false;
    }
    !named.is_empty() || !said.is_empty()
}

/// Names stand by themselves; a plural is the same name.
fn says(lower: &str, name: &str) -> bool {
    if contains_words(lower, name) {
        return true;
    }
    let spaced = name
        .chars()
        .next_back()
        .is_some_and(|c| c.is_alphabetic() && !is_unspaced(c));
    spaced && contains_words(lower, &format!("{name}s"))
}

/// The numbers in a text: digits with a point or commas of thousands in them. Numbers in words are not seen.
fn numbers(text: &str) -> Vec<String> {
    let ascii = |c: char| match c {
        '０'..='９' => char::from(b'0' + (c as u32 - '０' as u32) as u8),
        c => c,
    };
    let chars: Vec<char> = text.chars().map(ascii).collect();
    let (mut found, mut i) = (Vec::new(), 0);
    while i < chars.len() {
        if !chars[i].is_ascii_digit() {
            i += 1;
            continue;
        }
        let start = i;
        while i < chars.len()
            && (chars[i].is_ascii_digit()
                || (matches!(chars[i], '.' | ',')
                    && chars.get(i + 1).is_some_and(char::is_ascii_digit)))
        {
            i += 1;
        }
        found.push(plain_number(&chars[start..i].iter().collect::<String>()));
    }
    found
}

/// 1,200.50 and 1200.5 are the same.
fn plain_number(text: &str) -> String {
    let text = text.replace(',', "");
    match text.split_once('.') {
        Some((whole, fraction)) => {
            let fraction = fraction.trim_end_matches('0');
            let point = if fraction.is_empty() { "" } else { "." };
            format!("{whole}{point}{fraction}")
        }
        None => text,
    }
}
