//! The questions that a service is asked about a history: claims as JSON, the same again with what was wrong, and
//! claims of one kind as lines. All that is of a log goes as one JSON object on the last line of the first message.

use hkfr_events::History;
use minijinja::context;

use super::document::Document;
use super::lines::{LINE_TOKENS, MAX_LINES};
use super::schema::{ClaimKind, schema};
use super::{ClaimsConfig, Structured};
use crate::error::Result;
use crate::fuser::Fusion;
use crate::gateway::{ChatRequest, Message, Role};
use crate::sanitise::sanitise;

/// Characters of an answer that are shown to the model when it is asked again, and of the fault.
const MAX_SHOWN: usize = 4000;
const MAX_PROBLEM: usize = 600;
/// Tokens of a claim in an answer, written without economy.
const CLAIM_TOKENS: usize = 64;

impl Fusion<'_> {
    pub(super) fn question(
        &self,
        history: &History,
        document: &Document,
        config: &ClaimsConfig,
        round: u32,
    ) -> Result<ChatRequest> {
        let prompt = self.wording.templates.render(
            "fusion-claims.jinja",
            context! {
                data => document.json,
                max_claims => config.max_claims,
                length => self.knowledge_tokens,
            },
        )?;
        // Its tokens are another model's, so the text may take twice as many.
        let max_tokens = 2 * self.knowledge_tokens + CLAIM_TOKENS * config.max_claims as usize;
        let mut request = ChatRequest::prompt(prompt, max_tokens);
        request.schema = Some(schema());
        if config.structured == Structured::Never {
            request = request.without_schema().expect("it has one");
        }
        Ok(self.completed(request, history, config, round))
    }

    /// The claims of one kind, as lines.
    pub(super) fn line_question(
        &self,
        history: &History,
        document: &Document,
        kind: ClaimKind,
        config: &ClaimsConfig,
        round: u32,
    ) -> Result<ChatRequest> {
        let max_lines = config.max_claims.min(MAX_LINES);
        let prompt = self.wording.templates.render(
            "fusion-lines.jinja",
            context! { data => document.json, kind => kind.name(), max_lines },
        )?;
        let request = ChatRequest::prompt(prompt, LINE_TOKENS * max_lines as usize);
        Ok(self.completed(request, history, config, round))
    }

    fn completed(
        &self,
        mut request: ChatRequest,
        history: &History,
        config: &ClaimsConfig,
        round: u32,
    ) -> ChatRequest {
        request.reasoning_tokens = config.reasoning_tokens as usize;
        request.seed = (round > 0).then_some(u64::from(round));
        self.guarded(request, history)
    }

    /// A request as it may leave.
    fn guarded(&self, mut request: ChatRequest, history: &History) -> ChatRequest {
        self.wording.guard(&mut request, &history.profile().id);
        request
    }

    /// The question, what was answered, and what is wrong with it.
    pub(super) fn again(
        &self,
        question: &ChatRequest,
        answer: &str,
        problem: &str,
        history: &History,
    ) -> Result<ChatRequest> {
        let problem = sanitise(problem, MAX_PROBLEM).0;
        let values = context! { problem };
        let asked = self
            .wording
            .templates
            .render("fusion-again.jinja", values)?;
        let mut request = question.clone();
        let answer = sanitise(answer, MAX_SHOWN).0;
        for (role, content) in [(Role::Assistant, answer), (Role::User, asked)] {
            request.messages.push(Message { role, content });
        }
        Ok(self.guarded(request, history))
    }
}
