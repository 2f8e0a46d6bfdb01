//! An OpenAI-compatible service: one `POST {base_url}/chat/completions`, and what its status means.
//!
//! | status, of the reply or of an error in a reply of status 200 | meaning |
//! |---|---|
//! | 200 with a message | the answer |
//! | 200 cut short, not JSON or without a message; no answer in time; a lost connection | may pass |
//! | 400, 422 that names a parameter | asked again at once without it ([`super::dialect`]) |
//! | 400, 422 to a question with a `response_format`; 5xx that names the schema | without it, it may pass |
//! | 400, 413, 422 | not to be had for this question; the user's to mend if no other is answered |
//! | 408, 409, 425, 429, 5xx | may pass, after the wait that the service asks for ([`super::wait`]) |
//! | all else; 429 for want of credit, without a wait | the user's to mend |

use std::io::Read;
use std::sync::Once;
use std::time::Duration;

use reqwest::blocking::{Client, Response};
use reqwest::header::LOCATION;
use serde_json::Value;

use super::answer::ChatAnswer;
use super::chat::{Cause, ChatRequest, ChatService, ServiceError};
use super::dialect::{Dialect, Parameter};
use super::error::GatewayError;
use super::reply::{Outcome, Took, read_reply};
use super::wait::Header;

/// An answer is a few hundred words: more than so many bytes are not read.
const MAX_BODY: u64 = 16 << 20;

pub struct HttpService {
    client: Client,
    url: String,
    model: String,
    api_key: Option<String>,
    dialect: Dialect,
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
            dialect: Dialect::default(),
        })
    }

    /// What came back, or why nothing did; and where the address has moved to.
    fn post(&self, body: &Value, timeout: Duration) -> Result<(Outcome, String), ServiceError> {
        // Up to the last byte of the answer, so that one which drips is given up too.
        let mut post = self.client.post(&self.url).json(body).timeout(timeout);
        if let Some(key) = &self.api_key {
            post = post.bearer_auth(key);
        }
        let mut response = match post.send() {
            Ok(response) => response,
            Err(e) if e.is_builder() => return Err(ServiceError::User(chain(&e))),
            Err(e) => return Err(ServiceError::transient(chain(&e))),
        };
        let status = response.status().as_u16();
        let headers = headers(&response);
        let place = response.headers().get(LOCATION);
        let place = place.and_then(|p| p.to_str().ok()).unwrap_or_default();
        let place = place.to_owned();
        let (bytes, cut) = read(&mut response);
        let outcome = match cut {
            Some(reason) if status == 200 => Outcome::Damaged {
                reason,
                took: (!bytes.is_empty()).then_some(Took {
                    usage: None,
                    bytes: bytes.len() as u64,
                }),
            },
            _ => read_reply(status, &headers, &bytes),
        };
        Ok((outcome, place))
    }

    /// An error that does not pass by itself.
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
        loop {
            let mut body = request.body(&self.model);
            // Not part of the question, and so not of its hash.
            body["stream"] = false.into();
            self.dialect.apply(&mut body);
            let (outcome, place) = self.post(&body, timeout)?;
            let (status, said, whole, after, took) = match outcome {
                Outcome::Answer(answer) => return Ok(answer),
                Outcome::Damaged { reason, took } => {
                    return Err(ServiceError::Transient {
                        reason,
                        cause: Cause::Line,
                        after: None,
                        paid: took.map(|t| request.bill(t)),
                    });
                }
                Outcome::Error {
                    status,
                    said,
                    body,
                    after,
                    took,
                } => (status, said, body, after, took),
            };
            let of_request = matches!(status, 400 | 422);
            if of_request && let Some(parameter) = Parameter::refused(&whole, &body) {
                if self.dialect.learn(parameter) {
                    let url = &self.url;
                    tracing::warn!("{url}: status {status}: {said}; {parameter} from now on");
                    continue;
                }
                // Another thread learnt it while this request was under way.
                let mut again = request.body(&self.model);
                again["stream"] = false.into();
                self.dialect.apply(&mut again);
                if again != body {
                    continue;
                }
            }
            let for_content = whole.contains("content_filter") || whole.contains("context_length");
            let of_schema = (of_request && !for_content)
                || ((500..600).contains(&status) && names_schema(&whole));
            if request.has_format() && of_schema {
                return Err(match self.refused(status, &place, &said) {
                    ServiceError::Refused(reason) | ServiceError::User(reason) => {
                        ServiceError::Schema(reason)
                    }
                    other => other,
                });
            }
            let no_credit = whole.contains("insufficient_quota") && after.is_none();
            return Err(match status {
                429 if no_credit => self.refused(status, &place, &said),
                408 | 409 | 425 | 429 | 500..=599 => ServiceError::Transient {
                    reason: format!("status {status}: {said}"),
                    cause: match status {
                        429 => Cause::Busy,
                        500.. => Cause::Server,
                        _ => Cause::Line,
                    },
                    after,
                    paid: took.map(|t| request.bill(t)),
                },
                _ => self.refused(status, &place, &said),
            });
        }
    }
}

/// Whether a server's own error is about the form that was asked for (llama.cpp, vLLM, SGLang, TGI).
fn names_schema(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    let names = [
        "initialize samplers",
        "grammar",
        "json_schema",
        "json schema",
        "response_format",
        "guided",
        "structured output",
        "xgrammar",
        "outlines",
        "llguidance",
    ];
    names.iter().any(|name| said.contains(name))
}

fn headers(response: &Response) -> Vec<Header> {
    let said = response.headers().iter();
    said.filter_map(|(name, value)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    })
    .collect()
}

/// What came, and what kept the rest from coming.
fn read(response: &mut Response) -> (Vec<u8>, Option<String>) {
    let mut bytes = Vec::new();
    let read = response.take(MAX_BODY + 1).read_to_end(&mut bytes);
    let cut = match read {
        Err(e) => Some(format!("the answer was cut short: {}", chain(&e))),
        Ok(n) if n as u64 > MAX_BODY => Some(format!("the answer is longer than {MAX_BODY} bytes")),
        Ok(_) => None,
    };
    (bytes, cut)
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
