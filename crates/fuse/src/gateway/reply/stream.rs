//! A stream that nobody asked for → the one body that it comes to.
//!
//! Server-sent events (`data: {…}`, comments, `[DONE]`) and JSON lines (Ollama): the deltas of the first choice are
//! put together, and the last of everything else that a chunk says stands. An error in a stream is the whole's.

use serde_json::{Map, Value, json};

/// # Errors
/// What a stream lacks, beside the chunks that were read.
pub(super) fn events(text: &str) -> Result<Value, (String, Value)> {
    let mut whole = Whole::default();
    let (mut data, mut done) = (String::new(), false);
    // An event ends with an empty line, and the last one with the text.
    for line in lines(text).chain([""]) {
        if let Some(more) = line.strip_prefix("data:") {
            if !data.is_empty() {
                data.push('\n');
            }
            data.push_str(more.strip_prefix(' ').unwrap_or(more));
            // Some servers leave out the empty line.
            if serde_json::from_str::<serde::de::IgnoredAny>(&data).is_err()
                && data.trim() != "[DONE]"
            {
                continue;
            }
        } else if !line.is_empty() {
            // Comments, `event:`, `id:`, `retry:`.
            continue;
        }
        match std::mem::take(&mut data).trim() {
            "" => {}
            "[DONE]" => done = true,
            chunk => match serde_json::from_str(chunk) {
                Ok(chunk) => whole.add(&chunk),
                Err(e) => return Err((format!("the stream is damaged ({e})"), whole.body())),
            },
        }
    }
    whole.ended(done)
}

/// JSON lines.
pub(super) fn json_lines(text: &str) -> Result<Value, (String, Value)> {
    let (mut whole, mut done) = (Whole::default(), false);
    for line in lines(text).map(str::trim).filter(|l| !l.is_empty()) {
        match serde_json::from_str::<Value>(line) {
            Ok(chunk) => {
                done |= chunk["done"] == true;
                whole.add(&chunk);
            }
            Err(e) => return Err((format!("the stream is damaged ({e})"), whole.body())),
        }
    }
    whole.ended(done)
}

/// Lines that end with `\n`, `\r\n` or `\r`.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n')
        .flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// Texts that come in pieces.
const PIECES: [&str; 5] = [
    "content",
    "reasoning_content",
    "reasoning",
    "thinking",
    "refusal",
];

#[derive(Default)]
struct Whole {
    /// Everything but the choices.
    body: Map<String, Value>,
    message: Map<String, Value>,
    arguments: String,
    text: String,
    finish: Value,
    error: Value,
}

impl Whole {
    fn add(&mut self, chunk: &Value) {
        let Some(map) = chunk.as_object() else { return };
        for (key, value) in map {
            let is_choice = matches!(key.as_str(), "choices" | "message" | "response");
            if !is_choice && !value.is_null() {
                self.body.insert(key.clone(), value.clone());
            }
        }
        let choices = chunk["choices"].as_array();
        let choice = choices.and_then(|c| c.iter().find(|c| c["index"].as_u64().unwrap_or(0) == 0));
        if let Some(choice) = choice {
            if !choice["finish_reason"].is_null() {
                self.finish = choice["finish_reason"].clone();
            }
            if !choice["error"].is_null() {
                self.error = choice["error"].clone();
            }
            self.text.push_str(choice["text"].as_str().unwrap_or(""));
            // The last chunk of some servers repeats the whole message.
            let place = if choice["delta"].is_object() {
                "delta"
            } else {
                "message"
            };
            self.delta(&choice[place]);
        }
        self.delta(&chunk["message"]);
        self.text.push_str(chunk["response"].as_str().unwrap_or(""));
    }

    fn delta(&mut self, delta: &Value) {
        for key in PIECES {
            match &delta[key] {
                Value::String(piece) => {
                    let whole = self.message.entry(key).or_insert_with(|| "".into());
                    match whole {
                        Value::String(whole) => whole.push_str(piece),
                        other => *other = piece.as_str().into(),
                    }
                }
                // Parts, as Mistral has them.
                Value::Array(parts) => {
                    let whole = self.message.entry(key).or_insert_with(|| json!([]));
                    if let Value::String(text) = whole {
                        *whole = json!([text]);
                    }
                    if let Value::Array(whole) = whole {
                        whole.extend(parts.iter().cloned());
                    }
                }
                _ => {}
            }
        }
        let calls = delta["tool_calls"].as_array().into_iter().flatten();
        let first = calls.filter(|c| c["index"].as_u64().unwrap_or(0) == 0);
        for call in first {
            match &call["function"]["arguments"] {
                Value::String(piece) => self.arguments.push_str(piece),
                Value::Null => {}
                whole => self.arguments = whole.to_string(),
            }
        }
    }

    fn body(self) -> Value {
        let mut message = self.message;
        if !self.arguments.is_empty() {
            let call = json!([{"function": {"arguments": self.arguments}}]);
            message.insert("tool_calls".into(), call);
        }
        let mut choice = json!({"message": message, "finish_reason": self.finish});
        if !self.text.is_empty() {
            choice["text"] = self.text.into();
        }
        if !self.error.is_null() {
            choice["error"] = self.error;
        }
        let mut body = Value::Object(self.body);
        body["choices"] = json!([choice]);
        body
    }

    /// An error ends a stream, too.
    fn ended(self, done: bool) -> Result<Value, (String, Value)> {
        let said_all = done || !self.finish.is_null() || !self.error.is_null();
        let body = self.body();
        let ended = said_all || !body["error"].is_null() || !body["done_reason"].is_null();
        if ended || super::fault::fault(&body).is_some() {
            Ok(body)
        } else {
            Err(("the stream ended before the answer did".into(), body))
        }
    }
}
