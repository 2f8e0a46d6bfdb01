//! A customer's visits to the app: what is shown, opened, put in the cart and ordered.
//!
//! A visit is about one category that the customer wants then. On the home page a part of the merchants
//! that are shown are of it, after a search all of them; the mini-program shows what was ordered before.
//! Who wants what was ordered before is shown its merchant first.

use serde::Serialize;

use super::catalogue::{CATEGORIES, Catalogue, LEVELS};
use super::draw::Draw;
use super::person::{MEALS, Person, SCENARIOS};
use super::{DAY, START};

/// How likely one step of the funnel leads to the next; stated in `truth.jsonl`.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Rates {
    /// A merchant that is shown is opened: of the wanted category and the customer's price level, of the
    /// wanted category and another level, another one, one that the customer comes back for.
    pub click_fitting: f64,
    pub click_other_level: f64,
    pub click_other: f64,
    pub click_again: f64,
    /// A merchant that was opened fills the cart: of the wanted category, another.
    pub cart: f64,
    pub cart_other: f64,
    /// A full cart is ordered.
    pub order: f64,
    /// The merchant of an order is saved.
    pub favourite: f64,
    /// A merchant of the wanted category is of the customer's price level.
    pub shown_level: f64,
}

pub(super) const RATES: Rates = Rates {
    click_fitting: 0.5,
    click_other_level: 0.15,
    click_other: 0.03,
    click_again: 0.9,
    cart: 0.75,
    cart_other: 0.15,
    order: 0.75,
    favourite: 0.06,
    shown_level: 0.6,
};

/// Seconds: two merchants opened, the cart filled and ordered.
const LONGEST_VISIT: i64 = 900;

/// Orders that a customer remembers.
const MAX_PAST: usize = 40;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum What<'a> {
    Merchant(usize),
    /// Of a merchant, by number.
    Dish(usize, usize),
    Query(&'a str),
}

pub(super) struct Happening<'a> {
    pub ts: i64,
    pub action: &'static str,
    pub scenario: &'static str,
    pub what: What<'a>,
}

/// Everything that a customer does, in order of time, given to `write` as it happens.
pub(super) fn live<E>(
    person: &Person,
    catalogue: &Catalogue,
    days: u32,
    draw: &mut Draw,
    write: &mut dyn FnMut(Happening) -> Result<(), E>,
) -> Result<(), E> {
    let mut past: Vec<(usize, usize)> = Vec::new();
    for day in person.first_day..days {
        let mut times = Vec::new();
        let expected = person.visits_on(day);
        for _ in 0..4 {
            if draw.chance(expected / 4.0) {
                let (_, first, last) = MEALS[draw.among(&person.meal_shares)];
                let hour = first + draw.below(last - first + 1);
                times.push((hour * 3600 + draw.below(3600)) as i64);
            }
        }
        times.sort_unstable();
        // A visit ends before the next begins.
        times.dedup_by(|next, visit| *next - *visit < LONGEST_VISIT);
        for time in times {
            let ts = START + i64::from(day) * DAY + time;
            visit(person, catalogue, day, ts, &mut past, draw, write)?;
        }
    }
    Ok(())
}

fn visit<E>(
    person: &Person,
    catalogue: &Catalogue,
    day: u32,
    mut ts: i64,
    past: &mut Vec<(usize, usize)>,
    draw: &mut Draw,
    write: &mut dyn FnMut(Happening) -> Result<(), E>,
) -> Result<(), E> {
    let wanted = draw.among(person.wants(day));
    let scenario = draw.among(&person.scenario_shares);
    let mut tell = |ts, action, what| {
        write(Happening {
            ts,
            action,
            scenario: SCENARIOS[scenario],
            what,
        })
    };
    let comes_back = draw.chance(person.repeat);
    let wants = |dish: &&(usize, usize)| Catalogue::category(dish.0) == wanted;
    let again = match comes_back || scenario == 2 {
        true => past.iter().rev().find(wants).copied(),
        false => None,
    };

    // What is shown.
    let (of_wanted, of_others) = [(3, 5), (6, 0), (4, 0)][scenario];
    if scenario == 1 {
        let (_, category, _, dishes) = CATEGORIES[wanted];
        let query = match draw.below(3) {
            0 => dishes[draw.below(dishes.len())],
            _ => category,
        };
        tell(ts, "search", What::Query(query))?;
        ts += 3;
    }
    let mut shown: Vec<usize> = again.iter().map(|a| a.0).collect();
    for n in 0..of_wanted + of_others {
        let category = if n < of_wanted {
            wanted
        } else {
            draw.skewed(CATEGORIES.len())
        };
        let level = match n < of_wanted && draw.chance(RATES.shown_level) {
            true => person.level,
            false => draw.below(LEVELS.len()),
        };
        let merchant = catalogue.merchant(category, level, draw);
        if !shown.contains(&merchant) {
            shown.push(merchant);
        }
    }
    for &merchant in &shown {
        tell(ts, "impression", What::Merchant(merchant))?;
    }

    // What is opened, and what comes of it.
    let mut opened = 0;
    for merchant in shown {
        let again = again.filter(|a| a.0 == merchant);
        let fits = Catalogue::category(merchant) == wanted;
        let click = match (again, fits, Catalogue::level(merchant) == person.level) {
            (Some(_), ..) => RATES.click_again,
            (_, true, true) => RATES.click_fitting,
            (_, true, false) => RATES.click_other_level,
            _ => RATES.click_other,
        };
        if opened == 2 || !draw.chance(click) {
            continue;
        }
        opened += 1;
        ts += 10 + draw.below(50) as i64;
        tell(ts, "click", What::Merchant(merchant))?;
        if !draw.chance(if fits { RATES.cart } else { RATES.cart_other }) {
            continue;
        }
        let mut dishes = vec![again.map_or_else(|| draw.skewed(5), |a| a.1)];
        for chance in [0.35, 0.1] {
            let further = draw.below(5);
            if draw.chance(chance) && !dishes.contains(&further) {
                dishes.push(further);
            }
        }
        ts += 20 + draw.below(100) as i64;
        for &dish in &dishes {
            tell(ts, "cart", What::Dish(merchant, dish))?;
        }
        if !draw.chance(RATES.order) {
            continue;
        }
        ts += 15 + draw.below(60) as i64;
        for &dish in &dishes {
            tell(ts, "order", What::Dish(merchant, dish))?;
            past.push((merchant, dish));
        }
        if past.len() > MAX_PAST {
            past.drain(..past.len() - MAX_PAST);
        }
        if draw.chance(RATES.favourite) {
            tell(ts + 5, "favourite", What::Merchant(merchant))?;
        }
        break;
    }
    Ok(())
}
