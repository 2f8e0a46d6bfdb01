//! Sequential rules: what follows what. `score(u, e) = Σ_j a_uj · S_je`, with
//!
//! ```text
//! a_uj = Σ r^age                            over the orders of u that hold j, age 0 the latest    (r: history_decay)
//! S_je = M_je / (c_j^a · c_e^b + shrinkage)  c: choices of an entity                              (a, b: source_power, target_power)
//! M_je = Σ d^-p                             over all places where e stands d orders after j, 1 ≤ d ≤ window
//!      + backward · Σ d^-p                  over all places where e stands d orders before j
//!      + same_order · (orders that hold both, e ≠ j)
//! ```
//!
//! of which the `neighbours` largest of each j are kept. What was chosen at one time has no order: it is no
//! successor of each other.
//!
//! Source: SR of Kamehkhosh, Jannach and Ludewig (TempRec 2017) and of Ludewig and Jannach (arXiv 1803.09587), which
//! is r = a = b = shrinkage = 0 and p = 1: the last item alone, every rule by its sum. The normalisation is that of
//! ItemKNN with two exponents, so that popular successors can be damped less than a cosine damps them.
//!
//! In: the training orders of all users. Out: a score of every entity; in a few seconds, in memory that grows with
//! the pairs that occur.

use hkfr_events::{Dataset, History};
use serde::{Deserialize, Serialize};

use super::Scorer;
use super::entities::Entities;
use super::popularity::popular;
use crate::error::{Result, at_least, at_most};
use crate::sequence::{Orders, orders};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SequentialRulesConfig {
    /// The most orders between an entity and its successor.
    pub window: usize,
    /// A successor counts `distance^-distance_power`. 0: all alike.
    pub distance_power: f32,
    /// Exponent of how often the entity in the history was chosen. Higher: popular ones say less.
    pub source_power: f32,
    /// Exponent of how often the successor was chosen. Higher: popular ones score less.
    pub target_power: f32,
    /// Added to the denominator; damps rules that rest on few choices.
    pub shrinkage: f32,
    /// What an order counts of the order after it, from 0 (the latest alone) to 1.
    pub history_decay: f32,
    /// What a predecessor counts of a successor. At 1 a rule says as much of its reverse.
    pub backward: f32,
    /// What a pair of one order counts.
    pub same_order: f32,
    /// Successors kept of each entity.
    pub neighbours: usize,
}

impl Default for SequentialRulesConfig {
    fn default() -> Self {
        Self {
            window: 50,
            distance_power: 0.6,
            source_power: 0.5,
            target_power: 0.2,
            shrinkage: 10.0,
            history_decay: 0.6,
            backward: 0.0,
            same_order: 0.0,
            neighbours: 1000,
        }
    }
}

impl SequentialRulesConfig {
    /// # Errors
    /// A value out of its range.
    pub fn check(&self) -> Result<()> {
        at_least("window", self.window as f32, 1.0)?;
        at_least("neighbours", self.neighbours as f32, 1.0)?;
        for (key, value) in [
            ("distance_power", self.distance_power),
            ("source_power", self.source_power),
            ("target_power", self.target_power),
            ("shrinkage", self.shrinkage),
            ("history_decay", self.history_decay),
            ("backward", self.backward),
            ("same_order", self.same_order),
        ] {
            at_least(key, value, 0.0)?;
        }
        // Beyond that a distant successor would be worth nothing at all.
        at_most("distance_power", self.distance_power, 10.0)?;
        at_most("history_decay", self.history_decay, 1.0)
    }
}

#[derive(Serialize, Deserialize)]
pub struct SequentialRules {
    #[serde(skip)]
    entities: Entities,
    /// By entity j: its successors e with S_je.
    successors: Vec<Vec<(u32, f32)>>,
    counts: Vec<u32>,
    history_decay: f32,
}

