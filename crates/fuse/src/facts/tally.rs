//! Counts by name with the events that support them, ranked by count and then by name.

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};
use minijinja::Value;
use minijinja::value::{Enumerator, Object};

use crate::views::{named, shared};

/// At most this many event ids support a fact; the count says how many there were.
const MAX_EVIDENCE: usize = 20;

/// How often something named occurred. Templates see all but the evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Count {
    pub name: Arc<str>,
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

named!(Count, &["name", "n", "share", "percent", "days_ago"]);

impl Count {
    fn named(&self, name: &str) -> Option<Value> {
        Some(match name {
            "name" => shared(&self.name),
            "n" => self.n.into(),
            "share" => self.share.into(),
            "percent" => self.percent.into(),
            "days_ago" => self.days_ago.into(),
            _ => return None,
        })
    }
}

/// Ranked.
pub type Counts = Vec<Arc<Count>>;

pub(super) struct Tally<'n> {
    total: u32,
    entries: HashMap<&'n str, Entry>,
    /// Events (row, the event before it of the same name).
    events: Vec<(u32, u32)>,
}

struct Entry {
    n: u32,
    last_ts: i64,
    last: u32,
}

/// No event before it.
const NONE: u32 = u32::MAX;

impl Default for Tally<'_> {
    fn default() -> Self {
        Self {
            total: 0,
            entries: HashMap::new(),
            events: Vec::new(),
        }
    }
}

impl<'n> Tally<'n> {
    /// Counts one event; events must come oldest first.
    pub fn add(&mut self, name: &'n str, ts: i64, row: u32) {
        self.total += 1;
        let entry = self.entries.entry(name).or_insert(Entry {
            n: 0,
            last_ts: ts,
            last: NONE,
        });
        self.events.push((row, entry.last));
        entry.n += 1;
        entry.last_ts = ts;
        entry.last = self.events.len() as u32 - 1;
    }

    pub fn total(&self) -> u32 {
        self.total
    }

    pub fn count(&self, name: &str) -> u32 {
        self.entries.get(name).map_or(0, |e| e.n)
    }

    /// The most frequent, at most `n`.
    pub fn top(&self, n: usize, as_of: i64) -> Counts {
        self.ranked(n, as_of, |_| true, |e| std::cmp::Reverse(e.n))
    }

    /// The most frequent of those that `keeps` (name, count) says, at most `n`.
    pub fn top_of(&self, n: usize, as_of: i64, keeps: impl Fn(&str, u32) -> bool) -> Counts {
        self.ranked(
            n,
            as_of,
            |(name, e)| keeps(name, e.n),
            |e| std::cmp::Reverse(e.n),
        )
    }

    /// The latest, at most `n`: of a day the most frequent.
    pub fn latest(&self, n: usize, as_of: i64) -> Counts {
        let days_ago = |e: &Entry| super::time::days_between(e.last_ts, as_of);
        self.ranked(
            n,
            as_of,
            |_| true,
            |e| (days_ago(e), std::cmp::Reverse(e.n)),
        )
    }

    fn ranked<K: Ord>(
        &self,
        n: usize,
        as_of: i64,
        keeps: impl Fn(&(&str, &Entry)) -> bool,
        key: impl Fn(&Entry) -> K,
    ) -> Counts {
        let all = self.entries.iter().map(|(name, e)| (*name, e));
        let mut all: Vec<(&str, &Entry)> = all.filter(keeps).collect();
        all.sort_unstable_by(|a, b| key(a.1).cmp(&key(b.1)).then(a.0.cmp(b.0)));
        all.truncate(n);
        all.into_iter()
            .map(|(name, e)| Arc::new(self.counted(name, e, as_of)))
            .collect()
    }

    fn counted(&self, name: &str, e: &Entry, as_of: i64) -> Count {
        let share = e.n as f32 / self.total as f32;
        let mut evidence = Vec::with_capacity(MAX_EVIDENCE.min(e.n as usize));
        let mut at = e.last;
        while at != NONE && evidence.len() < MAX_EVIDENCE {
            let (row, before) = self.events[at as usize];
            evidence.push(row);
            at = before;
        }
        Count {
            name: name.into(),
            n: e.n,
            share,
            percent: (100.0 * share).round() as u32,
            days_ago: super::time::days_between(e.last_ts, as_of),
            evidence,
        }
    }
}
