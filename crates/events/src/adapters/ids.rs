//! Rules that make the ids of one file those of another: `1000.0` and `1000`, `ABC` and `abc`, `item-7` and `7`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// One rule; a mapping applies its rules in order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum IdRule {
    /// `1000.0` is `1000`.
    Integer,
    /// `ABC` is `abc`.
    Lowercase,
    /// `00123` is `123`.
    NoLeadingZeros,
    /// White space within goes.
    NoSpaces,
    /// `item-7` is `7` without `item-`.
    Without(String),
}

impl TryFrom<String> for IdRule {
    type Error = String;

    fn try_from(rule: String) -> Result<Self, String> {
        match rule.as_str() {
            "integer" => Ok(Self::Integer),
            "lowercase" => Ok(Self::Lowercase),
            "no-leading-zeros" => Ok(Self::NoLeadingZeros),
            "no-spaces" => Ok(Self::NoSpaces),
            _ => match rule.strip_prefix("without:") {
                Some(prefix) if !prefix.is_empty() => Ok(Self::Without(prefix.to_owned())),
                _ => Err(format!(
                    "rule of ids \"{rule}\" is not known; use integer, lowercase, no-leading-zeros, no-spaces or \
                     without:PREFIX"
                )),
            },
        }
    }
}

impl From<IdRule> for String {
    fn from(rule: IdRule) -> Self {
        match rule {
            IdRule::Integer => "integer".into(),
            IdRule::Lowercase => "lowercase".into(),
            IdRule::NoLeadingZeros => "no-leading-zeros".into(),
            IdRule::NoSpaces => "no-spaces".into(),
            IdRule::Without(prefix) => format!("without:{prefix}"),
        }
    }
}

impl IdRule {
    pub(super) fn apply<'t>(&self, id: &'t str) -> Cow<'t, str> {
        match self {
            Self::Integer => match id.split_once('.') {
                Some((whole, zeros))
                    if zeros.bytes().all(|b| b == b'0')
                        && whole.bytes().any(|b| b.is_ascii_digit())
                        && whole.bytes().all(|b| b.is_ascii_digit() || b == b'-') =>
                {
                    whole.into()
                }
                _ => id.into(),
            },
            Self::Lowercase if id.chars().any(char::is_uppercase) => id.to_lowercase().into(),
            Self::Lowercase => id.into(),
            Self::NoLeadingZeros => match id.trim_start_matches('0') {
                // Nothing but zeros is zero.
                "" if !id.is_empty() => "0".into(),
                short => short.into(),
            },
            Self::NoSpaces if id.contains(char::is_whitespace) => {
                id.split_whitespace().collect::<String>().into()
            }
            Self::NoSpaces => id.into(),
            Self::Without(prefix) => id.strip_prefix(prefix.as_str()).unwrap_or(id).into(),
        }
    }
}

/// Is this an id that a program wrote as a rounded number, as spreadsheets do: `1.23457E+12`? Other ids were rounded to it
/// as well.
pub(super) fn is_rounded(id: &str) -> bool {
    let Some((mantissa, exponent)) = id.split_once(['e', 'E']) else {
        return false;
    };
    let are_digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let exponent = exponent.strip_prefix('+');
    let mantissa = mantissa
        .strip_prefix('-')
        .unwrap_or(mantissa)
        .split_once('.');
    exponent.is_some_and(are_digits)
        && mantissa.is_some_and(|(whole, rest)| are_digits(whole) && are_digits(rest))
}

/// Why a row is bad whose id [`is_rounded`].
pub(super) const ROUNDED: &str = "id is a rounded number; write ids as text or as integers (in pandas `Int64`), and not as floats";

/// The id by all rules. An id of which nothing is left stays as it was.
pub(super) fn by_rules<'t>(id: &'t str, rules: &[IdRule]) -> Cow<'t, str> {
    let mut now = Cow::Borrowed(id);
    for rule in rules {
        now = match now {
            Cow::Borrowed(text) => rule.apply(text),
            Cow::Owned(text) => Cow::Owned(rule.apply(&text).into_owned()),
        };
    }
    if now.trim().is_empty() {
        id.into()
    } else {
        now
    }
}

/// `[…]` as a config says it.
pub(super) fn written(rules: &[IdRule]) -> String {
    let names: Vec<String> = rules
        .iter()
        .map(|r| format!("{:?}", String::from(r.clone())))
        .collect();
    format!("[{}]", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::is_rounded;

    #[test]
    fn ids_that_a_spreadsheet_rounded_are_seen() {
        for (id, expected) in [
            ("1.23457E+12", true),
            ("-1.5e+20", true),
            ("1e10", false),
            ("12E45", false),
            ("1.2", false),
            ("v1.2e+x", false),
            ("B00E+1", false),
        ] {
            assert_eq!(is_rounded(id), expected, "{id}");
        }
    }
}
