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

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

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
    /// Whom it is about, as a pseudonym: kept beside the answer, never sent, and no part of the hash.
    pub subject: Option<String>,
    /// Of the service's draws: the same question with another one is another request.
    pub seed: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
}

impl Usage {
    pub fn total(self) -> u64 {
        self.prompt_tokens + self.completion_tokens
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatAnswer {
    pub text: String,
    /// As the service reports it; `None` where it does not.
    pub usage: Option<Usage>,
    /// As the service reports it, such as a dated snapshot of the model that was asked.
    pub model: Option<String>,
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
    /// It does not take this request, which has a schema: without one it may.
    Schema(String),
    /// May pass.
    Transient {
        reason: String,
        /// Status 429: the service is there, and asks for patience.
        busy: bool,
        after: Option<RetryAfter>,
    },
}

impl ServiceError {
    pub fn transient(reason: impl Into<String>) -> Self {
        Self::Transient {
            reason: reason.into(),
            busy: false,
            after: None,
        }
    }
}

/// The header `Retry-After`, in its two forms (RFC 9110, section 10.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    In(Duration),
    /// Seconds since 1970-01-01 UTC.
    At(i64),
}

impl RetryAfter {
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Self::In(Duration::from_secs(seconds)));
        }
        let date = chrono::DateTime::parse_from_rfc2822(text).ok()?;
        Some(Self::At(date.timestamp()))
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

    /// As it may be asked, the way that is tried first before the other.
    pub fn forms(&self) -> impl Iterator<Item = std::borrow::Cow<'_, Self>> {
        let plain = self.without_schema().map(std::borrow::Cow::Owned);
        std::iter::once(std::borrow::Cow::Borrowed(self)).chain(plain)
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
            completion_tokens: answer.text.len().div_ceil(3) as u64,
            ..self.estimate()
        })
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

/// The body of a chat completion → the answer, or what it lacks.
pub(super) fn parse_completion(body: &Value) -> Result<ChatAnswer, &'static str> {
    let text = body["choices"][0]["message"]["content"]
        .as_str()
        .ok_or("the answer has no choices[0].message.content")?;
    let usage = &body["usage"];
    // A number that no answer can have taken would spoil all sums.
    let tokens = |key: &str| usage[key].as_u64().filter(|n| *n < 1 << 32);
    let usage = tokens("prompt_tokens")
        .zip(tokens("completion_tokens"))
        .map(|(prompt_tokens, completion_tokens)| Usage {
            prompt_tokens,
            completion_tokens,
        });
    Ok(ChatAnswer {
        text: text.trim().to_owned(),
        usage,
        model: body["model"].as_str().map(str::to_owned),
    })
}

/// The beginning of what a service said, fit for one line of a terminal.
pub(super) fn excerpt(text: &str) -> String {
    let line = text.chars().take(300);
    line.map(|c| if c.is_control() { ' ' } else { c }).collect()
}
