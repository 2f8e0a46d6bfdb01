//! How a service wants parameters to be called, learnt from its refusals: the canonical body → the one that is posted.
//!
//! A service that refuses a parameter by its name is asked again at once, with `max_completion_tokens` in place of
//! `max_tokens` (or the other way round), or without `temperature`, `seed` or `stream`, and so for the rest of the run.
//! The question stays the same, and so does the hash under which its answer is kept.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parameter {
    MaxTokens,
    Temperature,
    Seed,
    Stream,
}

impl Parameter {
    const ALL: [Self; 4] = [Self::MaxTokens, Self::Temperature, Self::Seed, Self::Stream];

    fn names(self) -> &'static [&'static str] {
        match self {
            Self::MaxTokens => &["max_tokens", "max_completion_tokens"],
            Self::Temperature => &["temperature"],
            Self::Seed => &["seed"],
            Self::Stream => &["stream"],
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }

    /// The parameter of `body` that a refusal names as unknown; `None`: it is about something else. A value that is too
    /// large is about something else.
    pub fn refused(said: &str, body: &Value) -> Option<Self> {
        let said = said.to_ascii_lowercase();
        let is_unknown = [
            "unsupported",
            "not support",
            "unknown",
            "unrecognized",
            "unrecognised",
            "unexpected",
            "not permitted",
            "extra_forbidden",
            "not allowed",
            "no such parameter",
        ];
        if !is_unknown.iter().any(|words| said.contains(words)) {
            return None;
        }
        // The one that is named first: a remedy ("use max_completion_tokens") comes after it.
        let named = Self::ALL
            .into_iter()
            .flat_map(|p| p.names().iter().map(move |n| (p, *n)));
        let sent = named.filter(|(_, name)| body.get(*name).is_some());
        let found = sent.filter_map(|(p, name)| Some((position(&said, name)?, p)));
        found.min_by_key(|(at, _)| *at).map(|(_, p)| p)
    }
}

/// `seed is left out`.
impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::MaxTokens => f.write_str("the limit of tokens goes under its other name"),
            other => write!(f, "{} is left out", other.names()[0]),
        }
    }
}

/// As a whole word: `seed` is not in `seeded`.
fn position(text: &str, name: &str) -> Option<usize> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(name).map(|(at, _)| at).find(|&at| {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

/// Shared by the threads that ask a service.
#[derive(Default)]
pub(super) struct Dialect(AtomicU8);

impl Dialect {
    /// Whether it is new.
    pub fn learn(&self, parameter: Parameter) -> bool {
        self.0.fetch_or(parameter.bit(), Ordering::Relaxed) & parameter.bit() == 0
    }

    pub fn apply(&self, body: &mut Value) {
        let learnt = self.0.load(Ordering::Relaxed);
        let Some(map) = body.as_object_mut() else {
            return;
        };
        for parameter in Parameter::ALL.into_iter().filter(|p| learnt & p.bit() != 0) {
            if parameter != Parameter::MaxTokens {
                map.remove(parameter.names()[0]);
            } else if let Some(limit) = map.remove("max_tokens") {
                map.insert("max_completion_tokens".into(), limit);
            } else if let Some(limit) = map.remove("max_completion_tokens") {
                map.insert("max_tokens".into(), limit);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_parameter_that_is_refused_by_name_is_found() {
        let body =
            json!({"model": "m", "max_tokens": 20, "temperature": 0.0, "seed": 1, "stream": false});
        for (said, expected) in [
            (
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
                Some(Parameter::MaxTokens),
            ),
            (
                "Unsupported value: 'temperature' does not support 0.0 with this model. Only the default (1) value is supported.",
                Some(Parameter::Temperature),
            ),
            (
                r#"{"detail":[{"type":"extra_forbidden","loc":["body","seed"],"msg":"Extra inputs are not permitted"}]}"#,
                Some(Parameter::Seed),
            ),
            (
                "Unrecognized request argument supplied: stream",
                Some(Parameter::Stream),
            ),
            (
                "max_tokens is too large: 5000. This model supports at most 4096 completion tokens",
                None,
            ),
            ("model 'seeded-7b' is unknown", None),
            ("response_format is not supported", None),
        ] {
            assert_eq!(Parameter::refused(said, &body), expected, "{said}");
        }
        assert_eq!(
            Parameter::refused("unknown parameter seed", &json!({"model": "m"})),
            None
        );
    }

    #[test]
    fn what_was_learnt_is_applied() {
        let dialect = Dialect::default();
        assert!(dialect.learn(Parameter::MaxTokens) && !dialect.learn(Parameter::MaxTokens));
        dialect.learn(Parameter::Temperature);
        let mut body = json!({"max_tokens": 20, "temperature": 0.0, "seed": 1});
        dialect.apply(&mut body);
        assert_eq!(body, json!({"max_completion_tokens": 20, "seed": 1}));
        let mut body = json!({"max_completion_tokens": 20});
        dialect.apply(&mut body);
        assert_eq!(body, json!({"max_tokens": 20}));
    }
}
