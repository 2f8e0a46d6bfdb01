//! BPR-MF (Rendle et al., arXiv 1205.2618): `ŷ_ue = w_u·h_e + b_e`, learnt by LearnBPR, which is plain
//! SGD over triples of a user, a choice i and another entity j:
//! `θ ← θ + η (σ(ŷ_uj − ŷ_ui) ∂(ŷ_ui − ŷ_uj)/∂θ − λθ)`. One triple after the other, in one thread.
//!
//! A user whose history is what was learnt from has the learnt vector. For any other history the same
//! steps are made with the entities fixed, from 0, in `fold_in` passes over it: a history that has grown
//! and a new user's are served alike.

use hkfr_events::{Dataset, History};
use hkfr_lm::{Pool, dot, linear};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::Scorer;
use super::entities::Entities;
use super::pairwise::{
    self, Choices, HeldOut, Pairwise, PairwiseConfig, Triple, against, initial, popular,
};
use crate::error::{Result, at_least};
use crate::scores::mix;
use crate::sequence::{sigmoid, softplus};
use crate::systems::Watch;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BprConfig {
    pub dim: usize,
    /// η.
    pub learning_rate: f32,
    /// λ: L2 regularisation of whatever a step touches.
    pub lambda: f32,
    /// Passes over a history that is not what was learnt from; few leave it near popularity.
    pub fold_in: usize,
}

impl Default for BprConfig {
    fn default() -> Self {
        Self {
            dim: 128,
            learning_rate: 0.1,
            lambda: 0.03,
            fold_in: 60,
        }
    }
}

impl BprConfig {
    /// # Errors
    /// A value out of its range.
    pub fn check(&self) -> Result<()> {
        at_least("dim", self.dim as f32, 1.0)?;
        at_least("learning_rate", self.learning_rate, 1e-9)?;
        at_least("lambda", self.lambda, 0.0)
    }
}

/// Vectors of users and entities while they are learnt. A bias is an element of the entity's vector, at
/// which a user's is 1.
pub struct BprTrainer {
    config: BprConfig,
    n_users: usize,
    /// (users, then entities; dim + 1).
    table: Vec<f32>,
}

impl BprTrainer {
    pub fn new(n_users: usize, n_items: usize, config: &BprConfig, seed: u64) -> Self {
        let d = config.dim + 1;
        let mut table = initial(n_users, n_items, d, seed);
        for (row, v) in table.chunks_exact_mut(d).enumerate() {
            v[d - 1] = f32::from(u8::from(row < n_users));
        }
        Self {
            config: config.clone(),
            n_users,
            table,
        }
    }

    /// One step; the loss before it.
    pub fn step(&mut self, triple: Triple) -> f64 {
        let (rate, lambda) = (self.config.learning_rate, self.config.lambda);
        let d = self.config.dim + 1;
        let (users, items) = self.table.split_at_mut(self.n_users * d);
        let row = |e: u32| e as usize * d..(e as usize + 1) * d;
        let w = &mut users[row(triple.user)];
        let rows = [row(triple.chosen), row(triple.other)];
        let Ok([i, j]) = items.get_disjoint_mut(rows) else {
            unreachable!("an entity that was not chosen");
        };
        let x = dot(w, i) - dot(w, j);
        let s = sigmoid(-x);
        let vectors = w.iter_mut().zip(i.iter_mut().zip(j));
        for (w, (i, j)) in vectors {
            let old = *w;
            *w += rate * (s * (*i - *j) - lambda * *w);
            *i += rate * (s * old - lambda * *i);
            *j -= rate * (s * old + lambda * *j);
        }
        w[d - 1] = 1.0;
        softplus(-x)
    }

    /// (users, then entities; dim + 1).
    pub fn table(&self) -> &[f32] {
        &self.table
    }
}

impl Pairwise for BprTrainer {
    fn train(&mut self, triples: &[Triple], _: &mut Pool) -> f64 {
        let sum: f64 = triples.iter().map(|&t| self.step(t)).sum();
        sum / triples.len().max(1) as f64
    }

    fn n_steps(&self, n_triples: usize) -> usize {
        n_triples
    }

    fn table(&self) -> &[f32] {
        &self.table
    }

    fn vectors(&mut self, _: &mut Pool) -> &[f32] {
        &self.table
    }
}

pub struct Bpr {
    entities: Entities,
    config: BprConfig,
    seed: u64,
    choices: Choices,
    /// As [`BprTrainer::table`].
    users: Vec<f32>,
    items: Vec<f32>,
    counts: Vec<u32>,
}

impl Bpr {
    /// The model of the best epoch, and that epoch.
    ///
    /// # Errors
    /// [`crate::Error::Interrupted`] if `watch` says so; a score that is not a number.
    pub fn fit(
        entities: &Entities,
        held_out: &HeldOut,
        config: &BprConfig,
        train: &PairwiseConfig,
        n_threads: usize,
        watch: Watch,
    ) -> Result<(Self, usize)> {
        let choices = Choices::new(entities.n(), &held_out.data.train);
        let n_users = choices.rows.len();
        let mut trainer = BprTrainer::new(n_users, entities.n(), config, train.seed);
        let pool = &mut Pool::new(n_threads);
        let (mut users, epoch) =
            pairwise::train(&mut trainer, &choices, held_out, train, pool, watch)?;
        let items = users.split_off(n_users * (config.dim + 1));
        let model = Self {
            entities: entities.clone(),
            config: config.clone(),
            seed: train.seed,
            counts: choices.counts(),
            choices,
            users,
            items,
        };
        Ok((model, epoch))
    }

    /// Of who chose `history` (sorted, unique).
    fn user_vector(&self, user: u32, history: &[u32]) -> Vec<f32> {
        let d = self.config.dim + 1;
        if self.choices.knows(user, history) {
            return self.users[user as usize * d..][..d].to_vec();
        }
        let mut w = vec![0.0; d];
        w[d - 1] = 1.0;
        let (rate, lambda) = (self.config.learning_rate, self.config.lambda);
        let item = |e: u32| &self.items[e as usize * d..][..d];
        let rng = &mut ChaCha8Rng::seed_from_u64(mix(self.seed));
        for _ in 0..self.config.fold_in {
            for triple in against(user, history, self.entities.n(), rng) {
                let (i, j) = (item(triple.chosen), item(triple.other));
                let s = sigmoid(dot(&w, j) - dot(&w, i));
                for (w, (i, j)) in w.iter_mut().zip(i.iter().zip(j)) {
                    *w += rate * (s * (i - j) - lambda * *w);
                }
                w[d - 1] = 1.0;
            }
        }
        w
    }
}

impl Scorer for Bpr {
    fn name(&self) -> &str {
        "bpr-mf"
    }

    fn score(&self, ds: &Dataset, history: &History, out: &mut [f32]) {
        let chosen = self.entities.distinct(ds, history);
        if chosen.is_empty() {
            return popular(&self.counts, out);
        }
        let w = self.user_vector(history.user(), &chosen);
        linear(out, 0.0, &w, &self.items, 1, w.len(), self.entities.n());
    }
}
