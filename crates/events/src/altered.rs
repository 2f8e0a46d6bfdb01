//! Data sets changed on purpose, to see what a system's numbers rest on.
//!
//! [`mark_future`] replaces what no system may know; whatever then differs in a list has leaked.
//! [`shuffle_time`] takes away the order of a user's past and leaves all else; what a system loses by it
//! is what it had from order.

use crate::dataset::{Dataset, Event, Item, ItemIdx};
use crate::hash;
use crate::split::Split;

/// Id of the item that [`mark_future`] puts into the future.
pub const MARKER: &str = "hkfr-marker";

/// The data set with another future: at or after what a user's training and cases may see, every event names
/// the item [`MARKER`], and every text is that word. Times and kinds stay, and with them who is asked,
/// and when.
pub fn mark_future(dataset: &Dataset, split: &Split) -> Dataset {
    let mut marked = dataset.clone();
    let marker = marked.items.len() as ItemIdx;
    marked.items.push(Item {
        id: MARKER.into(),
        title: MARKER.into(),
        categories: vec![MARKER.into()],
        ..Item::default()
    });
    // What a training may see begins no later than what a case may see.
    let mut cuts: Vec<Option<i64>> = split
        .fit_before
        .iter()
        .map(|t| t.map(|t| t.seconds()))
        .collect();
    for case in &split.cases {
        let (cut, as_of) = (
            &mut cuts[case.instance.user as usize],
            case.instance.as_of.seconds(),
        );
        *cut = Some(cut.map_or(as_of, |c| c.max(as_of)));
    }
    for event in &mut marked.events {
        if cuts[event.user as usize].is_some_and(|cut| event.ts >= cut) {
            event.item = event.item.map(|_| marker);
            event.text = event.text.as_ref().map(|_| MARKER.into());
        }
    }
    marked
}

/// The data set with each user's visits in a random order: the events of one second stay together, and move to
/// the time of another visit of the same user. Visits with an order change places with
/// each other, and so do those without: who is asked, and when, stays the same. The last of a user's
/// orders thus becomes any of them. The same `seed` gives the same order.
pub fn shuffle_time(dataset: &Dataset, seed: u64) -> Dataset {
    let mut shuffled = dataset.clone();
    for user in 0..dataset.n_users() {
        let key = hash::bytes(seed, dataset.users[user].id.as_bytes());
        let range = dataset.user_offsets[user]..dataset.user_offsets[user + 1];
        let events = &mut shuffled.events[range];
        let visits: Vec<(i64, bool)> = events
            .chunk_by(|a, b| a.ts == b.ts)
            .map(|visit| (visit[0].ts, visit.iter().any(|e| dataset.is_target(e))))
            .collect();
        let mut moved = vec![0; visits.len()];
        for orders in [true, false] {
            let own: Vec<usize> = (0..visits.len())
                .filter(|&v| visits[v].1 == orders)
                .collect();
            let mut drawn = own.clone();
            drawn.sort_by_key(|&v| hash::mix(key ^ hash::mix(v as u64)));
            for (&from, &to) in own.iter().zip(&drawn) {
                moved[from] = visits[to].0;
            }
        }
        let times = events.chunk_by_mut(|a, b| a.ts == b.ts).zip(moved);
        for (visit, ts) in times {
            visit.iter_mut().for_each(|e| e.ts = ts);
        }
        events.sort_by_key(|e: &Event| e.ts);
    }
    shuffled
}
