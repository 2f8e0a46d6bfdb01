//! What came next: the only way in which tasks see events at or after an instance's as-of.
//!
//! In: an instance, and the time at which training ends for its user. Out: its next order and what else
//! happened from as-of up to that end. An order that is not there, or not in between, is refused: it
//! would be a label from before the cut, or from the test period.

use std::collections::HashSet;

use hkfr_events::{AsOf, Dataset, Event, Instance, ItemIdx, Split, UserIdx};

use crate::error::{Error, Result};

/// Lets through what a training row may be made of.
pub struct Guard<'a> {
    ds: &'a Dataset,
    split: &'a Split,
    /// User and time of the orders that cases ask for.
    of_cases: HashSet<(UserIdx, i64)>,
}

impl<'a> Guard<'a> {
    pub fn new(ds: &'a Dataset, split: &'a Split) -> Self {
        let cases = split.cases.iter().map(|c| &c.instance);
        Self {
            ds,
            split,
            of_cases: cases.map(|i| (i.user, i.target_ts)).collect(),
        }
    }

    /// What came next, up to the end of the user's training.
    ///
    /// # Errors
    /// [`Error::Leak`] if the user is held out of training, a case asks for the order, or [`Next::of`] refuses it.
    pub fn next(&self, instance: &'a Instance) -> Result<Next<'a>> {
        let Some(until) = self.split.fit_before[instance.user as usize] else {
            return Err(leak(
                self.ds,
                instance,
                "the user is held out of training".into(),
            ));
        };
        let next = Next::of(self.ds, instance, until)?;
        match self.of_cases.contains(&(instance.user, instance.target_ts)) {
            true => Err(leak(self.ds, instance, "a case asks for its order".into())),
            false => Ok(next),
        }
    }

    /// How many of the events with these ids an input rests on.
    ///
    /// # Errors
    /// [`Error::Leak`] if one is not in the history before as-of.
    pub fn cited(&self, instance: &Instance, ids: &[u32]) -> Result<usize> {
        let history = instance.history(self.ds);
        let known: HashSet<u32> = match ids {
            [] => HashSet::new(),
            _ => history.events().iter().map(|e| e.row).collect(),
        };
        match ids.iter().find(|id| !known.contains(id)) {
            Some(id) => {
                let reason =
                    format!("its input cites event {id}, which is not in the history before as-of");
                Err(leak(self.ds, instance, reason))
            }
            None => Ok(ids.len()),
        }
    }
}

fn leak(ds: &Dataset, instance: &Instance, reason: String) -> Error {
    Error::Leak {
        user: ds.users[instance.user as usize].id.clone(),
        as_of: instance.as_of.seconds(),
        reason,
    }
}

pub struct Next<'a> {
    ds: &'a Dataset,
    instance: &'a Instance,
    /// The events of the next order, in order of the log.
    order: Vec<&'a Event>,
    /// All events from as-of on and before `until`, oldest first.
    after: &'a [Event],
    until: AsOf,
}

impl<'a> Next<'a> {
    /// # Errors
    /// [`Error::Leak`] if the instance's order is not the user's first at or after as-of, or not before `until`.
    pub fn of(ds: &'a Dataset, instance: &'a Instance, until: AsOf) -> Result<Self> {
        let events = ds.history(instance.user, until).events();
        let as_of = instance.as_of.seconds();
        let after = &events[events.partition_point(|e| e.ts < as_of)..];
        let leak = |reason: String| leak(ds, instance, reason);
        if instance.target_ts < as_of {
            return Err(leak(format!(
                "its order of {} is before as-of",
                instance.target_ts
            )));
        }
        if instance.target_ts >= until.seconds() {
            return Err(leak(format!(
                "its order of {} is not before {}, where training ends",
                instance.target_ts,
                until.seconds()
            )));
        }
        let mut chosen = after.iter().filter(|e| ds.is_target(e)).peekable();
        let first = chosen.peek().map(|e| e.ts);
        if first != Some(instance.target_ts) {
            return Err(leak(format!(
                "its order of {} is not the next in the log ({})",
                instance.target_ts,
                first.map_or("there is none".into(), |ts| format!("that is of {ts}"))
            )));
        }
        let order: Vec<&Event> = chosen.take_while(|e| e.ts == instance.target_ts).collect();
        let of_order = |item: &ItemIdx| order.iter().any(|e| e.item == Some(*item));
        if !instance.targets.iter().all(of_order) {
            return Err(leak("a target is not in its order".into()));
        }
        Ok(Self {
            ds,
            instance,
            order,
            after,
            until,
        })
    }

    pub fn dataset(&self) -> &'a Dataset {
        self.ds
    }

    pub fn instance(&self) -> &'a Instance {
        self.instance
    }

    pub(super) fn order(&self) -> &[&'a Event] {
        &self.order
    }

    /// The distinct items of the order, those outside the catalogue too.
    pub(super) fn items(&self) -> Vec<ItemIdx> {
        let mut items: Vec<ItemIdx> = self.order.iter().filter_map(|e| e.item).collect();
        items.sort_unstable();
        items.dedup();
        items
    }

    /// When the order after the next one is, if that is before the end.
    pub(super) fn following_ts(&self) -> Option<i64> {
        let later = |e: &&Event| e.ts > self.instance.target_ts && self.ds.is_target(e);
        self.after.iter().find(later).map(|e| e.ts)
    }

    pub(super) fn after(&self) -> &'a [Event] {
        self.after
    }

    pub(super) fn until(&self) -> i64 {
        self.until.seconds()
    }

    pub(super) fn action(&self, event: &Event) -> &'a str {
        &self.ds.kinds[event.kind as usize].action
    }

    /// What was chosen in the history that the row is about.
    pub(super) fn chosen_before(&self) -> impl Iterator<Item = ItemIdx> {
        let ds = self.ds;
        let events = self.instance.history(ds).events();
        events
            .iter()
            .filter(|e| ds.is_target(e))
            .filter_map(|e| e.item)
    }
}
