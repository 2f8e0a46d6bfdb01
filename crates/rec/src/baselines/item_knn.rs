//! ItemKNN: `score(u, e) = Σ_{j in u's history} x_uj · sim(j, e)`, with the shrunk cosine
//! `sim(j, e) = Σ_u x_uj x_ue / (|x_j| |x_e| + shrinkage)` (Sarwar et al. 2001; shrinkage as in
//! Dacrema et al. 2019), of which the k largest of each j are kept.

use hkfr_events::{Dataset, History};
use serde::{Deserialize, Serialize};

use super::Scorer;
use super::entities::Entities;
use super::interactions::Interactions;
use super::popularity::popular;
use crate::error::{Result, at_least};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ItemKnnConfig {
    /// Neighbours kept of each entity.
    pub neighbours: usize,
    /// Added to the denominator of the cosine; damps similarities that rest on few users.
    pub shrinkage: f32,
    /// An entity is its own neighbour with similarity 1, so that repeats rank high.
    pub include_self: bool,
}

impl Default for ItemKnnConfig {
    fn default() -> Self {
        Self {
            neighbours: 100,
            shrinkage: 20.0,
            include_self: true,
        }
    }
}

impl ItemKnnConfig {
    /// # Errors
    /// A value out of its range.
    pub fn check(&self) -> Result<()> {
        at_least("neighbours", self.neighbours as f32, 1.0)?;
        at_least("shrinkage", self.shrinkage, 0.0)
    }
}

#[derive(Serialize, Deserialize)]
pub struct ItemKnn {
    #[serde(skip)]
    entities: Entities,
    /// By entity j: its neighbours e with sim(j, e).
    neighbours: Vec<Vec<(u32, f32)>>,
    counts: Vec<u32>,
}

impl ItemKnn {
    pub fn fit(entities: &Entities, interactions: &Interactions, config: &ItemKnnConfig) -> Self {
        let n = entities.n();
        let columns = interactions.columns(n);
        let norms: Vec<f32> = columns
            .iter()
            .map(|c| c.iter().map(|(_, x)| x * x).sum::<f32>().sqrt())
            .collect();
        let mut dots = vec![0f32; n];
        let mut touched = Vec::new();
        let neighbours = (0u32..)
            .zip(&columns)
            .map(|(j, column)| {
                for &(user, x) in column {
                    for &(e, y) in &interactions.rows[user as usize] {
                        if dots[e as usize] == 0.0 {
                            touched.push(e);
                        }
                        dots[e as usize] += x * y;
                    }
                }
                let mut list: Vec<(u32, f32)> = touched
                    .iter()
                    .filter(|&&e| e != j)
                    .map(|&e| {
                        (
                            e,
                            dots[e as usize]
                                / (norms[j as usize] * norms[e as usize] + config.shrinkage),
                        )
                    })
                    .collect();
                touched.drain(..).for_each(|e| dots[e as usize] = 0.0);
                list.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
                list.truncate(config.neighbours);
                if config.include_self {
                    list.push((j, 1.0));
                }
                list
            })
            .collect();
        Self {
            entities: entities.clone(),
            neighbours,
            counts: interactions.counts(entities.n()),
        }
    }
}

impl Scorer for ItemKnn {
    fn name(&self) -> &str {
        "item-knn"
    }

    fn score(&self, ds: &Dataset, history: &History, out: &mut [f32]) {
        let row = Interactions::row(ds, &self.entities, history);
        if row.is_empty() {
            return popular(&self.counts, out);
        }
        out.fill(0.0);
        for (j, x) in row {
            for &(e, sim) in &self.neighbours[j as usize] {
                out[e as usize] += x * sim;
            }
        }
    }

    fn bind(&mut self, _: &Dataset, entities: &Entities) {
        self.entities = entities.clone();
    }
}
