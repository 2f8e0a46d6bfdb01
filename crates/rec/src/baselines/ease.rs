//! EASE (Steck 2019): the linear autoencoder `x̂ = x B` with zero diagonal, in closed form:
//! `P = (XᵀX + λI)⁻¹`, `B_je = −P_je / P_ee` for j ≠ e, `B_ee = 0`.
//!
//! Dense over the modelled entities: n² floats to keep, about four times that while fitting.

use hkfr_events::{Dataset, History};
use serde::{Deserialize, Serialize};

use super::Scorer;
use super::entities::Entities;
use super::interactions::Interactions;
use super::popularity::popular;
use super::spd_inverse::spd_inverse;
use crate::error::{Result, at_least};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EaseConfig {
    /// L2 regularisation, at least 50 (single precision). Larger is nearer to popularity.
    pub lambda: f32,
    /// Only the so many entities with the most users are modelled (memory and time grow with the
    /// square and the cube); the rest rank below them.
    pub max_entities: usize,
}

impl Default for EaseConfig {
    fn default() -> Self {
        Self {
            lambda: 500.0,
            max_entities: 6000,
        }
    }
}

impl EaseConfig {
    /// # Errors
    /// A value out of its range.
    pub fn check(&self) -> Result<()> {
        at_least("lambda", self.lambda, 50.0)?;
        at_least("max_entities", self.max_entities as f32, 1.0)
    }
}

#[derive(Serialize, Deserialize)]
pub struct Ease {
    #[serde(skip)]
    entities: Entities,
    /// By entity: its row in `b`, if it is modelled.
    modelled: Vec<Option<u32>>,
    /// (n, n), row j: what having chosen j adds to the others.
    b: Vec<f32>,
    n: usize,
    counts: Vec<u32>,
}

impl Ease {
    pub fn fit(entities: &Entities, interactions: &Interactions, config: &EaseConfig) -> Self {
        let counts = interactions.counts(entities.n());
        let mut by_users: Vec<u32> = (0..entities.n() as u32).collect();
        by_users.sort_by_key(|&e| std::cmp::Reverse(counts[e as usize]));
        by_users.truncate(config.max_entities);
        by_users.sort_unstable();
        let mut modelled = vec![None; entities.n()];
        (0u32..)
            .zip(&by_users)
            .for_each(|(row, &e)| modelled[e as usize] = Some(row));

        let n = by_users.len();
        let mut gram = vec![0f32; n * n];
        for row in &interactions.rows {
            let row: Vec<(usize, f32)> = row
                .iter()
                .filter_map(|&(e, x)| Some((modelled[e as usize]? as usize, x)))
                .collect();
            for &(i, x) in &row {
                let gram = &mut gram[i * n..(i + 1) * n];
                row.iter().for_each(|&(j, y)| gram[j] += x * y);
            }
        }
        gram.iter_mut()
            .step_by(n + 1)
            .for_each(|g| *g += config.lambda);
        let mut b = spd_inverse(&gram, n);
        let diagonal: Vec<f32> = b.iter().step_by(n + 1).copied().collect();
        for (j, row) in b.chunks_exact_mut(n.max(1)).enumerate() {
            row.iter_mut().zip(&diagonal).for_each(|(b, d)| *b /= -d);
            row[j] = 0.0;
        }
        Self {
            entities: entities.clone(),
            modelled,
            b,
            n,
            counts,
        }
    }

    /// False if the inverse could not be computed: λ was too small beside the choices.
    pub fn is_finite(&self) -> bool {
        self.b.iter().all(|b| b.is_finite())
    }
}

impl Scorer for Ease {
    fn name(&self) -> &str {
        "ease"
    }

    fn score(&self, ds: &Dataset, history: &History, out: &mut [f32]) {
        let row = Interactions::row(ds, &self.entities, history);
        if row.is_empty() {
            return popular(&self.counts, out);
        }
        let mut scores = vec![0f32; self.n];
        for (j, x) in row {
            if let Some(row) = self.modelled[j as usize] {
                let row = &self.b[row as usize * self.n..][..self.n];
                scores.iter_mut().zip(row).for_each(|(s, b)| *s += x * b);
            }
        }
        let below = scores.iter().copied().fold(0.0, f32::min) - 1.0;
        out.iter_mut()
            .zip(&self.modelled)
            .for_each(|(o, m)| *o = m.map_or(below, |row| scores[row as usize]));
    }

    fn bind(&mut self, _: &Dataset, entities: &Entities) {
        self.entities = entities.clone();
    }
}
