//! Counts by name with the events that support them, ranked by count and then by name.

use std::collections::BTreeMap;

use serde::Serialize;

/// At most this many event ids support a fact; the count says how many there were.
const MAX_EVIDENCE: usize = 20;

/// How often something named occurred.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Count {
    pub name: String,
    pub n: u32,
    /// Of all that was counted, 0 to 1.
    pub share: f32,
    /// Whole percent, for text.
    pub percent: u32,
    /// Days before the as-of time of the latest.
    pub days_ago: i64,
    /// Ids of the latest supporting events.
    pub evidence: Vec<u32>,
}

#[derive(Default)]
pub struct Tally {
    total: u32,
    entries: BTreeMap<String, (u32, i64, Vec<u32>)>,
}

impl Tally {
    /// Counts one event; events must come oldest first.
    pub fn add(&mut self, name: &str, ts: i64, row: u32) {
        self.total += 1;
        if !self.entries.contains_key(name) {
            self.entries.insert(name.to_owned(), (0, ts, Vec::new()));
        }
        let entry = self.entries.get_mut(name).expect("just inserted");
        entry.0 += 1;
        entry.1 = ts;
        entry.2.push(row);
    }

    pub fn total(&self) -> u32 {
        self.total
    }

    pub fn count(&self, name: &str) -> u32 {
        self.entries.get(name).map_or(0, |e| e.0)
    }

    /// The most frequent, at most `n`.
    pub fn top(&self, n: usize, as_of: i64) -> Vec<Count> {
        let mut all: Vec<_> = self.entries.iter().collect();
        all.sort_by(|a, b| b.1.0.cmp(&a.1.0).then(a.0.cmp(b.0)));
        all.truncate(n);
        let count = |(name, (n, last, rows)): (&String, &(u32, i64, Vec<u32>))| Count {
            name: name.clone(),
            n: *n,
            share: *n as f32 / self.total as f32,
            percent: (100.0 * *n as f32 / self.total as f32).round() as u32,
            days_ago: super::time::days_between(*last, as_of),
            evidence: rows.iter().rev().take(MAX_EVIDENCE).copied().collect(),
        };
        all.into_iter().map(count).collect()
    }
}
