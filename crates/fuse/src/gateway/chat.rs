//! A request and its answer, as OpenAI's chat completions have them, and who may answer.
//!
//! ```
//! use hkfr_fuse::ChatRequest;
//!
//! let request = ChatRequest::prompt("What do they like?", 20);
//! assert_eq!(request.body("small")["max_tokens"], 20);
//! // The same request to another model is another request.
//! assert_ne!(request.hash("small"), request.hash("large"));
//! // 18 bytes, 3 to a token, and 8 tokens of frame.
//! assert_eq!(request.estimate().prompt_tokens, 14);
//! ```

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::answer::{ChatAnswer, Usage};
use super::reply::Took;
use super::wait::RetryAfter;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    System,
    User,
    Assistant,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub role: Role,
    pub content: String,
}

/// What is asked, of whichever model.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    pub messages: Vec<Message>,
    /// Of the answer.
    pub max_tokens: usize,
    pub temperature: f64,
    /// Tokens that the model may think beside the answer. Above 0 the limit is sent as
    /// `max_completion_tokens` and no temperature is: models that reason refuse `max_tokens` and any but their own.
    pub reasoning_tokens: usize,
    /// A JSON schema that the answer must satisfy, sent as `response_format`.
    pub schema: Option<Value>,
    /// Without a schema: whether `response_format` asks for any JSON object.
    pub json_object: bool,
    /// Whom it is about, as a pseudonym: kept beside the answer, never sent, and no part of the hash.
    pub subject: Option<String>,
    /// Of the service's draws: the same question with another one is another request.
    pub seed: Option<u64>,
}

/// Tokens that are paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bill {
    pub usage: Usage,
    /// Whether the service counted them; else they are estimated.
    pub reported: bool,
}

/// Whatever answers requests: a service over HTTP, or a [`crate::Cassette`] of recorded answers.
pub trait ChatService: Send + Sync {
    /// The model that is asked, by the name that the service knows.
    fn model(&self) -> &str;

    /// Where it is, for errors.
    fn url(&self) -> &str;

    /// One attempt, given up after `timeout`. Called from several threads at once.
    fn ask(&self, request: &ChatRequest, timeout: Duration) -> Result<ChatAnswer, ServiceError>;

    /// Told of an answer of its model that was in the store, and for which it is not asked.
    fn recall(&self, _request: &ChatRequest, _answer: &ChatAnswer) {}
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceError {
    /// The user's to mend.
    User(String),
    /// It does not take this request: too long, or its content is refused.
    Refused(String),
    /// It does not take this request, which has a `response_format`: without one it may.
    Schema(String),
    /// May pass.
    Transient {
        reason: String,
        cause: Cause,
        after: Option<RetryAfter>,
        /// What was answered is paid, even if it cannot be read.
        paid: Option<Bill>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Status 429: the service is there, and asks for patience.
    Busy,
    /// Status 5xx: the service failed, perhaps over what was asked.
    Server,
    /// The connection, or what came over it.
    Line,
}

impl ServiceError {
    pub fn transient(reason: impl Into<String>) -> Self {
        Self::Transient {
            reason: reason.into(),
            cause: Cause::Line,
            after: None,
            paid: None,
        }
    }
}

/// How the form of an answer is asked for, the strictest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// `response_format` with the schema.
    Schema,
    /// `response_format` of type `json_object`; the schema is written before the question.
    Object,
    /// In words alone.
    Words,
}

impl ChatRequest {
    /// One message of a user, answered greedily.
    pub fn prompt(text: impl Into<String>, max_tokens: usize) -> Self {
        Self {
            messages: vec![Message {
                role: Role::User,
                content: text.into(),
            }],
            max_tokens,
            temperature: 0.0,
            reasoning_tokens: 0,
            schema: None,
            json_object: false,
            subject: None,
            seed: None,
        }
    }

    /// The same question to a service that takes no schema: it is written before the question.
    pub fn without_schema(&self) -> Option<Self> {
        let schema = self.schema.as_ref()?;
        let mut plain = self.clone();
        plain.schema = None;
        let written = format!(
            "Answer with nothing but one JSON value that satisfies this JSON schema: {schema}"
        );
        if let Some(first) = plain.messages.first_mut() {
            first.content = format!("{written}\n\n{}", first.content);
        }
        Some(plain)
    }

    /// As it may be asked, the strictest format first; one that has no schema, as it is.
    pub fn forms(&self) -> impl Iterator<Item = (Format, Cow<'_, Self>)> {
        let plain = self.without_schema();
        let object = plain.clone().map(|plain| Self {
            json_object: true,
            ..plain
        });
        let first = match (&self.schema, self.json_object) {
            (Some(_), _) => Format::Schema,
            (None, true) => Format::Object,
            (None, false) => Format::Words,
        };
        let object = object.map(|r| (Format::Object, Cow::Owned(r)));
        let plain = plain.map(|r| (Format::Words, Cow::Owned(r)));
        let first = (first, Cow::Borrowed(self));
        std::iter::once(first).chain(object).chain(plain)
    }

    /// Whether a `response_format` is sent.
    pub fn has_format(&self) -> bool {
        self.schema.is_some() || self.json_object
    }

    /// What is posted to `/chat/completions`.
    pub fn body(&self, model: &str) -> Value {
        let mut body = json!({"model": model, "messages": self.messages});
        if self.reasoning_tokens > 0 {
            body["max_completion_tokens"] = self.longest().into();
        } else {
            body["temperature"] = self.temperature.into();
            body["max_tokens"] = self.max_tokens.into();
        }
        if let Some(seed) = self.seed {
            body["seed"] = seed.into();
        }
        if let Some(schema) = &self.schema {
            body["response_format"] = json!({
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": true, "schema": schema},
            });
        } else if self.json_object {
            body["response_format"] = json!({"type": "json_object"});
        }
        body
    }

    /// SHA-256 of the body with sorted keys: what an answer is stored under.
    pub fn hash(&self, model: &str) -> String {
        let mut text = String::new();
        canonical(&self.body(model), &mut text);
        let digest = Sha256::digest(text.as_bytes());
        digest.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// Tokens that it may take, before a service has counted them: three bytes are seldom more than
    /// a token in any language, and an answer is at most as long as it may be.
    pub fn estimate(&self) -> Usage {
        let frame = 8 * self.messages.len() as u64;
        let schema = self.schema.as_ref().map_or(0, |s| s.to_string().len());
        let bytes = self.messages.iter().map(|m| m.content.len()).sum::<usize>() + schema;
        Usage {
            prompt_tokens: bytes.div_ceil(3) as u64 + frame,
            completion_tokens: self.longest() as u64,
        }
    }

    /// Tokens that are paid for an answer at most.
    fn longest(&self) -> usize {
        self.max_tokens + self.reasoning_tokens
    }

    /// What an answer took: as reported, or else estimated.
    pub fn usage(&self, answer: &ChatAnswer) -> Usage {
        answer.usage.unwrap_or_else(|| Usage {
            completion_tokens: (answer.text.len() as u64 + answer.thinking_bytes).div_ceil(3),
            ..self.estimate()
        })
    }

    /// What an answer took that cannot be read.
    pub(super) fn bill(&self, took: Took) -> Bill {
        let estimated = Usage {
            completion_tokens: took.bytes.div_ceil(3),
            ..self.estimate()
        };
        Bill {
            usage: took.usage.unwrap_or(estimated),
            reported: took.usage.is_some(),
        }
    }
}

/// The order of keys in memory depends on how serde_json was built.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            out.push('{');
            for key in keys {
                out.push_str(&json!(key).to_string());
                out.push(':');
                canonical(&map[key], out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}
