//! What may be said of a user: candidate statements by slot, each true because it is made from a
//! fact. The LLM only chooses among them, so a small model cannot invent anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::{Value, context};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::facts::{Count, Counts, Facts, FactsView};
use crate::prompt::CountTokens;
use crate::templates::TemplateSet;

/// A place in the knowledge that takes some of a fact list's names.
pub struct Slot {
    /// `statements/<name>.jinja` words it, `chosen.<name>` is what `knowledge.jinja` receives.
    pub name: &'static str,
    /// How many statements are chosen, before the budget.
    pub pick: usize,
    /// How many a tight budget leaves for as long as another slot has more than its own number.
    pub floor: usize,
    pub(crate) options: fn(&Facts) -> Counts,
}

/// The most frequent so many options beyond `pick` are put before the model: each costs a branch.
const SPARE_OPTIONS: usize = 2;

/// In the order in which the budget favours them.
pub const SLOTS: &[Slot] = &[
    Slot {
        name: "favourite",
        pick: 6,
        floor: 4,
        options: |f| f.categories.clone(),
    },
    Slot {
        name: "staple",
        pick: 5,
        floor: 2,
        options: |f| f.items.iter().filter(|c| c.n >= 2).cloned().collect(),
    },
    Slot {
        name: "recent",
        pick: 5,
        floor: 2,
        // The latest are the latest: there is nothing for the model to choose.
        options: |f| f.recent_items.iter().take(5).cloned().collect(),
    },
    Slot {
        name: "rising",
        pick: 2,
        floor: 1,
        options: |f| f.rising.clone(),
    },
    Slot {
        name: "promotion",
        pick: 2,
        floor: 1,
        options: |f| f.converted.clone(),
    },
    Slot {
        name: "ignored",
        pick: 1,
        floor: 0,
        options: |f| f.ignored.clone(),
    },
    Slot {
        name: "disliked",
        pick: 3,
        floor: 2,
        options: |f| f.disliked.clone(),
    },
    Slot {
        name: "weekday",
        pick: 1,
        floor: 1,
        options: |f| common(&f.weekdays),
    },
    Slot {
        name: "daypart",
        pick: 1,
        floor: 1,
        options: |f| common(&f.dayparts),
    },
    Slot {
        name: "price",
        pick: 1,
        floor: 1,
        options: |f| common(&f.price_bands),
    },
    Slot {
        name: "brand",
        pick: 2,
        floor: 0,
        options: |f| f.brands.clone(),
    },
    Slot {
        name: "household",
        pick: 3,
        floor: 0,
        options: household,
    },
];

/// Names that hold of at least a quarter: "shops on Monday" must not be said of one Monday in ten.
pub(crate) fn common(counts: &Counts) -> Counts {
    counts.iter().filter(|c| c.share >= 0.25).cloned().collect()
}

fn household(facts: &Facts) -> Counts {
    let known = facts
        .profile
        .iter()
        .filter(|(_, v)| !v.is_empty() && !v.eq_ignore_ascii_case("unknown"));
    let name = |(k, v): (&String, &String)| format!("{k} {v}");
    known
        .map(|kv| {
            Arc::new(Count {
                name: name(kv).into(),
                n: 1,
                share: 1.0,
                percent: 100,
                days_ago: 0,
                evidence: Vec::new(),
            })
        })
        .collect()
}

/// A statement that the facts support.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    pub slot: &'static str,
    /// As `statements/<slot>.jinja` words it: what the model scores.
    pub text: String,
    pub fact: Arc<Count>,
}

/// A chosen statement, as it is stored: which fact list, what value, how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub slot: String,
    pub value: String,
    pub n: u32,
    pub percent: u32,
    /// Ids of (the latest of) the events that support it.
    pub evidence: Vec<u32>,
}

/// All candidate statements, slot by slot.
pub fn candidate_statements(facts: &Facts, templates: &TemplateSet) -> Result<Vec<Statement>> {
    let mut statements = Vec::new();
    for slot in SLOTS {
        for fact in (slot.options)(facts)
            .into_iter()
            .take(slot.pick + SPARE_OPTIONS)
        {
            let text = templates.render(
                &format!("statements/{}.jinja", slot.name),
                Value::from_dyn_object(Arc::clone(&fact)),
            )?;
            statements.push(Statement {
                slot: slot.name,
                text,
                fact,
            });
        }
    }
    Ok(statements)
}

