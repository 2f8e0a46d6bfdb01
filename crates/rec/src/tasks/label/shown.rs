//! Answers from what happens besides orders: what is clicked, what comes of what is shown, what is rated.

use hkfr_events::Event;
use rand::Rng;
use rand::seq::IndexedRandom;

use super::{Ask, Labelled, answer};

const CLICKS: [&str; 2] = ["click", "view"];
const IMPRESSIONS: [&str; 4] = [
    "impression",
    "exposure",
    "exposure-display",
    "exposure-mailer",
];

/// Seconds: what is shown within so many of the first impression is of one visit, and what is done within
/// so many of an impression came of it.
const VISIT: i64 = 1_800;

pub(super) fn label(task: &str, ask: &Ask, rng: &mut impl Rng) -> Option<Labelled> {
    let (next, after) = (ask.next, ask.next.after());
    match task {
        "next_click" => {
            let clicked = |e: &&Event| CLICKS.contains(&next.action(e)) && e.item.is_some();
            let item = after.iter().find(clicked)?.item?;
            ask.title(item).map(answer)
        }
        "click_yes_no" => {
            let (yes, title) = shown(ask, rng)?;
            Some(ask.yes_or_no(yes, vec![title]))
        }
        "rating" => {
            let rated = |e: &&Event| next.action(e).starts_with("rate") && e.value.is_some();
            let value = after.iter().find(rated)?.value?;
            // 4, and 4.5 where there are halves.
            Some(answer(format!("{}", (value * 10.0).round() / 10.0)))
        }
        _ => unreachable!("{task} is not of this group"),
    }
}

/// Something that is shown on the next visit and led to something, or something that did not: one half each.
fn shown(ask: &Ask, rng: &mut impl Rng) -> Option<(bool, String)> {
    let (next, after) = (ask.next, ask.next.after());
    let is_shown = |e: &Event| IMPRESSIONS.contains(&next.action(e)) && e.item.is_some();
    let first = after.iter().find(|e| is_shown(e))?.ts;
    // What comes of the last impression must be before the end.
    if first + 2 * VISIT > next.until() {
        return None;
    }
    let (mut led, mut ignored) = (Vec::new(), Vec::new());
    for e in after.iter().take_while(|e| e.ts < first + VISIT) {
        let Some(title) = e.item.filter(|_| is_shown(e)).and_then(|i| ask.title(i)) else {
            continue;
        };
        let later = &after[after.partition_point(|l| l.ts < e.ts)..];
        let mut later = later.iter().take_while(|l| l.ts < e.ts + VISIT);
        match later.any(|l| l.item == e.item && !is_shown(l)) {
            true => led.push(title),
            false => ignored.push(title),
        }
    }
    ignored.retain(|title| !led.contains(title));
    let yes = rng.random::<bool>();
    let title = if yes { led } else { ignored }.choose(rng).cloned()?;
    Some((yes, title))
}
