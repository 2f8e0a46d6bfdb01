//! Knowledge from a service as claims that cite events, and the gate that they pass or not.
//!
//! ```text
//! history ─▶ document ─▶ service ─▶ repair ─▶ schema ─▶ gate ─▶ what stands ─▶ record
//!             (events with ids)       ▲         │ not valid: asked again
//!                                     └─────────┘
//! ```
//!
//! A model that cannot write the schema is asked in lines, one kind of claim a question.
//!
//! The model is trusted with nothing: a claim stands only if it follows from the events that it cites, its
//! numbers are recounted over the history, and the text keeps the sentences that say what stands.

mod ask;
mod counts;
mod document;
mod gate;
mod knowledge;
mod lines;
mod names;
mod portrait;
mod question;
mod reading;
mod reason;
mod recount;
mod repair;
mod report;
mod schema;
mod text;
mod unusable;
mod useful;

use serde::{Deserialize, Serialize};

pub use ask::{Ask, Examined};
pub use counts::{GateCounts, ReasonCounts};
pub use document::Document;
pub use gate::{Gate, Verdict};
pub use lines::parse_lines;
pub use names::Vocabulary;
pub use portrait::{Portrait, jaccard};
pub use reason::Reason;
pub use recount::coverable;
pub use repair::{Repaired, repair};
pub use report::{Consistency, Pairs, PromptReport, Similarity, prompt_reports, table};
pub use schema::{Answer, ClaimKind, MadeClaim, Trend, schema, validate};
pub use text::{Grounded, ground};
pub use unusable::{Fault, Unusable};
pub use useful::Usefulness;

/// Whether a service is told the form of its answer by `response_format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Structured {
    /// Tried; a service that refuses it is asked without it from then on.
    Auto,
    /// The schema is written in the question.
    Never,
}

/// In which form claims are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// As JSON, and where that is of no use, as lines.
    Auto,
    /// All claims in one JSON object.
    #[default]
    Json,
    /// One kind of claim a question, a line a claim.
    Lines,
}

/// How claims are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimsConfig {
    pub form: Form,
    pub structured: Structured,
    /// How often an answer that cannot be used is asked for again.
    pub reasks: u32,
    /// Whether an answer with claims that do not stand is asked for again too.
    pub reask_cut: bool,
    /// Claims that the question asks for at most.
    pub max_claims: u32,
    /// [`crate::ChatRequest::reasoning_tokens`].
    pub reasoning_tokens: u32,
}

impl Default for ClaimsConfig {
    fn default() -> Self {
        Self {
            form: Form::Auto,
            structured: Structured::Auto,
            reasks: 1,
            reask_cut: false,
            max_claims: 16,
            reasoning_tokens: 0,
        }
    }
}
