//! What a model answered, and what it took.

use serde::{Deserialize, Serialize};

use super::reply::finish::Finish;
use super::reply::place::Place;
use super::reply::thinking::after_thinking;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
}

impl Usage {
    pub fn total(self) -> u64 {
        self.prompt_tokens + self.completion_tokens
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChatAnswer {
    /// As it came, blocks of thought included: [`Self::said`] is without them.
    pub text: String,
    /// As the service reports it; `None` where it does not.
    pub usage: Option<Usage>,
    /// As the service reports it, such as a dated snapshot of the model that was asked.
    pub model: Option<String>,
    /// Where the text stood.
    #[serde(skip_serializing_if = "is_default")]
    pub place: Place,
    /// Why it ended.
    #[serde(skip_serializing_if = "is_default")]
    pub finish: Finish,
    /// Bytes of thought beside the text, from which its tokens are estimated where the service reports none.
    #[serde(skip)]
    pub thinking_bytes: u64,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl ChatAnswer {
    /// The text without what the model thought before it, and its place. Where all is thought, it is that, and its
    /// place is [`Place::Reasoning`].
    pub fn said(&self) -> (Place, &str) {
        match self.place {
            Place::Content | Place::Parsed | Place::ToolCall => match after_thinking(&self.text) {
                Some("") => (Place::Nothing, ""),
                Some(said) => (self.place, said),
                None => (Place::Reasoning, &self.text),
            },
            place => (place, &self.text),
        }
    }
}

/// The beginning of what a service said, fit for one line of a terminal.
pub(crate) fn excerpt(text: &str) -> String {
    let line = text.chars().take(300);
    line.map(|c| if c.is_control() { ' ' } else { c }).collect()
}
