//! BPR-MF (Rendle et al., arXiv 1205.2618): `ŷ_ue = w_u·h_e + b_e`, learnt by LearnBPR, which is plain
//! SGD over triples of a user, a choice i and another entity j:
//! `θ ← θ + η (σ(ŷ_uj − ŷ_ui) ∂(ŷ_ui − ŷ_uj)/∂θ − λθ)`. One triple after the other, in one thread.
//!
//! A user is served by the same steps with the entities fixed, from 0, in `fold_in` passes over the history.

use hkfr_lm::{Pool, dot};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::pairwise::{Choices, FoldIn, Pairwise, Triple, against, initial};
use crate::error::{Result, at_least};
use crate::scores::mix;
use crate::sequence::{sigmoid, softplus};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BprConfig {
    pub dim: usize,
    /// η.
    pub learning_rate: f32,
    /// λ: L2 regularisation of whatever a step touches.
    pub lambda: f32,
    /// Passes over a history to serve its user; few leave it near popularity.
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
    seed: u64,
    n_users: usize,
    /// (users, then entities; dim + 1).
    table: Vec<f32>,
}

impl BprTrainer {
    pub fn new(choices: &Choices, config: &BprConfig, seed: u64) -> Self {
        let (n_users, n_items) = (choices.rows.len(), choices.n_items);
        let d = config.dim + 1;
        let mut table = initial(n_users, n_items, d, seed);
        for (row, v) in table.chunks_exact_mut(d).enumerate() {
            v[d - 1] = f32::from(u8::from(row < n_users));
        }
        Self {
            config: config.clone(),
            seed,
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

    /// [`Self::table`]; the last element of a user's row is 1.
    pub fn table_mut(&mut self) -> &mut [f32] {
        &mut self.table
    }
}

impl Pairwise for BprTrainer {
    const NAME: &'static str = "bpr-mf";
    type Served = Bpr;

    fn train(&mut self, triples: &[Triple], _: &mut Pool) -> f64 {
        let sum: f64 = triples.iter().map(|&t| self.step(t)).sum();
        sum / triples.len().max(1) as f64
    }

    fn n_steps(&self, n_triples: usize) -> usize {
        n_triples
    }

    fn served(&mut self, _: &mut Pool) -> Bpr {
        Bpr {
            config: self.config.clone(),
            seed: self.seed,
            items: self.table[self.n_users * (self.config.dim + 1)..].to_vec(),
        }
    }
}

/// What BPR-MF is served from.
#[derive(Serialize, Deserialize)]
pub struct Bpr {
    config: BprConfig,
    seed: u64,
    /// (entities, dim + 1).
    items: Vec<f32>,
}

impl FoldIn for Bpr {
    fn items(&self) -> &[f32] {
        &self.items
    }

    fn user_vector(&self, history: &[u32], w: &mut [f32]) {
        let d = self.config.dim + 1;
        w.fill(0.0);
        w[d - 1] = 1.0;
        let (rate, lambda) = (self.config.learning_rate, self.config.lambda);
        let item = |e: u32| &self.items[e as usize * d..][..d];
        let rng = &mut ChaCha8Rng::seed_from_u64(mix(self.seed));
        for _ in 0..self.config.fold_in {
            for triple in against(0, history, self.items.len() / d, rng) {
                let (i, j) = (item(triple.chosen), item(triple.other));
                let s = sigmoid(dot(w, j) - dot(w, i));
                for (w, (i, j)) in w.iter_mut().zip(i.iter().zip(j)) {
                    *w += rate * (s * (i - j) - lambda * *w);
                }
                w[d - 1] = 1.0;
            }
        }
    }
}
