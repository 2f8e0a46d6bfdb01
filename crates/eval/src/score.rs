//! The figures of runs without intervals.

use rayon::prelude::*;
use serde::ser::{Serialize, Serializer};

use crate::config::check_ks;
use crate::error::Result;
use crate::measure::{Measured, measure};
use crate::metric::{Metric, MetricAt};
use crate::policy::Policy;
use crate::run::Run;
use crate::truth::Truth;
use crate::warnings;

/// Figures by name (`hr@5`, `coverage@10`, …), in order; as JSON one object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores(pub Vec<(String, f64)>);

impl Scores {
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|s| s.0 == name).map(|s| s.1)
    }
}

impl Serialize for Scores {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// All metrics of one run at `ks`, without intervals: means over all cases of the truth with
/// `in_overall`, then [`ListMetrics`] where the truth has what they take.
///
/// # Errors
/// A run or truth that breaks its own rules; `ks` that do not rise from at least 1.
pub fn score(truth: &Truth, run: &Run, ks: &[usize], policy: impl Into<Policy>) -> Result<Scores> {
    let (mut scores, _) = score_all(truth, std::slice::from_ref(run), ks, policy)?;
    Ok(scores.remove(0))
}

/// The [`score`] of each run, and what a reader of the numbers must know, as
/// [`Report::warnings`](crate::Report) says it.
///
/// # Errors
/// As [`score`].
pub fn score_all(
    truth: &Truth,
    runs: &[Run],
    ks: &[usize],
    policy: impl Into<Policy>,
) -> Result<(Vec<Scores>, Vec<String>)> {
    let policy = policy.into();
    check_ks(ks)?;
    truth.check()?;
    runs.par_iter().try_for_each(Run::check)?;
    let given = truth;
    let truth = &*given.under(policy.repeats)?;
    let catalogue = truth.catalogue_set();
    let rows: Vec<usize> = (0..truth.cases.len())
        .filter(|&i| truth.cases[i].in_overall)
        .collect();
    let measured: Vec<Measured> = runs
        .iter()
        .map(|run| measure(truth, &catalogue, run, policy))
        .collect();
    let scores = measured
        .iter()
        .map(|m| scores_of(m, truth, &rows, ks))
        .collect();
    let asked = MetricAt::with_main(None, ks);
    let of_runs: Vec<&Measured> = measured.iter().collect();
    let told = warnings::of_input(given, truth, &catalogue, &of_runs, ks, &asked);
    Ok((scores, told))
}

fn scores_of(measured: &Measured, truth: &Truth, rows: &[usize], ks: &[usize]) -> Scores {
    let mean = |at: MetricAt| {
        let name = at.to_string().to_lowercase();
        (name, measured.mean(at, rows))
    };
    let mut scores = Scores::default();
    scores
        .0
        .extend(MetricAt::grid(&Metric::EVERY, ks).into_iter().map(mean));
    if !truth.catalogue.is_empty() || !truth.popularity.is_empty() {
        for &k in ks {
            let named = measured.list_metrics(truth, rows, k).named();
            let known = named.into_iter().filter_map(|(name, v)| Some((name, v?)));
            scores.0.extend(known);
        }
    }
    scores
}
