//! A trained sequence model: histories in, scores of the whole catalogue out.

use hkfr_lm::Pool;

use super::item_table::ItemTable;
use super::layers::{Dropout, zeros};
use super::loss::all_scores;
use super::network::Network;
use super::packed::Packed;
use crate::validation::{Accuracy, Query, ranks};

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
        ranks(
            queries,
            self.n_items,
            exclude_seen,
            pool,
            |range, scratch| {
                let histories: Vec<&[u32]> =
                    queries[range].iter().map(|q| &q.history[..]).collect();
                self.scores(&histories, scratch)
            },
        )
    }

    /// HR and NDCG of one target among the whole catalogue.
    pub fn accuracy(&self, queries: &[Query], exclude_seen: bool, pool: &mut Pool) -> Accuracy {
        Accuracy::of(&self.ranks(queries, exclude_seen, pool))
    }
}
