//! What do these events say about this user? A [`hkfr_events::History`] becomes [`Facts`], facts
//! become prompts, and a language model fuses them into knowledge, which is stored with its evidence.

mod builtin;
mod error;
mod facts;
mod fuser;
mod gateway;
mod prompt;
mod redact;
mod sample;
mod sanitise;
mod statements;
mod store;
mod templates;
pub mod texts;
mod verify;
mod views;
mod wording;
mod words;

pub use error::{Error, Result};
pub use facts::{Count, Counts, Facts, FactsConfig, facts, price_band, time};
pub use fuser::{Fusion, FusionMode, KnowledgeRecord, StatementScorer};
pub use gateway::{
    Answered, Answers, BatchRead, BreakerConfig, Cassette, CassetteMode, ChatAnswer, ChatRequest,
    ChatService, Clock, Gateway, GatewayConfig, GatewayError, HttpService, LimitsConfig, Message,
    Price, Recorded, RetryAfter, RetryConfig, Role, ServiceError, Spend, SpendConfig, StoredAnswer,
    SystemClock, Usage, read_batch, write_batch_line,
};
pub use prompt::{CountTokens, CutCounts, Prompt, behaviour_text, raw_text};
pub use redact::redact;
pub use sanitise::sanitise;
pub use statements::{Claim, SLOTS, Slot, Statement, assemble, candidate_statements};
pub use store::{KnowledgeKey, KnowledgeStore};
pub use templates::TemplateSet;
pub use verify::{false_claims, grounded_sentences};
pub use wording::Wording;
pub use words::Words;
