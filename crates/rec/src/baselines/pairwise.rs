//! What learns by comparing pairs (BPR, Rendle et al., arXiv 1205.2618): a user's choice i shall score
//! above an entity j that the user did not choose, `−ln σ(ŷ_ui − ŷ_uj)`.
//!
//! An epoch is every choice once, in random order, each against one j; the model of the epoch with
//! the best NDCG@10 on held-out choices is kept.
//!
//! Users are served by their choices alone: the vectors that were learnt with the entities' know what was
//! learnt from and nothing since, and a new user has none. Held-out choices are ranked in the same way, so
//! that the model is kept that serves best.

use hkfr_events::{Dataset, History};
use hkfr_lm::{Pool, linear};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Scorer;
use super::entities::Entities;
use super::popularity::popular;
use crate::error::{Result, at_least};
use crate::scores::mix;
use crate::sequence::{Init, Orders, Sequences, all_scores};
use crate::systems::Watch;
use crate::validation::{Accuracy, Best, Progress, ranks, tell};

/// Draws of an entity that the user did not choose.
const TRIES: usize = 100;

/// Vectors (users, then entities; d) to begin with. The entities' are drawn first: users who come later
/// change none of those before them.
pub(super) fn initial(n_users: usize, n_items: usize, d: usize, seed: u64) -> Vec<f32> {
    let mut table = vec![0.0; (n_users + n_items) * d];
    let (users, items) = table.split_at_mut(n_users * d);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for part in [items, users] {
        Init::Normal(0.1).fill(part, &mut rng);
    }
    table
}

/// A user, a choice of theirs, and an entity that they did not choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Triple {
    pub user: u32,
    pub chosen: u32,
    pub other: u32,
}

/// What each user chose, sorted and unique, among `n_items`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choices {
    pub n_items: usize,
    pub rows: Vec<Vec<u32>>,
}

impl Choices {
    pub fn new(n_items: usize, histories: &[Orders]) -> Self {
        let rows = histories
            .iter()
            .map(|h| unique(h.items().to_vec()))
            .collect();
        Self { n_items, rows }
    }

    /// An epoch of triples. Who chose everything teaches nothing.
    pub fn triples(&self, key: u64) -> Vec<Triple> {
        let rng = &mut ChaCha8Rng::seed_from_u64(key);
        let mut triples = Vec::with_capacity(self.rows.iter().map(Vec::len).sum());
        for (user, row) in (0u32..).zip(&self.rows) {
            triples.extend(against(user, row, self.n_items, rng));
        }
        triples.shuffle(rng);
        triples
    }

    /// Users by entity.
    pub fn counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.n_items];
        let choices = self.rows.iter().flatten();
        choices.for_each(|&e| counts[e as usize] += 1);
        counts
    }
}

/// Each of a row's choices against an entity outside it, drawn uniformly.
pub(super) fn against<R: Rng>(
    user: u32,
    row: &[u32],
    n_items: usize,
    rng: &mut R,
) -> impl Iterator<Item = Triple> {
    row.iter().filter_map(move |&chosen| {
        let other = (0..TRIES)
            .map(|_| rng.random_range(0..n_items as u32))
            .find(|e| row.binary_search(e).is_err())?;
        Some(Triple {
            user,
            chosen,
            other,
        })
    })
}

fn unique(mut entities: Vec<u32>) -> Vec<u32> {
    entities.sort_unstable();
    entities.dedup();
    entities
}

/// How long to learn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PairwiseConfig {
    pub max_epochs: usize,
    /// Epochs between two validations, at least.
    pub validate_every: usize,
    /// Steps of the optimiser between them, at least: few users make epochs short.
    pub validate_steps: usize,
    /// Stop after so many validations without a better NDCG@10.
    pub patience: usize,
    pub seed: u64,
}

impl Default for PairwiseConfig {
    fn default() -> Self {
        Self {
            max_epochs: 2000,
            validate_every: 5,
            validate_steps: 100,
            patience: 6,
            seed: 1,
        }
    }
}

impl PairwiseConfig {
    /// # Errors
    /// A value out of its range.
    pub fn check(&self) -> Result<()> {
        at_least("max_epochs", self.max_epochs as f32, 1.0)?;
        at_least("validate_every", self.validate_every as f32, 1.0)
    }
}

/// Vectors of users and entities, while they are learnt.
pub(crate) trait Pairwise {
    const NAME: &'static str;
    type Served: FoldIn + 'static;

    /// Mean loss of an epoch.
    fn train(&mut self, triples: &[Triple], pool: &mut Pool) -> f64;

    /// Steps of the optimiser in an epoch of so many triples.
    fn n_steps(&self, n_triples: usize) -> usize;

