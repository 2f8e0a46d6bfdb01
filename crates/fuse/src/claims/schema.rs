//! What a service is to answer: its JSON schema, and JSON → [`Answer`] with every fault by its path.
//!
//! ```
//! use hkfr_fuse::claims::{ClaimKind, validate};
//! use serde_json::json;
//!
//! let claim = json!({"kind": "category", "value": "bread", "number": 2, "events": [7, 3]});
//! let answer = validate(&json!({"claims": [claim], "text": "Buys bread."}))?;
//! assert_eq!((answer.claims[0].kind, answer.claims[0].percent), (ClaimKind::Category, None));
//! let faults = validate(&json!({"claims": [{"kind": "taste", "value": 3}], "text": ""})).unwrap_err();
//! assert!(faults.starts_with("claims[0].kind: \"taste\" is none of category, item, "));
//! assert!(faults.contains("claims[0].value: is a number, and must be a text"));
//! # Ok::<(), String>(())
//! ```

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What a claim is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimKind {
    /// Things of a category are chosen.
    Category,
    /// An item is chosen.
    Item,
    /// A step of the price ladder is a habit.
    Price,
    Weekday,
    Daypart,
    /// Something is done in a scenario.
    Scenario,
    /// What the latest events are after: a category, an item or a search.
    Intent,
    /// A category or an item that is shown and never chosen, or rated low.
    Avoided,
}

impl ClaimKind {
    pub const ALL: [Self; 8] = [
        Self::Category,
        Self::Item,
        Self::Price,
        Self::Weekday,
        Self::Daypart,
        Self::Scenario,
        Self::Intent,
        Self::Avoided,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Category => "category",
            Self::Item => "item",
            Self::Price => "price",
            Self::Weekday => "weekday",
            Self::Daypart => "daypart",
            Self::Scenario => "scenario",
            Self::Intent => "intent",
            Self::Avoided => "avoided",
        }
    }
}

/// How a share in the latest third compares with that before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trend {
    Rising,
    Falling,
}

/// A claim as a model made it; nothing of it is known to be true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeClaim {
    pub kind: ClaimKind,
    pub value: String,
    /// How often, over the whole history.
    #[serde(default)]
    pub number: Option<i64>,
    /// The same as a share.
    #[serde(default)]
    pub percent: Option<i64>,
    #[serde(default)]
    pub trend: Option<Trend>,
    /// Ids of the document's events.
    pub events: Vec<i64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    pub claims: Vec<MadeClaim>,
    pub text: String,
}

/// Far beyond what is asked for: an answer that repeats itself without end is not worth judging.
const MAX_CLAIMS: usize = 256;
const MAX_EVENTS: usize = 1024;
/// Faults that are told at most.
const MAX_FAULTS: usize = 4;

/// Strict, as structured output wants it: every key required, none beside them.
pub fn schema() -> Value {
    let kinds = ClaimKind::ALL.map(ClaimKind::name);
    let number = json!({"type": ["integer", "null"]});
    let claim = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["kind", "value", "number", "percent", "trend", "events"],
        "properties": {
            "kind": {"type": "string", "enum": kinds},
            "value": {"type": "string"},
            "number": number,
            "percent": number,
            "trend": {"type": ["string", "null"], "enum": ["rising", "falling", null]},
            "events": {"type": "array", "items": {"type": "integer"}},
        },
    });
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["claims", "text"],
        "properties": {
            "claims": {"type": "array", "items": claim},
            "text": {"type": "string"},
        },
    })
}

/// Keys that may be null may be absent too, and others say nothing: what a service without structured
/// output adds or leaves out is no reason to pay again.
///
/// # Errors
/// The first faults, each as `path: fault`.
pub fn validate(value: &Value) -> Result<Answer, String> {
    let mut faults = Faults::default();
    let answer = answer(value, &mut faults);
    match answer {
        Some(answer) if faults.0.is_empty() => Ok(answer),
        _ => {
            let more = faults.0.len().saturating_sub(MAX_FAULTS);
            faults.0.truncate(MAX_FAULTS);
            if more > 0 {
                faults.0.push(format!("and {more} more"));
            }
            Err(faults.0.join("; "))
        }
    }
}

