//! What a user chose, order by order: what was chosen at one time has no order of its own.
//!
//! A log lists the lines of a basket in some order, often that of their numbers. A model that learns the next
//! line learns the numbering. Here the items of an order are read in random order, another one in each epoch,
//! and what a row shall foretell is of the next order, or simply the next item read ([`Targets`]). Where
//! each choice has a time of its own, that is the next item, as published.

use rand::Rng;
use serde::{Deserialize, Serialize};

/// What a row of a history shall foretell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Targets {
    /// The next item, of the same order as long as it has one: what is chosen together teaches too.
    #[default]
    NextChoice,
    /// One item of the next order: what a list is asked.
    NextOrder,
}

/// Items, oldest first, and where each order ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Orders {
    items: Vec<u32>,
    /// Rising, the last one being the number of items.
    ends: Vec<u32>,
}

impl Orders {
    /// Appends an item, to the last order if it was chosen at the same time.
    pub fn push(&mut self, item: u32, same_time: bool) {
        self.items.push(item);
        if same_time {
            self.ends.pop();
        }
        self.ends.push(self.items.len() as u32);
    }

    pub fn items(&self) -> &[u32] {
        &self.items
    }

    /// How many orders.
    pub fn n(&self) -> usize {
        self.ends.len()
    }

    /// Where order `i` lies among the items.
    fn range(&self, i: usize) -> std::ops::Range<usize> {
        let start = i.checked_sub(1).map_or(0, |before| self.ends[before]);
        start as usize..self.ends[i] as usize
    }

    /// The items of each order.
    pub fn each(&self) -> impl DoubleEndedIterator<Item = &[u32]> {
        (0..self.n()).map(|i| &self.items[self.range(i)])
    }

    /// `Σ decay^age` of each item, over the orders that hold it, age 0 the latest; items ascending.
    pub fn decayed(&self, decay: f32) -> Vec<(u32, f32)> {
        let mut weights: Vec<(u32, f32)> = Vec::with_capacity(self.items.len());
        for (age, items) in (0i32..).zip(self.each().rev()) {
            let weight = decay.powi(age);
            weights.extend(items.iter().map(|&j| (j, weight)));
        }
        weights.sort_unstable_by_key(|w| w.0);
        let places = weights.chunk_by(|a, b| a.0 == b.0);
        places
            .map(|p| (p[0].0, p.iter().map(|p| p.1).sum()))
            .collect()
    }

    /// As if each item had been chosen at a time of its own.
    pub fn one_by_one(self) -> Self {
        self.items.into()
    }

    /// Takes the last order off.
    pub fn pop(&mut self) -> Option<Vec<u32>> {
        let last = self.range(self.n().checked_sub(1)?);
        self.ends.pop();
        Some(self.items.split_off(last.start))
    }

    /// At most `n` items that follow each other, each order shuffled: of a longer history the end, or as often a
    /// window that ends with any order, so that all of it is learnt from, and the latest the most.
    pub fn window(&self, n: usize, rng: &mut impl Rng) -> Self {
        let mut last = self.n();
        if self.items.len() > n && rng.random() {
            let first = self.ends.partition_point(|&end| (end as usize) < n);
            last = rng.random_range(first + 1..=last);
        }
        let end = last.checked_sub(1).map_or(0, |i| self.ends[i] as usize);
        let start = end.saturating_sub(n);
        let ends = self.ends[..last].iter().filter(|&&e| e as usize > start);
        let mut window = Self {
            items: self.items[start..end].to_vec(),
            ends: ends.map(|e| e - start as u32).collect(),
        };
        for i in 0..window.n() {
            let order = window.range(i);
            shuffle(&mut window.items[order], rng);
        }
        window
    }
}

/// Each item an order of its own.
impl From<Vec<u32>> for Orders {
    fn from(items: Vec<u32>) -> Self {
        let ends = (1..=items.len() as u32).collect();
        Self { items, ends }
    }
}

/// Draws nothing for a single item.
fn shuffle(items: &mut [u32], rng: &mut impl Rng) {
    for i in (1..items.len()).rev() {
        items.swap(i, rng.random_range(0..=i));
    }
}

/// One of an order's items.
pub(super) fn one_of(order: &[u32], rng: &mut impl Rng) -> u32 {
    match order {
        [item] => *item,
        order => order[rng.random_range(0..order.len())],
    }
}
