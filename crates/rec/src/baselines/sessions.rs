//! Training histories as the neighbours of a history: what VSKNN and STAN share.
//!
//! Those systems know sessions. Here a session is all that a user chose, order by order: what was chosen at one time
//! has one place. Sessions stand with the latest first, so that the most recent `n` of some are those that come first;
//! of equally recent ones a hash decides, since the order of users in a file may say something.

use hkfr_events::{Dataset, History, Split, UserIdx};
use serde::{Deserialize, Serialize};

use super::entities::Entities;
use crate::scores::mix;

/// What a user chose.
#[derive(Serialize, Deserialize)]
pub(super) struct Session {
    /// When something was chosen last, seconds since 1970.
    pub ts: i64,
    /// Each entity once, ascending, and the last of its orders, from 1.
    pub places: Vec<(u32, u32)>,
    /// How many orders.
    pub n_orders: u32,
}

impl Session {
    pub fn new(ds: &Dataset, entities: &Entities, history: &History) -> Self {
        let choices = entities.choices(ds, history);
        let mut places: Vec<(u32, u32)> = Vec::with_capacity(choices.len());
        let mut n_orders = 0;
        for order in choices.chunk_by(|a, b| a.ts == b.ts) {
            n_orders += 1;
            places.extend(order.iter().map(|c| (c.entity, n_orders)));
        }
        // The last place of an entity comes first and stays.
        places.sort_unstable_by_key(|&(e, place)| (e, std::cmp::Reverse(place)));
        places.dedup_by_key(|p| p.0);
        Self {
            ts: choices.last().map_or(i64::MIN, |c| c.ts),
            places,
            n_orders,
        }
    }

    /// Orders since the one at `place`, 0 for the latest.
    pub fn age(&self, place: u32) -> u32 {
        self.n_orders - place
    }

    /// The last place here of something that `other` holds too.
    pub fn latest_shared(&self, other: &Self) -> Option<u32> {
        let mut others = other.places.iter().map(|p| p.0).peekable();
        let shared = self.places.iter().filter(|&&(e, _)| {
            while others.next_if(|&o| o < e).is_some() {}
            others.peek() == Some(&e)
        });
        shared.map(|p| p.1).max()
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Sessions {
    /// Latest first.
    pub all: Vec<Session>,
    /// By entity: the sessions that hold it, ascending.
    of_entity: Vec<Vec<u32>>,
}

/// A session that shares something with the history at hand.
#[derive(Clone, Copy)]
pub(super) struct Neighbour<'a> {
    pub session: &'a Session,
    pub similarity: f32,
}

impl Sessions {
    pub fn fit(ds: &Dataset, split: &Split, entities: &Entities) -> Self {
        let of = |u| {
            let history = split.training_history(ds, u)?;
            let session = Session::new(ds, entities, &history);
            (!session.places.is_empty()).then_some((u, session))
        };
        let mut all: Vec<(u32, Session)> = (0..ds.n_users() as UserIdx).filter_map(of).collect();
        all.sort_by_key(|(u, s)| (std::cmp::Reverse(s.ts), mix(u64::from(*u))));
        let all: Vec<Session> = all.into_iter().map(|(_, s)| s).collect();
        let mut of_entity = vec![Vec::new(); entities.n()];
        for (number, session) in (0u32..).zip(&all) {
            for &(e, _) in &session.places {
                of_entity[e as usize].push(number);
            }
        }
        Self { all, of_entity }
    }

    /// Users by entity.
    pub fn counts(&self) -> Vec<u32> {
        self.of_entity.iter().map(|s| s.len() as u32).collect()
    }

    /// Of the `sample` most recent sessions that share something with the history the `k` most similar, best first;
    /// of equals the more recent. `weights` are those of the history's entities; `similarity` is given a session,
    /// the summed weight of what it shares, and when the latest of them ended; at 0 it is no neighbour.
    pub fn nearest(
        &self,
        weights: impl Iterator<Item = (u32, f32)>,
        sample: usize,
        k: usize,
        similarity: impl Fn(&Session, f32, i64) -> f32,
    ) -> Vec<Neighbour<'_>> {
        let mut shared = vec![0f32; self.all.len()];
        let mut found = Vec::new();
        let mut held = vec![false; self.all.len()];
        for (e, weight) in weights {
            for &number in &self.of_entity[e as usize] {
                if !std::mem::replace(&mut held[number as usize], true) {
                    found.push(number);
                }
                shared[number as usize] += weight;
            }
        }
        found.sort_unstable();
        found.truncate(sample);
        let latest = found.first().map_or(0, |&n| self.all[n as usize].ts);
        let mut nearest: Vec<Neighbour> = found
            .into_iter()
            .map(|number| {
                let session = &self.all[number as usize];
                Neighbour {
                    session,
                    similarity: similarity(session, shared[number as usize], latest),
                }
            })
            .filter(|n| n.similarity > 0.0)
            .collect();
        nearest.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
        nearest.truncate(k);
        nearest
    }
}
