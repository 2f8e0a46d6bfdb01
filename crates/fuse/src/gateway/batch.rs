//! OpenAI's batch files: what is still to be asked goes out as JSON lines, to be answered within a
//! day at a lower price, and the answers come in from the files that the service returns.
//!
//! A line out: `{"custom_id": hash, "method": "POST", "url": "/v1/chat/completions", "body": …}`.
//! A line in: `{"custom_id": hash, "response": {"status_code": 200, "body": …}, "error": null}`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::answer::excerpt;
use super::answers::{Answers, StoredAnswer};
use super::chat::ChatRequest;
use super::error::GatewayError;
use super::reply::{Outcome, read_reply};

/// Answers that are stored in one transaction.
const CHUNK: usize = 1000;

/// What a file of answers held. Lines are named as `file:line: reason`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchRead {
    /// Answers that are new in the store.
    pub taken: usize,
    /// Answers that the store had.
    pub known: usize,
    /// Requests that the service could not answer: the next run asks them.
    pub failed: Vec<String>,
    /// Lines that are damaged, or answer nothing that was asked.
    pub bad: Vec<String>,
}

/// One request as a line.
pub fn write_batch_line(
    out: &mut dyn Write,
    request: &ChatRequest,
    model: &str,
) -> std::io::Result<()> {
    let line = json!({
        "custom_id": request.hash(model),
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": request.body(model),
    });
    writeln!(out, "{line}")
}

/// Stores the answers of an output or error file. `asked`: the request and the model behind a
/// `custom_id`, if it is one of this run.
pub fn read_batch<'a>(
    path: &Path,
    asked: impl Fn(&str) -> Option<(&'a ChatRequest, &'a str)>,
    answers: &Answers,
    unix_now: i64,
) -> Result<BatchRead, GatewayError> {
    let io = |e: std::io::Error| GatewayError::File {
        path: path.into(),
        line: 0,
        reason: e.to_string(),
    };
    let mut reader = BufReader::new(std::fs::File::open(path).map_err(io)?);
    let mut read = BatchRead::default();
    let mut rows: Vec<(StoredAnswer, Option<String>)> = Vec::new();
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes).map_err(io)? == 0 {
            break;
        }
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        let at = |reason: String| format!("{}:{number}: {reason}", path.display());
        match parse(&bytes, &asked, unix_now) {
            Ok((row, _))
                if answers.contains(&row.hash)? || rows.iter().any(|r| r.0.hash == row.hash) =>
            {
                read.known += 1;
            }
            Ok(row) => rows.push(row),
            Err(Refused::Failed(reason)) => read.failed.push(at(reason)),
            Err(Refused::Bad(reason)) => read.bad.push(at(reason)),
        }
        if rows.len() >= CHUNK {
            read.taken += rows.len();
            answers.put_all(std::mem::take(&mut rows))?;
        }
    }
    read.taken += rows.len();
    answers.put_all(rows)?;
    Ok(read)
}

enum Refused {
    Failed(String),
    Bad(String),
}

fn parse<'a>(
    bytes: &[u8],
    asked: &impl Fn(&str) -> Option<(&'a ChatRequest, &'a str)>,
    unix_now: i64,
) -> Result<(StoredAnswer, Option<String>), Refused> {
    let line: Value =
        serde_json::from_slice(bytes).map_err(|e| Refused::Bad(format!("damaged: {e}")))?;
    let hash = line["custom_id"].as_str();
    let hash = hash.ok_or_else(|| Refused::Bad("has no custom_id".into()))?;
    let Some((request, model)) = asked(hash) else {
        let id = excerpt(hash);
        let reason = format!("custom_id {id:?} is no request of this run");
        return Err(Refused::Bad(reason));
    };
    let response = &line["response"];
    let status = response["status_code"].as_u64();
    if !line["error"].is_null() {
        let status = status.map_or(String::new(), |s| format!("status {s}: "));
        let said = excerpt(&line["error"].to_string());
        return Err(Refused::Failed(format!("not answered: {status}{said}")));
    }
    let body = response["body"].to_string();
    let status = status.map_or(200, |s| u16::try_from(s).unwrap_or(500));
    let answer = match read_reply(status, &[], body.as_bytes()) {
        Outcome::Answer(answer) => answer,
        Outcome::Error { status, said, .. } => {
            let reason = format!("not answered: status {status}: {said}");
            return Err(Refused::Failed(reason));
        }
        Outcome::Damaged { reason, .. } => return Err(Refused::Bad(reason)),
    };
    let stored = StoredAnswer {
        hash: hash.to_owned(),
        model: model.to_owned(),
        usage: request.usage(&answer),
        answer,
        answered_at: unix_now,
    };
    Ok((stored, request.subject.clone()))
}
