//! What is saved when knowledge is fused again only where a user's facts have moved, and what is lost by it.
//!
//! In: the log up to where training ends. A series of cut-offs is walked; at each, a policy (a threshold of
//! [`hkfr_fuse::distance`], or the calendar) says of each user whether knowledge is fused anew. Out: a row a
//! policy. Means are over users, of each user's mean over the cut-offs; intervals by resampling users.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;
use std::sync::Arc;

use anyhow::{Result, ensure};
use hkfr_eval::bootstrap::{Interval, Matrix, paired_interval, percentile_interval};
use hkfr_events::{AsOf, Dataset, UserIdx};
use hkfr_fuse::{
    Claim, Facts, FactsConfig, Refresh, Wording, distance, facts, false_claims, likely_claims,
    possible_claims, refresh, sanitise,
};
use serde::Serialize;

use super::{Measured, triple};
use crate::config::Config;
use crate::stages::items::MAX_NAME;
use crate::stages::{Session, facts_config};

const DAY: i64 = 86_400;
/// Of the claimed categories, so many are a list.
const K: usize = 5;

pub struct FreshnessAsk {
    /// Cut-offs at which it is decided, and days between two.
    pub steps: u32,
    pub days: u32,
    pub thresholds: Vec<f32>,
}

/// When knowledge is fused anew.
#[derive(Debug, Clone, Copy)]
enum Policy {
    /// Where the facts are further away.
    Threshold(f32),
    /// At every so many cut-offs, whoever it is.
    Every(u32),
    /// Only once.
    Never,
}

