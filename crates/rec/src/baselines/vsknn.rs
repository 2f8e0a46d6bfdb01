//! VSKNN, vector multiplication session kNN (Ludewig and Jannach, arXiv 1803.09587, section 3.3; as in their
//! framework `session-rec`): whose sessions are like this one, with what was chosen lately counting more.
//!
//! ```text
//! w(j)       = weighting(age of j in the history h)
//! sim(h, n)  = Σ w(j) / |h|                            over j that h and n share
//! score(h,e) = Σ sim(h, n) · score_weighting(age of the latest j of h that is in n) · (1 + idf_weight · idf(e))
//!              over the k most similar of the `sample` most recent sessions n that share something; e in n
//! idf(e)     = ln(sessions / sessions that hold e)
//! ```
//!
//! A session is all that a user chose ([`super::sessions`]), ages are in orders, the latest of h having age 0 and L
//! being the number of its orders. `weighting` and `score_weighting` are, with `score_weighting` in brackets:
//! `same` 1, `div` (L − age) / L (1 / (age + 1)), `log` 1 / log10(age + 1.7) (1 / log10(age + 2.7)), `quadratic` the square
//! of `div`. Whoever is asked for may be a neighbour of their own.

use hkfr_events::{Dataset, History, Split};
use serde::{Deserialize, Serialize};

use super::Scorer;
use super::entities::Entities;
use super::popularity::popular;
use super::sessions::{Session, Sessions};
use crate::error::{Result, at_least};

/// How weight falls with age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    Same,
    Div,
    Log,
    Quadratic,
}

impl Decay {
    /// Of an entity of a history of `n` orders.
    fn of_entity(self, age: u32, n: u32) -> f32 {
        let div = (n - age) as f32 / n as f32;
        match self {
            Self::Same => 1.0,
            Self::Div => div,
            Self::Log => 1.0 / (age as f32 + 1.7).log10(),
            Self::Quadratic => div * div,
        }
    }

    /// Of a neighbour, by the age of the latest entity that it shares.
    fn of_neighbour(self, age: u32) -> f32 {
        let place = (age + 1) as f32;
        match self {
            Self::Same => 1.0,
            Self::Div => 1.0 / place,
            Self::Log => 1.0 / (place + 1.7).log10(),
            Self::Quadratic => 1.0 / (place * place),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VsknnConfig {
    /// Most similar sessions that are added up.
    pub neighbours: usize,
    /// Most recent sessions among which they are looked for.
    pub sample: usize,
    /// How much an entity of the history counts, by its age.
    pub weighting: Decay,
    /// How much a neighbour counts, by the age of the latest entity that it shares.
    pub score_weighting: Decay,
    /// How much rare entities are raised. 0: not at all.
    pub idf_weight: f32,
}

impl Default for VsknnConfig {
    fn default() -> Self {
        Self {
            neighbours: 100,
            sample: 1000,
            weighting: Decay::Div,
            score_weighting: Decay::Div,
            idf_weight: 0.0,
        }
    }
}

impl VsknnConfig {
    /// # Errors
    /// A value out of its range.
    pub fn check(&self) -> Result<()> {
        at_least("neighbours", self.neighbours as f32, 1.0)?;
        at_least("sample", self.sample as f32, 1.0)?;
        at_least("idf_weight", self.idf_weight, 0.0)
    }
}

#[derive(Serialize, Deserialize)]
pub struct Vsknn {
    #[serde(skip)]
    entities: Entities,
    sessions: Sessions,
    counts: Vec<u32>,
    /// By entity: 1 + idf_weight · idf.
    rarity: Vec<f32>,
    config: VsknnConfig,
}

impl Vsknn {
    pub fn fit(ds: &Dataset, split: &Split, entities: &Entities, config: &VsknnConfig) -> Self {
        let sessions = Sessions::fit(ds, split, entities);
        let counts = sessions.counts();
        let n = sessions.all.len() as f32;
        let rarity = counts
            .iter()
            .map(|&c| 1.0 + config.idf_weight * (n / c.max(1) as f32).ln())
            .collect();
        Self {
            entities: entities.clone(),
            sessions,
            counts,
            rarity,
            config: config.clone(),
        }
    }
}

impl Scorer for Vsknn {
    fn name(&self) -> &str {
        "vsknn"
    }

    fn score(&self, ds: &Dataset, history: &History, out: &mut [f32]) {
        let own = Session::new(ds, &self.entities, history);
        if own.places.is_empty() {
            return popular(&self.counts, out);
        }
        let VsknnConfig {
            neighbours, sample, ..
        } = self.config;
        let weighting = self.config.weighting;
        let weights = own
            .places
            .iter()
            .map(|&(e, place)| (e, weighting.of_entity(own.age(place), own.n_orders)));
        let size = own.places.len() as f32;
        let nearest = self
            .sessions
            .nearest(weights, sample, neighbours, |_, shared, _| shared / size);
        out.fill(0.0);
        for neighbour in nearest {
            let latest = own.latest_shared(neighbour.session).expect("it shares one");
            let weight = self.config.score_weighting.of_neighbour(own.age(latest));
            for &(e, _) in &neighbour.session.places {
                out[e as usize] += neighbour.similarity * weight;
            }
        }
        out.iter_mut()
            .zip(&self.rarity)
            .for_each(|(score, rarity)| *score *= rarity);
    }

    fn bind(&mut self, _: &Dataset, entities: &Entities) {
        self.entities = entities.clone();
    }
}
