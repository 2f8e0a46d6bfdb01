//! Counts over a history, made anew for the gate: it trusts neither the model's numbers nor the facts.

use std::sync::Arc;

use hkfr_events::Event;

use crate::facts::{Facts, price_band, time};
use crate::statements::SLOTS;
use crate::verify::is_exposure;
use crate::wording::{ItemNames, Wording};

/// How many of those that could have were so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub n: u32,
    pub of: u32,
}

impl Share {
    fn ratio(self) -> f32 {
        self.n as f32 / self.of.max(1) as f32
    }

    /// As facts round it.
    pub fn percent(self) -> u32 {
        match self.of {
            0 => 0,
            of => (100.0 * (self.n as f32 / of as f32)).round() as u32,
        }
    }

    /// As `Statement`s of habits want it: what holds of one Monday in ten is none.
    pub fn is_habit(self) -> bool {
        self.of > 0 && self.ratio() >= 0.25
    }
}

pub(super) struct Recount<'a> {
    pub wording: &'a Wording<'a>,
    /// Those that are condensed, oldest first.
    pub events: &'a [Event],
    pub chosen: Vec<&'a Event>,
    /// Index of the first of the latest third, together with what happened at its time.
    pub recent: usize,
}

impl<'a> Recount<'a> {
    pub fn new(wording: &'a Wording<'a>, events: &'a [Event]) -> Self {
        let n = events.len();
        let mut recent = n - (n / 3).max(1).min(n);
        while recent > 0 && events[recent - 1].ts == events[recent].ts {
            recent -= 1;
        }
        Self {
            chosen: events.iter().filter(|e| wording.ds.is_target(e)).collect(),
            wording,
            events,
            recent,
        }
    }

    fn names(&self, e: &Event) -> Option<&'a ItemNames> {
        e.item.map(|i| self.wording.item(i))
    }

    pub fn category(&self, e: &Event) -> Option<&'a str> {
        self.names(e)?.category.as_deref()
    }

    pub fn department(&self, e: &Event) -> Option<&'a str> {
        self.names(e)?.department.as_deref()
    }

    pub fn title(&self, e: &Event) -> Option<&'a str> {
        self.names(e).map(|n| &*n.title)
    }

    pub fn band(&self, e: &Event) -> Option<&'static str> {
        self.wording.ds.items[e.item? as usize]
            .price
            .map(price_band)
    }

    pub fn is_exposed(&self, e: &Event) -> bool {
        is_exposure(&self.wording.ds.kind(e).action)
    }

    pub fn is_rated_low(&self, e: &Event) -> bool {
        self.wording.ds.kind(e).action == "rate-low"
    }

    /// The first chosen thing of each order.
    pub fn orders(&self) -> Vec<&'a Event> {
        let mut orders = self.chosen.clone();
        orders.dedup_by_key(|e| e.ts);
        orders
    }

    /// Of the chosen things, those before the latest third of them, and that third.
    pub fn thirds(&self) -> (&[&'a Event], &[&'a Event]) {
        self.chosen
            .split_at(self.chosen.len() - self.chosen.len() / 3)
    }
}

/// `is`: `None` where an event is neither.
pub(super) fn share<'e>(
    events: impl IntoIterator<Item = &'e Event>,
    is: impl Fn(&Event) -> Option<bool>,
) -> Share {
    let mut share = Share::default();
    for is in events.into_iter().filter_map(is) {
        share.of += 1;
        share.n += u32::from(is);
    }
    share
}

/// Three times at least, and at least twice the share of the other part.
pub(super) fn outgrows(part: Share, other: Share) -> bool {
    part.n >= 3 && part.ratio() >= 2.0 * other.ratio()
}

pub(super) fn weekday(e: &Event) -> &'static str {
    time::weekday(e.ts)
}

pub(super) fn daypart(e: &Event) -> &'static str {
    time::daypart(e.ts)
}

/// Slots of [`SLOTS`] that claims can say, with the slots of the claims that say them.
const SAID_BY: [(&str, &[&str]); 9] = [
    ("favourite", &["favourite", "rising", "falling"]),
    ("staple", &["staple"]),
    ("recent", &["staple", "item", "intent"]),
    ("rising", &["rising"]),
    ("ignored", &["ignored"]),
    ("disliked", &["disliked"]),
    ("weekday", &["weekday"]),
    ("daypart", &["daypart"]),
    ("price", &["price"]),
];

/// What a user's claims could say at best: the facts that the embedded model would choose from, slot by
/// slot as many as it may choose. Each with the slots of the claims that cover it.
pub fn coverable(facts: &Facts) -> Vec<(&'static str, Arc<str>, &'static [&'static str])> {
    let mut all = Vec::new();
    for (name, said_by) in SAID_BY {
        let slot = SLOTS.iter().find(|s| s.name == name);
        let slot = slot.expect("one of the slots");
        let options = (slot.options)(facts).into_iter().take(slot.pick);
        all.extend(options.map(|c| (name, Arc::clone(&c.name), said_by)));
    }
    all
}
