//! Who a customer is: the truth that the log is made from, and that `truth.jsonl` states.

use std::collections::BTreeMap;

use serde::Serialize;

use super::catalogue::{CATEGORIES, LEVELS};
use super::draw::Draw;

/// Parts of the day as facts name them, with the hours in which orders are placed.
pub(super) const MEALS: [(&str, usize, usize); 5] = [
    ("morning", 7, 10),
    ("midday", 11, 13),
    ("afternoon", 14, 17),
    ("evening", 18, 21),
    ("night", 22, 23),
];

pub(super) const SCENARIOS: [&str; 3] = ["home page", "search", "mini-program"];

/// Weight of the favourite categories, the first first; what is left is spread over all others.
const FAVOURITES: [f64; 3] = [0.45, 0.25, 0.15];

/// Name, factor of a working day, factor of Saturday and Sunday.
const RHYTHMS: [(&str, f64, f64); 3] = [
    ("workdays", 1.3, 0.25),
    ("weekends", 0.5, 2.2),
    ("every day", 1.0, 1.0),
];

/// A customer. Shares of one kind sum to 1.
#[derive(Debug, Serialize)]
pub(super) struct Person {
    pub user: String,
    pub city: String,
    /// The favourite categories before any drift, with their shares.
    pub favourites: Vec<(&'static str, f64)>,
    /// From a day on (0 is the first), one category has the place of another.
    pub drift: Option<Drift>,
    /// The price level of most merchants that are chosen.
    pub price_level: &'static str,
    pub meals: BTreeMap<&'static str, f64>,
    pub rhythm: &'static str,
    pub scenarios: BTreeMap<&'static str, f64>,
    /// Visits to the app a day, before the rhythm.
    pub visits: f64,
    /// How likely a visit is about something that was ordered before.
    pub repeat: f64,
    /// A customer who came in the last days of the log.
    pub cold_start: bool,
    pub first_day: u32,
    #[serde(skip)]
    pub level: usize,
    #[serde(skip)]
    rhythm_index: usize,
    /// By category, before and after the drift.
    #[serde(skip)]
    weights: [[f64; CATEGORIES.len()]; 2],
    #[serde(skip)]
    pub meal_shares: [f64; MEALS.len()],
    #[serde(skip)]
    pub scenario_shares: [f64; SCENARIOS.len()],
}

#[derive(Debug, Serialize)]
pub(super) struct Drift {
    pub day: u32,
    pub from: &'static str,
    pub to: &'static str,
}

impl Person {
    pub fn new(n: u32, days: u32, seed: u64) -> Self {
        let draw = &mut Draw::of(seed, "person", u64::from(n));
        let mut order: Vec<usize> = (0..CATEGORIES.len()).collect();
        for i in 0..=FAVOURITES.len() {
            let j = i + draw.below(order.len() - i);
            order.swap(i, j);
        }
        let left = 1.0 - FAVOURITES.iter().sum::<f64>();
        let mut before = [left / (CATEGORIES.len() - FAVOURITES.len()) as f64; CATEGORIES.len()];
        for (&category, share) in order.iter().zip(FAVOURITES) {
            before[category] = share;
        }
        let cold_start = draw.chance(0.12);
        let first_day = match cold_start {
            true => days - 1 - draw.below(days as usize / 7 + 1) as u32,
            false => draw.below(days as usize / 10 + 1) as u32,
        };
        // The first favourite gives way to the first category that is none.
        let (from, to) = (order[0], order[FAVOURITES.len()]);
        let mut after = before;
        after.swap(from, to);
        let drift = (!cold_start && draw.chance(0.3)).then(|| Drift {
            day: days * 2 / 5 + draw.below(days as usize / 5 + 1) as u32,
            from: CATEGORIES[from].1,
            to: CATEGORIES[to].1,
        });
        let level = draw.among(&[0.35, 0.45, 0.2]);
        let mut meal_shares = [0.05; MEALS.len()];
        // Two meals: most want one at midday and one in the evening.
        let main = draw.among(&[0.1, 0.4, 0.1, 0.3, 0.1]);
        let second = (main + 1 + draw.below(MEALS.len() - 1)) % MEALS.len();
        (meal_shares[main], meal_shares[second]) = (0.6, 0.25);
        let rhythm_index = draw.among(&[0.4, 0.25, 0.35]);
        let scenario_shares =
            [[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.35, 0.15, 0.5]][draw.among(&[0.5, 0.3, 0.2])];
        Self {
            user: format!("synthetic-{:07}", n + 1),
            city: format!("Synthetic City {}", 1 + draw.skewed(8)),
            favourites: order
                .iter()
                .zip(FAVOURITES)
                .map(|(&c, share)| (CATEGORIES[c].1, share))
                .collect(),
            drift,
            price_level: LEVELS[level],
            meals: MEALS.iter().map(|m| m.0).zip(meal_shares).collect(),
            rhythm: RHYTHMS[rhythm_index].0,
            scenarios: SCENARIOS.into_iter().zip(scenario_shares).collect(),
            visits: [0.25, 0.5, 0.9, 1.4][draw.among(&[0.3, 0.35, 0.25, 0.1])],
            repeat: [0.15, 0.4, 0.65][draw.below(3)],
            cold_start,
            first_day,
            level,
            rhythm_index,
            weights: [before, after],
            meal_shares,
            scenario_shares,
        }
    }

    /// How likely each category is wanted on a day.
    pub fn wants(&self, day: u32) -> &[f64] {
        let drifted = self.drift.as_ref().is_some_and(|d| day >= d.day);
        &self.weights[usize::from(drifted)]
    }

    /// Visits expected on a day.
    pub fn visits_on(&self, day: u32) -> f64 {
        let (_, working_day, weekend) = RHYTHMS[self.rhythm_index];
        // The log begins on a Monday.
        self.visits * if day % 7 < 5 { working_day } else { weekend }
    }
}
