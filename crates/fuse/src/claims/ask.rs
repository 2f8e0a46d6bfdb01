//! A history → what a service claims of it, and what of that stands.
//!
//! An answer that is no JSON of the schema, even when mended, is asked for again with its fault named,
//! at most `reasks` times. If none is of use, the knowledge is what the facts say, had the model no
//! preference, and is counted as such: at temperature 0 the same question gets the same answer for ever, and
//! text that nobody could check is worth less than facts.

use std::collections::BTreeSet;

use hkfr_events::{Event, History};
use minijinja::context;

use super::counts::GateCounts;
use super::document::Document;
use super::gate::{Gate, Verdict};
use super::names::Vocabulary;
use super::recount::coverable;
use super::repair::repair;
use super::schema::{Answer, MadeClaim, schema, validate};
use super::text::{Grounded, ground};
use super::{ClaimsConfig, Structured};
use crate::error::Result;
use crate::facts::facts;
use crate::fuser::{Fusion, FusionMode, KnowledgeRecord};
use crate::gateway::{Answered, ChatRequest, Message, Role};
use crate::pseudonym::restore_names;
use crate::sanitise::sanitise;
use crate::statements::{Claim, assemble, candidate_statements};

/// Who answers: `None` where nobody may be asked, and no answer is stored.
pub type Ask<'a> = &'a mut dyn FnMut(&ChatRequest) -> Result<Option<Answered>>;

/// Characters of an answer that are shown to the model when it is asked again, and of the fault.
const MAX_SHOWN: usize = 4000;
const MAX_PROBLEM: usize = 600;
/// Claims that do not stand which a model is told of.
const MAX_TOLD: usize = 8;
/// Tokens of a claim in an answer, written without economy.
const CLAIM_TOKENS: usize = 64;

/// What a service said of a history, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Examined {
    /// Every claim with its verdict.
    pub claims: Vec<(MadeClaim, Verdict)>,
    /// The text as the model wrote it.
    pub said: String,
    pub record: KnowledgeRecord,
}

