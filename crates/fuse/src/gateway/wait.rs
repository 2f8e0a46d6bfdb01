//! How long a service asks to be left alone: headers and body of a refusal → a wait.
//!
//! | where | form |
//! |---|---|
//! | `retry-after-ms`, `x-ms-retry-after-ms` | milliseconds |
//! | `retry-after` | seconds, also with a fraction; an HTTP date (RFC 9110, section 10.2.3); an ISO time |
//! | `x-ratelimit-reset-*`, `ratelimit-reset`, `anthropic-ratelimit-*-reset` | `6m0s`, `120ms`, seconds, an ISO time, seconds or milliseconds since 1970 |
//! | body | `retryDelay` (Gemini), `retry_after`, "try again in 20s" |
//!
//! The first line that says something decides. Of several limits those count that are used up (`remaining` is 0),
//! the latest of them; where none says so, the earliest.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime};
use serde_json::Value;

/// A header `(name in lower case, value)`.
pub type Header = (String, String);

/// A wait, or the moment until which to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    In(Duration),
    /// Seconds since 1970-01-01 UTC.
    At(i64),
}

/// A number of seconds above this is a time since 1970, and above [`MILLIS`] one in milliseconds.
const EPOCH: f64 = 1e9;
const MILLIS: f64 = 1e11;

impl RetryAfter {
    /// Seconds, a length (`1m30s`), an HTTP date, an ISO time, or a time since 1970.
    ///
    /// ```
    /// use hkfr_fuse::RetryAfter;
    /// use std::time::Duration;
    ///
    /// let millis = |n| Some(RetryAfter::In(Duration::from_millis(n)));
    /// assert_eq!(RetryAfter::parse("1.5"), millis(1500));
    /// assert_eq!(RetryAfter::parse("1h2m3.5s"), millis(3_723_500));
    /// assert_eq!(RetryAfter::parse("1970-01-02T00:00:00Z"), Some(RetryAfter::At(86_400)));
    /// assert_eq!(RetryAfter::parse("1741305600000"), Some(RetryAfter::At(1_741_305_600)));
    /// assert_eq!(RetryAfter::parse("soon"), None);
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        match text.parse::<f64>() {
            Ok(n) => number(n),
            Err(_) => length(text).map(Self::In).or_else(|| date(text)),
        }
    }

    /// At most a year.
    pub fn wait(self, unix_now: i64) -> Duration {
        let wait = match self {
            Self::In(wait) => wait,
            Self::At(then) => Duration::from_secs(then.saturating_sub(unix_now).max(0) as u64),
        };
        wait.min(Duration::from_secs(365 * 86_400))
    }
}

/// What a refusal says; `body` may be null.
pub fn retry_after(headers: &[Header], body: &Value) -> Option<RetryAfter> {
    let header = |name: &str| headers.iter().find(|h| h.0 == name).map(|h| h.1.as_str());
    let millis = ["retry-after-ms", "x-ms-retry-after-ms"];
    let millis = millis.into_iter().find_map(header);
    let millis = millis.and_then(|text| text.trim().parse::<f64>().ok());
    millis
        .and_then(|n| number(n / 1000.0))
        .or_else(|| header("retry-after").and_then(RetryAfter::parse))
        .or_else(|| reset(headers))
        .or_else(|| of_body(body))
}

fn number(n: f64) -> Option<RetryAfter> {
    match n {
        n if !n.is_finite() || n < 0.0 => None,
        n if n >= MILLIS => Some(RetryAfter::At((n / 1000.0).ceil() as i64)),
        n if n >= EPOCH => Some(RetryAfter::At(n.ceil() as i64)),
        n => Some(RetryAfter::In(Duration::from_secs_f64(n))),
    }
}