    /// What is scored with after what was learnt so far.
    fn served(&mut self, pool: &mut Pool) -> Self::Served;
}

/// Vectors whose products are the scores: of the entities, and of whoever chose some of them.
pub(crate) trait FoldIn: Serialize + DeserializeOwned + Send + Sync {
    /// (entities, d).
    fn items(&self) -> &[f32];

    /// Writes the vector (d) of who chose `history` (sorted, unique, not empty).
    fn user_vector(&self, history: &[u32], out: &mut [f32]);
}

/// What is learnt from, and the choices to stop by.
pub struct HeldOut<'a> {
    pub data: &'a Sequences,
    /// The users of `data.validation`.
    pub users: &'a [usize],
    /// What a history holds is no rival of what came next.
    pub exclude_seen: bool,
}

/// A trained model of entities and of those who chose them.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct PairwiseScorer<T: Pairwise> {
    #[serde(skip)]
    entities: Entities,
    served: T::Served,
    /// Users by entity.
    counts: Vec<u32>,
}

impl<T: Pairwise> PairwiseScorer<T> {
    /// Trains what `build` makes of the choices; the model of the best epoch, and that epoch.
    ///
    /// # Errors
    /// [`crate::Error::Interrupted`] if `watch` says so.
    pub fn fit(
        entities: &Entities,
        held_out: &HeldOut,
        train: &PairwiseConfig,
        n_threads: usize,
        watch: Watch,
        build: impl FnOnce(&Choices) -> T,
    ) -> Result<(Self, usize)> {
        let choices = Choices::new(entities.n(), &held_out.data.train);
        let pool = &mut Pool::new(n_threads);
        let mut trainer = build(&choices);
        let (served, epoch) = best(&mut trainer, &choices, held_out, train, pool, watch)?;
        let model = Self {
            entities: entities.clone(),
            served,
            counts: choices.counts(),
        };
        Ok((model, epoch))
    }
}

impl<T: Pairwise> Scorer for PairwiseScorer<T> {
    fn name(&self) -> &str {
        T::NAME
    }

    fn score(&self, ds: &Dataset, history: &History, out: &mut [f32]) {
        let chosen = self.entities.distinct(ds, history);
        if chosen.is_empty() {
            return popular(&self.counts, out);
        }
        let n = self.entities.n();
        let items = self.served.items();
        let mut user = vec![0.0; items.len() / n];
        self.served.user_vector(&chosen, &mut user);
        linear(out, 0.0, &user, items, 1, user.len(), n);
    }

    fn bind(&mut self, _: &Dataset, entities: &Entities) {
        self.entities = entities.clone();
    }
}

/// What is served after the best epoch, and that epoch.
fn best<T: Pairwise>(
    model: &mut T,
    choices: &Choices,
    held_out: &HeldOut,
    config: &PairwiseConfig,
    pool: &mut Pool,
    watch: Watch,
) -> Result<(T::Served, usize)> {
    let mut best = Best::new(config.patience);
    let (mut epochs, mut steps) = (0, 0);
    for epoch in 1..=config.max_epochs {
        let triples = choices.triples(mix(config.seed ^ mix(epoch as u64)));
        let loss = model.train(&triples, pool);
        tell(
            watch,
            Progress::Trained {
                epoch,
                max_epochs: config.max_epochs,
                loss,
            },
        )?;
        epochs += 1;
        steps += model.n_steps(triples.len());
        let due = epochs >= config.validate_every && steps >= config.validate_steps;
        if held_out.users.is_empty() || !(due || epoch == config.max_epochs) {
            continue;
        }
        (epochs, steps) = (0, 0);
        let served = model.served(pool);
        let accuracy = accuracy(&served, choices, held_out, pool);
        if !best.offer((epoch, config.max_epochs), accuracy, || served, watch)? {
            break;
        }
    }
    let last = || (model.served(pool), config.max_epochs);
    Ok(best.take().unwrap_or_else(last))
}

fn accuracy(
    served: &impl FoldIn,
    choices: &Choices,
    held_out: &HeldOut,
    pool: &mut Pool,
) -> Accuracy {
    let (items, n_items) = (served.items(), choices.n_items);
    let d = items.len() / n_items;
    let ranks = ranks(
        &held_out.data.validation,
        n_items,
        held_out.exclude_seen,
        pool,
        |range, (of_users, scores): &mut (Vec<f32>, Vec<f32>)| {
            of_users.clear();
            of_users.resize(range.len() * d, 0.0);
            let users = held_out.users[range].iter();
            for (out, &user) in of_users.chunks_exact_mut(d).zip(users) {
                served.user_vector(&choices.rows[user], out);
            }
            all_scores(scores, of_users, items, d);
            &scores[..]
        },
    );
    Accuracy::of(&ranks)
}
