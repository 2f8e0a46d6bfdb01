//! What items say of themselves: brand, categories and other attributes, and price.
//!
//! For each attribute and each level of categories: the share of the user's choices, halved every [`HALF_LIFE`] visits,
//! with the candidate's value. For the price: `ln(price / mean price of what the user chose)`, of all items and of the
//! candidate's category.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::{Context, Rows};
use crate::method::Fitting;

/// Visits after which a choice counts half.
const HALF_LIFE: f32 = 5.0;
/// The most attributes; those that most items have.
const MOST: usize = 8;
const NONE: u32 = u32::MAX;

#[derive(Serialize, Deserialize)]
pub(super) struct Traits {
    /// Attributes with the value of each entity as a number; [`NONE`]: it has none.
    values: Vec<(String, Vec<u32>)>,
    /// ln of the price by entity, and its category; empty without prices.
    prices: Vec<(f32, u32)>,
}

impl Traits {
    pub fn fit(from: &Fitting) -> Self {
        let Some(items) = from.items() else {
            return Self {
                values: Vec::new(),
                prices: Vec::new(),
            };
        };
        let mut by_name: BTreeMap<String, HashMap<u32, &str>> = BTreeMap::new();
        for (entity, item) in (0u32..).zip(&items) {
            for (key, value) in &item.attributes {
                let of = by_name.entry(key.clone()).or_default();
                of.insert(entity, value);
            }
            for (level, value) in item.categories.iter().enumerate() {
                let of = by_name.entry(format!("category {level}")).or_default();
                of.insert(entity, value);
            }
        }
        let mut all: Vec<_> = by_name.into_iter().collect();
        all.sort_by_key(|(name, of)| (std::cmp::Reverse(of.len()), name.clone()));
        let values = all
            .into_iter()
            .map(|(name, of)| (name, numbered(items.len(), &of)))
            // A value that all items share, or that each has alone, says nothing.
            .filter(|(_, values)| is_telling(values))
            .take(MOST)
            .collect();
        let priced = items.iter().any(|i| i.price.is_some());
        let category_of = from.category_of();
        let price = |(i, item): (usize, &&hkfr_events::Item)| {
            let price = item.price.filter(|&p| p > 0.0);
            (price.map_or(f32::NAN, f32::ln), category_of[i])
        };
        Self {
            values,
            prices: if priced {
                items.iter().enumerate().map(price).collect()
            } else {
                Vec::new()
            },
        }
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.values.len() + if self.prices.is_empty() { 0 } else { 2 }
    }

    pub fn names(&self) -> Vec<String> {
        let same = self.values.iter().map(|(name, _)| format!("same {name}"));
        let price = ["price", "price in category"].map(String::from);
        let priced = price.into_iter().filter(|_| !self.prices.is_empty());
        same.chain(priced).collect()
    }

    /// By column.
    pub fn meanings(&self) -> Vec<String> {
        let same = self.values.iter().map(|(name, _)| {
            format!("share of the user's choices, halved every 5 visits, whose {name} is the candidate's")
        });
        let price = [
            "ln(price / mean price of what the user chose)",
            "ln(price / mean price of what the user chose of the candidate's category)",
        ];
        let priced = price
            .into_iter()
            .map(String::from)
            .filter(|_| !self.prices.is_empty());
        same.chain(priced).collect()
    }

    pub fn fill(&self, user: &Context, candidates: &[u32], rows: &mut Rows) {
        let weights: Vec<(u32, f32)> = user
            .choices
            .iter()
            .map(|c| {
                (
                    c.entity,
                    (-(user.visits_since(c.ts) as f32) / HALF_LIFE).exp2(),
                )
            })
            .collect();
        let total: f32 = weights.iter().map(|w| w.1).sum();
        let first = rows.column;
        for (_, values) in &self.values {
            let mut shares: HashMap<u32, f32> = HashMap::new();
            for &(entity, weight) in &weights {
                *shares.entry(values[entity as usize]).or_default() += weight / total;
            }
            shares.remove(&NONE);
            for (i, &candidate) in candidates.iter().enumerate() {
                let value = values[candidate as usize];
                let share = if value == NONE {
                    f32::NAN
                } else {
                    shares.get(&value).copied().unwrap_or(0.0)
                };
                rows.set(i, &[share]);
            }
            rows.column += 1;
        }
        if !self.prices.is_empty() {
            self.fill_prices(&weights, candidates, rows);
        }
        rows.column = first;
    }

    fn fill_prices(&self, weights: &[(u32, f32)], candidates: &[u32], rows: &mut Rows) {
        let mut all = Mean::default();
        let mut by_category: HashMap<u32, Mean> = HashMap::new();
        for &(entity, weight) in weights {
            let (price, category) = self.prices[entity as usize];
            if price.is_finite() {
                all.add(price, weight);
                by_category.entry(category).or_default().add(price, weight);
            }
        }
        for (i, &candidate) in candidates.iter().enumerate() {
            let (price, category) = self.prices[candidate as usize];
            let usual = by_category.get(&category).map_or(f32::NAN, Mean::get);
            rows.set(i, &[price - all.get(), price - usual]);
        }
    }
}

#[derive(Default)]
struct Mean {
    sum: f32,
    weight: f32,
}

impl Mean {
    fn add(&mut self, x: f32, weight: f32) {
        self.sum += weight * x;
        self.weight += weight;
    }

    /// Not a number if nothing was added.
    fn get(&self) -> f32 {
        self.sum / self.weight
    }
}

fn numbered(n: usize, of: &HashMap<u32, &str>) -> Vec<u32> {
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut values = vec![NONE; n];
    for entity in 0..n as u32 {
        if let Some(&value) = of.get(&entity) {
            let next = numbers.len() as u32;
            values[entity as usize] = *numbers.entry(value).or_insert(next);
        }
    }
    values
}

fn is_telling(values: &[u32]) -> bool {
    let known = values.iter().filter(|&&v| v != NONE).count();
    let distinct = values
        .iter()
        .filter(|&&v| v != NONE)
        .max()
        .map_or(0, |m| m + 1) as usize;
    distinct > 1 && 2 * distinct <= known.max(1) + 1
}
