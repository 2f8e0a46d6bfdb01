//! Fusion prompts a second: synthetic households, the built-in grocery templates.
//!
//! `cargo run --release -p hkfr-fuse --example prompt_speed -- [USERS] [EVENTS] [BUDGET] [THREADS] [DIR]`: EVENTS of
//! each user, behaviour texts of at most BUDGET tokens, counted as a quarter of the bytes. With DIR, events, items and the
//! first prompts are written there, for another program to do the same. Prints one JSON object.

use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use hkfr_events::{AsOf, Dataset, DatasetBuilder, DatasetInfo, Event, UserIdx};
use hkfr_fuse::{FactsConfig, Fusion, TemplateSet, Wording};
use serde_json::json;

fn dataset(n_users: u32, n_events: u32) -> Dataset {
    let mut b = DatasetBuilder::new(DatasetInfo {
        name: "synthetic".into(),
        target_actions: vec!["purchase".into()],
        strengths: [("purchase".into(), 1.0)].into(),
        category_level: 1,
        item_noun: "product".into(),
        user_noun: "household".into(),
        licence: "synthetic".into(),
    });
    for i in 0..2000 {
        let item = b.item(&format!("i{i}"));
        let item = b.item_mut(item);
        item.title = format!("Product number {i}, {} oz", i % 30);
        item.categories = vec![format!("aisle {}", i % 12), format!("shelf {}", i % 150)];
        item.price = Some((i % 50) as f32 / 4.0);
    }
    let kinds = ["purchase", "purchase", "purchase", "exposure-display"];
    let kinds = kinds.map(|action| b.kind("product", action, "store visit"));
    for u in 0..n_users {
        let user = b.user(&format!("u{u}"));
        b.profile_mut(user)
            .attributes
            .insert("age".into(), "35-44".into());
        let mut state = u.wrapping_mul(2_654_435_761) | 1;
        for e in 0..n_events {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            // Four things a visit, a visit every three days.
            let item = b.item(&format!("i{}", (state % 40 + u * 7) % 2000));
            b.push(Event {
                user,
                item: Some(item),
                kind: kinds[(state >> 8) as usize % 4],
                ts: i64::from(e / 4) * 3 * 86_400 + 9 * 3600,
                value: Some(1.0),
                place: None,
                text: None,
                row: 0,
            });
        }
    }
    b.build()
}

const DAY: i64 = 86_400;
/// Prompts that are written out.
const SHOWN: usize = 200;

/// `events.csv`, `items.csv` and `prompts.jsonl` (a string a line).
fn write(ds: &Dataset, fusion: &Fusion, as_of: AsOf, dir: &Path) {
    let (mut events, mut prompts) = ("user,item,action,ts\n".to_owned(), String::new());
    for user in 0..ds.n_users() as UserIdx {
        for e in ds.history(user, as_of).events() {
            let (item, action) = (e.item.expect("an item"), &ds.kind(e).action);
            let item = &ds.items[item as usize].id;
            writeln!(events, "{user},{item},{action},{}", e.ts).expect("memory");
        }
    }
    for user in 0..ds.n_users().min(SHOWN) as UserIdx {
        let (_, _, prompt) = fusion.prompt(&ds.history(user, as_of)).expect("a prompt");
        writeln!(prompts, "{}", json!(prompt)).expect("memory");
    }
    let mut items = "item,title,department,category,price\n".to_owned();
    for item in &ds.items {
        let [department, category] = &item.categories[..] else {
            unreachable!("two levels");
        };
        let price = item.price.expect("a price");
        let (id, title) = (&item.id, &item.title);
        writeln!(items, "{id},\"{title}\",{department},{category},{price}").expect("memory");
    }
    for (name, text) in [
        ("events.csv", events),
        ("items.csv", items),
        ("prompts.jsonl", prompts),
    ] {
        fs_err::write(dir.join(name), text).expect("a directory to write into");
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let arg = |i: usize, default: u32| {
        let given = args.get(i).map(|a| a.parse().expect("a number"));
        given.unwrap_or(default)
    };
    let (n_users, n_events, budget, n_threads) =
        (arg(0, 20_000), arg(1, 60), arg(2, 256), arg(3, 2));
    let ds = dataset(n_users, n_events);
    let as_of = AsOf::new((i64::from(n_events / 4) * 3 + 1) * DAY);
    let templates = TemplateSet::load("grocery", None).expect("a built-in set");
    let wording = Wording::new(&ds, &templates);
    let (facts, count) = (FactsConfig::default(), |text: &str| text.len().div_ceil(4));
    let fusion = || Fusion {
        wording: &wording,
        facts: &facts,
        budget_tokens: budget as usize,
        knowledge_tokens: budget as usize,
        count: &count,
    };
    if let Some(dir) = args.get(4) {
        write(&ds, &fusion(), as_of, Path::new(dir));
    }
    let (next, n_bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..n_threads {
            scope.spawn(|| {
                let fusion = fusion();
                loop {
                    let user = next.fetch_add(1, Ordering::Relaxed);
                    if user >= ds.n_users() {
                        break;
                    }
                    let history = ds.history(user as UserIdx, as_of);
                    let (_, _, prompt) = fusion.prompt(&history).expect("a prompt");
                    n_bytes.fetch_add(prompt.len(), Ordering::Relaxed);
                }
            });
        }
    });
    let seconds = start.elapsed().as_secs_f64();
    let bytes = n_bytes.into_inner();
    println!(
        "{}",
        json!({
            "users": n_users,
            "events_a_user": n_events,
            "threads": n_threads,
            "seconds": seconds,
            "users_a_second": f64::from(n_users) / seconds,
            "bytes_a_prompt": bytes / n_users as usize,
        })
    );
}