impl Fusion<'_> {
    /// What a service is asked about a history at first. Rounds after 0 ask the same with another seed.
    pub fn request(
        &self,
        history: &History,
        config: &ClaimsConfig,
        round: u32,
    ) -> Result<ChatRequest> {
        self.question(history, &self.document(history)?, config, round)
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

    fn question(
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
        request.reasoning_tokens = config.reasoning_tokens as usize;
        request.schema = Some(schema());
        request.seed = (round > 0).then_some(u64::from(round));
        if config.structured == Structured::Never {
            request = request.without_schema().expect("it has one");
        }
        Ok(self.guarded(request, history))
    }

    /// A request as it may leave.
    fn guarded(&self, mut request: ChatRequest, history: &History) -> ChatRequest {
        self.wording.guard(&mut request, &history.profile().id);
        request
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
        let gate = Gate::new(
            self.wording,
            vocabulary,
            document.events,
            document.first_shown,
        );
        let names = self.names(document.events);
        let restore = |text: &str| restore_names(text, &names, |rest| self.wording.restore(rest));
        let question = self.question(history, &document, config, round)?;
        let mut counts = GateCounts::default();
        let (mut judged, mut standing) = (Vec::new(), Vec::new());
        let (mut said, mut model) = (None, None);
        let mut request = question.clone();
        for attempt in 0..=config.reasks {
            let Some(answered) = ask(&request)? else {
                return Ok(None);
            };
            let text = &answered.answer.text;
            let problem = match read(text, &mut counts) {
                Ok(answer) => {
                    let mut claims = answer.claims.clone();
                    claims.iter_mut().for_each(|c| c.value = restore(&c.value));
                    let verdicts = gate.judge_all(&claims, &mut standing);
                    // The model is told of its claims as it made them.
                    let problem = told(&answer.claims, &verdicts).filter(|_| config.reask_cut);
                    judged.extend(claims.into_iter().zip(verdicts));
                    said = Some(restore(&answer.text));
                    model = Some(answered.model);
                    problem
                }
                Err(problem) => {
                    // An answer of use names the model.
                    if said.is_none() {
                        model = Some(answered.model);
                    }
                    Some(problem)
                }
            };
            let Some(problem) = problem.filter(|_| attempt < config.reasks) else {
                break;
            };
            request = self.guarded(self.again(&question, text, &problem)?, history);
            counts.reasks += 1;
        }
        counts.unusable = said.is_none();
        let said = said.unwrap_or_default();
        let mut record = self.record(
            history,
            keep_last,
            FusionMode::Service,
            model.unwrap_or_default(),
        );
        let prompts = question.messages.iter();
        record.prompt_tokens = prompts.map(|m| (self.count)(&m.content)).sum();
        self.count_claims(&document, &judged, &standing, &mut counts);
        record.text = self.knowledge(&document, &said, &standing, vocabulary, &mut counts)?;
        record.n_tokens = (self.count)(&record.text);
        record.n_dropped = (counts.made - counts.supported + counts.sentences_cut) as usize;
        record.claims = standing;
        record.cut = document.cut;
        record.cut.gate = Some(counts);
        Ok(Some(Examined {
            claims: judged,
            said,
            record,
        }))
    }

    /// A service's knowledge of a history, its answers paid and stored by `ask`.
    pub fn service(
        &self,
        history: &History,
        keep_last: Option<u32>,
        config: &ClaimsConfig,
        vocabulary: &Vocabulary,
        gateway: &crate::gateway::Gateway,
    ) -> Result<KnowledgeRecord> {
        let mut ask = |request: &ChatRequest| Ok(Some(gateway.ask(request)?));
        let examined = self.examine(history, keep_last, config, vocabulary, 0, &mut ask)?;
        Ok(examined
            .expect("whoever may be asked answers or fails")
            .record)
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

    /// The question, what was answered, and what is wrong with it.
    fn again(&self, question: &ChatRequest, answer: &str, problem: &str) -> Result<ChatRequest> {
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
        Ok(request)
    }

    fn count_claims(
        &self,
        document: &Document,
        judged: &[(MadeClaim, Verdict)],
        standing: &[Claim],
        counts: &mut GateCounts,
    ) {
        counts.made = judged.len() as u32;
        counts.supported = standing.len() as u32;
        for (_, verdict) in judged {
            if let Verdict::Unsupported(reason) = verdict {
                counts.cut.add(*reason, 1);
            }
        }
        for (_, value, said_by) in coverable(&document.facts) {
            counts.facts += 1;
            let says = |c: &Claim| said_by.contains(&c.slot.as_str()) && *c.value == *value;
            counts.covered += u32::from(standing.iter().any(says));
        }
    }

    /// The sentences that stand, as many of the first as the budget takes. If there are none: what stands,
    /// worded by the templates; if no answer was of use, what the facts say.
    fn knowledge(
        &self,
        document: &Document,
        said: &str,
        standing: &[Claim],
        vocabulary: &Vocabulary,
        counts: &mut GateCounts,
    ) -> Result<String> {
        let (facts, templates) = (&document.facts, self.wording.templates);
        // Far more than fits is not looked at.
        let said = lines(said, 32 * self.knowledge_tokens);
        let Grounded { kept, n_cut } =
            ground(&said, facts, standing, vocabulary, templates.words());
        counts.sentences = (kept.len() + n_cut) as u32;
        counts.sentences_cut = n_cut as u32;
        let mut text = String::new();
        for (i, sentence) in kept.iter().enumerate() {
            let space = if text.is_empty() { "" } else { " " };
            let longer = format!("{text}{space}{sentence}");
            if (self.count)(&longer) > self.knowledge_tokens {
                counts.sentences_cut += (kept.len() - i) as u32;
                break;
            }
            text = longer;
        }
        if !text.is_empty() {
            return Ok(text);
        }
        let mut statements = candidate_statements(facts, templates)?;
        if !counts.unusable {
            statements.retain(|s| {
                let says_it = |c: &Claim| c.slot == s.slot && *c.value == *s.fact.name;
                standing.iter().any(says_it)
            });
        }
        let scores = vec![0.0; statements.len()];
        let (budget, count) = (self.knowledge_tokens, self.count);
        Ok(assemble(facts, &statements, &scores, templates, budget, count)?.0)
    }
}

/// Each line of a text sanitised: where a line ends, so does a sentence.
fn lines(text: &str, max_chars: usize) -> String {
    let lines = text.lines().map(|line| sanitise(line, max_chars).0);
    lines
        .collect::<Vec<_>>()
        .join("\n")
        .chars()
        .take(max_chars)
        .collect()
}

/// The answer in what a model said, or why there is none.
fn read(said: &str, counts: &mut GateCounts) -> std::result::Result<Answer, String> {
    let Some(mut repaired) = repair(said) else {
        return Err("it holds no JSON object with claims and text".into());
    };
    // Claims that are whole stand by themselves; the text comes after them and may be missing.
    if repaired.cut_off
        && let Some(map) = repaired.value.as_object_mut()
        && map.contains_key("claims")
    {
        map.entry("text").or_insert_with(|| "".into());
    }
    let answer = validate(&repaired.value)?;
    counts.repairs += u32::from(repaired.mended);
    Ok(answer)
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
