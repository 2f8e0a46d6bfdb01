//! One system's lists against one truth, case by case.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use crate::beyond::{ListMetrics, list_metrics};
use crate::metric::MetricAt;
use crate::policy::Policy;
use crate::ranks::{CaseRanks, target_ranks};
use crate::run::{RankedList, Run};
use crate::truth::{Truth, TruthCase};

/// The ranks of one run, case by case in the order of the truth, and its lists.
pub(crate) struct Measured<'a> {
    pub run: &'a Run,
    pub ranks: Vec<CaseRanks>,
    pub policy: Policy,
    lists: Vec<Option<&'a RankedList>>,
    /// Cases with a list that are not among those of the truth.
    pub extra: Vec<&'a str>,
}

impl Measured<'_> {
    /// The mean of a metric over these cases; 0 of none.
    pub fn mean(&self, at: MetricAt, rows: &[usize]) -> f64 {
        let sum = |sum, &i: &usize| sum + at.value(&self.ranks[i]);
        rows.iter().fold(0.0, sum) / rows.len().max(1) as f64
    }

    /// The lists of the cases that count in the segment of all, with their cases.
    pub fn overall<'t>(
        &'t self,
        truth: &'t Truth,
    ) -> impl Iterator<Item = (&'t TruthCase, &'t RankedList)> {
        let cases = truth.cases.iter().zip(&self.lists);
        cases.filter_map(|(case, list)| Some((case, list.filter(|_| case.in_overall)?)))
    }

    /// The cases whose list is as long as the run is deep: something may have been cut off. By their ranks.
    pub fn cut(&self) -> impl Iterator<Item = &CaseRanks> {
        let depth = self.run.depth;
        let lists = self.ranks.iter().zip(&self.lists);
        lists.filter_map(move |(r, list)| list.filter(|l| l.items.len() >= depth).map(|_| r))
    }

    pub fn list_metrics(&self, truth: &Truth, rows: &[usize], k: usize) -> ListMetrics {
        let lists = rows
            .iter()
            .filter_map(|&i| Some((&truth.cases[i], self.lists[i]?)));
        list_metrics(truth, lists, k, self.policy)
    }
}

/// `catalogue` is that of `truth`; if it is empty every item is taken to exist.
pub(crate) fn measure<'a>(
    truth: &Truth,
    catalogue: &HashSet<&str>,
    run: &'a Run,
    policy: Policy,
) -> Measured<'a> {
    let mut by_case: HashMap<&str, &RankedList> =
        run.lists.iter().map(|l| (l.case.as_str(), l)).collect();
    let lists: Vec<Option<&RankedList>> = truth
        .cases
        .iter()
        .map(|case| by_case.remove(case.case.as_str()))
        .collect();
    let in_catalogue = |item: &str| catalogue.is_empty() || catalogue.contains(item);
    let ranks = truth
        .cases
        .par_iter()
        .zip(&lists)
        .map(|(case, list)| match list {
            Some(list) => target_ranks(list, case, policy, in_catalogue),
            None => CaseRanks::missing(case),
        })
        .collect();
    Measured {
        run,
        ranks,
        policy,
        lists,
        extra: by_case.into_keys().collect(),
    }
}
