//! Boosting: round after round, gradients of the scores so far, and a tree fitted to them on some of the lists and features.

use std::ops::ControlFlow;

use hkfr_lm::Pool;
use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use super::bins::{self, Column};
use super::histogram::Layout;
use super::lambda::{self, LambdaRank, Scratch};
use super::lists::{Lists, TrainingLists};
use super::tree::Tree;
use super::{TreesConfig, grow};
use crate::error::{Error, Result};

/// Lists whose gradients one thread computes at a time.
const LISTS: usize = 64;

/// Trees fitted to lists that have been checked, one a round.
///
/// # Errors
/// Lists that no tree can be fitted to; [`Error::Interrupted`] if `watch` says so.
pub(super) fn fit(
    lists: &Lists,
    base: &[f32],
    config: &TreesConfig,
    n_threads: usize,
    watch: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Vec<Tree>> {
    let longest = lists.sizes.iter().max().map_or(0, |&n| n as usize);
    let discounts = lambda::discounts(longest);
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    let training = TrainingLists::new(lists, config.truncation, &discounts, &mut rng)?;
    let mut pool = Pool::new(n_threads);
    let columns = bins::columns(lists, &training.source, config.bins, &mut pool);
    let varying: Vec<usize> = (0..columns.len())
        .filter(|&f| !columns[f].is_constant())
        .collect();
    if varying.is_empty() {
        let n = columns.len();
        return Err(Error::Config(format!(
            "all of {n} features are constant: there is nothing to learn from"
        )));
    }
    let mut fit = Boosting {
        config,
        objective: LambdaRank {
            truncation: config.truncation,
            discounts: &discounts,
        },
        varying,
        columns,
        scores: training
            .source
            .iter()
            .map(|&row| base[row as usize])
            .collect(),
        gradients: vec![[0.0; 4]; training.labels.len()],
        training,
        rng,
        pool,
    };
    let mut trees = Vec::with_capacity(config.rounds);
    for round in 1..=config.rounds {
        let mut tree = fit.round();
        tree.pack(lists.n_features)
            .map_err(|reason| Error::Tuning(format!("tree {round}: {reason}")))?;
        trees.push(tree);
        if watch(round).is_break() {
            return Err(Error::Interrupted);
        }
    }
    if trees.iter().all(|tree| tree.n_splits() == 0) {
        let (n, min) = (fit.training.labels.len(), config.min_rows);
        return Err(Error::Config(format!(
            "no tree splits the {n} rows of lists with different labels: min_rows = {min} is too large, or the \
                 features tell nothing"
        )));
    }
    Ok(trees)
}

/// Boosting under way.
struct Boosting<'a> {
    config: &'a TreesConfig,
    objective: LambdaRank<'a>,
    training: TrainingLists,
    columns: Vec<Column>,
    /// Features of more than one bin.
    varying: Vec<usize>,
    /// By training row: the sum of the trees so far.
    scores: Vec<f32>,
    /// By training row.
    gradients: Vec<[f32; 4]>,
    rng: ChaCha8Rng,
    pool: Pool,
}

impl Boosting<'_> {
    /// Draws lists and features, fits a tree and adds it to the scores.
    fn round(&mut self) -> Tree {
        let lists = self.draw(self.training.lists.len(), self.config.list_share);
        let features = self.draw(self.varying.len(), self.config.feature_share);
        let mut in_bag = vec![false; self.training.lists.len()];
        lists.iter().for_each(|&list| in_bag[list] = true);
        self.compute_gradients(&in_bag);

        let features = features.iter().map(|&at| self.varying[at]);
        let layout = Layout::new(features.map(|f| (f, &self.columns[f])).collect());
        let all = &self.training.lists;
        let mut rows: Vec<u32> = lists
            .iter()
            .flat_map(|&list| all[list].rows.clone().map(|row| row as u32))
            .collect();
        let grown = grow::grow(
            &layout,
            &self.gradients,
            &mut rows,
            self.config,
            &mut self.pool,
        );
        for (leaf, rows_of) in grown.leaves.iter().enumerate() {
            let value = grown.tree.value(leaf);
            for &row in &rows[rows_of.clone()] {
                self.scores[row as usize] += value;
            }
        }
        for (list, _) in all.iter().zip(&in_bag).filter(|(_, in_bag)| !**in_bag) {
            for row in list.rows.clone() {
                self.scores[row] += grown.value_of(&layout, row);
            }
        }
        grown.tree
    }

    /// A share of 0..n, at least one, ascending.
    fn draw(&mut self, n: usize, share: f32) -> Vec<usize> {
        let some = (n as f64 * f64::from(share)).round() as usize;
        let mut drawn = index::sample(&mut self.rng, n, some.clamp(n.min(1), n)).into_vec();
        drawn.sort_unstable();
        drawn
    }

    /// Of the rows of the lists in the bag; those of the others are left as they are.
    fn compute_gradients(&mut self, in_bag: &[bool]) {
        let mut rest = self.gradients.as_mut_slice();
        let mut parts = Vec::new();
        for (lists, in_bag) in self.training.lists.chunks(LISTS).zip(in_bag.chunks(LISTS)) {
            let n = lists.iter().map(|list| list.rows.len()).sum();
            let (out, others) = rest.split_at_mut(n);
            parts.push((lists, in_bag, out));
            rest = others;
        }
        let (objective, labels, scores) = (&self.objective, &self.training.labels, &self.scores);
        self.pool.each(parts, |(lists, in_bag, mut out)| {
            let mut scratch = Scratch::default();
            for (list, &in_bag) in lists.iter().zip(in_bag) {
                let rows = list.rows.clone();
                let (gradients, others) = out.split_at_mut(rows.len());
                out = others;
                if in_bag {
                    let (scores, labels) = (&scores[rows.clone()], &labels[rows]);
                    let inverse = list.inverse_max_dcg;
                    objective.gradients(scores, labels, inverse, &mut scratch, gradients);
                }
            }
        });
    }
}
