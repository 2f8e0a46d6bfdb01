//! What rankers were fitted on, as a hash.

use hkfr_events::{Dataset, Split, UserIdx};
use sha2::{Digest, Sha256};

/// SHA-256, in hex, of all training histories: users, times, items and actions. What comes later changes nothing of it.
pub fn training_hash(ds: &Dataset, split: &Split) -> String {
    let mut hasher = Sha256::new();
    // With its length, so that no two histories are one text.
    let mut add = |text: &str| {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text);
    };
    for user in 0..ds.n_users() as UserIdx {
        let Some(history) = split.training_history(ds, user).filter(|h| !h.is_empty()) else {
            continue;
        };
        add(&history.profile().id);
        for event in history.events() {
            add(&event.ts.to_string());
            add(&ds.kind(event).action);
            add(event.item.map_or("", |i| &ds.items[i as usize].id));
        }
    }
    let hash = hasher.finalize();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