#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn add(&mut self, path: &str, fault: impl std::fmt::Display) {
        self.0.push(format!("{path}: {fault}"));
    }

    fn wrong(&mut self, path: &str, found: &Value, wanted: &str) {
        self.add(path, format!("is {}, and must be {wanted}", kind_of(found)));
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn answer(value: &Value, faults: &mut Faults) -> Option<Answer> {
    let Value::Object(map) = value else {
        faults.wrong("the answer", value, "an object with claims and text");
        return None;
    };
    let text = text(map, "text", "text", faults);
    let claims = match map.get("claims") {
        Some(Value::Array(claims)) if claims.len() > MAX_CLAIMS => {
            faults.add("claims", format!("has {} entries", claims.len()));
            None
        }
        Some(Value::Array(claims)) => Some(claims),
        Some(other) => {
            faults.wrong("claims", other, "a list of claims");
            None
        }
        None => {
            faults.add("claims", "is missing");
            None
        }
    };
    let claims = claims.into_iter().flatten().enumerate();
    let claims: Vec<_> = claims
        .map(|(i, c)| claim(c, &format!("claims[{i}]"), faults))
        .collect();
    Some(Answer {
        claims: claims.into_iter().collect::<Option<_>>()?,
        text: text?,
    })
}

fn claim(value: &Value, path: &str, faults: &mut Faults) -> Option<MadeClaim> {
    let Value::Object(map) = value else {
        faults.wrong(path, value, "an object");
        return None;
    };
    let at = |key: &str| format!("{path}.{key}");
    let kind = text(map, "kind", &at("kind"), faults).and_then(|kind| {
        let found = ClaimKind::ALL.into_iter().find(|k| k.name() == kind);
        if found.is_none() {
            let known = ClaimKind::ALL.map(ClaimKind::name).join(", ");
            faults.add(
                &at("kind"),
                format!("{:?} is none of {known}", short(&kind)),
            );
        }
        found
    });
    let value = text(map, "value", &at("value"), faults);
    let number = whole(map, "number", &at("number"), faults);
    let percent = whole(map, "percent", &at("percent"), faults);
    let trend = match map.get("trend") {
        None | Some(Value::Null) => Some(None),
        Some(Value::String(t)) if t == "rising" => Some(Some(Trend::Rising)),
        Some(Value::String(t)) if t == "falling" => Some(Some(Trend::Falling)),
        Some(Value::String(t)) => {
            let fault = format!("{:?} is none of rising, falling, null", short(t));
            faults.add(&at("trend"), fault);
            None
        }
        Some(other) => {
            faults.wrong(&at("trend"), other, "rising, falling or null");
            None
        }
    };
    let events = match map.get("events") {
        Some(Value::Array(ids)) if ids.len() > MAX_EVENTS => {
            faults.add(&at("events"), format!("has {} entries", ids.len()));
            None
        }
        Some(Value::Array(ids)) => {
            let ids = ids.iter().enumerate().map(|(i, id)| {
                let whole = integer(id);
                if whole.is_none() {
                    faults.wrong(&format!("{path}.events[{i}]"), id, "a whole number");
                }
                whole
            });
            ids.collect::<Vec<_>>().into_iter().collect()
        }
        Some(other) => {
            faults.wrong(&at("events"), other, "a list of ids");
            None
        }
        None => {
            faults.add(&at("events"), "is missing");
            None
        }
    };
    Some(MadeClaim {
        kind: kind?,
        value: value?,
        number: number?,
        percent: percent?,
        trend: trend?,
        events: events?,
    })
}

fn text(map: &Map<String, Value>, key: &str, path: &str, faults: &mut Faults) -> Option<String> {
    match map.get(key) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => {
            faults.wrong(path, other, "a text");
            None
        }
        None => {
            faults.add(path, "is missing");
            None
        }
    }
}

/// The outer `None`: there is a fault.
fn whole(
    map: &Map<String, Value>,
    key: &str,
    path: &str,
    faults: &mut Faults,
) -> Option<Option<i64>> {
    match map.get(key) {
        None | Some(Value::Null) => Some(None),
        Some(value) => {
            let whole = integer(value);
            if whole.is_none() {
                faults.wrong(path, value, "a whole number or null");
            }
            whole.map(Some)
        }
    }
}

fn integer(value: &Value) -> Option<i64> {
    let of_float = || {
        value
            .as_f64()
            .filter(|f| f.fract() == 0.0 && f.abs() < 1e15)
    };
    value.as_i64().or_else(|| of_float().map(|f| f as i64))
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
