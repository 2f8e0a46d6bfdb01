//! A user's events before a cut-off. The only way to see events outside this crate, and the
//! reason why nothing built for training can hold an event at or after its cut-off.

use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, Event, Profile, UserIdx};

/// A cut-off in seconds (local time of the log). What is derived from a history carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AsOf(i64);

impl AsOf {
    pub const fn new(seconds: i64) -> Self {
        Self(seconds)
    }

    pub const fn seconds(self) -> i64 {
        self.0
    }
}

impl Dataset {
    /// The user's events strictly before `as_of`, oldest first.
    pub fn history(&self, user: UserIdx, as_of: AsOf) -> History<'_> {
        let events = self.user_events(user);
        let n = events.partition_point(|e| e.ts < as_of.seconds());
        History::new(user, &self.users[user as usize], as_of, &events[..n])
    }
}

/// A user's events strictly before [`History::as_of`], oldest first.
///
/// Made only by [`crate::Dataset::history`] and [`crate::store::UserEvents::history`]; narrowed, never widened.
#[derive(Debug, Clone, Copy)]
pub struct History<'a> {
    user: UserIdx,
    profile: &'a Profile,
    as_of: AsOf,
    events: &'a [Event],
}

impl<'a> History<'a> {
    pub(crate) fn new(
        user: UserIdx,
        profile: &'a Profile,
        as_of: AsOf,
        events: &'a [Event],
    ) -> Self {
        assert!(
            events.last().is_none_or(|e| e.ts < as_of.0),
            "an event at or after the cut-off reached a history"
        );
        Self {
            user,
            profile,
            as_of,
            events,
        }
    }

    /// The index in the data set or, read user by user, the position in `users.parquet`.
    pub fn user(&self) -> UserIdx {
        self.user
    }

    /// Whose events these are.
    pub fn profile(&self) -> &'a Profile {
        self.profile
    }

    pub fn as_of(&self) -> AsOf {
        self.as_of
    }

    pub fn events(&self) -> &'a [Event] {
        self.events
    }

    /// Events of a target action: how much is known of what the user chooses.
    pub fn n_targets(&self, dataset: &Dataset) -> usize {
        self.events.iter().filter(|e| dataset.is_target(e)).count()
    }

    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The history from its n-th last event that satisfies `counts` onwards: a simulated cold start.
    /// Events between and after those n stay; everything before is cut.
    pub fn keep_last(self, n: usize, counts: impl Fn(&Event) -> bool) -> Self {
        let mut left = n;
        let mut from = self.events.len();
        for (i, e) in self.events.iter().enumerate().rev() {
            if counts(e) {
                if left == 0 {
                    break;
                }
                left -= 1;
                from = i;
            }
        }
        Self {
            events: &self.events[from..],
            ..self
        }
    }
}
