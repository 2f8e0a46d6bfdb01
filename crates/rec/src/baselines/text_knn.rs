//! Text kNN: what is written like what u chose. `score(u, e) = Σ_j a_uj · cos(t_j, t_e)`, with `a_uj = Σ r^age` over the
//! orders of u that hold j, age 0 the latest (r: history_decay), and the tf-idf rows t of [`EntityTexts`].
//!
//! It learns nothing from choices, so that what nobody chose yet is ranked like all else. Who chose nothing, or only
//! what has no text, is shown what is popular.

use hkfr_events::{Dataset, History};
use serde::{Deserialize, Serialize};

use super::Scorer;
use super::entities::Entities;
use super::popularity::popular;
use crate::error::{Result, at_least, at_most};
use crate::sequence::{Orders, orders};
use crate::text::EntityTexts;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TextKnnConfig {
    /// What an order counts of the order after it, from 0 (the latest alone) to 1.
    pub history_decay: f32,
}

impl Default for TextKnnConfig {
    fn default() -> Self {
        Self { history_decay: 0.6 }
    }
}

impl TextKnnConfig {
    /// # Errors
    /// A value out of its range.
    pub fn check(&self) -> Result<()> {
        at_least("history_decay", self.history_decay, 0.0)?;
        at_most("history_decay", self.history_decay, 1.0)
    }
}

#[derive(Serialize, Deserialize)]
pub struct TextKnn {
    #[serde(skip)]
    entities: Entities,
    texts: EntityTexts,
    counts: Vec<u32>,
    history_decay: f32,
}

impl TextKnn {
    pub fn fit(
        entities: &Entities,
        texts: &EntityTexts,
        training: &[Orders],
        config: &TextKnnConfig,
    ) -> Self {
        let mut counts = vec![0; entities.n()];
        let chosen = training.iter().flat_map(Orders::items);
        chosen.for_each(|&e| counts[e as usize] += 1);
        Self {
            entities: entities.clone(),
            texts: texts.clone(),
            counts,
            history_decay: config.history_decay,
        }
    }
}

impl Scorer for TextKnn {
    fn name(&self) -> &str {
        "text-knn"
    }

    fn score(&self, ds: &Dataset, history: &History, out: &mut [f32]) {
        let weights = orders(ds, &self.entities, history).decayed(self.history_decay);
        self.texts.similar(&weights, out);
        if out.iter().all(|&s| s == 0.0) {
            popular(&self.counts, out);
        }
    }

    fn bind(&mut self, _: &Dataset, entities: &Entities) {
        self.entities = entities.clone();
    }
}
