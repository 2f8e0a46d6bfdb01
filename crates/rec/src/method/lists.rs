//! Lists whose answers are known, and the trees that learn from them.

use super::labelled::{self, Fitted};
use super::trees::{Lists, Trees, TreesConfig};
use super::{Expectation, Fitting, HkfrConfig, Watch};
use crate::error::{Error, Result};
use crate::scores::{hash, mix};
use crate::systems::Progress;

/// Rounds between two looks at the lists that were held out.
const STEP: usize = 10;

/// Lists of one or more windows, end to end.
#[derive(Default)]
struct Known {
    n_features: usize,
    rows: Vec<f32>,
    labels: Vec<u8>,
    sizes: Vec<u32>,
    /// By list whether it is held out to choose the number of rounds: one user in five.
    held_out: Vec<bool>,
}

/// Trees that learnt from the windows before `from`'s split.
///
/// # Errors
/// No list has an answer among its candidates; [`Error::Interrupted`].
pub(super) fn learn(
    from: &Fitting,
    config: &HkfrConfig,
    expectations: Option<&[Expectation]>,
    watch: Watch,
) -> Result<Trees> {
    let mut known = Known::default();
    labelled::windows(from, config, expectations, watch, |_, window, _| {
        known.n_features = window.stage.table().len();
        known.add(window)
    })?;
    if known.sizes.is_empty() {
        return Err(Error::Config(
            "no user has an order to learn a ranking from: HKFR needs two orders of a user before the split's cut-off".into(),
        ));
    }
    let mut trees = config.trees.clone();
    trees.seed = mix(config.seed);
    // A log of a few users still has leaves.
    trees.min_rows = trees.min_rows.min(known.labels.len() / 50).max(1);
    trees.rounds = known.best_rounds(&trees, from.n_threads, watch)?;
    known.fit(&trees, from.n_threads, watch)
}

impl Known {
    fn fit(&self, config: &TreesConfig, n_threads: usize, watch: Watch) -> Result<Trees> {
        let lists = Lists {
            n_features: self.n_features,
            rows: &self.rows,
            labels: &self.labels,
            sizes: &self.sizes,
        };
        Trees::fit(&lists, config, n_threads, &mut |trees| {
            watch(Progress::Grown {
                trees,
                max_trees: config.rounds,
            })
        })
    }

    /// How many rounds rank the held-out lists best, of trees that did not learn from them.
    fn best_rounds(&self, config: &TreesConfig, n_threads: usize, watch: Watch) -> Result<usize> {
        let (learnt, held_out) = (self.part(false), self.part(true));
        if learnt.sizes.is_empty() || held_out.sizes.is_empty() {
            return Ok(config.rounds);
        }
        let trees = learnt.fit(config, n_threads, watch)?;
        let mut scores = vec![0.0; held_out.labels.len()];
        let mut best = (f64::NEG_INFINITY, config.rounds);
        for first in (0..trees.n_rounds()).step_by(STEP) {
            let end = (first + STEP).min(trees.n_rounds());
            trees.add_rounds(first..end, &held_out.rows, &mut scores);
            let ndcg = held_out.ndcg(&scores);
            if ndcg > best.0 {
                best = (ndcg, end);
            }
        }
        Ok(best.1)
    }

    /// The lists that are held out, or the others.
    fn part(&self, held_out: bool) -> Self {
        let mut part = Self {
            n_features: self.n_features,
            ..Self::default()
        };
        let mut at = 0;
        for (&size, &is_held_out) in self.sizes.iter().zip(&self.held_out) {
            let rows = at..at + size as usize;
            at = rows.end;
            if is_held_out == held_out {
                let n = self.n_features;
                part.rows.extend(&self.rows[rows.start * n..rows.end * n]);
                part.labels.extend(&self.labels[rows]);
                part.sizes.push(size);
            }
        }
        part
    }

    /// Mean NDCG@10, equal scores against the answers.
    fn ndcg(&self, scores: &[f32]) -> f64 {
        let gain = |rank: usize| 1.0 / f64::from(rank as u32 + 1).log2();
        let (mut sum, mut at) = (0.0, 0);
        for &size in &self.sizes {
            let rows = at..at + size as usize;
            at = rows.end;
            let labels = &self.labels[rows.clone()];
            let mut list: Vec<(f32, u8)> = scores[rows]
                .iter()
                .copied()
                .zip(labels.iter().copied())
                .collect();
            list.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let hits = (1..=10).zip(&list).filter(|(_, l)| l.1 > 0);
            let best: f64 = (1..=10.min(labels.iter().filter(|&&l| l > 0).count()))
                .map(gain)
                .sum();
            sum += hits.map(|(rank, _)| gain(rank)).sum::<f64>() / best;
        }
        sum / self.sizes.len().max(1) as f64
    }

    /// Adds the lists of a window that hold an answer.
    fn add(&mut self, window: &Fitted) -> Result<()> {
        window.each_list(|number, list| {
            if list.labels.contains(&1) {
                let user = window.questions[number].user;
                let id = &window.from.ds.users[user as usize].id;
                self.held_out.push(hash(1, id).is_multiple_of(5));
                self.sizes.push(list.labels.len() as u32);
                self.rows.extend(list.rows);
                self.labels.extend(list.labels);
            }
            Ok(())
        })
    }
}
