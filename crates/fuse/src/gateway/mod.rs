//! A request → an answer that is paid once: from the store, or from the first service that answers.
//!
//! ```text
//! request ─▶ store ─(not there)▶ cap ─▶ breaker ─▶ limits ─▶ service ─▶ store ─▶ answer
//!                                 ▲                             │ may pass: again, after a pause
//!                                 └──── the next service ◀──────┘ too often
//! ```
//!
//! It blocks: call it from several threads. What two threads ask at once is asked once.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use hkfr_fuse::{
//!     Answers, ChatAnswer, ChatRequest, ChatService, Gateway, GatewayConfig, GatewayError,
//!     LimitsConfig, ServiceError, SystemClock, Usage,
//! };
//!
//! struct Parrot;
//! impl ChatService for Parrot {
//!     fn model(&self) -> &str { "parrot" }
//!     fn url(&self) -> &str { "here" }
//!     fn ask(&self, r: &ChatRequest, _: Duration) -> Result<ChatAnswer, ServiceError> {
//!         let usage = Some(Usage { prompt_tokens: 2, completion_tokens: 2 });
//!         let text = r.messages[0].content.clone();
//!         Ok(ChatAnswer { text, usage, ..ChatAnswer::default() })
//!     }
//! }
//!
//! let config = GatewayConfig::default();
//! let services = vec![(Box::new(Parrot) as Box<dyn ChatService>, LimitsConfig::default())];
//! let clock = Arc::new(SystemClock::default());
//! let gateway = Gateway::new(config, services, Answers::in_memory()?, clock, Arc::default())?;
//! let first = gateway.ask(&ChatRequest::prompt("Milk, always.", 20))?;
//! assert_eq!((first.answer.text.as_str(), first.model.as_str()), ("Milk, always.", "parrot"));
//! assert!(gateway.ask(&ChatRequest::prompt("Milk, always.", 20))?.from_store);
//! assert_eq!(gateway.spent().to_string(), "1 answers, 2 + 2 tokens, cost 0.0000");
//! # Ok::<(), GatewayError>(())
//! ```

mod answer;
mod answers;
mod batch;
mod breaker;
mod cassette;
mod chat;
mod clock;
mod dialect;
mod error;
mod formats;
mod http;
mod limits;
mod reply;
mod retry;
mod spend;
mod till;
mod wait;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

pub use answer::{ChatAnswer, Usage};
pub use answers::{Answers, StoredAnswer};
pub use batch::{BatchRead, read_batch, write_batch_line};
pub use breaker::BreakerConfig;
pub use cassette::{Cassette, CassetteMode, Recorded};
pub use chat::{Bill, Cause, ChatRequest, ChatService, Format, Message, Role, ServiceError};
pub use clock::{Clock, SystemClock};
pub use error::GatewayError;
pub use http::HttpService;
pub use limits::LimitsConfig;
pub use reply::{Finish, Outcome, Place, Took, after_thinking, read_reply};
pub use retry::RetryConfig;
pub use spend::{Price, Spend, SpendConfig};

pub use wait::{Header, RetryAfter, retry_after};

pub(crate) use answer::excerpt;
use retry::{Ended, Route};
use spend::Meter;
use till::Till;

/// How services are asked; what each one may take is in its [`LimitsConfig`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GatewayConfig {
    pub retry: RetryConfig,
    pub breaker: BreakerConfig,
    pub spend: SpendConfig,
}

/// An answer, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The model that was asked, by the name in the config.
    pub model: String,
    pub answer: ChatAnswer,
    /// Paid before, by this process or an earlier one.
    pub from_store: bool,
}

pub struct Gateway {
    config: GatewayConfig,
    routes: Vec<Route>,
    answers: Answers,
    meter: Meter,
    waiting: Waiting,
    /// Requests that a thread is at.
    under_way: Mutex<HashSet<String>>,
    ended: Condvar,
    /// Whether any service answered this process.
    answered: AtomicBool,
}

