//! What orders events of one second. A store keeps whole seconds, and its rows in this order.

use std::cmp::Ordering;

use crate::dataset::Event;

/// Behind the second of an event: nanoseconds, then what the log says breaks ties.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Fine {
    pub nanos: u32,
    pub tie: i64,
}

/// By event id; only of those events that have more than a second. Most logs have none, and pay nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct FineOrder(Vec<(u32, u32, i64)>);

impl FineOrder {
    /// Ids must come in ascending order.
    pub fn push(&mut self, row: u32, fine: Fine) {
        if fine != Fine::default() {
            self.0.push((row, fine.nanos, fine.tie));
        }
    }

    pub fn of(&self, row: u32) -> Fine {
        if self.0.is_empty() {
            return Fine::default();
        }
        let found = self.0.binary_search_by_key(&row, |f| f.0);
        found.map_or_else(
            |_| Fine::default(),
            |at| Fine {
                nanos: self.0[at].1,
                tie: self.0[at].2,
            },
        )
    }

    /// Events of one user by time, then by what the log knows beyond the second, then as they came.
    pub fn compare(&self, a: &Event, b: &Event) -> Ordering {
        let rest = || (self.of(a.row), a.row).cmp(&(self.of(b.row), b.row));
        a.ts.cmp(&b.ts).then_with(rest)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the entries of other events.
    pub fn absorb(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// After [`Self::absorb`] or pushes in another order.
    pub fn sort(&mut self) {
        self.0.sort_unstable_by_key(|f| f.0);
    }

    /// Bytes of an entry.
    pub const BYTES: usize = size_of::<(u32, u32, i64)>();
}
