//! The feature table: what the ranker knows of (user, candidate, context), all of it as-of the history's cut-off.
//!
//! | block | group | per | what |
//! |---|---|---|---|
//! | [`own`] | `own` | entity, its category | the user's own choices with half-lives in visits and days, since when, against the usual interval |
//! | [`people`] | `counts` | entity | how many chose it, lately, how often they come back, after how long |
//! | [`traits`] | `text` | entity | how much the user chose of the same brand, category, …; price against what the user pays |
//! | [`shown`] | `behaviours` | entity | what the user saw, clicked, searched, …: every action that is no choice |
//! | [`context`](Context) | `own` | user | how much is known of the user, and how long ago the last visit was |
//! | [`sources`](super::sources) | of the source | entity | score, its place in the catalogue, its probability, its rank among the candidates |
//! | [`semantic`] | `semantic` | entity | what the language model expects, and the user's knowledge against the entity |
//!
//! A feature that does not apply is not a number, which trees tell apart from 0. No feature sees a number of the
//! file: neither an entity's position nor an id.

mod own;
mod people;
mod semantic;
mod shown;
mod traits;

use hkfr_events::{Dataset, History};
use serde::{Deserialize, Serialize};

use super::Fitting;
use crate::baselines::{Choice, Entities};
use own::Own;
use people::People;
pub use semantic::{Expectation, Semantic};
use shown::Shown;
pub(super) use shown::actions;
use traits::Traits;

/// What an ablation leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// The user's own choices.
    Own,
    /// How often entities are chosen by all.
    Counts,
    /// Scores of what learns from who chose what, in any order.
    Neighbours,
    /// Scores of what learns from order.
    Order,
    /// What items say of themselves: words, brand, categories, price.
    Text,
    /// Behaviours that are no choices.
    Behaviours,
    /// What the language model says.
    Semantic,
}

impl Group {
    pub const ALL: [Self; 7] = [
        Self::Own,
        Self::Counts,
        Self::Neighbours,
        Self::Order,
        Self::Text,
        Self::Behaviours,
        Self::Semantic,
    ];
}

/// A column of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feature {
    pub name: String,
    pub group: Group,
}

/// What a column is the same for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// All candidates of a list.
    User,
    /// All lists of a window.
    Item,
    /// Nothing else.
    Pair,
}

/// The user's side, made once for all candidates.
pub struct Context<'a> {
    pub ds: &'a Dataset,
    pub history: &'a History<'a>,
    /// By time.
    pub choices: Vec<Choice>,
    /// Times of the visits, ascending: moments at which something was chosen.
    pub visits: Vec<i64>,
    /// Days from each visit to the cut-off.
    pub days: Vec<f32>,
}

const DAY: f32 = 86_400.0;

impl<'a> Context<'a> {
    pub fn new(ds: &'a Dataset, entities: &Entities, history: &'a History<'a>) -> Self {
        let choices = entities.choices(ds, history);
        let mut visits: Vec<i64> = choices.iter().map(|c| c.ts).collect();
        visits.dedup();
        let now = history.as_of().seconds();
        let days = visits.iter().map(|&t| (now - t) as f32 / DAY).collect();
        Self {
            ds,
            history,
            choices,
            visits,
            days,
        }
    }

    /// Visits since the one at `ts`; 0: it was the last.
    pub fn visits_since(&self, ts: i64) -> usize {
        self.visits.len() - self.visits.partition_point(|&t| t <= ts)
    }

    /// Days from `ts` to the cut-off.
    pub fn days_since(&self, ts: i64) -> f32 {
        (self.history.as_of().seconds() - ts) as f32 / DAY
    }
}

/// Rows (candidates, features) that are being filled, block by block.
pub struct Rows<'a> {
    pub values: &'a mut [f32],
    pub n_features: usize,
    /// The first column of the block.
    pub column: usize,
}

impl Rows<'_> {
    /// `values` of one candidate, from the block's first column.
    pub fn set(&mut self, candidate: usize, values: &[f32]) {
        let at = candidate * self.n_features + self.column;
        self.values[at..at + values.len()].copy_from_slice(values);
    }
}

/// All blocks but the sources, fitted as-of one split.
#[derive(Serialize, Deserialize)]
pub struct Features {
    own: Option<Own>,
    people: Option<People>,
    traits: Option<Traits>,
    shown: Option<Shown>,
    semantic: Option<Semantic>,
}

