//! A history → what a service claims of it, and what of that stands.
//!
//! An answer that is no JSON of the schema, even when mended, is asked for again with its fault named,
//! at most `reasks` times. If none is of use, the model is asked in lines ([`super::lines`]), and if those are of none
//! either, the knowledge is what the facts say, had the model no preference, and is counted as such: at temperature 0
//! the same question gets the same answer for ever, and text that nobody could check is worth less than facts.

use std::collections::BTreeSet;

use hkfr_events::{Event, History};

use super::counts::GateCounts;
use super::document::Document;
use super::gate::{Gate, Verdict};
use super::lines::{kinds, parse_lines};
use super::names::Vocabulary;
use super::reading::read;
use super::schema::MadeClaim;
use super::unusable::{Fault, Unusable};
use super::{ClaimsConfig, Form};
use crate::error::Result;
use crate::facts::facts;
use crate::fuser::{Fusion, FusionMode, KnowledgeRecord};
use crate::gateway::{Answered, ChatRequest, Finish};
use crate::pseudonym::restore_names;
use crate::sanitise::sanitise;
use crate::statements::Claim;

/// Who answers: `None` where nobody may be asked, and no answer is stored.
pub type Ask<'a> = &'a mut dyn FnMut(&ChatRequest) -> Result<Option<Answered>>;

/// Claims that do not stand which a model is told of.
const MAX_TOLD: usize = 8;

/// What a service said of a history, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Examined {
    /// Every claim with its verdict.
    pub claims: Vec<(MadeClaim, Verdict)>,
    /// The text as the model wrote it.
    pub said: String,
    /// Why the last answer that was of no use was of none.
    pub fault: Option<Fault>,
    /// How many answers were read.
    pub n_answers: u32,
    pub record: KnowledgeRecord,
}

/// What is asked about a history, and what came of it so far.
struct Inquiry<'a, 'h> {
    history: &'a History<'h>,
    document: Document<'h>,
    gate: Gate<'a>,
    /// Names as a service reads them and as they are.
    names: Vec<(String, String)>,
    config: &'a ClaimsConfig,
    round: u32,
    counts: GateCounts,
    judged: Vec<(MadeClaim, Verdict)>,
    standing: Vec<Claim>,
    /// Of the last answer of use.
    said: Option<String>,
    /// Of the last answer of use, or else of the first.
    model: Option<String>,
    fault: Option<Fault>,
    prompt_tokens: usize,
    n_answers: u32,
}

impl Inquiry<'_, '_> {
    /// Judges claims as a model made them; one verdict each.
    fn judge(
        &mut self,
        mut claims: Vec<MadeClaim>,
        restore: &dyn Fn(&str) -> String,
    ) -> Vec<Verdict> {
        claims.iter_mut().for_each(|c| c.value = restore(&c.value));
        let verdicts = self.gate.judge_all(&claims, &mut self.standing);
        self.judged
            .extend(claims.into_iter().zip(verdicts.iter().cloned()));
        verdicts
    }

    fn useful(&mut self, said: String, model: String) {
        self.said = Some(said);
        self.model = Some(model);
    }

    fn useless(&mut self, fault: Fault, model: String) {
        self.fault = Some(fault);
        self.model.get_or_insert(model);
    }
}