impl Gateway {
    /// `services`: in the order in which they are tried. `stop`: ends all waiting once it is true.
    pub fn new(
        config: GatewayConfig,
        services: Vec<(Box<dyn ChatService>, LimitsConfig)>,
        answers: Answers,
        clock: Arc<dyn Clock>,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, GatewayError> {
        let route = |(service, limits)| Route::new(service, limits, config.breaker);
        let routes: Vec<Route> = services.into_iter().map(route).collect();
        for route in &routes {
            let (model, url) = (route.model(), route.url());
            if config.spend.max_cost.is_some() && !config.spend.prices.contains_key(model) {
                return Err(GatewayError::User {
                    url: url.to_owned(),
                    reason: format!(
                        "max_cost cannot be held: no price of model {model:?}; add it to [fusion] prices"
                    ),
                });
            }
        }
        Ok(Self {
            meter: Meter::new(config.spend.clone(), &answers.usage()?),
            config,
            routes,
            answers,
            waiting: Waiting { clock, stop },
            under_way: Mutex::default(),
            ended: Condvar::new(),
            answered: AtomicBool::new(false),
        })
    }

    /// What the answers in the store cost, those of earlier runs included.
    pub fn spent(&self) -> Spend {
        self.meter.spent()
    }

    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    /// The stored answer of any of the models, or a new one. When it returns, the answer is on the disk.
    pub fn ask(&self, request: &ChatRequest) -> Result<Answered, GatewayError> {
        // Whoever answers, it is one request: the first model's hash stands for it.
        let Some(first) = self.routes.first() else {
            return Err(GatewayError::User {
                url: "[fusion]".into(),
                reason: "names no service".into(),
            });
        };
        let _turn = self.take_turn(request.hash(first.model()))?;
        match self.stored(request)? {
            Some(answered) => Ok(answered),
            None => self.ask_services(request),
        }
    }

    /// The stored answer of any of the models; nobody is asked.
    pub fn stored(&self, request: &ChatRequest) -> Result<Option<Answered>, GatewayError> {
        for route in &self.routes {
            for (format, form) in request.forms() {
                let hash = form.hash(route.model());
                if let Some(stored) = self.answers.get(&hash)? {
                    if let Some(subject) = &request.subject {
                        self.answers.note_subject(&hash, subject)?;
                    }
                    route.recall(format, &form, &stored.answer);
                    return Ok(Some(Answered {
                        model: stored.model,
                        answer: stored.answer,
                        from_store: true,
                    }));
                }
            }
        }
        Ok(None)
    }

    fn ask_services(&self, request: &ChatRequest) -> Result<Answered, GatewayError> {
        let till = Till {
            meter: &self.meter,
            answers: &self.answers,
            waiting: &self.waiting,
            subject: request.subject.as_deref(),
        };
        let mut waited = Duration::ZERO;
        loop {
            let mut failed: Option<(String, String, u32)> = None;
            let mut away: Option<(String, String, Duration)> = None;
            for route in &self.routes {
                let url = route.url().to_owned();
                match route.ask(request, &self.config.retry, &till, &self.waiting)? {
                    Ended::Answered(answer) => {
                        self.answered.store(true, Ordering::Relaxed);
                        return Ok(Answered {
                            model: route.model().to_owned(),
                            answer,
                            from_store: false,
                        });
                    }
                    Ended::Failed { reason, attempts } => {
                        failed = Some(match failed {
                            None => (url, reason, attempts),
                            Some((first, before, n)) => {
                                let both = format!("{before}; then {url}: {reason}");
                                (first, both, n + attempts)
                            }
                        });
                    }
                    Ended::Away { reason, wait } => {
                        if away.as_ref().is_none_or(|a| wait < a.2) {
                            let reason = reason.unwrap_or_else(|| "failed too often".into());
                            away = Some((url, reason, wait));
                        }
                    }
                }
            }
            // This request was tried as often as it may be.
            if let Some((url, reason, attempts)) = failed {
                return Err(GatewayError::Transient {
                    url,
                    reason,
                    attempts,
                });
            }
            let Some((url, reason, wait)) = away else {
                unreachable!("a route answers, fails or is away")
            };
            waited += wait;
            // One that never answered may be starting, but more likely the address is wrong.
            let patience = match self.answered.load(Ordering::Relaxed) {
                true => self.config.retry.deadline,
                false => self.config.retry.deadline.min(self.config.breaker.open),
            };
            if waited > patience {
                return Err(GatewayError::Away {
                    url,
                    reason,
                    wait_seconds: wait.as_secs(),
                });
            }
            tracing::warn!(
                "{url}: {reason}; left alone for {:.1} s",
                wait.as_secs_f64()
            );
            self.waiting.pause(wait)?;
        }
    }

    /// Waits while another thread is at the same request: its answer will be in the store.
    fn take_turn(&self, hash: String) -> Result<Turn<'_>, GatewayError> {
        let mut under_way = self.under_way.lock().expect("no panic under the lock");
        while under_way.contains(&hash) {
            self.waiting.check()?;
            let waited = self.ended.wait_timeout(under_way, self.waiting.slice());
            under_way = waited.expect("no panic under the lock").0;
        }
        under_way.insert(hash.clone());
        Ok(Turn {
            gateway: self,
            hash,
        })
    }
}

struct Turn<'a> {
    gateway: &'a Gateway,
    hash: String,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Ok(mut under_way) = self.gateway.under_way.lock() {
            under_way.remove(&self.hash);
        }
        self.gateway.ended.notify_all();
    }
}

/// Pauses that a stop ends.
struct Waiting {
    clock: Arc<dyn Clock>,
    stop: Arc<AtomicBool>,
}

impl Waiting {
    fn check(&self) -> Result<(), GatewayError> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(GatewayError::Stopped),
            false => Ok(()),
        }
    }

    /// The longest that a stop goes unnoticed.
    fn slice(&self) -> Duration {
        Duration::from_millis(200)
    }

    fn pause(&self, mut time: Duration) -> Result<(), GatewayError> {
        while !time.is_zero() {
            self.check()?;
            let slice = time.min(self.slice());
            self.clock.sleep(slice);
            time -= slice;
        }
        self.check()
    }
}
