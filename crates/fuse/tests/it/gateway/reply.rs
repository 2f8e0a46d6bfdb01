//! What services answer, one line a case, and what is read of it. Bodies are made after the services' documentation
//! and reports of their users.

use std::time::Duration;

use hkfr_fuse::{ChatAnswer, Header, Outcome, RetryAfter, Took, Usage, read_reply};
use proptest::prelude::*;
use serde_json::{Value, json};

fn bytes(body: &Value) -> Vec<u8> {
    body.as_str()
        .map_or_else(|| body.to_string(), str::to_owned)
        .into_bytes()
}

fn usage(value: &Value) -> Option<Usage> {
    Some(Usage {
        prompt_tokens: value[0].as_u64()?,
        completion_tokens: value[1].as_u64()?,
    })
}

fn check_took(took: Option<Took>, is: &Value, from: &str) {
    match &is["paid"] {
        Value::Null => assert_eq!(took, None, "{from}"),
        Value::String(_) => {
            let took = took.expect(from);
            assert!(took.usage.is_none() && took.bytes > 0, "{from}: {took:?}");
        }
        paid => assert_eq!(took.expect(from).usage, usage(paid), "{from}"),
    }
}

#[test]
fn each_service_is_read_right_or_refused_for_what_happened() {
    for line in include_str!("replies.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let (from, is) = (case["from"].as_str().unwrap(), &case["is"]);
        let status = case["status"].as_u64().unwrap_or(200) as u16;
        let headers = case["headers"].as_object().into_iter().flatten();
        let headers: Vec<Header> = headers
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect();
        match read_reply(status, &headers, &bytes(&case["body"])) {
            Outcome::Answer(answer) => {
                assert_eq!(answer.text, is["text"], "{from}");
                assert_eq!(answer.usage, usage(&is["usage"]), "{from}");
                let named =
                    |key: &str, default: &str| is[key].as_str().unwrap_or(default).to_owned();
                let place = named("place", "content");
                assert_eq!(json!(answer.place), json!(place), "{from}");
                assert_eq!(
                    json!(answer.finish),
                    json!(named("finish", "stop")),
                    "{from}"
                );
                let (said_in, said) = answer.said();
                assert_eq!(json!(said_in), json!(named("said_in", &place)), "{from}");
                assert_eq!(said, is["said"].as_str().unwrap_or(&answer.text), "{from}");
            }
            Outcome::Error {
                status,
                said,
                after,
                took,
                ..
            } => {
                assert_eq!(json!(status), is["error"], "{from}: {said}");
                let wait = is["wait"].as_f64().map(Duration::from_secs_f64);
                let until = is["until"].as_i64().map(RetryAfter::At);
                assert_eq!(after, wait.map(RetryAfter::In).or(until), "{from}");
                check_took(took, is, from);
            }
            Outcome::Damaged { reason, took } => {
                let expected = is["damaged"].as_str().expect(from);
                assert!(reason.contains(expected), "{from}: {reason}");
                check_took(took, is, from);
            }
        }
    }
}

/// `text` in pieces that end at `cuts` (0 to 1), as a stream.
fn stream(text: &str, cuts: &[f64], end: &str, comments: bool) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut ends: Vec<usize> = cuts
        .iter()
        .map(|c| (c * chars.len() as f64) as usize)
        .collect();
    ends.push(chars.len());
    ends.sort_unstable();
    let (mut out, mut begin) = (String::new(), 0);
    for next in ends {
        let piece: String = chars[begin..next].iter().collect();
        begin = next;
        let chunk =
            json!({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": null}]});
        if comments {
            out += &format!(": keep-alive{end}event: message{end}");
        }
        out += &format!("data: {chunk}{end}{end}");
    }
    let last = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 10, "completion_tokens": 5}});
    out + &format!("data: {last}{end}{end}data: [DONE]{end}{end}")
}

proptest! {
    #[test]
    fn a_stream_says_the_same_however_it_is_split(
        text in "[\\PC\n\"{}]{1,60}",
        cuts in prop::collection::vec(0.0..1.0, 0..8),
        end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        comments: bool,
    ) {
        let whole = json!({"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 10, "completion_tokens": 5}});
        let expected = read_reply(200, &[], whole.to_string().as_bytes());
        let split = read_reply(200, &[], stream(&text, &cuts, end, comments).as_bytes());
        prop_assert_eq!(split, expected);
    }

    #[test]
    fn no_bytes_are_a_panic(
        status in 100..600_u16,
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        value in "[\\PC]{0,30}",
    ) {
        let headers = vec![("retry-after".to_owned(), value.clone()), ("x-ratelimit-reset".to_owned(), value)];
        read_reply(status, &headers, &bytes);
        for begin in ["data: ", "{\"choices\": ", "<html>"] {
            let mut framed = begin.as_bytes().to_vec();
            framed.extend(&bytes);
            read_reply(status, &headers, &framed);
        }
    }

    /// Each byte of a real reply left out, or another in its place.
    #[test]
    fn no_damage_is_a_panic(which: prop::sample::Index, at: prop::sample::Index, byte: Option<u8>) {
        let lines: Vec<&str> = include_str!("replies.jsonl").lines().collect();
        let case: Value = serde_json::from_str(lines[which.index(lines.len())]).unwrap();
        let mut body = bytes(&case["body"]);
        if !body.is_empty() {
            let at = at.index(body.len());
            match byte {
                Some(byte) => body[at] = byte,
                None => drop(body.remove(at)),
            }
        }
        if let Outcome::Answer(answer) = read_reply(200, &[], &body) {
            let ChatAnswer { text, .. } = &answer;
            prop_assert!(answer.said().1.len() <= text.len());
        }
    }
}
