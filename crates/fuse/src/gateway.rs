//! A thin client of OpenAI-compatible services: `POST {base_url}/chat/completions`.
//!
//! One retry loop: 429, 5xx, timeouts and lost connections are tried again after an exponential
//! pause with jitter (or what `Retry-After` says); everything else is the user's to mend and fails at once.

use std::sync::Once;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Wrong address, key or model: trying again cannot help.
    #[error("{url}: {reason}")]
    User { url: String, reason: String },
    /// The service stayed away or overloaded through all attempts.
    #[error(
        "{url}: {reason} (after {attempts} attempts); the knowledge made so far is kept: run again later"
    )]
    Transient {
        url: String,
        reason: String,
        attempts: u32,
    },
}

/// Where the service is and how it is asked.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// Up to and including `/v1`.
    pub base_url: String,
    pub api_key: Option<String>,
    pub model: String,
    pub temperature: f32,
    pub timeout: Duration,
    pub max_attempts: u32,
    /// First pause; each further one is twice as long.
    pub backoff: Duration,
    /// Of the jitter.
    pub seed: u64,
}

pub struct Gateway {
    config: GatewayConfig,
    client: reqwest::blocking::Client,
    url: String,
}

enum Attempt {
    Done(String),
    Retry {
        reason: String,
        after: Option<Duration>,
    },
}

impl Gateway {
    pub fn new(config: GatewayConfig) -> Result<Self, GatewayError> {
        static PROVIDER: Once = Once::new();
        // Another part of the program may have installed one already; either serves.
        PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let url = format!("{}/chat/completions", config.base_url.trim_end_matches('/'));
        let user = |reason: String| GatewayError::User {
            url: url.clone(),
            reason,
        };
        reqwest::Url::parse(&url).map_err(|e| user(format!("base_url is not an address: {e}")))?;
        let client = reqwest::blocking::Client::builder()
            .timeout(config.timeout)
            .build()
            .map_err(|e| user(e.to_string()))?;
        Ok(Self {
            config,
            client,
            url,
        })
    }

    pub fn model(&self) -> &str {
        &self.config.model
    }

    /// The model's answer to one user message. Blocks; call it from several threads for concurrency.
    pub fn complete(&self, prompt: &str, max_tokens: usize) -> Result<String, GatewayError> {
        let body = json!({
            "model": self.config.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": self.config.temperature,
            "max_tokens": max_tokens,
        });
        let salt = prompt.bytes().fold(self.config.seed, |h, b| {
            h.wrapping_mul(31).wrapping_add(u64::from(b))
        });
        let mut rng = ChaCha8Rng::seed_from_u64(salt);
        let mut attempt = 1;
        loop {
            let (reason, after) = match self.attempt(&body)? {
                Attempt::Done(text) => return Ok(text),
                Attempt::Retry { reason, after } => (reason, after),
            };
            if attempt >= self.config.max_attempts {
                return Err(GatewayError::Transient {
                    url: self.url.clone(),
                    reason,
                    attempts: attempt,
                });
            }
            let pause = self.config.backoff * 2_u32.pow((attempt - 1).min(10));
            let pause = after.unwrap_or_else(|| pause.mul_f64(rng.random_range(0.5..1.5)));
            tracing::warn!(
                "{}: {reason}; trying again in {:.1} s",
                self.url,
                pause.as_secs_f64()
            );
            std::thread::sleep(pause);
            attempt += 1;
        }
    }

    fn attempt(&self, body: &Value) -> Result<Attempt, GatewayError> {
        let user = |reason: String| GatewayError::User {
            url: self.url.clone(),
            reason,
        };
        let mut request = self.client.post(&self.url).json(body);
        if let Some(key) = &self.config.api_key {
            request = request.bearer_auth(key);
        }
        let response = match request.send() {
            Ok(response) => response,
            Err(e) if e.is_builder() => return Err(user(e.to_string())),
            Err(e) => {
                return Ok(Attempt::Retry {
                    reason: e.to_string(),
                    after: None,
                });
            }
        };
        let status = response.status().as_u16();
        let after = response
            .headers()
            .get("retry-after")
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.parse().ok());
        let text = match response.text() {
            Ok(text) => text,
            Err(e) => {
                return Ok(Attempt::Retry {
                    reason: e.to_string(),
                    after: None,
                });
            }
        };
        let said: String = text.chars().take(300).collect();
        match status {
            200 => {}
            408 | 429 | 500..=599 => {
                return Ok(Attempt::Retry {
                    reason: format!("status {status}: {said}"),
                    after: after.map(Duration::from_secs),
                });
            }
            401 | 403 => {
                return Err(user(format!(
                    "status {status}, the key was not accepted: {said}"
                )));
            }
            404 => {
                return Err(user(format!(
                    "status 404, no such address or model {:?}: {said}",
                    self.config.model
                )));
            }
            _ => return Err(user(format!("status {status}: {said}"))),
        }
        let answer: Value = serde_json::from_str(&text)
            .map_err(|e| user(format!("the answer is not JSON ({e}): {said}")))?;
        let content = answer["choices"][0]["message"]["content"].as_str();
        let content = content.ok_or_else(|| {
            user(format!(
                "the answer has no choices[0].message.content: {said}"
            ))
        })?;
        Ok(Attempt::Done(content.trim().to_owned()))
    }
}
