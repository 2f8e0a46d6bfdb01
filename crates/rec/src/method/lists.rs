//! Lists whose answers are known, and what learns from them: a linear ranker, and trees on top of it.

use super::labelled::{self, Fitted};
use super::linear::Linear;
use super::trees::{Lists, Trees, TreesConfig, lambda};
use super::{Expectation, Fitting, HkfrConfig, Watch};
use crate::error::{Error, Result};
use crate::scores::{hash, mix};
use crate::systems::Progress;
use serde::{Deserialize, Serialize};

/// What held-out lists are judged by: NDCG@K.
const K: usize = 10;

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

/// Lists that are enough for a linear ranker.
const LINEAR_LISTS: usize = 6000;

/// The penalties of a linear ranker among which held-out lists choose.
const PENALTIES: [f64; 3] = [1e-3, 1e-2, 1e-1];

/// What scores a candidate by its features.
#[derive(Serialize, Deserialize)]
pub(super) struct Blend {
    linear: Linear,
    /// `None`: they added nothing on lists that were held out.
    trees: Option<Trees>,
}

impl Blend {
    /// Writes the scores of `rows` (out.len(), features).
    pub fn score(&self, rows: &[f32], out: &mut [f32]) {
        self.linear.score(rows, out);
        if let Some(trees) = &self.trees {
            trees.add_rounds(0..trees.n_rounds(), rows, out);
        }
    }
}

/// What learnt from the windows before `from`'s split.
///
/// # Errors
/// No list has an answer among its candidates; [`Error::Interrupted`].
pub(super) fn learn(
    from: &Fitting,
    config: &HkfrConfig,
    expectations: Option<&[Expectation]>,
    watch: Watch,
) -> Result<Blend> {
    let mut known = Known::default();
    labelled::windows(from, config, expectations, watch, |_, window| {
        known.n_features = window.stage.n_features();
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
    known.learn(&trees, from.n_threads, watch)
}

impl Known {
    fn lists(&self) -> Lists<'_> {
        Lists {
            n_features: self.n_features,
            rows: &self.rows,
            labels: &self.labels,
            sizes: &self.sizes,
        }
    }

    /// Chooses the penalty and the number of trees on lists that were held out, then learns from all.
    fn learn(&self, config: &TreesConfig, n_threads: usize, watch: Watch) -> Result<Blend> {
        let (learnt, held_out) = (self.part(false), self.part(true));
        if learnt.sizes.is_empty() || held_out.sizes.is_empty() {
            return Ok(Blend {
                linear: self.linear(PENALTIES[1], n_threads),
                trees: None,
            });
        }
        let mut scores = vec![0.0; held_out.labels.len()];
        let tried = learnt.linears(&PENALTIES, n_threads).into_iter();
        let tried = tried.zip(PENALTIES).map(|(linear, penalty)| {
            linear.score(&held_out.rows, &mut scores);
            (held_out.ndcg(&scores), penalty, linear)
        });
        let best = tried.reduce(|best, next| if next.0 > best.0 { next } else { best });
        let (_, penalty, linear) = best.expect("there are penalties");
        let trees = learnt.trees(&linear, config, n_threads, watch)?;
        let rounds = match &trees {
            Some(trees) => held_out.best_rounds(&linear, trees),
            None => 0,
        };
        let linear = self.linear(penalty, n_threads);
        let config = TreesConfig {
            rounds,
            ..config.clone()
        };
        let trees = if rounds > 0 {
            self.trees(&linear, &config, n_threads, watch)?
        } else {
            None
        };
        Ok(Blend { linear, trees })
    }

    fn linear(&self, penalty: f64, n_threads: usize) -> Linear {
        let mut one = self.linears(&[penalty], n_threads);
        one.pop().expect("one penalty")
    }

    /// One a penalty, from the first lists: they are in the order of users, who come in no order that matters.
    fn linears(&self, penalties: &[f64], n_threads: usize) -> Vec<Linear> {
        let sizes = &self.sizes[..self.sizes.len().min(LINEAR_LISTS)];
        let n_rows = sizes.iter().sum::<u32>() as usize;
        let lists = Lists {
            n_features: self.n_features,
            rows: &self.rows[..n_rows * self.n_features],
            labels: &self.labels[..n_rows],
            sizes,
        };
        Linear::fit_each(&lists, penalties, n_threads)
    }

    /// `None`: no feature splits the lists.
    fn trees(
        &self,
        linear: &Linear,
        config: &TreesConfig,
        n_threads: usize,
        watch: Watch,
    ) -> Result<Option<Trees>> {
        let mut base = vec![0.0; self.labels.len()];
        linear.score(&self.rows, &mut base);
        let grown = |trees| {
            watch(Progress::Grown {
                trees,
                max_trees: config.rounds,
            })
        };
        match Trees::fit_from(&self.lists(), &base, config, n_threads, &mut { grown }) {
            Ok(trees) => Ok(Some(trees)),
            Err(Error::Config(_)) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// How many of the trees rank these lists best, on top of the linear ranker; 0: none.
    fn best_rounds(&self, linear: &Linear, trees: &Trees) -> usize {
        let mut scores = vec![0.0; self.labels.len()];
        linear.score(&self.rows, &mut scores);
        let mut best = (self.ndcg(&scores), 0);
        for first in (0..trees.n_rounds()).step_by(STEP) {
            let end = (first + STEP).min(trees.n_rounds());
            trees.add_rounds(first..end, &self.rows, &mut scores);
            let ndcg = self.ndcg(&scores);
            if ndcg > best.0 {
                best = (ndcg, end);
            }
        }
        best.1
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

    /// Mean NDCG@[`K`], equal scores against the answers.
    fn ndcg(&self, scores: &[f32]) -> f64 {
        let discounts = lambda::discounts(K);
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
            let dcg = lambda::dcg(list.iter().map(|l| l.1), &discounts);
            sum += dcg / lambda::max_dcg(labels, K, &discounts);
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
