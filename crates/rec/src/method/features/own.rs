//! The user's own choices of a candidate, and of its category.
//!
//! With a_v the visits and a_d the days since a choice: `Σ 2^(−a_v/h)` for h of [`VISITS`], `Σ 2^(−a_d/h)` for h of
//! [`DAYS`], the number of choices and their share of visits, visits and days since the last, the mean interval in
//! days and in visits, and since / interval: above 1 the next choice is due.

use serde::{Deserialize, Serialize};

use super::{Context, Rows, Scope};
use crate::method::Fitting;

/// Half-lives in visits.
const VISITS: [f32; 4] = [2.0, 5.0, 15.0, 50.0];
/// Half-lives in days.
const DAYS: [f32; 4] = [7.0, 30.0, 90.0, 365.0];
/// Of the counts, then since, interval and due.
const N_STATISTICS: usize = 4 + 4 + 2 + 6;
const N_USER: usize = 6;
const NAN: f32 = f32::NAN;

#[derive(Serialize, Deserialize)]
pub(super) struct Own {
    /// By entity its category; empty where entities are categories.
    category_of: Vec<u32>,
}

/// What one user chose of one thing, oldest first.
#[derive(Default)]
struct Statistics {
    visits: [f32; 4],
    days: [f32; 4],
    n: f32,
    first_ts: i64,
    last_ts: i64,
}

impl Own {
    pub fn fit(from: &Fitting) -> Self {
        Self {
            category_of: from.category_of(),
        }
    }

    /// Columns.
    pub fn width(&self) -> usize {
        N_STATISTICS * (1 + usize::from(!self.category_of.is_empty())) + N_USER
    }

    pub fn names(&self) -> Vec<String> {
        let of = |what: &str| {
            let visits = VISITS.map(|h| format!("own {what} half-life {h} visits"));
            let days = DAYS.map(|h| format!("own {what} half-life {h} days"));
            let rest = [
                "choices",
                "share of visits",
                "visits since",
                "days since",
                "interval, days",
                "interval, visits",
                "days since / interval",
                "visits since / interval",
            ];
            let rest = rest.map(|name| format!("own {what} {name}"));
            visits.into_iter().chain(days).chain(rest)
        };
        let mut names: Vec<String> = of("item").collect();
        if !self.category_of.is_empty() {
            names.extend(of("category"));
        }
        let user = [
            "visits",
            "choices",
            "distinct",
            "days since visit",
            "days between visits",
            "choices a visit",
        ];
        names.extend(user.map(|name| format!("user {name}")));
        names
    }

    /// By column.
    pub fn meanings(&self) -> Vec<(Scope, String)> {
        let of = |what: &str| {
            let sum = |h: f32, unit: &str| {
                format!(
                    "sum over the user's choices of the {what} of 2^(-a / {h}), a {unit} before as-of"
                )
            };
            let visits = VISITS.map(|h| sum(h, "visits"));
            let days = DAYS.map(|h| sum(h, "days"));
            let rest = [
                "times the user chose the @",
                "choices of the @ / visits of the user",
                "visits of the user since the last choice of the @",
                "days from the last choice of the @ to as-of",
                "mean days between two choices of the @; missing below two",
                "mean visits between two choices of the @; missing below two",
                "days since the last choice of the @ / mean interval in days (at least 0.5): above 1 it is due",
                "visits since the last choice of the @ / mean interval in visits (at least 0.5)",
            ];
            let rest = rest.map(|meaning| meaning.replace('@', what));
            visits.into_iter().chain(days).chain(rest)
        };
        let mut pairs: Vec<String> = of("candidate").collect();
        if !self.category_of.is_empty() {
            pairs.extend(of("candidate's category"));
        }
        let user = [
            "moments at which the user chose something",
            "choices of the user",
            "different things the user chose",
            "days from the user's last visit to as-of",
            "mean days between two visits of the user; missing below two",
            "choices a visit",
        ];
        let user = user.map(|meaning| (Scope::User, meaning.to_owned()));
        let pairs = pairs.into_iter().map(|meaning| (Scope::Pair, meaning));
        pairs.chain(user).collect()
    }

