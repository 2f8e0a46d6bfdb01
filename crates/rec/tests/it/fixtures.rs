//! Small data sets that the tests write themselves.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use hkfr_events::split::build;
use hkfr_events::{Dataset, DatasetBuilder, DatasetInfo, Event, Phase, Split, SplitConfig};
use hkfr_rec::systems::Progress;

pub const DAY: i64 = 86_400;
/// A Monday, 08:00.
pub const MONDAY: i64 = 4 * DAY + 8 * 3600;

pub fn builder() -> DatasetBuilder {
    DatasetBuilder::new(DatasetInfo {
        name: "tiny".into(),
        target_actions: vec!["buy".into(), "rebuy".into()],
        strengths: BTreeMap::from([
            ("buy".into(), 1.0),
            ("rebuy".into(), 2.0),
            ("view".into(), 0.1),
        ]),
        category_level: 0,
        item_noun: "product".into(),
        user_noun: "household".into(),
        licence: String::new(),
    })
}

pub fn push(b: &mut DatasetBuilder, user: &str, item: &str, action: &str, ts: i64) {
    let (user, item, kind) = (
        b.user(user),
        b.item(item),
        b.kind("product", action, "store"),
    );
    b.push(Event {
        user,
        item: Some(item),
        kind,
        ts,
        value: None,
        place: None,
        text: None,
        row: 0,
    });
}

/// Items `i0..` in categories `c<i mod 3>` with prices, from (user, item, day, action 0 | 1 | 2).
pub fn dataset(n_items: u32, events: &[(u32, u32, i64, u8)]) -> Dataset {
    let mut b = builder();
    for i in 0..n_items {
        let item = b.item(&format!("i{i}"));
        let item = b.item_mut(item);
        item.title = format!("thing {i}");
        item.categories = vec![format!("c{}", i % 3)];
        item.price = Some(i as f32);
    }
    for &(user, item, day, action) in events {
        let action = ["buy", "rebuy", "view"][action as usize % 3];
        push(
            &mut b,
            &format!("u{user}"),
            &format!("i{}", item % n_items),
            action,
            day * DAY,
        );
    }
    b.build()
}

/// Everything in the catalogue, global temporal, the last `horizon` days asked for.
pub fn split(ds: &Dataset, phase: Phase, horizon_days: u32) -> hkfr_events::Result<Split> {
    let config = SplitConfig {
        phase,
        horizon_days,
        min_item_buyers: 1,
        simulated_users: 0,
        min_history: 0,
        ..SplitConfig::default()
    };
    build(ds, &config)
}

/// Watches a fit to its end.
pub fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}
