//! One request while it is generated: logits of its next token → the token, and whether it was the last.

use crate::constrain::{Constraint, TokenMask};
use crate::error::{Error, Result};
use crate::generated::{Finish, Generated, Step};
use crate::kernels::log_sum_exp;
use crate::sampler::Sampler;
use crate::text::TextStream;
use crate::vocabulary::Vocabulary;

/// A request that goes on.
pub(crate) struct Live {
    pub request: usize,
    /// Segments of the tree that hold its prompt and what it has said; the last one grows.
    pub pages: Vec<usize>,
    pub sampler: Sampler,
    pub constraint: Option<Box<dyn Constraint>>,
    pub stop_tokens: Vec<u32>,
    pub text: TextStream,
    pub tokens: Vec<u32>,
    pub log_probs: Vec<f32>,
    /// Tokens left.
    pub budget: usize,
    /// The budget took a choice from the constraint.
    pub narrowed: bool,
}

impl Live {
    /// Where its last token is, or will be.
    pub fn segment(&self) -> usize {
        self.pages[self.pages.len() - 1]
    }

    pub fn end(self, finish: Finish) -> Generated {
        Generated {
            tokens: self.tokens,
            text: self.text.finish(),
            log_probs: self.log_probs,
            finish,
        }
    }

    /// Says the next token. Returns why the request ends, if it does.
    pub fn say(
        &mut self,
        logits: &[f32],
        vocabulary: &Vocabulary,
        on_token: &mut impl FnMut(&Step) -> bool,
    ) -> Result<Option<Finish>> {
        let mut mask = None;
        if let Some(constraint) = &self.constraint {
            let mut allowed = TokenMask::default();
            self.narrowed |= constraint.allowed(self.budget, &mut allowed);
            mask = Some(allowed);
        }
        let token = self.sampler.next(logits, mask.as_ref()).ok_or_else(|| {
            Error::Config(format!(
                "request {}: the constraint allows no token: is its end token in the vocabulary?",
                self.request
            ))
        })?;
        let log_prob = logits[token as usize] - log_sum_exp(logits);
        self.tokens.push(token);
        self.log_probs.push(log_prob);
        self.budget -= 1;
        let stop = match &mut self.constraint {
            Some(constraint) => {
                constraint.advance(token);
                constraint.is_done()
            }
            None => self.stop_tokens.contains(&token),
        };
        let bytes = if stop { None } else { vocabulary.bytes(token) };
        let text = self.text.push(bytes.unwrap_or_default());
        let stop_string = self.text.stopped();
        let last = stop || stop_string || self.budget == 0;
        let rest = if last {
            self.text.rest()
        } else {
            String::new()
        };
        let go_on = on_token(&Step {
            request: self.request,
            token,
            log_prob,
            text: &(text + &rest),
        });
        Ok(match () {
            () if stop && !self.narrowed => Some(Finish::Stop),
            () if stop => Some(Finish::Length),
            () if stop_string => Some(Finish::StopString),
            () if self.budget == 0 => Some(Finish::Length),
            () if !go_on => Some(Finish::Cancelled),
            () => None,
        })
    }
}
