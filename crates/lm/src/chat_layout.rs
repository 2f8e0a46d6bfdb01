//! A question as the model was taught it: the tokens up to where its answer begins, and the token that
//! ends the answer.
//!
//! A vocabulary with the delimiters of ChatML is asked in ChatML, any other by the model's own template.
//! A template that has no system message is given its text at the beginning of the question. What a template
//! writes between its generation prompt and an answer (GLM-4 a line break, Qwen3 an empty thought) ends the
//! question.

use std::path::Path;
use std::sync::Arc;

use chrono::{NaiveDate, NaiveDateTime};

use crate::chat::{ChatOptions, ChatTemplate, Message};
use crate::error::{Error, Result};
use crate::gguf::Gguf;
use crate::tokenizer::Tokenizer;

/// What a template is tried with.
const ANSWER: &str = "a";

pub struct ChatLayout {
    tokenizer: Arc<Tokenizer>,
    /// `None`: ChatML.
    own: Option<Own>,
    end: u32,
}

struct Own {
    template: ChatTemplate,
    has_system: bool,
    /// What stands between the generation prompt and an answer.
    lead: Vec<u32>,
}

/// Several questions after one system text, as branches of one prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Questions {
    /// What all begin with; it may be empty.
    pub shared: Vec<u32>,
    /// What each goes on with, up to where its answer begins; at least one token.
    pub own: Vec<Vec<u32>>,
}

impl ChatLayout {
    /// The layout of the model at `path`: a GGUF file or a Hugging Face directory.
    ///
    /// # Errors
    /// If the model has neither ChatML nor a template, or [`ChatLayout::of_template`] refuses it.
    pub fn open(path: &Path, tokenizer: Arc<Tokenizer>) -> Result<Self> {
        if tokenizer.chat().is_ok() {
            return Self::chatml(tokenizer);
        }
        let template = if path.is_dir() {
            ChatTemplate::from_dir(path)?
        } else {
            ChatTemplate::from_gguf(&Gguf::open(path)?)?
        };
        Self::of_template(tokenizer, template)
    }

    /// # Errors
    /// If the vocabulary lacks the delimiters.
    pub fn chatml(tokenizer: Arc<Tokenizer>) -> Result<Self> {
        let end = tokenizer.chat()?.end;
        Ok(Self {
            tokenizer,
            own: None,
            end,
        })
    }

    /// # Errors
    /// If the template refuses a question with an answer, or it is not known what ends one.
    pub fn of_template(tokenizer: Arc<Tokenizer>, template: ChatTemplate) -> Result<Self> {
        let mut own = Own {
            template,
            has_system: true,
            lead: Vec::new(),
        };
        if own.encode(&tokenizer, "s", "q", None).is_err() {
            own.has_system = false;
        }
        let opening = own.encode(&tokenizer, "s", "q", None)?;
        let answered = own.encode(&tokenizer, "s", "q", Some(ANSWER))?;
        let n = common(&opening, &answered);
        let said = &answered[n..];
        // A generation prompt that no answer has after it (`<think>`) is the model's to go on from.
        if n == opening.len() {
            let answer = tokenizer.encode(ANSWER);
            let at = said.windows(answer.len()).position(|ids| ids == answer);
            own.lead = said[..at.unwrap_or(0)].to_vec();
        }
        let special = &own.template.special;
        let end = said.iter().find(|id| special.iter().any(|s| s.id == **id));
        let end = end.copied().or(own.template.eos_id()).ok_or_else(|| {
            Error::Config(
                "the chat template ends no answer with a special token, and the model names no end-of-sequence token: use an instruct model".into(),
            )
        })?;
        Ok(Self {
            tokenizer,
            own: Some(own),
            end,
        })
    }

    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The token that ends an answer.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// Each of `questions` after `system`, which may be empty.
    ///
    /// # Errors
    /// If the template changes a text ([`ChatTemplate::encode`]).
    pub fn questions(&self, system: &str, questions: &[&str]) -> Result<Questions> {
        let t = &*self.tokenizer;
        let Some(own) = &self.own else {
            let ask = |q: &&str| [t.message("user", q), t.answer_opening()].concat();
            return Ok(Questions {
                shared: match system {
                    "" => Vec::new(),
                    text => t.message("system", text),
                },
                own: questions.iter().map(ask).collect(),
            });
        };
        let whole: Vec<Vec<u32>> = questions
            .iter()
            .map(|q| Ok([own.encode(t, system, q, None)?, own.lead.clone()].concat()))
            .collect::<Result<_>>()?;
        // One token at least is left to each: it is what predicts the answer.
        let shortest = whole.iter().map(Vec::len).min().unwrap_or(1);
        let n = whole.iter().map(|ids| common(&whole[0], ids)).min();
        let n = n.unwrap_or(0).min(shortest.saturating_sub(1));
        Ok(Questions {
            shared: whole.first().map_or(Vec::new(), |ids| ids[..n].to_vec()),
            own: whole.iter().map(|ids| ids[n..].to_vec()).collect(),
        })
    }
}

impl Own {
    /// A question, up to where its answer begins, or with the answer and all that follows it.
    fn encode(
        &self,
        tokenizer: &Tokenizer,
        system: &str,
        question: &str,
        answer: Option<&str>,
    ) -> Result<Vec<u32>> {
        let mut messages = Vec::new();
        match (system, self.has_system) {
            ("", _) => messages.push(Message::new("user", question)),
            (_, true) => {
                messages.push(Message::new("system", system));
                messages.push(Message::new("user", question));
            }
            (_, false) => messages.push(Message::new("user", format!("{system}\n\n{question}"))),
        }
        messages.extend(answer.map(|a| Message::new("assistant", a)));
        let options = ChatOptions {
            add_generation_prompt: answer.is_none(),
            now: Some(today()),
            ..ChatOptions::default()
        };
        self.template.encode(tokenizer, &messages, &options)
    }
}

/// What a template prints as today's date: always the same, so that a prompt is the same tomorrow. It is
/// the one that Llama 3.2's template prints by itself.
fn today() -> NaiveDateTime {
    NaiveDate::from_ymd_opt(2024, 7, 26)
        .and_then(|date| date.and_hms_opt(0, 0, 0))
        .expect("a date of the calendar")
}

/// Length of the common beginning.
fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
