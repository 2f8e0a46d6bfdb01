//! What names or reaches a person in free text: e-mail addresses, telephone and card numbers.
//!
//! Numbers are told apart by their digits: 13 to 19 that satisfy Luhn's check are a card; 9 to 15 in the
//! way people write telephone numbers (a leading + or 0, or groups) are a telephone. A price, a
//! year or an article number of up to 8 digits is none.

use std::borrow::Cow;

const E_MAIL: &str = "[e-mail]";
const TELEPHONE: &str = "[telephone]";
const CARD: &str = "[card]";

/// The text with `[e-mail]`, `[telephone]` and `[card]` in their places.
pub fn redact(text: &str) -> Cow<'_, str> {
    let n_digits = text.chars().filter(|c| digit(*c).is_some()).count();
    if n_digits < 9 && !text.contains(['@', '＠']) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(numbers(&e_mails(text)))
}

/// The value of a decimal digit of any script that people write numbers in.
fn digit(c: char) -> Option<u32> {
    match c {
        '0'..='9' => c.to_digit(10),
        // Fullwidth, Arabic-Indic, Persian and Devanagari.
        '\u{ff10}'..='\u{ff19}' => Some(c as u32 - 0xff10),
        '\u{660}'..='\u{669}' => Some(c as u32 - 0x660),
        '\u{6f0}'..='\u{6f9}' => Some(c as u32 - 0x6f0),
        '\u{966}'..='\u{96f}' => Some(c as u32 - 0x966),
        _ => None,
    }
}

fn e_mails(text: &str) -> String {
    let local = |c: char| c.is_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c);
    let domain = |c: char| c.is_alphanumeric() || c == '.' || c == '-';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['@', '＠']) {
        let (before, tail) = rest.split_at(at);
        let sign = tail.chars().next().map_or(1, char::len_utf8);
        let after = &tail[sign..];
        let start = before.trim_end_matches(local).len();
        let end = after.find(|c| !domain(c)).unwrap_or(after.len());
        // A full stop behind an address ends the sentence.
        let name = after[..end].trim_end_matches(['.', '-']);
        let is_address = start < at && name.rfind('.').is_some_and(|dot| dot + 2 < name.len());
        if is_address {
            out.push_str(&before[..start]);
            out.push_str(E_MAIL);
            rest = &after[name.len()..];
        } else {
            out.push_str(&rest[..at + sign]);
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// A run of digits with what people put between them.
fn numbers(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let joins = |c: char| " -./()\u{2010}\u{2011}\u{2013}\u{a0}".contains(c);
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    while i < chars.len() {
        let starts = digit(chars[i]).is_some() || (chars[i] == '+' || chars[i] == '(');
        if !starts || (i > 0 && chars[i - 1].is_alphanumeric()) {
            out.push(chars[i]);
            i += 1;
            continue;
        }
        // At most two joining characters between two digits.
        let mut digits = Vec::new();
        let (mut end, mut at, mut gap) = (i, i, 0);
        while at < chars.len() && gap <= 2 {
            match digit(chars[at]) {
                Some(d) => {
                    digits.push(d);
                    gap = 0;
                    end = at + 1;
                }
                None if joins(chars[at]) || (at == i && chars[at] == '+') => gap += 1,
                None => break,
            }
            at += 1;
        }
        let whole = chars.get(end).is_none_or(|c| !c.is_alphanumeric());
        let written = &chars[i..end];
        match kind(&digits, written).filter(|_| whole) {
            Some(kind) => {
                out.push_str(kind);
                i = end;
            }
            None if digits.is_empty() => {
                out.push(chars[i]);
                i += 1;
            }
            None => match card_within(&chars[..end], i) {
                // A number that is none of its digits may stand before it: "field 7 4111 …".
                Some((from, until)) => {
                    out.extend(&chars[i..from]);
                    out.push_str(CARD);
                    i = until;
                }
                None => {
                    out.extend(written);
                    i = end;
                }
            },
        }
    }
    out
}

/// The first groups of digits from `start` on that are written as on a card: in one, or in fours, the last
/// one shorter, or as 4, 6 and 4 or 5.
fn card_within(chars: &[char], start: usize) -> Option<(usize, usize)> {
    let mut groups: Vec<(usize, usize)> = Vec::new();
    for (at, c) in chars.iter().enumerate().skip(start) {
        match groups.last_mut() {
            _ if digit(*c).is_none() => {}
            Some(group) if group.1 == at => group.1 += 1,
            _ => groups.push((at, at + 1)),
        }
    }
    (0..groups.len()).find_map(|first| {
        (first..groups.len().min(first + 5)).find_map(|last| {
            let card = &groups[first..=last];
            let lengths: Vec<usize> = card.iter().map(|g| g.1 - g.0).collect();
            let (tail, fours) = lengths.split_last()?;
            let in_fours = (3..=4).contains(&fours.len()) && fours.iter().all(|&n| n == 4);
            let is_written_so = fours.is_empty()
                || (in_fours && (1..=4).contains(tail))
                || (fours == [4, 6] && (4..=5).contains(tail));
            let (from, until) = (card[0].0, card[card.len() - 1].1);
            let digits: Vec<u32> = chars[from..until]
                .iter()
                .filter_map(|c| digit(*c))
                .collect();
            let fits = is_written_so && (13..=19).contains(&digits.len());
            (fits && luhn(&digits)).then_some((from, until))
        })
    })
}

fn kind(digits: &[u32], written: &[char]) -> Option<&'static str> {
    if (13..=19).contains(&digits.len()) && luhn(digits) {
        return Some(CARD);
    }
    let groups = written.split(|c| digit(*c).is_none());
    let groups: Vec<usize> = groups.map(<[char]>::len).filter(|&n| n > 0).collect();
    let prefixed = matches!(written.first(), Some('+' | '(')) || digits.first() == Some(&0);
    // A mainland Chinese mobile number is written without any.
    let mobile = digits.len() == 11 && digits[0] == 1 && digits[1] >= 3 && groups.len() == 1;
    // 555-123-4567, but no date and no list of prices.
    let grouped =
        (2..=5).contains(&groups.len()) && groups[1..].iter().all(|n| (3..=5).contains(n));
    let is_telephone = (9..=15).contains(&digits.len()) && (prefixed || mobile || grouped);
    is_telephone.then_some(TELEPHONE)
}

/// ISO/IEC 7812-1, annex B.
fn luhn(digits: &[u32]) -> bool {
    let doubled = |d: u32| if d > 4 { 2 * d - 9 } else { 2 * d };
    let from_end = digits.iter().rev().enumerate();
    let sum: u32 = from_end
        .map(|(i, &d)| if i % 2 == 1 { doubled(d) } else { d })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|&d| d != 0)
}
