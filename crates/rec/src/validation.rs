//! Held-out choices: their ranks in the whole catalogue, the accuracy of those, and when to stop.

use std::ops::{ControlFlow, Range};

use hkfr_lm::Pool;

use crate::error::{Error, Result};

/// Queries scored together.
const QUERIES: usize = 64;

/// A history of item positions, oldest first, and the item that came next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub history: Vec<u32>,
    pub target: u32,
}

/// Means over queries.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Accuracy {
    pub hr_at_1: f64,
    pub hr_at_10: f64,
    pub ndcg_at_10: f64,
}

impl Accuracy {
    /// HR and NDCG of one target a query, from its rank.
    pub fn of(ranks: &[usize]) -> Self {
        let n = ranks.len().max(1) as f64;
        let within = |k| ranks.iter().filter(move |&&r| r <= k);
        Self {
            hr_at_1: within(1).count() as f64 / n,
            hr_at_10: within(10).count() as f64 / n,
            ndcg_at_10: within(10)
                .map(|&r| 1.0 / (r as f64 + 1.0).log2())
                .sum::<f64>()
                / n,
        }
    }
}

/// What a fit has just done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Progress {
    /// Mean loss over the epoch; after `max_epochs` it ends whatever happens.
    Trained {
        epoch: usize,
        max_epochs: usize,
        loss: f64,
    },
    Validated {
        epoch: usize,
        accuracy: Accuracy,
        /// The best NDCG@10 so far, and its epoch.
        best: f64,
        best_epoch: usize,
        /// The last epoch, if no later validation is better than the best.
        ends: usize,
    },
    /// One more tree of a ranker, of at most so many.
    Grown { trees: usize, max_trees: usize },
}

/// # Errors
/// [`Error::Interrupted`] if `watch` says so.
pub(crate) fn tell(
    watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    progress: Progress,
) -> Result<()> {
    match watch(progress) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Interrupted),
    }
}

/// Rank of each query's target among all items, from 1; equal scores count against it. With
/// `exclude_seen` the items of the history are no rivals. `score` gives the scores (queries, items)
/// of a few queries; its buffers are one thread's.
pub(crate) fn ranks<S: Default>(
    queries: &[Query],
    n_items: usize,
    exclude_seen: bool,
    pool: &mut Pool,
    score: impl for<'a> Fn(Range<usize>, &'a mut S) -> &'a [f32] + Sync,
) -> Vec<usize> {
    let mut ranks = vec![0; queries.len()];
    // Queries are scored with the same others on any number of threads: products add by their shape.
    let share = queries.len().div_ceil(QUERIES).div_ceil(pool.size()).max(1) * QUERIES;
    let parts = (0..).step_by(share).zip(ranks.chunks_mut(share));
    pool.each(parts.collect(), |(first, ranks): (usize, &mut [usize])| {
        let mut scratch = S::default();
        for (first, ranks) in (first..).step_by(QUERIES).zip(ranks.chunks_mut(QUERIES)) {
            let range = first..first + ranks.len();
            let scores = score(range.clone(), &mut scratch).chunks_exact(n_items);
            for ((query, rank), scores) in queries[range].iter().zip(ranks).zip(scores) {
                *rank = rank_of(query, scores, exclude_seen);
            }
        }
    });
    ranks
}

fn rank_of(query: &Query, scores: &[f32], exclude_seen: bool) -> usize {
    let target = scores[query.target as usize];
    // A score that is not a number counts against the target too.
    let rival = |s: f32| s >= target || s.is_nan() || target.is_nan();
    let rank: usize = scores.iter().map(|&s| usize::from(rival(s))).sum();
    if !exclude_seen {
        return rank;
    }
    let mut seen = query.history.clone();
    seen.sort_unstable();
    seen.dedup();
    seen.retain(|&i| i != query.target && (i as usize) < scores.len());
    rank - seen.iter().filter(|&&i| rival(scores[i as usize])).count()
}

/// The model with the best NDCG@10 so far.
pub(crate) struct Best<T> {
    patience: usize,
    in_vain: usize,
    /// The epoch that was validated last.
    last: usize,
    best: Option<(f64, usize, T)>,
}

impl<T> Best<T> {
    /// Worth waiting for during so many validations.
    pub fn new(patience: usize) -> Self {
        Self {
            patience,
            in_vain: 0,
            last: 0,
            best: None,
        }
    }

    /// Keeps the model if it is better; false if none has been for too long. `watch` hears of it, and of when that will
    /// be.
    ///
    /// # Errors
    /// [`Error::Interrupted`] if `watch` says so.
    pub fn offer(
        &mut self,
        (epoch, max_epochs): (usize, usize),
        accuracy: Accuracy,
        model: impl FnOnce() -> T,
        watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<bool> {
        let every = epoch - std::mem::replace(&mut self.last, epoch);
        match &self.best {
            Some(best) if accuracy.ndcg_at_10 <= best.0 => self.in_vain += 1,
            _ => {
                self.in_vain = 0;
                self.best = Some((accuracy.ndcg_at_10, epoch, model()));
            }
        }
        let patience = self.patience.max(1);
        let (best, best_epoch) = self.best.as_ref().map_or((0.0, 0), |b| (b.0, b.1));
        let validated = Progress::Validated {
            epoch,
            accuracy,
            best,
            best_epoch,
            ends: max_epochs.min(epoch + every * (patience - self.in_vain)),
        };
        tell(watch, validated)?;
        Ok(self.in_vain < patience)
    }

    /// The model and its epoch, if any was validated.
    pub fn take(self) -> Option<(T, usize)> {
        self.best.map(|(_, epoch, model)| (model, epoch))
    }
}
