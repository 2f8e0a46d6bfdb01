//! What stands of a service's answers → the text of the knowledge, and what became of it in numbers.

use super::counts::GateCounts;
use super::document::Document;
use super::gate::Verdict;
use super::names::Vocabulary;
use super::recount::coverable;
use super::schema::MadeClaim;
use super::text::{Grounded, ground};
use crate::error::Result;
use crate::fuser::Fusion;
use crate::sanitise::sanitise;
use crate::statements::{Claim, assemble, candidate_statements};

impl Fusion<'_> {
    pub(super) fn count_claims(
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
    pub(super) fn knowledge(
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
