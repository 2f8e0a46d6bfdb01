//! A sequence model among the other rankers.

use std::sync::Mutex;

use hkfr_events::{Dataset, History, Split, UserIdx};

use super::model::{Scratch, SequenceModel};
use super::network::Network;
use crate::baselines::{Entities, Scorer};

/// The entities that a history chose, oldest first.
pub fn sequence(ds: &Dataset, entities: &Entities, history: &History) -> Vec<u32> {
    let events = history.events().iter();
    events.filter_map(|e| entities.chosen(ds, e)).collect()
}

/// What may be learnt from each user of a split; held-out users have nothing.
pub fn training_sequences(ds: &Dataset, split: &Split, entities: &Entities) -> Vec<Vec<u32>> {
    let of = |u| {
        split
            .training_history(ds, u)
            .map(|h| sequence(ds, entities, &h))
    };
    (0..ds.n_users() as UserIdx)
        .map(|u| of(u).unwrap_or_default())
        .collect()
}

/// Scores by the model; who chose nothing yet is shown what is popular.
pub struct SequenceScorer<N: Network> {
    entities: Entities,
    model: SequenceModel<N>,
    /// One a thread that scores.
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

impl<N: Network> Scorer for SequenceScorer<N> {
    fn name(&self) -> &str {
        self.model.network.name()
    }

    fn score(&self, ds: &Dataset, history: &History, out: &mut [f32]) {
        let chosen = sequence(ds, &self.entities, history);
        if chosen.is_empty() {
            for (out, &count) in out.iter_mut().zip(&self.model.counts) {
                *out = count as f32;
            }
            return;
        }
        let pool = || self.scratch.lock().expect("a scorer panicked");
        let mut scratch = pool().pop().unwrap_or_default();
        out.copy_from_slice(self.model.scores(&[&chosen], &mut scratch));
        pool().push(scratch);
    }
}
