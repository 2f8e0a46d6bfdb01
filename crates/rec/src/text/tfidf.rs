//! Tokens → tf-idf (Salton & Buckley, 1988): `(1 + ln tf) · ln(n / df)` of a token that an entity has tf times and df of
//! n entities have; rows of norm 1. Their products are the cosines of the entities' texts.
//!
//! A token of a single entity says nothing of any other, and is left out; so does one that all have.

use std::collections::HashMap;

use hkfr_events::Dataset;
use serde::{Deserialize, Serialize};

use super::lsa::lsa;
use super::sparse::Sparse;
use super::tokens::tokens;
use crate::baselines::Entities;

/// Entities by tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EntityTexts {
    /// By column, ascending.
    vocabulary: Vec<String>,
    /// (entities, tokens).
    rows: Sparse,
    /// (tokens, entities).
    columns: Sparse,
}

impl EntityTexts {
    /// Of the catalogue's entities; see [`tokens`](super::tokens()).
    pub fn new(ds: &Dataset, entities: &Entities) -> Self {
        Self::of_tokens(&tokens(ds, entities))
    }

    /// Of these tokens, by entity.
    pub fn of_tokens(tokens: &[Vec<String>]) -> Self {
        let mut sorted: Vec<Vec<&str>> = tokens
            .iter()
            .map(|t| t.iter().map(String::as_str).collect())
            .collect();
        let mut df: HashMap<&str, usize> = HashMap::new();
        for row in &mut sorted {
            row.sort_unstable();
            let each_once = row.chunk_by(|a, b| a == b);
            each_once.for_each(|same| *df.entry(same[0]).or_default() += 1);
        }
        let n = tokens.len();
        df.retain(|_, df| (2..n).contains(df));
        let mut vocabulary: Vec<&str> = df.keys().copied().collect();
        vocabulary.sort_unstable();
        let column: HashMap<&str, u32> = vocabulary.iter().copied().zip(0..).collect();
        let rows = sorted.iter().map(|row| {
            let same = row.chunk_by(|a, b| a == b);
            let weights = same.filter_map(|same| {
                let idf = (n as f32 / *df.get(same[0])? as f32).ln();
                Some((column[same[0]], (1.0 + (same.len() as f32).ln()) * idf))
            });
            let mut weights: Vec<(u32, f32)> = weights.collect();
            let norm = weights.iter().map(|w| w.1 * w.1).sum::<f32>().sqrt();
            weights.iter_mut().for_each(|w| w.1 /= norm);
            weights
        });
        let rows = Sparse::from_rows(vocabulary.len(), rows);
        Self {
            columns: rows.transpose(),
            rows,
            vocabulary: vocabulary.into_iter().map(str::to_owned).collect(),
        }
    }

    /// Entities.
    pub fn n(&self) -> usize {
        self.rows.n_rows()
    }

    /// The tokens that count, by column, ascending.
    pub fn vocabulary(&self) -> &[String] {
        &self.vocabulary
    }

    /// (column, weight) of an entity's tokens, columns ascending; empty if it says nothing that others say too.
    pub fn row(&self, entity: u32) -> impl Iterator<Item = (u32, f32)> {
        self.rows.row(entity as usize)
    }

    /// What an entity shares with others, as numbers from 0: its categories and attributes.
    pub fn attributes(&self, entity: u32) -> impl Iterator<Item = u32> {
        // They stand together, as all that begins with "@".
        let first = self.vocabulary.partition_point(|t| t.as_str() < "@") as u32;
        let is_attribute = |&c: &u32| self.vocabulary[c as usize].starts_with('@');
        let columns = self.row(entity).map(|x| x.0);
        columns.filter(is_attribute).map(move |c| c - first)
    }

    /// `out_e = Σ_j a_j cos(j, e)` for the entities j of weights `a`: what is written like them.
    pub fn similar(&self, weights: &[(u32, f32)], out: &mut [f32]) {
        let mut query = vec![0f32; self.vocabulary.len()];
        let mut touched = Vec::new();
        for &(entity, weight) in weights {
            for (column, value) in self.row(entity) {
                query[column as usize] += weight * value;
                touched.push(column);
            }
        }
        touched.sort_unstable();
        touched.dedup();
        out.fill(0.0);
        for column in touched {
            let weight = query[column as usize];
            for (entity, value) in self.columns.row(column as usize) {
                out[entity as usize] += weight * value;
            }
        }
    }

    /// Dense rows (n, dim), `U S` of the truncated singular value decomposition: their products are the best
    /// approximation of rank `dim` to the cosines. Columns beyond the rank are 0. `seed` decides where the
    /// iteration begins.
    pub fn lsa(&self, dim: usize, seed: u64) -> Vec<f32> {
        lsa(&self.rows, &self.columns, dim, seed)
    }
}
