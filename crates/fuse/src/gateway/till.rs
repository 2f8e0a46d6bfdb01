//! Where what is answered is stored and counted, used or not: reserved before an attempt, settled after it.

use super::Waiting;
use super::answer::ChatAnswer;
use super::answers::{Answers, StoredAnswer};
use super::chat::{Bill, ChatRequest};
use super::error::GatewayError;
use super::spend::{Meter, Reservation};

pub(super) struct Till<'a> {
    pub meter: &'a Meter,
    pub answers: &'a Answers,
    pub waiting: &'a Waiting,
    /// Whom the request is about.
    pub subject: Option<&'a str>,
}

impl<'a> Till<'a> {
    pub fn reserve(
        &self,
        model: &str,
        form: &ChatRequest,
    ) -> Result<Reservation<'a>, GatewayError> {
        self.meter.reserve(model, form.estimate(), self.waiting)
    }

    /// When it returns, the answer is on the disk.
    pub fn answered(
        &self,
        reserved: Reservation,
        model: &str,
        form: &ChatRequest,
        answer: &ChatAnswer,
    ) -> Result<(), GatewayError> {
        let usage = form.usage(answer);
        let stored = StoredAnswer {
            hash: form.hash(model),
            model: model.to_owned(),
            answer: answer.clone(),
            usage,
            answered_at: self.waiting.clock.unix(),
        };
        self.answers.put(stored, self.subject)?;
        let bill = Bill {
            usage,
            reported: answer.usage.is_some(),
        };
        reserved.settle(model, bill, true);
        Ok(())
    }

    /// What it took is paid, though it cannot be read.
    pub fn unread(
        &self,
        reserved: Reservation,
        model: &str,
        form: &ChatRequest,
        bill: Bill,
    ) -> Result<(), GatewayError> {
        let at = self.waiting.clock.unix();
        self.answers
            .put_unread(&form.hash(model), model, bill, at)?;
        reserved.settle(model, bill, false);
        Ok(())
    }
}