impl Fusion<'_> {
    /// What a service is asked about a history at first. Rounds after 0 ask the same with another seed.
    pub fn request(
        &self,
        history: &History,
        config: &ClaimsConfig,
        round: u32,
    ) -> Result<ChatRequest> {
        let document = self.document(history)?;
        let first = kinds(&document.facts).first().copied();
        match first.filter(|_| config.form == Form::Lines) {
            Some(kind) => self.line_question(history, &document, kind, config, round),
            None => self.question(history, &document, config, round),
        }
    }

    fn document<'h>(&self, history: &History<'h>) -> Result<Document<'h>>
    where
        Self: 'h,
    {
        let mut document = Document::new(
            self.wording.outward(),
            history,
            self.facts,
            self.budget_tokens,
            self.count,
        )?;
        // A service reads pseudonyms; what it says is judged by the names.
        document.facts = facts(self.wording, history, self.facts);
        Ok(document)
    }

    /// Everything that is asked about a history: questions whose answers are known, and the first one
    /// whose answer is not.
    pub fn requests(
        &self,
        history: &History,
        config: &ClaimsConfig,
        vocabulary: &Vocabulary,
        round: u32,
        ask: Ask,
    ) -> Result<Vec<ChatRequest>> {
        let mut asked = Vec::new();
        let mut note = |request: &ChatRequest| {
            asked.push(request.clone());
            ask(request)
        };
        self.examine(history, None, config, vocabulary, round, &mut note)?;
        Ok(asked)
    }

    /// Asks, asks again where it has to, and judges. `None`: an answer is not to be had.
    pub fn examine(
        &self,
        history: &History,
        keep_last: Option<u32>,
        config: &ClaimsConfig,
        vocabulary: &Vocabulary,
        round: u32,
        ask: Ask,
    ) -> Result<Option<Examined>> {
        let document = self.document(history)?;
        let (events, first_shown) = (document.events, document.first_shown);
        let mut inquiry = Inquiry {
            history,
            gate: Gate::new(self.wording, vocabulary, events, first_shown),
            names: self.names(events),
            document,
            config,
            round,
            counts: GateCounts::default(),
            judged: Vec::new(),
            standing: Vec::new(),
            said: None,
            model: None,
            fault: None,
            prompt_tokens: 0,
            n_answers: 0,
        };
        if config.form != Form::Lines && !self.ask_in_json(&mut inquiry, ask)? {
            return Ok(None);
        }
        let may_help = inquiry
            .fault
            .as_ref()
            .is_none_or(|f| f.kind.may_be_of_form());
        let in_lines = config.form != Form::Json && inquiry.said.is_none() && may_help;
        if in_lines && !self.ask_in_lines(&mut inquiry, ask)? {
            return Ok(None);
        }
        Ok(Some(self.examined(inquiry, keep_last, vocabulary)?))
    }

    fn examined(
        &self,
        inquiry: Inquiry,
        keep_last: Option<u32>,
        vocabulary: &Vocabulary,
    ) -> Result<Examined> {
        let Inquiry {
            history,
            document,
            mut counts,
            judged,
            standing,
            said,
            model,
            fault,
            ..
        } = inquiry;
        counts.unusable = said.is_none();
        counts.why = fault.as_ref().map(|f| f.kind).filter(|_| counts.unusable);
        let said = said.unwrap_or_default();
        let model = model.unwrap_or_default();
        let mut record = self.record(history, keep_last, FusionMode::Service, model);
        record.prompt_tokens = inquiry.prompt_tokens;
        self.count_claims(&document, &judged, &standing, &mut counts);
        record.text = self.knowledge(&document, &said, &standing, vocabulary, &mut counts)?;
        record.n_tokens = (self.count)(&record.text);
        record.n_dropped = (counts.made - counts.supported + counts.sentences_cut) as usize;
        record.claims = standing;
        record.cut = document.cut;
        record.cut.gate = Some(counts);
        Ok(Examined {
            claims: judged,
            said,
            fault,
            n_answers: inquiry.n_answers,
            record,
        })
    }

    /// False: an answer is not to be had.
    fn ask_in_json(&self, inquiry: &mut Inquiry, ask: Ask) -> Result<bool> {
        let (history, config) = (inquiry.history, inquiry.config);
        let question = self.question(history, &inquiry.document, config, inquiry.round)?;
        let prompts = question.messages.iter();
        inquiry.prompt_tokens = prompts.map(|m| (self.count)(&m.content)).sum();
        let names = std::mem::take(&mut inquiry.names);
        let restore = |text: &str| restore_names(text, &names, |rest| self.wording.restore(rest));
        let mut request = question.clone();
        for attempt in 0..=config.reasks {
            let Some(answered) = ask(&request)? else {
                return Ok(false);
            };
            inquiry.n_answers += 1;
            let answer = &answered.answer;
            let problem = match read(answer, &mut inquiry.counts) {
                Ok(found) => {
                    let verdicts = inquiry.judge(found.claims.clone(), &restore);
                    inquiry.useful(restore(&found.text), answered.model);
                    // The model is told of its claims as it made them.
                    told(&found.claims, &verdicts).filter(|_| config.reask_cut)
                }
                Err(fault) => {
                    // What says nothing would say it again.
                    let again = fault.kind == Unusable::Form;
                    let problem = again.then(|| fault.problem.clone());
                    inquiry.useless(fault, answered.model);
                    problem
                }
            };
            let Some(problem) = problem.filter(|_| attempt < config.reasks) else {
                break;
            };
            request = self.again(&question, answer.said().1, &problem, history)?;
            let begun = answer.said().1.contains('{');
            if answer.finish == Finish::Length && begun {
                // It had no room. What rambles on without any JSON would use up more.
                request.max_tokens *= 2;
            }
            inquiry.counts.reasks += 1;
        }
        inquiry.names = names;
        Ok(true)
    }

    /// One question a kind of claim. Where the first answer is of no use, the others would be of none.
    fn ask_in_lines(&self, inquiry: &mut Inquiry, ask: Ask) -> Result<bool> {
        inquiry.counts.form = Form::Lines;
        let names = std::mem::take(&mut inquiry.names);
        let restore = |text: &str| restore_names(text, &names, |rest| self.wording.restore(rest));
        let (history, config) = (inquiry.history, inquiry.config);
        for kind in kinds(&inquiry.document.facts) {
            let request =
                self.line_question(history, &inquiry.document, kind, config, inquiry.round)?;
            let prompts = request.messages.iter();
            inquiry.prompt_tokens += prompts.map(|m| (self.count)(&m.content)).sum::<usize>();
            let Some(answered) = ask(&request)? else {
                return Ok(false);
            };
            inquiry.n_answers += 1;
            let answer = &answered.answer;
            let silence = Fault::of_silence(answer);
            let claims = match silence {
                Some(fault) => Err(fault),
                None => parse_lines(kind, answer.said().1)
                    .map_err(|problem| Fault::new(answer, Unusable::Form, problem)),
            };
            match claims {
                Ok(claims) => {
                    inquiry.judge(claims, &restore);
                    inquiry.useful(String::new(), answered.model);
                }
                Err(fault) => {
                    inquiry.useless(fault, answered.model);
                    if inquiry.said.is_none() {
                        break;
                    }
                }
            }
        }
        inquiry.names = names;
        Ok(true)
    }

    /// A service's answers about a history, each paid and stored.
    pub fn service(
        &self,
        history: &History,
        keep_last: Option<u32>,
        config: &ClaimsConfig,
        vocabulary: &Vocabulary,
        gateway: &crate::gateway::Gateway,
    ) -> Result<Examined> {
        let mut ask = |request: &ChatRequest| Ok(Some(gateway.ask(request)?));
        let examined = self.examine(history, keep_last, config, vocabulary, 0, &mut ask)?;
        Ok(examined.expect("whoever may be asked answers or fails"))
    }

    /// The names in a history that a service reads otherwise, longest first, as it reads them and as they are.
    fn names(&self, events: &[Event]) -> Vec<(String, String)> {
        let items: BTreeSet<_> = events.iter().filter_map(|e| e.item).collect();
        let both = items.into_iter().flat_map(|item| {
            let (read, is) = (self.wording.outward().item(item), self.wording.item(item));
            let title = Some((&read.title, &is.title));
            let category = read.category.as_ref().zip(is.category.as_ref());
            let department = read.department.as_ref().zip(is.department.as_ref());
            [title, category, department].into_iter().flatten()
        });
        let others = both.filter(|(read, is)| read != is && !read.is_empty());
        let others = others.map(|(read, is)| (read.to_string(), is.to_string()));
        let mut names: Vec<_> = others.collect::<BTreeSet<_>>().into_iter().collect();
        names.sort_by_key(|(read, _)| std::cmp::Reverse(read.len()));
        names
    }
}

/// The claims that do not stand, for the model.
fn told(claims: &[MadeClaim], verdicts: &[Verdict]) -> Option<String> {
    let judged = claims.iter().zip(verdicts).enumerate();
    let cut = judged.filter_map(|(i, (made, verdict))| {
        let Verdict::Unsupported(reason) = verdict else {
            return None;
        };
        let (kind, value) = (made.kind.name(), sanitise(&made.value, 40).0);
        Some(format!("claims[{i}] ({kind} {value}): {reason}"))
    });
    let cut: Vec<String> = cut.take(MAX_TOLD).collect();
    (!cut.is_empty()).then(|| {
        format!(
            "these claims do not follow from their events: {}",
            cut.join("; ")
        )
    })
}
