//! How all users choose an entity, over their training histories: how many, how many of late, who comes back and after
//! how many days.
//!
//! In a file from which rare items were dropped (5-core), an item with few training events must occur in the part that
//! is held out: a ranker that may read its count learns the filter. The group `counts` can be left out.

use serde::{Deserialize, Serialize};

use super::{DAY, Rows};
use crate::method::Fitting;

/// Days within which a choice is recent.
const RECENT: i64 = 28 * 86_400;

#[derive(Serialize, Deserialize)]
pub(super) struct People {
    /// (entities, [`Self::names`]).
    values: Vec<f32>,
}

#[derive(Clone, Default)]
struct Sums {
    choices: f32,
    recent: f32,
    users: f32,
    returning: f32,
    gaps: f32,
    days: f32,
}

impl People {
    /// Columns.
    pub const WIDTH: usize = 6;

    pub fn names() -> Vec<String> {
        let names = [
            "choices, ln",
            "recent choices, ln",
            "recent share",
            "users, ln",
            "share of users who return",
            "days between choices",
        ];
        names.map(|n| format!("all: {n}")).to_vec()
    }

    /// By column.
    pub fn meanings() -> Vec<String> {
        let meanings = [
            "ln(1 + choices of the candidate by all users)",
            "ln(1 + choices in the last 28 days)",
            "choices in the last 28 days / all choices",
            "ln(1 + users who chose it)",
            "share of its users who chose it more than once",
            "mean days between two choices by one user",
        ];
        meanings.map(String::from).to_vec()
    }

    /// (entities, [`Self::names`]).
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    pub fn fit(from: &Fitting) -> Self {
        let cuts = from.split.fit_before.iter().flatten();
        let cut = cuts.max().map_or(0, |t| t.seconds());
        let mut sums = vec![Sums::default(); from.entities.n()];
        for user in 0..from.ds.n_users() as u32 {
            let Some(history) = from.split.training_history(from.ds, user) else {
                continue;
            };
            let mut choices: Vec<(u32, i64)> = from
                .entities
                .choices(from.ds, &history)
                .iter()
                .map(|c| (c.entity, c.ts))
                .collect();
            choices.sort_unstable();
            for of in choices.chunk_by(|a, b| a.0 == b.0) {
                let sum = &mut sums[of[0].0 as usize];
                sum.choices += of.len() as f32;
                sum.recent += of.iter().filter(|c| cut - c.1 <= RECENT).count() as f32;
                sum.users += 1.0;
                if let [first, .., last] = of {
                    sum.returning += 1.0;
                    sum.gaps += (of.len() - 1) as f32;
                    sum.days += (last.1 - first.1) as f32 / DAY;
                }
            }
        }
        let values = sums.iter().flat_map(|s| {
            [
                s.choices.ln_1p(),
                s.recent.ln_1p(),
                s.recent / s.choices,
                s.users.ln_1p(),
                s.returning / s.users,
                s.days / s.gaps,
            ]
        });
        Self {
            values: values.collect(),
        }
    }

    pub fn fill(&self, candidates: &[u32], rows: &mut Rows) {
        let width = Self::WIDTH;
        for (i, &candidate) in candidates.iter().enumerate() {
            rows.set(i, &self.values[candidate as usize * width..][..width]);
        }
    }
}
