//! How good the claims of a model are: precision and coverage, why claims were cut, whether it says the same
//! of a user each time, and whether it says the same of all users.
//!
//! ```text
//! precision = claims that stand / claims made
//! coverage  = facts that a standing claim says / facts that claims could say
//! ```
//!
//! Both are sums over histories, by model and by the hash of the templates that asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::Serialize;

use super::Form;
use super::counts::{GateCounts, ReasonCounts};
use super::portrait::{Portrait, jaccard};
use super::unusable::Unusable;
use crate::fuser::{FusionMode, KnowledgeRecord};

/// So much more alike than their facts are may texts and claims of users be, before it is told. Facts and
/// claims are not the same sets, and sentences are built alike: it is no test, but a constant text exceeds it
/// unless the facts are as alike as that.
const MARGIN: f64 = 0.2;
/// Fewer users say little.
const MIN_USERS: usize = 5;

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PromptReport {
    pub model: String,
    /// Hash of the template set, with which the question changes.
    pub prompt: String,
    pub histories: u32,
    /// Histories of which no answer was of use, and why.
    pub unusable: u32,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub why: BTreeMap<Unusable, u32>,
    /// Histories of which a claim or a sentence stands.
    pub useful: u32,
    /// Answers that stood among what the model thought.
    pub from_reasoning: u32,
    /// Histories that were asked about in lines, one kind of claim a question.
    pub in_lines: u32,
    pub claims_made: u32,
    pub claims_supported: u32,
    pub precision: Option<f64>,
    pub facts: u32,
    pub facts_covered: u32,
    pub coverage: Option<f64>,
    pub cut: ReasonCounts,
    pub sentences: u32,
    pub sentences_cut: u32,
    pub reasks: u32,
    pub repairs: u32,
    pub consistency: Option<Consistency>,
    pub similarity: Option<Similarity>,
    pub warnings: Vec<String>,
}

/// Of the same users, asked again with other seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Consistency {
    pub users: usize,
    pub repeats: usize,
    /// Jaccard's index of the claims that stand, over all pairs of repeats of a user, over users.
    pub mean: f64,
}

/// Of all pairs of different users.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Similarity {
    pub users: usize,
    pub claims: Pairs,
    pub facts: Pairs,
    pub text: Pairs,
    pub facts_text: Pairs,
}

/// Jaccard's index.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Pairs {
    pub mean: f64,
    pub largest: f64,
}

/// One report a model and prompt, in their order.
pub fn prompt_reports<'a>(
    records: impl IntoIterator<Item = &'a KnowledgeRecord>,
) -> Vec<PromptReport> {
    let mut reports: BTreeMap<(&str, &str), PromptReport> = BTreeMap::new();
    for record in records {
        let Some(counts) = record
            .cut
            .gate
            .filter(|_| record.mode == FusionMode::Service)
        else {
            continue;
        };
        let key = (record.model.as_str(), record.template_hash.as_str());
        reports.entry(key).or_default().add(&counts);
    }
    let named = reports.into_iter().map(|((model, prompt), report)| {
        let share = |n: u32, of: u32| (of > 0).then(|| f64::from(n) / f64::from(of));
        PromptReport {
            model: model.to_owned(),
            prompt: prompt.to_owned(),
            precision: share(report.claims_supported, report.claims_made),
            coverage: share(report.facts_covered, report.facts),
            ..report
        }
    });
    named.collect()
}

impl PromptReport {
    fn add(&mut self, counts: &GateCounts) {
        self.histories += 1;
        self.unusable += u32::from(counts.unusable);
        if let Some(why) = counts.why {
            *self.why.entry(why).or_default() += 1;
        }
        self.useful += u32::from(counts.is_useful() == Some(true));
        self.from_reasoning += counts.from_reasoning;
        self.in_lines += u32::from(counts.form == Form::Lines);
        self.claims_made += counts.made;
        self.claims_supported += counts.supported;
        self.facts += counts.facts;
        self.facts_covered += counts.covered;
        self.sentences += counts.sentences;
        self.sentences_cut += counts.sentences_cut;
        self.reasks += counts.reasks;
        self.repairs += counts.repairs;
        for (reason, n) in counts.cut.ranked() {
            self.cut.add(reason, n);
        }
    }

    /// Adds what a sample of users says: one portrait a user, and warns where they are too alike.
    pub fn compare(&mut self, portraits: &[Portrait]) {
        self.similarity = Similarity::of(portraits);
        let Some(s) = self.similarity.filter(|s| s.users >= MIN_USERS) else {
            return;
        };
        for (what, said, facts) in [
            ("claims", s.claims.mean, s.facts.mean),
            ("texts", s.text.mean, s.facts_text.mean),
        ] {
            if said > facts + MARGIN {
                self.warnings.push(format!(
                    "model {:?} says the same of different users: their {what} are alike to {said:.2}, their facts to {facts:.2} (mean Jaccard of {} users); ask another model, or raise budget_tokens so that it reads more of each",
                    self.model, s.users
                ));
            }
        }
    }
}

