//! What the user did with a candidate that was no choice: saw it in an advertisement, clicked it, looked it up.
//!
//! By action: the number, halved every [`HALF_LIFE`] days, and the days since the last.

use hkfr_events::Dataset;
use serde::{Deserialize, Serialize};

use super::{Context, Rows};
use crate::baselines::Entities;
use crate::method::Fitting;

/// Days after which a behaviour counts half.
const HALF_LIFE: f32 = 14.0;
/// The most actions; those that occur most.
const MOST: usize = 6;

#[derive(Serialize, Deserialize)]
pub(super) struct Shown {
    actions: Vec<String>,
    /// By kind of behaviour which of the actions it is.
    #[serde(skip)]
    of_kind: Vec<Option<u8>>,
    #[serde(skip)]
    entities: Entities,
}

/// The actions that are no choices of which training histories hold most, most first.
pub fn actions(from: &Fitting) -> Vec<String> {
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for user in 0..from.ds.n_users() as u32 {
        let history = from.split.training_history(from.ds, user);
        for event in history.iter().flat_map(|h| h.events()) {
            let about = event.item.and_then(|i| from.entities.of_item(i));
            if about.is_some() && !from.ds.is_target(event) {
                *counts.entry(&from.ds.kind(event).action).or_default() += 1;
            }
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|&(_, n)| std::cmp::Reverse(n));
    counts.truncate(MOST);
    counts.iter().map(|c| c.0.to_owned()).collect()
}

impl Shown {
    /// `actions`: those that have columns.
    pub fn fit(from: &Fitting, actions: &[String]) -> Self {
        let mut shown = Self {
            actions: actions.to_vec(),
            of_kind: Vec::new(),
            entities: Entities::default(),
        };
        shown.bind(from.ds, from.entities);
        shown
    }

    /// Numbers kinds of behaviour and entities as `ds` does.
    pub fn bind(&mut self, ds: &Dataset, entities: &Entities) {
        let of_kind = ds.kinds.iter().map(|k| {
            let at = self.actions.iter().position(|a| *a == k.action);
            at.map(|at| at as u8)
        });
        self.of_kind = of_kind.collect();
        self.entities = entities.clone();
    }

    /// Columns.
    pub fn width(&self) -> usize {
        2 * self.actions.len()
    }

    pub fn names(&self) -> Vec<String> {
        let of = |a: &String| [format!("{a}, half-life 14 days"), format!("days since {a}")];
        self.actions.iter().flat_map(of).collect()
    }

    /// By column.
    pub fn meanings(&self) -> Vec<String> {
        let of = |a: &String| {
            [
                format!(
                    "sum over the user's \"{a}\" of the candidate of 2^(-d / 14), d days before as-of"
                ),
                format!("days from the user's last \"{a}\" of the candidate to as-of"),
            ]
        };
        self.actions.iter().flat_map(of).collect()
    }

    pub fn fill(&self, user: &Context, candidates: &[u32], rows: &mut Rows) {
        let width = self.width();
        if width == 0 {
            return;
        }
        let mut seen: Vec<(u32, u8, i64)> = Vec::new();
        for event in user.history.events() {
            let Some(&Some(action)) = self.of_kind.get(event.kind as usize) else {
                continue;
            };
            if user.ds.is_target(event) {
                continue;
            }
            if let Some(entity) = event.item.and_then(|i| self.entities.of_item(i)) {
                seen.push((entity, action, event.ts));
            }
        }
        seen.sort_unstable();
        let mut values = vec![0.0; width];
        for (i, &candidate) in candidates.iter().enumerate() {
            for pair in values.chunks_exact_mut(2) {
                pair.copy_from_slice(&[0.0, f32::NAN]);
            }
            let from = seen.partition_point(|s| s.0 < candidate);
            for &(_, action, ts) in seen[from..].iter().take_while(|s| s.0 == candidate) {
                let days = user.days_since(ts);
                let pair = &mut values[2 * action as usize..][..2];
                pair[0] += (-days / HALF_LIFE).exp2();
                pair[1] = days;
            }
            rows.set(i, &values);
        }
    }
}