/// Which groups are left out, and what is known from outside.
pub struct FeatureConfig<'a> {
    pub without: &'a [Group],
    /// What the language model says of users; absent: it was not asked.
    pub expectations: Option<&'a [Expectation]>,
    /// [`actions`] of the split that is asked in the end.
    pub actions: &'a [String],
}

impl Features {
    pub fn fit(from: &Fitting, config: &FeatureConfig) -> Self {
        let with = |group| !config.without.contains(&group);
        Self {
            own: with(Group::Own).then(|| Own::fit(from)),
            people: with(Group::Counts).then(|| People::fit(from)),
            traits: with(Group::Text).then(|| Traits::fit(from)),
            shown: with(Group::Behaviours).then(|| Shown::fit(from, config.actions)),
            semantic: config
                .expectations
                .filter(|_| with(Group::Semantic))
                .map(|all| Semantic::new(from, all)),
        }
    }

    /// [`crate::baselines::Scorer::bind`].
    pub fn bind(&mut self, ds: &Dataset, entities: &Entities) {
        if let Some(shown) = &mut self.shown {
            shown.bind(ds, entities);
        }
    }

    /// Length of [`table`](Self::table).
    pub fn width(&self) -> usize {
        self.own.as_ref().map_or(0, Own::width)
            + self.people.as_ref().map_or(0, |_| People::WIDTH)
            + self.traits.as_ref().map_or(0, Traits::width)
            + self.shown.as_ref().map_or(0, Shown::width)
            + self.semantic.as_ref().map_or(0, |_| Semantic::WIDTH)
    }

    /// The columns, in order.
    pub fn table(&self) -> Vec<Feature> {
        let mut table = Vec::new();
        let mut add = |group, names: Vec<String>| {
            table.extend(names.into_iter().map(|name| Feature { name, group }));
        };
        add(Group::Own, self.own.as_ref().map_or(vec![], Own::names));
        add(
            Group::Counts,
            self.people.as_ref().map_or(vec![], |_| People::names()),
        );
        add(
            Group::Text,
            self.traits.as_ref().map_or(vec![], Traits::names),
        );
        add(
            Group::Behaviours,
            self.shown.as_ref().map_or(vec![], Shown::names),
        );
        add(
            Group::Semantic,
            self.semantic.as_ref().map_or(vec![], |_| Semantic::names()),
        );
        table
    }

    /// By column of [`table`](Self::table) what it is the same for, and how it is computed.
    pub fn meanings(&self) -> Vec<(Scope, String)> {
        let mut all = self.own.as_ref().map_or(vec![], Own::meanings);
        let mut add = |scope, meanings: Vec<String>| {
            all.extend(meanings.into_iter().map(|m| (scope, m)));
        };
        add(
            Scope::Item,
            self.people.as_ref().map_or(vec![], |_| People::meanings()),
        );
        let pairs = [
            self.traits.as_ref().map(Traits::meanings),
            self.shown.as_ref().map(Shown::meanings),
            self.semantic.as_ref().map(|_| Semantic::meanings()),
        ];
        for meanings in pairs.into_iter().flatten() {
            add(Scope::Pair, meanings);
        }
        all
    }

    /// The columns of [`Scope::Item`], (entities, columns); empty without the group `counts`.
    pub fn of_entities(&self) -> &[f32] {
        self.people.as_ref().map_or(&[], People::values)
    }

    /// Fills the columns of [`table`](Self::table) from `rows.column` on.
    pub fn fill(&self, user: &Context, candidates: &[u32], rows: &mut Rows) {
        if let Some(own) = &self.own {
            own.fill(user, candidates, rows);
            rows.column += own.width();
        }
        if let Some(people) = &self.people {
            people.fill(candidates, rows);
            rows.column += People::WIDTH;
        }
        if let Some(traits) = &self.traits {
            traits.fill(user, candidates, rows);
            rows.column += traits.width();
        }
        if let Some(shown) = &self.shown {
            shown.fill(user, candidates, rows);
            rows.column += shown.width();
        }
        if let Some(semantic) = &self.semantic {
            semantic.fill(user, candidates, rows);
            rows.column += Semantic::WIDTH;
        }
    }
}
