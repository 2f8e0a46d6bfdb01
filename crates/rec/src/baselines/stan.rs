//! STAN, sequence and time aware neighbourhood (Garg et al., SIGIR 2019; as in `session-rec`): session kNN with three
//! factors that decay.
//!
//! ```text
//! w1(j)      = exp(−age of j in the history h / λ1)
//! w2(n)      = exp((time of n − time of the latest neighbour) / λ2)
//! w3(e, n)   = exp(−|place of e − place of the last j of n that h shares| / λ3)
//! sim(h, n)  = w2(n) · Σ w1(j) / √(Σ_h w1² · |n|)       the sum over j that h and n share
//! score(h,e) = Σ sim(h, n) · w3(e, n)                   over the k most similar of the `sample` most recent sessions
//!                                                        n that share something; e in n
//! ```
//!
//! A session is all that a user chose ([`super::sessions`]), its time that of the last choice, ages and places are in
//! orders. The paper's w2 counts from the history at hand: that is one factor for all neighbours and changes no
//! list. A λ of 0 leaves its factor out. Whoever is asked for may be a neighbour of their own.

use hkfr_events::{Dataset, History, Split};
use serde::{Deserialize, Serialize};

use super::Scorer;
use super::entities::Entities;
use super::popularity::popular;
use super::sessions::{Session, Sessions};
use crate::error::{Result, at_least};

const DAY: f32 = 86_400.0;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StanConfig {
    /// Most similar sessions that are added up.
    pub neighbours: usize,
    /// Most recent sessions among which they are looked for.
    pub sample: usize,
    /// λ1, orders: how far back the history counts.
    pub lambda_history: f32,
    /// λ2, days: how old a neighbour may be.
    pub lambda_days: f32,
    /// λ3, orders: how far from what is shared a neighbour's entities count.
    pub lambda_distance: f32,
}

impl Default for StanConfig {
    fn default() -> Self {
        Self {
            neighbours: 200,
            sample: 1000,
            lambda_history: 2.0,
            lambda_days: 80.0,
            lambda_distance: 4.0,
        }
    }
}

impl StanConfig {
    /// # Errors
    /// A value out of its range.
    pub fn check(&self) -> Result<()> {
        at_least("neighbours", self.neighbours as f32, 1.0)?;
        at_least("sample", self.sample as f32, 1.0)?;
        at_least("lambda_history", self.lambda_history, 0.0)?;
        at_least("lambda_days", self.lambda_days, 0.0)?;
        at_least("lambda_distance", self.lambda_distance, 0.0)
    }
}

/// `exp(−distance / λ)`, 1 if λ is 0.
fn decay(distance: f32, lambda: f32) -> f32 {
    if lambda > 0.0 {
        (-distance / lambda).exp()
    } else {
        1.0
    }
}

#[derive(Serialize, Deserialize)]
pub struct Stan {
    #[serde(skip)]
    entities: Entities,
    sessions: Sessions,
    counts: Vec<u32>,
    config: StanConfig,
}

impl Stan {
    pub fn fit(ds: &Dataset, split: &Split, entities: &Entities, config: &StanConfig) -> Self {
        let sessions = Sessions::fit(ds, split, entities);
        Self {
            entities: entities.clone(),
            counts: sessions.counts(),
            sessions,
            config: config.clone(),
        }
    }
}

impl Scorer for Stan {
    fn name(&self) -> &str {
        "stan"
    }

    fn score(&self, ds: &Dataset, history: &History, out: &mut [f32]) {
        let own = Session::new(ds, &self.entities, history);
        if own.places.is_empty() {
            return popular(&self.counts, out);
        }
        let c = &self.config;
        let weight = |place| decay(own.age(place) as f32, c.lambda_history);
        let norm: f32 = own.places.iter().map(|&(_, p)| weight(p).powi(2)).sum();
        let weights = own.places.iter().map(|&(e, place)| (e, weight(place)));
        let nearest = self.sessions.nearest(
            weights,
            c.sample,
            c.neighbours,
            |session, shared, latest| {
                let days = (latest - session.ts) as f32 / DAY;
                decay(days, c.lambda_days) * shared / (norm * session.places.len() as f32).sqrt()
            },
        );
        out.fill(0.0);
        for neighbour in nearest {
            let session = neighbour.session;
            let shared = session.latest_shared(&own).expect("it shares one");
            for &(e, place) in &session.places {
                let distance = place.abs_diff(shared) as f32;
                out[e as usize] += neighbour.similarity * decay(distance, c.lambda_distance);
            }
        }
    }

    fn bind(&mut self, _: &Dataset, entities: &Entities) {
        self.entities = entities.clone();
    }
}