impl SequentialRules {
    pub fn fit(entities: &Entities, training: &[Orders], config: &SequentialRulesConfig) -> Self {
        let n = entities.n();
        let users: Vec<Vec<&[u32]>> = training.iter().map(|o| o.each().collect()).collect();
        let places = places(n, &users);
        let counts: Vec<u32> = places.iter().map(|p| p.len() as u32).collect();
        let mut row = Row {
            weights: (0..=config.window)
                .map(|d| (d.max(1) as f32).powf(-config.distance_power))
                .collect(),
            sums: vec![0.0; n],
            touched: Vec::new(),
            config,
        };
        let power = |e: usize, exponent: f32| (counts[e] as f32).powf(exponent);
        let successors = (0u32..)
            .zip(&places)
            .map(|(j, places)| {
                for &(user, order) in places {
                    row.add(j, &users[user as usize], order as usize);
                }
                let source = power(j as usize, config.source_power);
                let denominator =
                    |e| source * power(e as usize, config.target_power) + config.shrinkage;
                let mut list: Vec<(u32, f32)> = row
                    .take()
                    .map(|(e, sum)| (e, sum / denominator(e)))
                    .collect();
                list.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
                list.truncate(config.neighbours);
                list.shrink_to_fit();
                list
            })
            .collect();
        Self {
            entities: entities.clone(),
            successors,
            counts,
            history_decay: config.history_decay,
        }
    }
}

/// By entity: the users, and which of their orders hold it.
fn places(n_entities: usize, users: &[Vec<&[u32]>]) -> Vec<Vec<(u32, u32)>> {
    let mut places = vec![Vec::new(); n_entities];
    for (user, orders) in (0u32..).zip(users) {
        for (order, items) in (0u32..).zip(orders) {
            items
                .iter()
                .for_each(|&e| places[e as usize].push((user, order)));
        }
    }
    places
}

/// A row of M while it is summed.
struct Row<'a> {
    config: &'a SequentialRulesConfig,
    /// By distance in orders; that of 0 is not used.
    weights: Vec<f32>,
    sums: Vec<f32>,
    touched: Vec<u32>,
}

impl Row<'_> {
    /// What one place of `source` adds.
    fn add(&mut self, source: u32, orders: &[&[u32]], at: usize) {
        for d in 1..=self.config.window.min(orders.len() - 1 - at) {
            self.add_all(orders[at + d], self.weights[d]);
        }
        if self.config.backward > 0.0 {
            for d in 1..=self.config.window.min(at) {
                self.add_all(orders[at - d], self.config.backward * self.weights[d]);
            }
        }
        if self.config.same_order > 0.0 {
            for part in orders[at].split(|&e| e == source) {
                self.add_all(part, self.config.same_order);
            }
        }
    }

    fn add_all(&mut self, entities: &[u32], weight: f32) {
        for &e in entities {
            let sum = &mut self.sums[e as usize];
            if *sum == 0.0 {
                self.touched.push(e);
            }
            *sum += weight;
        }
    }

    /// The sums, which are then zero.
    fn take(&mut self) -> impl Iterator<Item = (u32, f32)> {
        let sums = &mut self.sums;
        self.touched
            .drain(..)
            .map(|e| (e, std::mem::take(&mut sums[e as usize])))
    }
}

impl Scorer for SequentialRules {
    fn name(&self) -> &str {
        "sequential-rules"
    }

    fn score(&self, ds: &Dataset, history: &History, out: &mut [f32]) {
        let orders = orders(ds, &self.entities, history);
        if orders.n() == 0 {
            return popular(&self.counts, out);
        }
        out.fill(0.0);
        for (j, weight) in orders.decayed(self.history_decay) {
            for &(e, rule) in &self.successors[j as usize] {
                out[e as usize] += weight * rule;
            }
        }
    }

    fn bind(&mut self, _: &Dataset, entities: &Entities) {
        self.entities = entities.clone();
    }
}
