//! What came back from a service → the answer, or what happened instead. Bytes in, a value out: no network, no clock.
//!
//! ```text
//! status, headers, body ─▶ a stream? put together ─▶ an error, whatever the status? ─▶ answer
//! ```
//!
//! An error in a reply of status 200 is treated as if the status said it. `docs/services.md` has the table of what is
//! read and what is refused.
//!
//! ```
//! use hkfr_fuse::{Outcome, read_reply};
//!
//! let body = br#"{"choices": [{"message": {"content": "Milk."}, "finish_reason": "stop"}]}"#;
//! let Outcome::Answer(answer) = read_reply(200, &[], body) else { panic!() };
//! assert_eq!(answer.text, "Milk.");
//! let busy = br#"{"error": {"code": 429, "message": "Try again in 20s"}}"#;
//! assert!(matches!(read_reply(200, &[], busy), Outcome::Error { status: 429, .. }));
//! ```

mod completion;
mod fault;
pub(super) mod finish;
pub(super) mod place;
mod stream;
pub(super) mod thinking;
mod usage;

use serde_json::Value;

use super::answer::{ChatAnswer, Usage, excerpt};
use super::wait::{Header, RetryAfter, retry_after};
pub(super) use completion::completion;
pub use finish::Finish;
pub use place::Place;
pub use thinking::after_thinking;

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Answer(ChatAnswer),
    Error {
        /// Of the reply, or the one that its body stands for.
        status: u16,
        /// The service's words, fit for one line.
        said: String,
        /// The whole body, in which a parameter may be named.
        body: String,
        after: Option<RetryAfter>,
        took: Option<Took>,
    },
    /// Neither an answer nor an error. `took`: what was read of an answer is paid.
    Damaged {
        reason: String,
        took: Option<Took>,
    },
}

/// What an answer took that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Took {
    pub usage: Option<Usage>,
    /// Of what it said, where the tokens must be estimated.
    pub bytes: u64,
}

impl Took {
    fn of(body: &Value) -> Option<Self> {
        let answer = completion(body).unwrap_or_default();
        let bytes = answer.text.len() as u64 + answer.thinking_bytes;
        let usage = answer.usage.or_else(|| usage::usage(body));
        (usage.is_some() || bytes > 0).then_some(Self { usage, bytes })
    }
}

/// `headers`: names in lower case.
pub fn read_reply(status: u16, headers: &[Header], body: &[u8]) -> Outcome {
    let is_good = (200..300).contains(&status);
    let Ok(text) = std::str::from_utf8(body) else {
        return if is_good {
            damaged("the answer is not UTF-8", None)
        } else {
            failed(status, "", headers, &Value::Null)
        };
    };
    let text = text.trim_start_matches('\u{feff}').trim();
    let content_type = headers.iter().find(|h| h.0 == "content-type");
    let content_type = content_type.map_or("", |h| h.1.as_str());
    let parsed = parse(text, content_type);
    if !is_good {
        let parsed = parsed.unwrap_or_default();
        return failed(status, text, headers, &parsed);
    }
    let body = match parsed {
        Ok(body) => body,
        Err((reason, rest)) => {
            // Of an answer that was cut short, what came is paid.
            let cut = text.starts_with('{').then_some(Took {
                usage: None,
                bytes: text.len() as u64,
            });
            return damaged(&reason, Took::of(&rest).or(cut));
        }
    };
    if let Some(fault) = fault::fault(&body) {
        return Outcome::Error {
            status: fault.status,
            said: excerpt(&fault.said),
            after: retry_after(headers, &body),
            took: Took::of(&body),
            body: body.to_string(),
        };
    }
    match completion(&body) {
        Ok(answer) if answer.finish == Finish::Broken => damaged(
            "the service broke the answer off (finish_reason error)",
            Took::of(&body),
        ),
        Ok(answer) => Outcome::Answer(answer),
        Err(lacks) => damaged(&format!("{lacks}: {}", excerpt(text)), Took::of(&body)),
    }
}

fn damaged(reason: &str, took: Option<Took>) -> Outcome {
    Outcome::Damaged {
        reason: reason.into(),
        took,
    }
}

/// A reply whose status is no success.
fn failed(status: u16, text: &str, headers: &[Header], body: &Value) -> Outcome {
    let said = match page_title(text) {
        Some(title) => format!("a web page: {title}"),
        None => excerpt(text),
    };
    Outcome::Error {
        status,
        said,
        body: text.to_owned(),
        after: retry_after(headers, body),
        took: None,
    }
}

/// # Errors
/// Why it is neither JSON nor a stream of it, and what of the stream was read.
fn parse(text: &str, content_type: &str) -> Result<Value, (String, Value)> {
    // OpenRouter writes comments until the answer is there.
    let mut rest = text;
    while rest.starts_with(':') {
        let end = rest.find(['\n', '\r']).unwrap_or(rest.len());
        rest = rest[end..].trim_start();
    }
    let begins = ["data:", "event:", "id:", "retry:"];
    if begins.iter().any(|b| rest.starts_with(b)) {
        return stream::events(rest);
    }
    let error = match serde_json::from_str(rest) {
        Ok(body) => return Ok(body),
        Err(e) => e,
    };
    let lacks = |reason: String| Err((reason, Value::Null));
    if rest.is_empty() {
        return lacks("the answer is empty: nothing came after the headers".into());
    }
    if let Some(title) = page_title(rest) {
        return lacks(format!(
            "the answer is not JSON but a web page ({title}): a proxy or another site answers at base_url"
        ));
    }
    let is_lines = content_type.contains("ndjson") || content_type.contains("jsonl");
    let first = rest.lines().next().unwrap_or("");
    let begins_whole = serde_json::from_str::<Value>(first).is_ok_and(|v| v.is_object());
    match is_lines || begins_whole {
        true => stream::json_lines(rest),
        false => lacks(format!(
            "the answer is not JSON ({error}): {}",
            excerpt(rest)
        )),
    }
}

/// Of a web page; `None`: it is none.
fn page_title(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    if !lower.starts_with("<!doctype html") && !lower.starts_with("<html") {
        return None;
    }
    let title = lower
        .find("<title>")
        .map(|at| &text[at + "<title>".len()..]);
    let title = title.and_then(|rest| rest.split('<').next());
    Some(excerpt(title.unwrap_or("without a title").trim()))
}
