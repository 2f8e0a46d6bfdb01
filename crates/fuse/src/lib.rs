//! What do these events say about this user? A [`hkfr_events::History`] becomes [`Facts`], facts
//! become prompts, and a language model fuses them into knowledge, which is stored with its evidence.

mod builtin;
mod checksum;
pub mod claims;
mod cohort;
mod error;
mod facts;
pub mod forget;
mod fresh;
mod fuser;
mod gateway;
pub mod integrity;
mod known;
mod load;
mod mistake;
mod prompt;
mod pseudonym;
mod redact;
pub mod rendering;
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

pub use cohort::{
    COHORT_SLOT, Cohort, CohortBy, CohortConfig, Cohorts, Population, false_cohort_claims,
    own_weight,
};
pub use error::{Error, Result};
pub use facts::{Count, Counts, Facts, FactsConfig, facts, price_band, time};
pub use fresh::{Distance, Refresh, distance, refresh};
pub use fuser::{Fusion, FusionMode, KnowledgeRecord, StatementScorer};
pub use gateway::{
    Answered, Answers, BatchRead, Bill, BreakerConfig, Cassette, CassetteMode, Cause, ChatAnswer,
    ChatRequest, ChatService, Clock, Finish, Format, Gateway, GatewayConfig, GatewayError, Header,
    HttpService, LimitsConfig, Message, Outcome, Place, Price, Recorded, RetryAfter, RetryConfig,
    Role, ServiceError, Spend, SpendConfig, StoredAnswer, SystemClock, Took, Usage, after_thinking,
    read_batch, read_reply, retry_after, write_batch_line,
};
pub use known::Known;
pub use mistake::Mistake;
pub use prompt::{CountTokens, CutCounts, Prompt, behaviour_text, raw_text};
pub use pseudonym::{ItemNames, MIN_KEY, PseudonymKey, Pseudonyms};
pub use redact::redact;
pub use sanitise::sanitise;
pub use statements::{
    Claim, SLOTS, Slot, Statement, assemble, candidate_statements, likely_claims, possible_claims,
};
pub use store::{KnowledgeKey, KnowledgeStore};
pub use templates::TemplateSet;
pub use verify::false_claims;
pub use wording::Wording;
pub use words::Words;