impl Policy {
    fn name(self) -> String {
        match self {
            Self::Threshold(0.0) => "always".into(),
            Self::Threshold(t) => format!("threshold {t}"),
            Self::Every(n) => format!("every {n}"),
            Self::Never => "never".into(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    what: &'static str,
    data_set: String,
    users: usize,
    users_with_a_next_order: usize,
    steps: u32,
    days_between: u32,
    last_cut_off: i64,
    policies: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    policy: String,
    fused: u64,
    reused: u64,
    /// Share of the histories that were not fused.
    saved: f64,
    mean_age_days: f64,
    /// Claims whose count, too, still holds when they are recounted at the new cut-off.
    recounted: Value,
    /// Claims that may still be made, with another count maybe.
    still_true: Value,
    /// Of what would be said now, what is said.
    coverage: Value,
    /// A category of the next order is among the first claimed ones.
    hit_at_5: Value,
    hit_at_5_lost: Value,
    /// Categories of the next order that are claimed.
    recall: Value,
    recall_lost: Value,
}

/// Mean and 95 % interval.
#[derive(Debug, Clone, Copy)]
struct Value {
    mean: f64,
    interval: Interval,
}

impl Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        triple(self.mean, self.interval).serialize(to)
    }
}

/// A user at one cut-off.
struct State {
    at: AsOf,
    facts: Arc<Facts>,
    claims: Vec<Claim>,
    /// All that may be said, as (slot, value).
    possible: BTreeSet<(String, String)>,
    /// Categories of the next order.
    next: BTreeSet<String>,
}

/// Sums over the cut-offs of one user.
#[derive(Default, Clone)]
struct Sums {
    n: f64,
    reused: u64,
    age: f64,
    /// recounted, still true, coverage.
    claims: [f64; 3],
    n_next: f64,
    /// hit@5, recall.
    next: [f64; 2],
}

pub fn freshness(session: &mut Session, ask: &FreshnessAsk) -> Result<Measured> {
    let (dataset, split) = (session.dataset()?, session.split()?);
    let (config, templates) = (&session.config, session.templates()?);
    let wording = Wording::new(&dataset, &templates);
    let end = split.fit_before.iter().flatten().max().copied();
    let end = end.map_or(0, AsOf::seconds);
    let cut_offs: Vec<AsOf> = (1..=i64::from(ask.steps) + 1)
        .rev()
        .map(|n| AsOf::new(end - n * i64::from(ask.days) * DAY))
        .collect();
    let mut policies = vec![Policy::Threshold(0.0)];
    policies.extend(ask.thresholds.iter().map(|&t| Policy::Threshold(t)));
    policies.extend([2, 4].map(Policy::Every));
    policies.push(Policy::Never);
    // By user, then by policy.
    let mut users: Vec<Vec<Sums>> = Vec::new();
    let facts_config = facts_config(config);
    for user in 0..dataset.n_users() as UserIdx {
        session.stop.check()?;
        let Some(limit) = split.fit_before[user as usize] else {
            continue;
        };
        let usable = cut_offs.iter().copied().filter(|&t| t < limit);
        let states: Vec<State> = usable
            .filter_map(|at| state(&wording, user, at, limit, &facts_config))
            .collect();
        if states.len() > 1 {
            let walked = walk(&dataset, user, &states, &policies, &facts_config);
            users.push(walked);
        }
    }
    ensure!(
        !users.is_empty(),
        "nobody has choices before two of the cut-offs; take fewer --steps or --days"
    );
    let rows = rows(&users, &policies, config);
    let report = Report {
        what: "knowledge used again, against full refusion; claims in the order of the facts, no model: [mean, low, high] of 95 % bootstrap intervals over users",
        data_set: dataset.info.name.clone(),
        users: users.len(),
        users_with_a_next_order: users.iter().filter(|u| u[0].n_next > 0.0).count(),
        steps: ask.steps,
        days_between: ask.days,
        last_cut_off: end - i64::from(ask.days) * DAY,
        policies: rows,
    };
    Measured::new(table(&report), &report)
}

fn state(
    wording: &Wording,
    user: UserIdx,
    at: AsOf,
    limit: AsOf,
    config: &FactsConfig,
) -> Option<State> {
    let ds = wording.ds;
    let facts = facts(wording, &ds.history(user, at), config);
    if facts.n_chosen == 0 {
        return None;
    }
    let later = ds.history(user, limit).events().iter();
    let mut order = later.filter(|e| e.ts >= at.seconds() && ds.is_target(e));
    let first = order.next();
    let next = first
        .into_iter()
        .chain(order.take_while(|e| first.is_some_and(|f| f.ts == e.ts)));
    let category = |item| Some(sanitise(ds.category(item)?, MAX_NAME).0);
    Some(State {
        at,
        claims: timed(likely_claims(&facts)).collect(),
        possible: timed(possible_claims(&facts))
            .map(|c| (c.slot, c.value))
            .collect(),
        next: next.filter_map(|e| category(e.item?)).collect(),
        facts,
    })
}

/// The profile has no time.
fn timed(claims: Vec<Claim>) -> impl Iterator<Item = Claim> {
    claims.into_iter().filter(|c| c.slot != "household")
}

/// One user under each policy.
fn walk(
    dataset: &Dataset,
    user: UserIdx,
    states: &[State],
    policies: &[Policy],
    config: &FactsConfig,
) -> Vec<Sums> {
    let index: HashMap<AsOf, usize> = states.iter().map(|s| s.at).zip(0..).collect();
    let at: Vec<AsOf> = states.iter().map(|s| s.at).collect();
    let mut far: HashMap<(AsOf, AsOf), f32> = HashMap::new();
    let mut distance_of = |a: AsOf, b: AsOf| {
        let known = far.entry((a, b));
        *known
            .or_insert_with(|| distance(&states[index[&a]].facts, &states[index[&b]].facts).total())
    };
    let mut of_policy = |policy: Policy| {
        let used: Vec<usize> = match policy {
            Policy::Threshold(t) => refresh(&at, &[], t, &mut distance_of)
                .into_iter()
                .zip(&at)
                .map(|(r, at)| match r {
                    Refresh::Anew => index[at],
                    Refresh::Reuse(of) => index[&of],
                })
                .collect(),
            Policy::Every(n) => (0..states.len()).map(|i| i - i % n as usize).collect(),
            Policy::Never => vec![0; states.len()],
        };
        let mut sums = Sums::default();
        // At the first cut-off nothing is known yet.
        for (now, old) in states.iter().zip(&used).skip(1) {
            add(&mut sums, dataset, user, now, &states[*old], config);
        }
        sums
    };
    policies.iter().map(|&p| of_policy(p)).collect()
}

fn add(
    sums: &mut Sums,
    dataset: &Dataset,
    user: UserIdx,
    now: &State,
    used: &State,
    config: &FactsConfig,
) {
    sums.n += 1.0;
    sums.reused += u64::from(used.at != now.at);
    sums.age += (now.at.seconds() - used.at.seconds()) as f64 / DAY as f64;
    let history = dataset.history(user, now.at);
    let n = used.claims.len().max(1) as f64;
    let wrong = false_claims(dataset, &history, config, &used.claims).len() as f64;
    let key = |c: &Claim| (c.slot.clone(), c.value.clone());
    let said: BTreeSet<(String, String)> = used.claims.iter().map(key).collect();
    let still = said.intersection(&now.possible).count() as f64;
    let covered = now.claims.iter().filter(|c| said.contains(&key(c))).count() as f64;
    sums.claims[0] += 1.0 - wrong / n;
    sums.claims[1] += still / n;
    sums.claims[2] += covered / now.claims.len().max(1) as f64;
    if now.next.is_empty() {
        return;
    }
    let categories = claimed(&used.claims);
    let hits = |n: usize| {
        categories
            .iter()
            .take(n)
            .filter(|c| now.next.contains(**c))
            .count()
    };
    sums.n_next += 1.0;
    sums.next[0] += f64::from(u8::from(hits(K) > 0));
    sums.next[1] += hits(usize::MAX) as f64 / now.next.len() as f64;
}

/// The categories that are claimed to be chosen: what rises, then what is chosen most.
fn claimed(claims: &[Claim]) -> Vec<&str> {
    let mut categories: Vec<&str> = Vec::new();
    for slot in ["rising", "favourite"] {
        for claim in claims.iter().filter(|c| c.slot == slot) {
            if !categories.contains(&claim.value.as_str()) {
                categories.push(&claim.value);
            }
        }
    }
    categories
}

fn rows(users: &[Vec<Sums>], policies: &[Policy], config: &Config) -> Vec<Row> {
    let resamples = config.evaluate.resamples as usize;
    let measure = |of: &dyn Fn(&Sums) -> Option<Vec<f64>>, width: usize| {
        let rows = users.iter().filter_map(|user| {
            let columns: Option<Vec<Vec<f64>>> = user.iter().map(of).collect();
            Some(columns?.concat())
        });
        let data: Vec<f64> = rows.flatten().collect();
        let matrix = Matrix::new(width * policies.len(), data);
        (
            matrix.means(),
            matrix.resampled_means(resamples, config.seed),
        )
    };
    let of_claims = |s: &Sums| Some(s.claims.map(|x| x / s.n).to_vec());
    let of_next = |s: &Sums| (s.n_next > 0.0).then(|| s.next.map(|x| x / s.n_next).to_vec());
    let (claims, claims_again) = measure(&of_claims, 3);
    let (next, next_again) = measure(&of_next, 2);
    let value = |(means, again): (&[f64], &[Vec<f64>]), column: usize| Value {
        mean: means[column],
        interval: percentile_interval(&again[column], 0.95),
    };
    // The first policy always fuses.
    let lost = |column: usize| Value {
        mean: next[column % 2] - next[column],
        interval: paired_interval(&next_again[column % 2], &next_again[column], 0.95),
    };
    let row = |(p, &policy): (usize, &Policy)| {
        let sums: Vec<&Sums> = users.iter().map(|u| &u[p]).collect();
        let n: f64 = sums.iter().map(|s| s.n).sum();
        let reused: u64 = sums.iter().map(|s| s.reused).sum();
        let claim = |i: usize| value((&claims, &claims_again), 3 * p + i);
        Row {
            policy: policy.name(),
            fused: n as u64 - reused,
            reused,
            saved: (1e4 * reused as f64 / n).round() / 1e4,
            mean_age_days: sums.iter().map(|s| s.age).sum::<f64>() / n,
            recounted: claim(0),
            still_true: claim(1),
            coverage: claim(2),
            hit_at_5: value((&next, &next_again), 2 * p),
            hit_at_5_lost: lost(2 * p),
            recall: value((&next, &next_again), 2 * p + 1),
            recall_lost: lost(2 * p + 1),
        }
    };
    policies.iter().enumerate().map(row).collect()
}

fn table(report: &Report) -> String {
    let mut out = format!(
        "{}: {} users, {} cut-offs {} days apart\n{:<16}{:>8}{:>8}{:>11}{:>11}{:>10}{:>8}{:>19}{:>19}\n",
        report.data_set,
        report.users,
        report.steps,
        report.days_between,
        "policy",
        "saved",
        "days",
        "recounted",
        "still true",
        "coverage",
        "HR@5",
        "HR@5 lost",
        "recall lost",
    );
    let lost = |v: &Value| format!("{:.4} ±{:.4}", v.mean, v.interval.half());
    for row in &report.policies {
        let _ = writeln!(
            out,
            "{:<16}{:>7.1}%{:>8.1}{:>11.3}{:>11.3}{:>10.3}{:>8.4}{:>19}{:>19}",
            row.policy,
            100.0 * row.saved,
            row.mean_age_days,
            row.recounted.mean,
            row.still_true.mean,
            row.coverage.mean,
            row.hit_at_5.mean,
            lost(&row.hit_at_5_lost),
            lost(&row.recall_lost),
        );
    }
    out
}
