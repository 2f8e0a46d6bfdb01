//! An OpenAI-compatible service: one `POST {base_url}/chat/completions`, and what its status means.
//!
//! | what comes back | meaning |
//! |---|---|
//! | 200 with `choices` | the answer |
//! | 200 cut short, not JSON or without choices; no answer in time; a lost connection | may pass |
//! | 400, 422 to a question with a schema, before any such question was answered | without the schema it may pass |
//! | 400, 413, 422 | not to be had for this question; the user's to mend if no other is answered |
//! | 408, 409, 425, 429, 5xx | may pass, after `Retry-After` if the service says so |
//! | all else; 429 for want of credit | the user's to mend |

use std::io::Read;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::blocking::{Client, Response};
use reqwest::header::{LOCATION, RETRY_AFTER};
use serde_json::Value;

use super::chat::{
    ChatAnswer, ChatRequest, ChatService, RetryAfter, ServiceError, excerpt, parse_completion,
};
use super::error::GatewayError;

/// An answer is a few hundred words: more than so many bytes are not read.
const MAX_BODY: u64 = 16 << 20;

pub struct HttpService {
    client: Client,
    url: String,
    model: String,
    api_key: Option<String>,
    /// It has answered a question with a schema: what it refuses then is not the schema.
    takes_schema: AtomicBool,
}

impl HttpService {
    /// `base_url`: up to and including `/v1`.
    pub fn new(base_url: &str, api_key: Option<String>, model: &str) -> Result<Self, GatewayError> {
        static PROVIDER: Once = Once::new();
        // Another part of the program may have installed one already; either serves.
        PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let url = format!("{}/chat/completions", base_url.trim_end_matches('/'));
        let user = |reason: String| GatewayError::User {
            url: url.clone(),
            reason,
        };
        reqwest::Url::parse(&url).map_err(|e| user(format!("base_url is not an address: {e}")))?;
        let client = Client::builder()
            // The time is given with every attempt. A redirect would turn the question into a GET.
            .timeout(None)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| user(e.to_string()))?;
        Ok(Self {
            client,
            url,
            model: model.to_owned(),
            api_key: api_key.map(|k| k.trim().to_owned()),
            takes_schema: AtomicBool::new(false),
        })
    }

    fn refused(&self, status: u16, place: &str, said: &str) -> ServiceError {
        let model = &self.model;
        let of = match status {
            400 | 413 | 422 => ServiceError::Refused,
            _ => ServiceError::User,
        };
        of(match status {
            300..=399 => {
                format!("status {status}, it has moved to {place:?}: put that into base_url")
            }
            400 | 413 | 422 => format!(
                "status {status}, the service does not take this request; check the model {model:?} and its limits of tokens: {said}"
            ),
            401 | 403 => format!(
                "status {status}, the key was not accepted; put a valid one into the environment variable that api_key_env names: {said}"
            ),
            402 | 429 => format!("status {status}, the account has no credit left: {said}"),
            404 => format!(
                "status 404, no such address or model {model:?}; check base_url and model: {said}"
            ),
            _ => format!("status {status}: {said}"),
        })
    }
}

impl ChatService for HttpService {
    fn model(&self) -> &str {
        &self.model
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn ask(&self, request: &ChatRequest, timeout: Duration) -> Result<ChatAnswer, ServiceError> {
        let body = request.body(&self.model);
        // Up to the last byte of the answer, so that one which drips is given up too.
        let mut post = self.client.post(&self.url).json(&body).timeout(timeout);
        if let Some(key) = &self.api_key {
            post = post.bearer_auth(key);
        }
        let mut response = match post.send() {
            Ok(response) => response,
            Err(e) if e.is_builder() => return Err(ServiceError::User(chain(&e))),
            Err(e) => return Err(ServiceError::transient(chain(&e))),
        };
        let status = response.status().as_u16();
        let header = |response: &Response, name| -> Option<String> {
            let value = response.headers().get(name)?;
            Some(value.to_str().ok()?.to_owned())
        };
        let after = header(&response, RETRY_AFTER).and_then(|v| RetryAfter::parse(&v));
        let place = header(&response, LOCATION).unwrap_or_default();
        let text = read(&mut response);
        let said = excerpt(text.as_deref().unwrap_or(""));
        match status {
            200 => {}
            429 if said.contains("insufficient_quota") => {
                return Err(self.refused(status, &place, &said));
            }
            408 | 409 | 425 | 429 | 500..=599 => {
                return Err(ServiceError::Transient {
                    reason: format!("status {status}: {said}"),
                    busy: status == 429,
                    after,
                });
            }
            // Of a question with a schema, it may be the schema that it does not take.
            400 | 422 if request.schema.is_some() && !self.takes_schema.load(Ordering::Relaxed) => {
                return Err(match self.refused(status, &place, &said) {
                    ServiceError::Refused(reason) => ServiceError::Schema(reason),
                    other => other,
                });
            }
            _ => return Err(self.refused(status, &place, &said)),
        }
        let text = text.map_err(ServiceError::transient)?;
        let answer: Value = serde_json::from_str(&text).map_err(|e| {
            ServiceError::transient(format!("the answer is not JSON ({e}): {said}"))
        })?;
        let answer = parse_completion(&answer)
            .map_err(|e| ServiceError::transient(format!("{e}: {said}")))?;
        self.recall(request, &answer);
        Ok(answer)
    }

    fn recall(&self, request: &ChatRequest, _answer: &ChatAnswer) {
        if request.schema.is_some() {
            self.takes_schema.store(true, Ordering::Relaxed);
        }
    }
}

fn read(response: &mut Response) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = response.take(MAX_BODY + 1).read_to_end(&mut bytes);
    read.map_err(|e| format!("the answer was cut short: {}", chain(&e)))?;
    if bytes.len() as u64 > MAX_BODY {
        return Err(format!("the answer is longer than {MAX_BODY} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "the answer is not UTF-8".into())
}

/// An error and its causes: reqwest's own words name none.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text += ": ";
            text += &next;
        }
        cause = error.source();
    }
    text
}
