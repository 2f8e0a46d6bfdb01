//! Why an answer ended: the `finish_reason` of a service → one of five.

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finish {
    /// The model had said all, or the service does not say why.
    #[default]
    Stop,
    /// The limit of tokens.
    Length,
    /// The service withheld it for what it or the question says.
    Filtered,
    /// The service broke it off: asked again, it may be answered.
    Broken,
}

impl Finish {
    /// Names of OpenAI, Anthropic, Gemini, Mistral, GLM, DeepSeek, Ollama and Hugging Face; others count as
    /// [`Finish::Stop`], since what was said decides whether it is of use.
    pub(super) fn of(reason: &Value) -> Self {
        let Some(reason) = reason.as_str() else {
            return Self::Stop;
        };
        match reason.to_ascii_lowercase().as_str() {
            "length"
            | "max_tokens"
            | "model_length"
            | "max_output_tokens"
            | "incomplete"
            | "model_context_window_exceeded" => Self::Length,
            "content_filter"
            | "content_filtered"
            | "safety"
            | "recitation"
            | "blocklist"
            | "spii"
            | "prohibited_content"
            | "refusal"
            | "sensitive"
            | "guardrail_intervened" => Self::Filtered,
            "error"
            | "network_error"
            | "insufficient_system_resource"
            | "abort"
            | "aborted"
            | "cancelled" => Self::Broken,
            _ => Self::Stop,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::Filtered => "filtered",
            Self::Broken => "broken",
        }
    }

    pub(crate) fn named(name: &str) -> Self {
        let all = [Self::Length, Self::Filtered, Self::Broken];
        all.into_iter()
            .find(|f| f.name() == name)
            .unwrap_or_default()
    }
}
