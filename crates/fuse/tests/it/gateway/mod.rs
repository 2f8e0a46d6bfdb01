//! What the gateway promises: patience with what may pass, none with what may not, and nothing paid twice.

pub mod answers;
mod batch;
mod cassette;
mod formats;
mod guards;
mod http;
mod kill;
mod reply;
mod retry;
mod storm;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hkfr_fuse::{
    Answers, ChatAnswer, ChatRequest, ChatService, Clock, Gateway, GatewayConfig, LimitsConfig,
    ServiceError, Usage,
};

pub const NOON: i64 = 784_111_777;

/// Time that passes when someone sleeps, and starts on Sunday, 6 November 1994, 08:49:37.
#[derive(Default)]
pub struct FakeClock(Mutex<Duration>);

impl FakeClock {
    pub fn seconds(&self) -> f64 {
        self.0.lock().unwrap().as_secs_f64()
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    fn unix(&self) -> i64 {
        NOON + self.now().as_secs() as i64
    }

    fn sleep(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

/// Says one thing after the other, and each takes a while.
pub struct Script {
    pub model: &'static str,
    pub says: Mutex<VecDeque<Result<&'static str, ServiceError>>>,
    /// When each was asked, in seconds.
    pub at: Arc<Mutex<Vec<f64>>>,
    pub clock: Arc<FakeClock>,
    pub takes: Duration,
}

impl Script {
    pub fn new(
        model: &'static str,
        clock: &Arc<FakeClock>,
        says: impl IntoIterator<Item = Result<&'static str, ServiceError>>,
    ) -> Self {
        Self {
            model,
            says: Mutex::new(says.into_iter().collect()),
            at: Arc::default(),
            clock: Arc::clone(clock),
            takes: Duration::ZERO,
        }
    }
}

impl ChatService for Script {
    fn model(&self) -> &str {
        self.model
    }

    fn url(&self) -> &str {
        "http://scripted"
    }

    fn ask(&self, _: &ChatRequest, timeout: Duration) -> Result<ChatAnswer, ServiceError> {
        self.at.lock().unwrap().push(self.clock.seconds());
        self.clock.sleep(self.takes.min(timeout));
        let next = self.says.lock().unwrap().pop_front();
        let text = next.unwrap_or(Ok("the last word"))?;
        Ok(ChatAnswer {
            text: text.into(),
            usage: Some(Usage {
                prompt_tokens: 10,
                completion_tokens: 5,
            }),
            model: Some(format!("{}-snapshot", self.model)),
            ..ChatAnswer::default()
        })
    }
}

pub fn away(reason: &str) -> Result<&'static str, ServiceError> {
    Err(ServiceError::transient(reason))
}

pub fn gateway(
    config: GatewayConfig,
    services: impl IntoIterator<Item = Script>,
    clock: &Arc<FakeClock>,
) -> Gateway {
    let services = services.into_iter().map(|s| {
        let service: Box<dyn ChatService> = Box::new(s);
        (service, LimitsConfig::default())
    });
    let answers = Answers::in_memory().unwrap();
    let services = services.collect();
    Gateway::new(
        config,
        services,
        answers,
        Arc::<FakeClock>::clone(clock),
        Arc::default(),
    )
    .unwrap()
}

pub fn ask(text: impl Into<String>) -> ChatRequest {
    ChatRequest::prompt(text, 20)
}
