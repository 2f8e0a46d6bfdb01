//! Answers that come from the next order as a whole: when, where, how much, of what sort.

use hkfr_fuse::time;

use super::{Ask, Labelled, answer, clean};

const DAY: i64 = 86_400;

/// What the name of an action says where a coupon or a discount was used.
const PROMOTIONS: [&str; 4] = ["coupon", "discount", "promotion", "voucher"];

pub(super) fn label(task: &str, ask: &Ask) -> Option<Labelled> {
    let (next, ds) = (ask.next, ask.next.dataset());
    let instance = next.instance();
    match task {
        "spend_band" => {
            let prices = next.items().into_iter().map(|i| ds.items[i as usize].price);
            let total: f32 = prices.sum::<Option<f32>>()?;
            Some(ask.say(spend_band(total)))
        }
        "basket_size" => Some(ask.say(basket_size(next.items().len()))),
        "weekday" => Some(ask.say(time::weekday(instance.target_ts))),
        "time_of_day" => Some(ask.say(time::daypart(instance.target_ts))),
        "order_gap" => {
            let day = |ts: i64| ts.div_euclid(DAY);
            let days = day(next.following_ts()?) - day(instance.target_ts);
            Some(ask.say(gap(days)))
        }
        "scenario" => Some(ask.say(&clean(&instance.target_scenario)?)),
        "next_place" => {
            let place = next.order().first()?.place?;
            clean(&ds.places[place as usize]).map(answer)
        }
        "new_category" => {
            let of = |item: u32| ds.category(item);
            let known: Vec<&str> = next.chosen_before().filter_map(of).collect();
            let mut now = next.items().into_iter().filter_map(of).peekable();
            now.peek()?;
            Some(ask.yes_or_no(now.any(|c| !known.contains(&c)), Vec::new()))
        }
        "promotion" => {
            let is = |action: &str| PROMOTIONS.iter().any(|p| action.contains(p));
            let chosen = |action: &String| ds.info.target_actions.contains(action);
            // A log that never tells of a promotion does not say that there was none.
            let tells = ds.kinds.iter().any(|k| chosen(&k.action) && is(&k.action));
            let used = || next.order().iter().any(|e| is(next.action(e)));
            tells.then(|| ask.yes_or_no(used(), Vec::new()))
        }
        _ => unreachable!("{task} is not of this group"),
    }
}

fn basket_size(n: usize) -> &'static str {
    match n {
        0..=1 => "1",
        2..=4 => "2 to 4",
        5..=9 => "5 to 9",
        _ => "10 or more",
    }
}

fn spend_band(total: f32) -> &'static str {
    match total {
        t if t < 5.0 => "under 5",
        t if t < 10.0 => "5 to 10",
        t if t < 20.0 => "10 to 20",
        t if t < 50.0 => "20 to 50",
        _ => "over 50",
    }
}

fn gap(days: i64) -> &'static str {
    match days {
        ..=0 => "the same day",
        1 => "1 day",
        2..=3 => "2 to 3 days",
        4..=7 => "4 to 7 days",
        8..=14 => "8 to 14 days",
        _ => "over 14 days",
    }
}
