//! What a language model says of a user, as features: the paper's semantic features.
//!
//! | feature | of the candidate |
//! |---|---|
//! | expected category | what the tuned model scores its category, a log-probability |
//! | expected item | the item head's score of it |
//! | knowledge | cosine of the user's knowledge and the text of the item, as sentence vectors |
//! | claims that name it | claims of the knowledge whose value is its title, a category or an attribute of it |
//! | age | days since the model was asked |
//!
//! The model is asked beforehand, not in a request: a user it was not asked about has no such feature.

use std::collections::BTreeMap;

use hkfr_events::AsOf;
use serde::{Deserialize, Serialize};

use super::{Context, DAY, Rows};
use crate::method::Fitting;

/// What the model says of one user as-of a time. Vectors that were not made are empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Expectation {
    pub user_id: String,
    /// Seconds: nothing at or after it was told to the model.
    pub as_of: i64,
    /// Events that the history held: a history that was cut to simulate a cold start has an expectation of its own.
    pub n_events: usize,
    /// By category of the catalogue.
    pub categories: Vec<f32>,
    /// By item of the catalogue.
    pub items: Vec<f32>,
    /// Cosine of the user's knowledge with each item of the catalogue.
    pub knowledge: Vec<f32>,
    /// What the claims of the knowledge are about: names of categories, brands, items.
    pub claims: Vec<String>,
}

#[derive(Serialize, Deserialize)]
pub struct Semantic {
    /// By user, then by (as-of, events).
    of_user: BTreeMap<String, BTreeMap<(i64, usize), Row>>,
    /// By entity its category; empty where entities are categories.
    category_of: Vec<u32>,
}

/// By entity.
#[derive(Serialize, Deserialize)]
struct Row {
    entities: Vec<f32>,
    categories: Vec<f32>,
    knowledge: Vec<f32>,
    /// How many claims name an entity, ascending by entity.
    claims: Vec<(u32, f32)>,
}

/// What an entity is called: its title, its categories and the values of its attributes.
fn names<'a>(from: &Fitting<'a>) -> BTreeMap<&'a str, Vec<u32>> {
    let mut names: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    match from.items() {
        Some(items) => {
            for (entity, item) in (0u32..).zip(items) {
                let known = [item.title.as_str()].into_iter();
                let known = known.chain(item.categories.iter().map(String::as_str));
                for name in known.chain(item.attributes.values().map(String::as_str)) {
                    names.entry(name).or_default().push(entity);
                }
            }
        }
        None => {
            for (entity, name) in (0u32..).zip(&from.split.catalogue.categories) {
                names.entry(name).or_default().push(entity);
            }
        }
    }
    names.remove("");
    names
}

fn agreement(claims: &[String], names: &BTreeMap<&str, Vec<u32>>) -> Vec<(u32, f32)> {
    let mut counts: BTreeMap<u32, f32> = BTreeMap::new();
    for claim in claims {
        let mut named = names.get(claim.as_str()).cloned().unwrap_or_default();
        named.dedup();
        for entity in named {
            *counts.entry(entity).or_default() += 1.0;
        }
    }
    counts.into_iter().collect()
}

impl Semantic {
    /// Columns.
    pub const WIDTH: usize = 5;

    pub fn names() -> Vec<String> {
        let names = [
            "expected item",
            "expected category",
            "knowledge",
            "claims that name it",
            "days since asked",
        ];
        names.map(|n| format!("semantic: {n}")).to_vec()
    }

    /// By column.
    pub fn meanings() -> Vec<String> {
        let meanings = [
            "what the language model scores the candidate: of a category its log-probability, of an item the item head's score",
            "what the language model scores the candidate's category, a log-probability; missing where categories are ranked",
            "cosine of the user's knowledge and the item's text, as sentence vectors",
            "claims of the user's knowledge that name the candidate, its category or an attribute of it",
            "days from the time the model was asked to as-of",
        ];
        meanings.map(String::from).to_vec()
    }

    pub(super) fn new(from: &Fitting, all: &[Expectation]) -> Self {
        let category_of = from.category_of();
        let names = names(from);
        let mut of_user: BTreeMap<String, BTreeMap<(i64, usize), Row>> = BTreeMap::new();
        for e in all {
            let row = if category_of.is_empty() {
                Row {
                    entities: e.categories.clone(),
                    categories: Vec::new(),
                    knowledge: Vec::new(),
                    claims: agreement(&e.claims, &names),
                }
            } else {
                Row {
                    entities: e.items.clone(),
                    categories: e.categories.clone(),
                    knowledge: e.knowledge.clone(),
                    claims: agreement(&e.claims, &names),
                }
            };
            let user = of_user.entry(e.user_id.clone()).or_default();
            user.insert((e.as_of, e.n_events), row);
        }
        Self {
            of_user,
            category_of,
        }
    }

    /// What is known at `as_of`: of this very history, or else the latest before it.
    fn known(&self, user_id: &str, as_of: AsOf, n_events: usize) -> Option<(i64, &Row)> {
        let of_user = self.of_user.get(user_id)?;
        let now = as_of.seconds();
        let exact = of_user.get(&(now, n_events)).map(|row| (now, row));
        exact.or_else(|| {
            let mut before = of_user.range(..=(now, n_events));
            before.next_back().map(|(&(at, _), row)| (at, row))
        })
    }

    pub(super) fn fill(&self, user: &Context, candidates: &[u32], rows: &mut Rows) {
        let history = user.history;
        let id = &history.profile().id;
        let known = self.known(id, history.as_of(), history.events().len());
        let at = |values: &[f32], e: u32| values.get(e as usize).copied().unwrap_or(f32::NAN);
        for (i, &candidate) in candidates.iter().enumerate() {
            let mut values = [f32::NAN; Self::WIDTH];
            if let Some((asked, row)) = known {
                let category = self.category_of.get(candidate as usize);
                values = [
                    at(&row.entities, candidate),
                    category.map_or(f32::NAN, |&c| at(&row.categories, c)),
                    at(&row.knowledge, candidate),
                    match row.claims.binary_search_by_key(&candidate, |c| c.0) {
                        Ok(i) => row.claims[i].1,
                        Err(_) => 0.0,
                    },
                    (history.as_of().seconds() - asked) as f32 / DAY,
                ];
            }
            rows.set(i, &values);
        }
    }
}
