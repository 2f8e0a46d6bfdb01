//! The simpler form of an answer, for models that cannot write the schema: one kind of claim a question, and a line a
//! claim, `category: dairy | events: 3, 7`. Lines → claims, as strictly as JSON.
//!
//! ```
//! use hkfr_fuse::claims::{ClaimKind, parse_lines};
//!
//! let said = "Here you are:\n- category: Fluid milk | events: 7, 3\n* category: \"bread\" | events: [e2]";
//! let claims = parse_lines(ClaimKind::Category, said)?;
//! assert_eq!((claims[0].value.as_str(), claims[0].events.as_slice()), ("Fluid milk", &[7, 3][..]));
//! assert_eq!((claims[1].value.as_str(), claims[1].events.as_slice()), ("bread", &[2][..]));
//! assert!(parse_lines(ClaimKind::Category, "none")?.is_empty());
//! assert!(parse_lines(ClaimKind::Category, "They like milk.").is_err());
//! # Ok::<(), String>(())
//! ```

use super::schema::{ClaimKind, MadeClaim};
use crate::facts::Facts;

/// Lines that a question asks for at most, and the tokens of one, written without economy.
pub(super) const MAX_LINES: u32 = 8;
pub(super) const LINE_TOKENS: usize = 40;

/// The kinds that are asked for, those that the history says most of first.
pub(super) fn kinds(facts: &Facts) -> Vec<ClaimKind> {
    let has = [
        (ClaimKind::Category, facts.categories.is_empty()),
        (ClaimKind::Item, facts.items.is_empty()),
        (ClaimKind::Weekday, facts.weekdays.is_empty()),
        (ClaimKind::Daypart, facts.dayparts.is_empty()),
    ];
    let has = has.into_iter().filter(|(_, empty)| !empty);
    has.map(|(kind, _)| kind).collect()
}

/// Other lines are talk around the answer, and are passed over. The one word "none" says that there is nothing to claim.
///
/// # Errors
/// What is wrong, if no line is a claim of this kind.
pub fn parse_lines(kind: ClaimKind, said: &str) -> Result<Vec<MadeClaim>, String> {
    let lines = said.lines().map(plain).filter(|l| !l.is_empty());
    let lines: Vec<&str> = lines.collect();
    let says_none =
        |line: &&str| ["none", "none.", "无", "无。"].contains(&line.to_lowercase().as_str());
    let claims: Vec<MadeClaim> = lines.iter().filter_map(|line| claim(kind, line)).collect();
    if claims.is_empty() && !lines.iter().any(says_none) {
        let name = kind.name();
        return Err(format!(
            "it holds no line of the form \"{name}: NAME | events: ID, ID\""
        ));
    }
    Ok(claims)
}

/// Without marks of a list or of emphasis.
fn plain(line: &str) -> &str {
    let line = line.trim();
    let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let line = match number.strip_prefix(['.', ')']) {
        Some(rest) if number.len() < line.len() => rest,
        _ => line,
    };
    line.trim_start_matches(['-', '*', '•', ' ', '`'])
        .trim_end_matches(['*', ' ', '`'])
}

fn claim(kind: ClaimKind, line: &str) -> Option<MadeClaim> {
    let begin = line.get(..kind.name().len())?;
    let rest = &line[begin.len()..];
    let rest = rest
        .trim_start_matches(['*', ' '])
        .strip_prefix([':', '：'])?;
    if !begin.eq_ignore_ascii_case(kind.name()) {
        return None;
    }
    let (value, cited) = rest.rsplit_once(['|', '｜'])?;
    let value = value.trim().trim_matches(['*', '"', '“', '”', '\'']).trim();
    let cited = cited.trim();
    let cited = ["events", "event"].iter().find_map(|word| {
        let begins = cited.get(..word.len())?.eq_ignore_ascii_case(word);
        begins.then(|| cited[word.len()..].trim_start())
    })?;
    let ids = cited
        .strip_prefix([':', '：'])?
        .trim()
        .trim_end_matches('.');
    let ids = ids.trim_matches(['[', ']', '(', ')']);
    let ids = ids
        .split([',', ';', ' ', '，', '、'])
        .filter(|id| !id.is_empty());
    let ids: Option<Vec<i64>> = ids
        .map(|id| id.trim_start_matches(['e', 'E', '#']).parse().ok())
        .collect();
    let events = ids.filter(|ids| !ids.is_empty())?;
    (!value.is_empty()).then(|| MadeClaim {
        kind,
        value: value.to_owned(),
        number: None,
        percent: None,
        trend: None,
        events,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_form_is_no_claim() {
        for line in [
            "category: milk",
            "category: milk | events:",
            "category: milk | events: 3, many",
            "category: milk | 3",
            "category: | events: 3",
            "item: milk | events: 3",
            "category milk | events: 3",
            "{\"category\": \"milk\", \"events\": [3]}",
            "類: milk",
        ] {
            assert!(parse_lines(ClaimKind::Category, line).is_err(), "{line}");
        }
        for line in [
            "1. category: A | B | events: 3 4",
            "**Category**: A | B | Events: #3; #4.",
            "category：A | B ｜ events：e3、e4",
        ] {
            let claims = parse_lines(ClaimKind::Category, line).unwrap();
            assert_eq!(
                (claims[0].value.as_str(), &claims[0].events),
                ("A | B", &vec![3, 4]),
                "{line}"
            );
        }
    }
}
