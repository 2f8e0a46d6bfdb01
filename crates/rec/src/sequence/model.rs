//! A trained sequence model: histories in, scores of the whole catalogue out.

use hkfr_lm::Pool;

use super::item_table::ItemTable;
use super::layers::{Dropout, zeros};
use super::loss::all_scores;
use super::network::Network;
use super::packed::Packed;

/// Users scored together.
const USERS: usize = 64;

pub struct SequenceModel<N> {
    pub network: N,
    pub n_items: usize,
    /// As [`Network::layout`] says.
    pub params: Vec<f32>,
    /// (items and special tokens, dim).
    pub items: Vec<f32>,
    /// How often each item was trained on.
    pub counts: Vec<u32>,
}

/// Buffers of one thread.
pub struct Scratch<N: Network> {
    batch: Packed,
    activations: N::Activations,
    x: Vec<f32>,
    users: Vec<f32>,
    scores: Vec<f32>,
}

impl<N: Network> Default for Scratch<N> {
    fn default() -> Self {
        Self {
            batch: Packed::default(),
            activations: N::Activations::default(),
            x: Vec::new(),
            users: Vec::new(),
            scores: Vec::new(),
        }
    }
}

/// A history of item positions, oldest first, and the item that came next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub history: Vec<u32>,
    pub target: u32,
}

/// Means over queries.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Accuracy {
    pub hr_at_1: f64,
    pub hr_at_10: f64,
    pub ndcg_at_10: f64,
}

impl<N: Network> SequenceModel<N> {
    /// Vectors (histories, dim), whose products with the item vectors are the scores. Items that are
    /// not below `n_items` are skipped; a history without any has the zero vector.
    pub fn user_vectors<'a>(&self, histories: &[&[u32]], scratch: &'a mut Scratch<N>) -> &'a [f32] {
        let (network, d) = (&self.network, self.network.dim());
        let s = scratch;
        s.batch.clear();
        for history in histories {
            let known = history.iter().copied();
            let mut known: Vec<u32> = known.filter(|&i| (i as usize) < self.n_items).collect();
            known.drain(..known.len().saturating_sub(network.max_len()));
            network.pack_history(&mut s.batch, &known);
        }
        let dropout = Dropout {
            rate: 0.0,
            key: None,
        };
        let items = ItemTable {
            rows: &self.items,
            d,
            dropout,
        };
        items.gather(&mut s.x, s.batch.tokens.iter().copied());
        network.forward(
            &self.params,
            &s.batch,
            dropout,
            &mut s.x,
            &mut s.activations,
        );
        zeros(&mut s.users, histories.len() * d);
        for (user, rows) in s.users.chunks_exact_mut(d).zip(s.batch.sequences()) {
            if !rows.is_empty() {
                user.copy_from_slice(&s.x[(rows.end - 1) * d..rows.end * d]);
            }
        }
        &s.users
    }

    /// Scores (histories, items) in one product.
    pub fn scores<'a>(&self, histories: &[&[u32]], scratch: &'a mut Scratch<N>) -> &'a [f32] {
        self.user_vectors(histories, scratch);
        let d = self.network.dim();
        let items = &self.items[..self.n_items * d];
        all_scores(&mut scratch.scores, &scratch.users, items, d);
        &scratch.scores
    }

    /// Rank of each query's target among all items, from 1; equal scores count against it. With
    /// `exclude_seen` the items of the history are no rivals.
    pub fn ranks(&self, queries: &[Query], exclude_seen: bool, pool: &mut Pool) -> Vec<usize> {
        let mut ranks = vec![0; queries.len()];
        let share = queries.len().div_ceil(pool.size()).max(1);
        let parts = queries.chunks(share).zip(ranks.chunks_mut(share));
        pool.each(parts.collect(), |(queries, ranks)| {
            let mut scratch = Scratch::<N>::default();
            for (queries, ranks) in queries.chunks(USERS).zip(ranks.chunks_mut(USERS)) {
                let histories: Vec<&[u32]> = queries.iter().map(|q| &q.history[..]).collect();
                let scores = self
                    .scores(&histories, &mut scratch)
                    .chunks_exact(self.n_items);
                for ((query, rank), scores) in queries.iter().zip(ranks).zip(scores) {
                    let target = scores[query.target as usize];
                    // A score that is not a number counts against the target too.
                    let rival = |s: f32| s >= target || s.is_nan() || target.is_nan();
                    *rank = scores.iter().map(|&s| usize::from(rival(s))).sum();
                    if exclude_seen {
                        let mut seen = query.history.clone();
                        seen.sort_unstable();
                        seen.dedup();
                        seen.retain(|&i| i != query.target && (i as usize) < self.n_items);
                        *rank -= seen.iter().filter(|&&i| rival(scores[i as usize])).count();
                    }
                }
            }
        });
        ranks
    }

    /// HR and NDCG of one target among the whole catalogue.
    pub fn accuracy(&self, queries: &[Query], exclude_seen: bool, pool: &mut Pool) -> Accuracy {
        let ranks = self.ranks(queries, exclude_seen, pool);
        let n = ranks.len().max(1) as f64;
        let within = |k| ranks.iter().filter(move |&&r| r <= k);
        Accuracy {
            hr_at_1: within(1).count() as f64 / n,
            hr_at_10: within(10).count() as f64 / n,
            ndcg_at_10: within(10)
                .map(|&r| 1.0 / (r as f64 + 1.0).log2())
                .sum::<f64>()
                / n,
        }
    }
}
