//! From a history to knowledge: by the embedded model, which chooses among true statements, by a
//! service, whose claims are then checked ([`crate::claims`]), or not at all (`none`, the ablation).

use std::sync::Arc;

use hkfr_events::History;
use minijinja::context;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::facts::{Facts, FactsConfig, facts};
use crate::prompt::{CountTokens, CutCounts, Prompt, behaviour_text, raw_text};
use crate::statements::{Claim, assemble, candidate_statements, is_contested};
use crate::wording::Wording;

/// Which model writes the knowledge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FusionMode {
    /// The embedded LLM chooses among statements that are true by construction.
    Embedded,
    /// An OpenAI-compatible service claims; what its evidence does not bear out is cut.
    Service,
    /// No fusion: the behaviours as text.
    None,
}

/// A language model that says how well each option answers a prompt.
pub trait StatementScorer {
    fn model_id(&self) -> String;

    /// Mean log-probability per token of each option as the answer to one prompt.
    fn score(
        &mut self,
        system: &str,
        user: &str,
        options: &[String],
    ) -> std::result::Result<Vec<f32>, String>;
}

/// Knowledge of one user as-of one time, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnowledgeRecord {
    pub user: String,
    pub as_of: i64,
    pub keep_last: Option<u32>,
    pub template_hash: String,
    pub model: String,
    pub mode: FusionMode,
    pub text: String,
    pub claims: Vec<Claim>,
    pub n_tokens: usize,
    /// Tokens of the prompt that the model read.
    pub prompt_tokens: usize,
    pub cut: CutCounts,
    /// Claims that the budget cut (embedded) or sentences that the facts did not bear out (service).
    pub n_dropped: usize,
}

/// What all modes need.
pub struct Fusion<'a> {
    pub wording: &'a Wording<'a>,
    pub facts: &'a FactsConfig,
    /// Tokens of the behaviour prompt, and of the knowledge.
    pub budget_tokens: usize,
    pub knowledge_tokens: usize,
    pub count: CountTokens<'a>,
}

impl Fusion<'_> {
    pub(crate) fn record(
        &self,
        history: &History,
        keep_last: Option<u32>,
        mode: FusionMode,
        model: String,
    ) -> KnowledgeRecord {
        KnowledgeRecord {
            user: history.profile().id.clone(),
            as_of: history.as_of().seconds(),
            keep_last,
            template_hash: self.wording.templates.hash().into(),
            model,
            mode,
            text: String::new(),
            claims: Vec::new(),
            n_tokens: 0,
            prompt_tokens: 0,
            cut: CutCounts::default(),
            n_dropped: 0,
        }
    }

    /// No fusion: the latest behaviours as their templates write them.
    pub fn none(&self, history: &History, keep_last: Option<u32>) -> Result<KnowledgeRecord> {
        let facts = facts(self.wording, history, self.facts);
        let prompt = raw_text(
            self.wording,
            history,
            &facts,
            self.knowledge_tokens,
            self.count,
        )?;
        let mut record = self.record(history, keep_last, FusionMode::None, "none".into());
        (record.text, record.n_tokens, record.cut) = (prompt.text, prompt.n_tokens, prompt.cut);
        Ok(record)
    }

    fn behaviour(&self, wording: &Wording, history: &History) -> Result<(Arc<Facts>, Prompt)> {
        let facts = facts(wording, history, self.facts);
        let (budget, count) = (self.budget_tokens, self.count);
        let behaviour = behaviour_text(wording, history, &facts, budget, count)?;
        Ok((facts, behaviour))
    }

    fn fusion_prompt(&self, behaviour: &str) -> Result<String> {
        let values = context! { behaviour };
        self.wording.templates.render("fusion.jinja", values)
    }

    /// The fusion prompt of a user and the facts behind it.
    pub fn prompt(&self, history: &History) -> Result<(Arc<Facts>, Prompt, String)> {
        let (facts, behaviour) = self.behaviour(self.wording, history)?;
        let prompt = self.fusion_prompt(&behaviour.text)?;
        Ok((facts, behaviour, prompt))
    }

    /// The embedded model chooses among true statements.
    pub fn embedded(
        &self,
        history: &History,
        keep_last: Option<u32>,
        scorer: &mut dyn StatementScorer,
    ) -> Result<KnowledgeRecord> {
        let (facts, behaviour, prompt) = self.prompt(history)?;
        let templates = self.wording.templates;
        let statements = candidate_statements(&facts, templates)?;
        // Where a slot takes all that may be said, there is nothing to ask the model.
        let asked: Vec<usize> = (0..statements.len())
            .filter(|&i| is_contested(&statements, statements[i].slot))
            .collect();
        let options: Vec<String> = asked.iter().map(|&i| statements[i].text.clone()).collect();
        let mut scores = vec![0.0; statements.len()];
        if !options.is_empty() {
            let answers = scorer.score("", &prompt, &options).map_err(Error::Model)?;
            asked
                .iter()
                .zip(answers)
                .for_each(|(&i, score)| scores[i] = score);
        }
        let (text, claims, n_dropped) = assemble(
            &facts,
            &statements,
            &scores,
            templates,
            self.knowledge_tokens,
            self.count,
        )?;
        let mut record = self.record(history, keep_last, FusionMode::Embedded, scorer.model_id());
        record.n_tokens = (self.count)(&text);
        record.prompt_tokens = (self.count)(&prompt);
        (record.text, record.claims, record.cut, record.n_dropped) =
            (text, claims, behaviour.cut, n_dropped);
        Ok(record)
    }
}