/// `1h2m3.5s`: numbers with their units, the larger unit first in practice, in any order here.
fn length(text: &str) -> Option<Duration> {
    let (mut rest, mut seconds) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let n: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        seconds += n * match rest[..unit].trim() {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        rest = &rest[unit..];
    }
    let is_said = !text.is_empty();
    is_said.then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// The three forms of an HTTP date, and an ISO time.
fn date(text: &str) -> Option<RetryAfter> {
    let with_zone =
        DateTime::parse_from_rfc2822(text).or_else(|_| DateTime::parse_from_rfc3339(text));
    if let Ok(time) = with_zone {
        let up = i64::from(time.timestamp_subsec_nanos() > 0);
        return Some(RetryAfter::At(time.timestamp() + up));
    }
    let forms = [
        "%A, %d-%b-%y %H:%M:%S GMT",
        "%a %b %e %H:%M:%S %Y",
        "%Y-%m-%dT%H:%M:%S",
    ];
    let time = forms
        .iter()
        .find_map(|f| NaiveDateTime::parse_from_str(text, f).ok())?;
    Some(RetryAfter::At(time.and_utc().timestamp()))
}

/// When the limits that are used up are full again.
fn reset(headers: &[Header]) -> Option<RetryAfter> {
    let is_reset = |name: &str| {
        let named = ["x-ratelimit-reset", "x-rate-limit-reset", "ratelimit-reset"];
        named.iter().any(|n| name.starts_with(n))
            || (name.starts_with("anthropic-ratelimit-") && name.ends_with("-reset"))
    };
    let resets = headers.iter().filter(|(name, _)| is_reset(name));
    let resets: Vec<(bool, RetryAfter)> = resets
        .filter_map(|(name, value)| {
            let remaining = name.replace("reset", "remaining");
            let left = headers.iter().find(|h| h.0 == remaining);
            let used_up = left.and_then(|h| h.1.trim().parse::<f64>().ok()) == Some(0.0);
            Some((used_up, RetryAfter::parse(value)?))
        })
        .collect();
    // Times and lengths in one list are not seen in practice; a time then counts as the longer.
    let length = |r: &RetryAfter| match *r {
        RetryAfter::In(wait) => wait.as_nanos(),
        RetryAfter::At(then) => u128::MAX / 2 + then.max(0) as u128,
    };
    let used_up = resets
        .iter()
        .filter(|r| r.0)
        .map(|r| r.1)
        .max_by_key(length);
    used_up.or_else(|| resets.iter().map(|r| r.1).min_by_key(length))
}

fn of_body(body: &Value) -> Option<RetryAfter> {
    let body = body
        .as_array()
        .and_then(|list| list.first())
        .unwrap_or(body);
    let error = match &body["error"] {
        Value::Null => body,
        error => error,
    };
    let details = error["details"].as_array().into_iter().flatten();
    let mut delays = details.filter_map(|d| d["retryDelay"].as_str());
    if let Some(delay) = delays.find_map(RetryAfter::parse) {
        return Some(delay);
    }
    // OpenRouter hands the provider's headers on.
    if let Some(handed) = error["metadata"]["headers"].as_object() {
        let said = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
        let handed: Vec<Header> = handed
            .iter()
            .map(|(name, value)| (name.to_lowercase(), said(value)))
            .collect();
        if let Some(after) = retry_after(&handed, &Value::Null) {
            return Some(after);
        }
    }
    let seconds = ["retry_after", "retry_after_seconds", "retryAfter"];
    let seconds = seconds.iter().find_map(|key| error[*key].as_f64());
    let millis = error["retry_after_ms"].as_f64().map(|n| n / 1000.0);
    if let Some(after) = seconds.or(millis).and_then(number) {
        return Some(after);
    }
    let message = error["message"].as_str().or(error.as_str())?;
    in_words(message)
}

/// "Please try again in 6m0s." "Retry after 20 seconds."
fn in_words(message: &str) -> Option<RetryAfter> {
    let message = message.to_ascii_lowercase();
    let phrases = [
        "try again in ",
        "retry in ",
        "retry after ",
        "reset after ",
        "reset in ",
    ];
    phrases.iter().find_map(|phrase| {
        let at = message.find(phrase)? + phrase.len();
        let mut words = message[at..].split_whitespace();
        let first = words.next()?.trim_end_matches(['.', ',', ';', ')']);
        if let Some(wait) = length(first) {
            return Some(RetryAfter::In(wait));
        }
        let unit = match words.next()? {
            w if w.starts_with("milli") || w.starts_with("ms") => 1e-3,
            w if w.starts_with("sec") || w == "s" || w == "s." => 1.0,
            w if w.starts_with("min") => 60.0,
            w if w.starts_with("hour") => 3600.0,
            _ => return None,
        };
        number(first.parse::<f64>().ok()? * unit)
    })
}
