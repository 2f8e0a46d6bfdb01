//! Lists whose answers are known, and the trees that learn from them.

use hkfr_events::{Instance, Split};
use hkfr_lm::Pool;

use super::features::Context;
use super::trees::{Lists, Trees, TreesConfig};
use super::{Expectation, Fitting, HkfrConfig, Scratch, Stage, Watch};
use crate::error::{Error, Result};
use crate::scores::{hash, mix};
use crate::systems::Progress;

/// Choices to which a history is cut.
const CUTS: [u32; 3] = [1, 3, 5];

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
    let least = least_users(from);
    // Lists are learnt about such users as are asked about: to know nothing of a user is another question.
    let cases = from
        .split
        .cases
        .iter()
        .map(|c| n_choices(from, &c.instance));
    let least_choices = cases.min().unwrap_or(0).min(1);
    let mut known = Known::default();
    for back in 1..=config.windows {
        let split = from.split.earlier(from.ds, back);
        if split.cases.is_empty() {
            break;
        }
        let window = Fitting::new(from.ds, &split, from.entities, from.repeats, from.n_threads);
        let stage = Stage::fit(&window, config, expectations, watch)?;
        let asked = asked(&window, &split, config, least_choices);
        // What the window's catalogue would not have held: that it is in the later one says that it was chosen since.
        let users = window.interactions().counts(window.entities.n());
        let unborn: Vec<u32> = (0u32..)
            .zip(&users)
            .filter(|u| *u.1 < least)
            .map(|u| u.0)
            .collect();
        known.n_features = stage.table().len();
        known.add(&window, &stage, &asked, config.candidates, &unborn);
    }
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

fn n_choices(from: &Fitting, asked: &Instance) -> usize {
    let history = asked.history(from.ds);
    let chosen = history.events().iter();
    chosen.filter(|e| from.ds.is_target(e)).count()
}

/// The fewest users who chose an entity of the catalogue.
fn least_users(from: &Fitting) -> u32 {
    let counts = from.interactions().counts(from.entities.n());
    counts.into_iter().min().unwrap_or(0)
}

/// A sample of the window's questions about users with `least` choices, and some of them again with cut histories.
fn asked(from: &Fitting, split: &Split, config: &HkfrConfig, least: usize) -> Vec<Instance> {
    let key = |q: &Instance| mix(hash(config.seed, &from.ds.users[q.user as usize].id));
    let mut all: Vec<Instance> = split.cases.iter().map(|c| c.instance.clone()).collect();
    all.retain(|q| n_choices(from, q) >= least);
    if config.window_users < all.len() {
        all.sort_by_key(key);
        all.truncate(config.window_users);
        all.sort_by_key(|q| q.user);
    }
    let cut: Vec<Instance> = all
        .iter()
        .filter(|q| (key(q) >> 40) as f32 / (1u64 << 24) as f32 <= config.cut_share)
        .filter(|_| config.cut_share > 0.0)
        .map(|q| Instance {
            keep_last: Some(CUTS[(key(q) % 3) as usize]),
            ..q.clone()
        })
        .collect();
    all.extend(cut);
    all
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

    /// Adds the lists of `asked` that hold an answer.
    fn add(&mut self, from: &Fitting, stage: &Stage, asked: &[Instance], n: usize, unborn: &[u32]) {
        let share = asked.len().div_ceil(4 * from.n_threads.max(1)).max(1);
        let mut parts: Vec<Self> = asked.chunks(share).map(|_| Self::default()).collect();
        let jobs = asked.chunks(share).zip(&mut parts).collect();
        Pool::new(from.n_threads).each(jobs, |(asked, known): (&[Instance], &mut Self)| {
            let mut scratch = Scratch::default();
            for question in asked {
                known.list(from, stage, question, n, unborn, &mut scratch);
            }
        });
        for part in parts {
            self.rows.extend(part.rows);
            self.labels.extend(part.labels);
            self.sizes.extend(part.sizes);
            self.held_out.extend(part.held_out);
        }
    }

    fn list(
        &mut self,
        from: &Fitting,
        stage: &Stage,
        question: &Instance,
        n: usize,
        unborn: &[u32],
        scratch: &mut Scratch,
    ) {
        let entities = from.entities;
        let targets = question.targets.iter();
        let mut targets: Vec<u32> = targets.filter_map(|&i| entities.of_item(i)).collect();
        targets.sort_unstable();
        let history = question.history(from.ds);
        let user = Context::new(from.ds, entities, &history);
        let mut excluded = from
            .repeats
            .excluded(from.ds, entities, &history)
            .unwrap_or_default();
        excluded.extend(unborn);
        excluded.sort_unstable();
        let candidates = stage.rows(&user, entities, n, &excluded, scratch);
        let label = |e: &u32| u8::from(targets.binary_search(e).is_ok());
        if candidates.iter().any(|e| label(e) == 1) {
            self.rows.extend(&scratch.rows);
            self.labels.extend(candidates.iter().map(label));
            self.sizes.push(candidates.len() as u32);
            self.held_out
                .push(hash(1, &history.profile().id).is_multiple_of(5));
        }
    }
}