impl Consistency {
    /// By user, by repeat: what stands, as (slot, value). `None` with fewer than two repeats.
    pub fn of(users: &[Vec<BTreeSet<(String, String)>>]) -> Option<Self> {
        let users: Vec<_> = users.iter().filter(|repeats| repeats.len() > 1).collect();
        let of_user = |repeats: &&Vec<BTreeSet<(String, String)>>| {
            let pairs = pairs(repeats.len()).map(|(i, j)| jaccard(&repeats[i], &repeats[j]));
            let (sum, n) = pairs.fold((0.0, 0), |(sum, n), j| (sum + j, n + 1));
            sum / f64::from(n)
        };
        let repeats = users.iter().map(|r| r.len()).max()?;
        Some(Self {
            users: users.len(),
            repeats,
            mean: users.iter().map(of_user).sum::<f64>() / users.len() as f64,
        })
    }
}

impl Similarity {
    fn of(portraits: &[Portrait]) -> Option<Self> {
        if portraits.len() < 2 {
            return None;
        }
        let over = |likeness: &dyn Fn(&Portrait, &Portrait) -> f64| {
            let (mut sum, mut n, mut largest) = (0.0, 0, 0.0_f64);
            for (i, j) in pairs(portraits.len()) {
                let likeness = likeness(&portraits[i], &portraits[j]);
                sum += likeness;
                n += 1;
                largest = largest.max(likeness);
            }
            Pairs {
                mean: sum / f64::from(n),
                largest,
            }
        };
        Some(Self {
            users: portraits.len(),
            claims: over(&|a, b| jaccard(&a.claims, &b.claims)),
            facts: over(&|a, b| jaccard(&a.facts, &b.facts)),
            text: over(&|a, b| jaccard(&a.shingles, &b.shingles)),
            facts_text: over(&|a, b| jaccard(&a.facts_shingles, &b.facts_shingles)),
        })
    }
}

/// Each pair of indices below `n` once.
fn pairs(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(move |i| (i + 1..n).map(move |j| (i, j)))
}

/// For people: Markdown, a table and what is to be said of it.
pub fn table(reports: &[PromptReport]) -> String {
    let mut out = String::from(
        "| model | prompt | histories | claims | stand | precision | coverage | sentences cut | asked again | mended | unusable |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    let share = |share: Option<f64>| share.map_or("–".to_owned(), |s| format!("{s:.3}"));
    for r in reports {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} of {} | {} | {} | {} |",
            r.model.replace('|', "/"),
            r.prompt,
            r.histories,
            r.claims_made,
            r.claims_supported,
            share(r.precision),
            share(r.coverage),
            r.sentences_cut,
            r.sentences,
            r.reasks,
            r.repairs,
            r.unusable
        );
    }
    for r in reports {
        let _ = writeln!(out, "\n{}", r.model);
        let cut = r.cut.ranked();
        if !cut.is_empty() {
            let cut = cut.iter().map(|(reason, n)| format!("{reason} {n}"));
            let _ = writeln!(out, "- cut: {}", cut.collect::<Vec<_>>().join(", "));
        }
        if !r.why.is_empty() {
            let why = r.why.iter().map(|(why, n)| format!("{why} {n}"));
            let _ = writeln!(out, "- unusable: {}", why.collect::<Vec<_>>().join(", "));
        }
        if r.in_lines > 0 {
            let _ = writeln!(out, "- asked in lines: {} histories", r.in_lines);
        }
        if r.from_reasoning > 0 {
            let n = r.from_reasoning;
            let _ = writeln!(out, "- answers taken from the model's thoughts: {n}");
        }
        if let Some(c) = r.consistency {
            let _ = writeln!(
                out,
                "- of {} users asked {} times, the claims that stand are alike to {:.3}",
                c.users, c.repeats, c.mean
            );
        }
        if let Some(s) = r.similarity {
            for (what, said, facts) in [
                ("claims", s.claims, s.facts),
                ("texts", s.text, s.facts_text),
            ] {
                let _ = writeln!(
                    out,
                    "- {what} of {} users: alike to {:.3}, two of them to {:.3}; their facts to {:.3}, two to {:.3}",
                    s.users, said.mean, said.largest, facts.mean, facts.largest
                );
            }
        }
        for warning in &r.warnings {
            let _ = writeln!(out, "- warning: {warning}");
        }
    }
    out
}
