//! How much of a figure ties decide: the share of places with equal scores, and the metric under each rule.

use std::collections::HashSet;

use crate::measure::{Measured, measure};
use crate::metric::MetricAt;
use crate::policy::Policy;
use crate::ranks::dropped;
use crate::run::RankedList;
use crate::table::short;
use crate::ties::Ties;
use crate::truth::{Truth, TruthCase};

/// What differs by less is the same in a table of four digits.
const ROUNDING: f64 = 5e-5;

/// A sentence for readers of `measured`, if ties move one of `asked` (the first that they move is named).
pub(crate) fn warning(
    truth: &Truth,
    catalogue: &HashSet<&str>,
    measured: &Measured,
    asked: &[MetricAt],
) -> Option<String> {
    let chosen = measured.policy.ties;
    if !measured.overall(truth).any(|(_, list)| has_ties(list)) {
        return None;
    }
    let rules = [Ties::Against, Ties::Trec, Ties::Random, Ties::For];
    let of_rule = |ties| match ties == chosen {
        true => None,
        false => Some(measure(
            truth,
            catalogue,
            measured.run,
            Policy {
                ties,
                ..measured.policy
            },
        )),
    };
    let others = rules.map(of_rule);
    let rows: Vec<usize> = (0..truth.cases.len())
        .filter(|&i| truth.cases[i].in_overall)
        .collect();
    let (at, values) = asked.iter().find_map(|&at| {
        let mean = |other: &Option<Measured>| other.as_ref().unwrap_or(measured).mean(at, &rows);
        let values = others.each_ref().map(mean);
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(0.0, f64::max);
        (most - least > ROUNDING).then_some((at, values))
    })?;
    let k = asked.iter().map(|at| at.k).max().unwrap_or(0);
    let here = |ties| if ties == chosen { ", as here" } else { "" };
    let [against, trec, random, best] = values.map(|v| short(v, 4));
    Some(format!(
        "{}: {:.1} % of the first {k} places of `{}` have a score that another candidate has too, and their order \
         decides {at}: {against} with ties against the targets{}, {trec} in trec_eval's order{}, {random} on average \
         over all orders{}, {best} with the targets first.",
        truth.task,
        100.0 * share(measured.overall(truth), measured.policy, k),
        measured.run.system,
        here(Ties::Against),
        here(Ties::Trec),
        here(Ties::Random),
    ))
}

/// Scores that trec_eval takes for one: as it reads them, in 32 bits.
fn has_ties(list: &RankedList) -> bool {
    list.scores.windows(2).any(|w| Ties::Trec.tie(w[0], w[1]))
}

/// The share of the first k places whose score another candidate of the list has too.
fn share<'a>(
    lists: impl Iterator<Item = (&'a TruthCase, &'a RankedList)>,
    policy: Policy,
    k: usize,
) -> f64 {
    let (mut n_places, mut n_tied) = (0, 0);
    for (case, list) in lists {
        let dropped = dropped(case, policy.repeats);
        let kept = |item: &&String| dropped.binary_search(&item.as_str()).is_err();
        let (mut before, mut start) = (0, 0);
        for block in list.scores.chunk_by(|a, b| Ties::Trec.tie(*a, *b)) {
            let items = list.items[start..start + block.len()].iter();
            let size = items.filter(kept).count();
            start += block.len();
            let within = size.min(k.saturating_sub(before));
            before += size;
            n_places += within;
            n_tied += if size > 1 { within } else { 0 };
        }
    }
    n_tied as f64 / n_places.max(1) as f64
}