    pub fn fill(&self, user: &Context, candidates: &[u32], rows: &mut Rows) {
        let mut by_entity: Vec<(u32, Statistics)> = Vec::new();
        let mut choices: Vec<(u32, i64)> = user.choices.iter().map(|c| (c.entity, c.ts)).collect();
        collect(user, &mut choices, &mut by_entity);
        let mut by_category = Vec::new();
        if !self.category_of.is_empty() {
            let category = |e: u32| self.category_of[e as usize];
            let mut choices: Vec<(u32, i64)> = choices
                .iter()
                .map(|&(e, ts)| (category(e), ts))
                .filter(|c| c.0 != u32::MAX)
                .collect();
            collect(user, &mut choices, &mut by_category);
        }
        let n_visits = user.visits.len() as f32;
        let (first, last) = (user.days.first(), user.days.last());
        let between = match (first, last) {
            (Some(first), Some(last)) if n_visits > 1.0 => (first - last) / (n_visits - 1.0),
            _ => NAN,
        };
        let of_user: [f32; N_USER] = [
            n_visits,
            user.choices.len() as f32,
            by_entity.len() as f32,
            last.copied().unwrap_or(NAN),
            between,
            user.choices.len() as f32 / n_visits,
        ];
        let width = self.width();
        let mut values = vec![0.0; width];
        for (i, &candidate) in candidates.iter().enumerate() {
            let (item, rest) = values.split_at_mut(N_STATISTICS);
            write(user, &by_entity, candidate, item);
            if rest.len() > N_USER {
                let category = self.category_of[candidate as usize];
                write(user, &by_category, category, &mut rest[..N_STATISTICS]);
            }
            let at = width - N_USER;
            values[at..].copy_from_slice(&of_user);
            rows.set(i, &values);
        }
    }
}

/// `out` sorted by entity; a thing that is chosen twice at one time counts once.
fn collect(user: &Context, choices: &mut Vec<(u32, i64)>, out: &mut Vec<(u32, Statistics)>) {
    choices.sort_unstable();
    choices.dedup();
    for &(entity, ts) in choices.iter() {
        if out.last().is_none_or(|o| o.0 != entity) {
            let first = Statistics {
                first_ts: ts,
                ..Statistics::default()
            };
            out.push((entity, first));
        }
        let (_, of) = out.last_mut().expect("just pushed");
        let (visits, days) = (user.visits_since(ts) as f32, user.days_since(ts));
        for (sum, h) in of.visits.iter_mut().zip(VISITS) {
            *sum += (-visits / h).exp2();
        }
        for (sum, h) in of.days.iter_mut().zip(DAYS) {
            *sum += (-days / h).exp2();
        }
        of.n += 1.0;
        of.last_ts = ts;
    }
}

fn write(user: &Context, all: &[(u32, Statistics)], entity: u32, out: &mut [f32]) {
    let Ok(at) = all.binary_search_by_key(&entity, |s| s.0) else {
        // Nothing chosen: the counts are 0, and there is no time since.
        out[..10].fill(0.0);
        out[10..].fill(NAN);
        return;
    };
    let of = &all[at].1;
    out[..4].copy_from_slice(&of.visits);
    out[4..8].copy_from_slice(&of.days);
    out[8] = of.n;
    out[9] = of.n / user.visits.len() as f32;
    let since = user.visits_since(of.last_ts) as f32;
    let days = user.days_since(of.last_ts);
    let gaps = of.n - 1.0;
    let (per_day, per_visit) = if gaps > 0.0 {
        let first = user.visits_since(of.first_ts) as f32;
        let span = user.days_since(of.first_ts) - days;
        (span / gaps, (first - since) / gaps)
    } else {
        (NAN, NAN)
    };
    out[10] = since;
    out[11] = days;
    out[12] = per_day;
    out[13] = per_visit;
    out[14] = days / per_day.max(0.5);
    out[15] = since / per_visit.max(0.5);
}
