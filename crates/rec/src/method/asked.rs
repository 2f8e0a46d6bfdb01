//! About whom a language model is asked for the features of the ranker.

use hkfr_events::{Case, Dataset, Instance, Segment, Split};

/// At most `n` cases of the split, and `n` questions of the window before it (`None`: all). Users with the
/// shortest histories come first: what a log does not say is where a model can help, and what is asked costs the same for everyone.
/// Histories that were cut to simulate a cold start are asked about only if all are.
pub fn asked(ds: &Dataset, split: &Split, n: Option<usize>) -> Vec<Instance> {
    let earlier = split.earlier(ds, 1);
    let cases = least_known(ds, &split.cases, n);
    let window = least_known(ds, &earlier.cases, n);
    cases.into_iter().chain(window).cloned().collect()
}

fn least_known<'c>(ds: &Dataset, cases: &'c [Case], n: Option<usize>) -> Vec<&'c Instance> {
    let known = |case: &Case| case.instance.history(ds).n_targets(ds);
    let mut cases: Vec<&Case> = cases.iter().collect();
    if let Some(n) = n {
        cases.retain(|c| !matches!(c.segment, Segment::SimulatedColdStart(_)));
        cases.sort_by_cached_key(|c| (known(c), c.case_id.clone()));
        cases.truncate(n);
    }
    cases.into_iter().map(|c| &c.instance).collect()
}
