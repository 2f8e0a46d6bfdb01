//! Where in a reply an answer stood.

use serde::{Deserialize, Serialize};

/// Where in a reply the text of an answer stood.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    #[default]
    Content,
    /// `message.parsed`.
    Parsed,
    /// The arguments of a tool call.
    ToolCall,
    /// What the model thought: no answer unless it is one as a whole.
    Reasoning,
    /// The service's words for why it answers nothing.
    Refusal,
    /// Nothing was said.
    Nothing,
}

impl Place {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Content, "content"),
        (Self::Parsed, "parsed"),
        (Self::ToolCall, "tool-call"),
        (Self::Reasoning, "reasoning"),
        (Self::Refusal, "refusal"),
        (Self::Nothing, "nothing"),
    ];

    pub(crate) fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(place, _)| *place == self);
        found.map_or("content", |(_, name)| name)
    }

    pub(crate) fn named(name: &str) -> Self {
        let found = Self::ALL.iter().find(|(_, n)| *n == name);
        found.map_or(Self::Content, |(place, _)| *place)
    }
}
