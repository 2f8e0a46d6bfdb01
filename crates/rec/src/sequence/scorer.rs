//! A sequence model among the other rankers.

use std::sync::Mutex;

use hkfr_events::{Dataset, History, Split, UserIdx};
use serde::{Deserialize, Serialize};

use super::file::Saved;
use super::model::{Scratch, SequenceModel};
use super::network::Network;
use super::orders::Orders;
use crate::baselines::{Entities, Scorer};
use crate::scores::{hash, mix};

/// The entities that a history chose, oldest first; those of one time by a hash, since the log's order there says
/// nothing, or what it should not: numbers that rise. The hash is of the user's id: a store read user by user and the
/// same store in memory number the users differently.
pub fn orders(ds: &Dataset, entities: &Entities, history: &History) -> Orders {
    let user = hash(0, &history.profile().id);
    let mut choices = entities.choices(ds, history);
    choices.sort_by_key(|c| {
        (
            c.ts,
            mix(user ^ mix(c.ts as u64 ^ mix(u64::from(c.entity)))),
        )
    });
    let mut orders = Orders::default();
    let mut before = None;
    for choice in choices {
        orders.push(choice.entity, before == Some(choice.ts));
        before = Some(choice.ts);
    }
    orders
}

/// What may be learnt from each user of a split; held-out users have nothing.
pub fn training_orders(ds: &Dataset, split: &Split, entities: &Entities) -> Vec<Orders> {
    let of = |u| {
        let history = split.training_history(ds, u);
        history.map(|h| orders(ds, entities, &h))
    };
    (0..ds.n_users() as UserIdx)
        .map(|u| of(u).unwrap_or_default())
        .collect()
}

/// Scores by the model; who chose nothing yet is shown what is popular.
#[derive(Serialize, Deserialize)]
#[serde(bound = "N: Saved")]
pub struct SequenceScorer<N: Network> {
    #[serde(skip)]
    entities: Entities,
    model: SequenceModel<N>,
    /// One a thread that scores.
    #[serde(skip)]
    scratch: Mutex<Vec<Scratch<N>>>,
}

impl<N: Network> SequenceScorer<N> {
    /// The model was trained on the positions of these entities.
    pub fn new(entities: Entities, model: SequenceModel<N>) -> Self {
        assert_eq!(entities.n(), model.n_items, "another catalogue");
        Self {
            entities,
            model,
            scratch: Mutex::default(),
        }
    }
}

impl<N: Saved> Scorer for SequenceScorer<N> {
    fn name(&self) -> &str {
        self.model.network.name()
    }

    fn score(&self, ds: &Dataset, history: &History, out: &mut [f32]) {
        let orders = orders(ds, &self.entities, history);
        let chosen = orders.items();
        if chosen.is_empty() {
            for (out, &count) in out.iter_mut().zip(&self.model.counts) {
                *out = count as f32;
            }
            return;
        }
        let pool = || self.scratch.lock().expect("a scorer panicked");
        let mut scratch = pool().pop().unwrap_or_default();
        out.copy_from_slice(self.model.scores(&[chosen], &mut scratch));
        pool().push(scratch);
    }

    fn bind(&mut self, _: &Dataset, entities: &Entities) {
        self.entities = entities.clone();
    }
}
