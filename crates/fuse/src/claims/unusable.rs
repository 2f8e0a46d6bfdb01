//! Why an answer is of no use, and what mends it.

use serde::{Deserialize, Serialize};

use crate::gateway::{ChatAnswer, Finish, Place, excerpt};
use crate::redact::redact;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unusable {
    /// It is not in the form that was asked for.
    Form,
    /// It says nothing, or only what the model thought.
    Empty,
    /// The model thought until its tokens were used up.
    Thinking,
    /// The service withheld it, or the model declined.
    Refused,
}

impl Unusable {
    /// Whether the same model may do better in a simpler form.
    pub(super) fn may_be_of_form(self) -> bool {
        matches!(self, Self::Form | Self::Empty)
    }

    /// The keys of `[fusion]` that mend it.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Form => {
                "ask for a simpler form (form = \"lines\"), or another model; max_claims and knowledge_tokens say how long an answer may be"
            }
            Self::Empty => {
                "leave the schema out (structured = \"never\"), tell the service not to keep the answer among its thoughts, or ask another model"
            }
            Self::Thinking => {
                "raise reasoning_tokens, such as to 4000: a model that thinks needs them beside its answer"
            }
            Self::Refused => {
                "ask another model, or send less of the log (item_names = \"pseudonyms\")"
            }
        }
    }
}

/// `thinking`.
impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        self.serialize(f)
    }
}

/// An answer that is of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub kind: Unusable,
    /// What is wrong with it, in words that a model may read, too.
    pub problem: String,
    /// The beginning of what was sent, without what names a person, fit for one line.
    pub sent: String,
}

/// Characters of an answer that are shown.
const SHOWN: usize = 200;

impl Fault {
    pub(super) fn new(answer: &ChatAnswer, kind: Unusable, problem: String) -> Self {
        let sent = redact(&answer.text);
        Self {
            kind,
            problem,
            sent: excerpt(&sent).chars().take(SHOWN).collect(),
        }
    }

    /// Of an answer that says nothing in its place; `None`: it says something that can be read.
    pub(super) fn of_silence(answer: &ChatAnswer) -> Option<Self> {
        let (place, _) = answer.said();
        let fault = |kind, problem: &str| Some(Self::new(answer, kind, problem.into()));
        match (place, answer.finish) {
            (Place::Content | Place::Parsed | Place::ToolCall, _) => None,
            (Place::Refusal, _) => fault(Unusable::Refused, "the model declined to answer"),
            (_, Finish::Filtered) => fault(
                Unusable::Refused,
                "the service withheld the answer (finish_reason content_filter)",
            ),
            (_, Finish::Length) => fault(
                Unusable::Thinking,
                "the content is empty, since thinking took all tokens (finish_reason length)",
            ),
            (Place::Reasoning, _) => fault(
                Unusable::Empty,
                "the content is empty, and what stands among the model's thoughts (reasoning_content or an open <think>) is no answer as a whole",
            ),
            (Place::Nothing, _) => fault(Unusable::Empty, "the content is null or empty"),
        }
    }
}