/// Are there more statements for this slot than it takes?
pub(crate) fn is_contested(statements: &[Statement], slot: &str) -> bool {
    let pick = SLOTS.iter().find(|s| s.name == slot).map_or(0, |s| s.pick);
    statements.iter().filter(|s| s.slot == slot).count() > pick
}

/// The best statements of each slot by `scores` (one a statement), worded by `knowledge.jinja`
/// within `budget` tokens. Where it does not fit, a slot gives up its worst, again and again: the
/// slot with the most beyond its floor (the later of equals), then the last one that has any.
/// Returns the text, the claims in it, and how many claims the budget cut.
pub fn assemble(
    facts: &Arc<Facts>,
    statements: &[Statement],
    scores: &[f32],
    templates: &TemplateSet,
    budget: usize,
    count: CountTokens,
) -> Result<(String, Vec<Claim>, usize)> {
    let position = |s: &Statement| statements.iter().position(|t| std::ptr::eq(t, s));
    // Each slot's picks, best first.
    let mut picks: Vec<Vec<&Statement>> = SLOTS
        .iter()
        .map(|slot| {
            let of_slot = scores
                .iter()
                .copied()
                .zip(statements)
                .filter(|(_, s)| s.slot == slot.name);
            let mut of_slot: Vec<(f32, &Statement)> = of_slot.collect();
            of_slot.sort_by(|a, b| b.0.total_cmp(&a.0));
            of_slot
                .into_iter()
                .take(slot.pick)
                .map(|(_, s)| s)
                .collect()
        })
        .collect();
    let mut n_cut = 0;
    loop {
        let mut chosen: BTreeMap<&str, Value> = BTreeMap::new();
        let mut claims = Vec::new();
        for (slot, picks) in SLOTS.iter().zip(&picks) {
            // Said in the order of the facts, so that the most frequent comes first.
            let mut picks = picks.clone();
            picks.sort_by_key(|s| position(s));
            claims.extend(picks.iter().map(|s| claim(s)));
            let picked = picks.into_iter().map(|s| Arc::clone(&s.fact));
            chosen.insert(slot.name, picked.map(Value::from_dyn_object).collect());
        }
        let facts = Value::from_object(FactsView::new(Arc::clone(facts), usize::MAX));
        let text = templates.render("knowledge.jinja", context! { facts, chosen })?;
        if claims.is_empty() || count(&text) <= budget {
            return Ok((text, claims, n_cut));
        }
        let beyond = |(p, slot): &(&mut Vec<&Statement>, &Slot)| p.len().saturating_sub(slot.floor);
        let slots = picks.iter_mut().zip(SLOTS).filter(|(p, _)| !p.is_empty());
        // Of equal keys the last one is the maximum.
        if let Some((longest, _)) = slots.max_by_key(beyond) {
            longest.pop();
            n_cut += 1;
        }
    }
}

fn claim(s: &Statement) -> Claim {
    claim_of(s.slot, &s.fact)
}

pub(crate) fn claim_of(slot: &str, fact: &Count) -> Claim {
    Claim {
        slot: slot.into(),
        value: fact.name.to_string(),
        n: fact.n,
        percent: fact.percent,
        evidence: fact.evidence.clone(),
    }
}

/// All claims that may be made, slot by slot in the order of the facts.
pub fn possible_claims(facts: &Facts) -> Vec<Claim> {
    claims_of(facts, |_| usize::MAX)
}

/// What would be said had the model no preference and the text no budget.
pub fn likely_claims(facts: &Facts) -> Vec<Claim> {
    claims_of(facts, |slot| slot.pick)
}

fn claims_of(facts: &Facts, most: impl Fn(&Slot) -> usize) -> Vec<Claim> {
    let of_slot = |slot: &Slot| {
        let facts = (slot.options)(facts).into_iter().take(most(slot));
        facts.map(|f| claim_of(slot.name, &f)).collect::<Vec<_>>()
    };
    SLOTS.iter().flat_map(of_slot).collect()
}
