//! Lists of candidates with features and labels: what the trees learn from, and what other rankers get.
//!
//! A [`Window`] is a split with everything fitted on what lies before its cut-offs. Its lists are made in batches on all
//! threads and handed over one after another, in the order of the questions.

use hkfr_events::{Instance, Split};
use hkfr_lm::Pool;

use super::features::Context;
use super::{Expectation, Fitting, HkfrConfig, Scratch, Stage, Watch};
use crate::error::Result;
use crate::scores::{hash, mix};

/// Choices to which a history is cut.
const CUTS: [u32; 3] = [1, 3, 5];

/// Lists of a thread that are in memory at once.
const BATCH: usize = 64;

/// A split that is asked, with what was fitted before it.
pub(super) struct Fitted<'a> {
    pub from: &'a Fitting<'a>,
    pub stage: Stage,
    /// Who is asked as-of when, and what that user chose next.
    pub questions: Vec<Instance>,
    /// Entities that are no candidates, ascending.
    pub unborn: Vec<u32>,
    /// Candidates of each source.
    pub candidates: usize,
}

/// A list of one question.
pub(super) struct List {
    /// Ascending.
    pub candidates: Vec<u32>,
    /// By candidate whether it was chosen.
    pub labels: Vec<u8>,
    /// (candidates, features).
    pub rows: Vec<f32>,
}

/// Calls `visit` with each window that the trees learn from: the split cut 1, 2, … periods earlier.
///
/// # Errors
/// Those of fitting and of `visit`.
pub(super) fn windows<E: From<crate::Error>>(
    from: &Fitting,
    config: &HkfrConfig,
    expectations: Option<&[Expectation]>,
    watch: Watch,
    mut visit: impl FnMut(u32, &Fitted) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let least = least_users(from);
    let actions = super::features::actions(from);
    // Lists are learnt about such users as are asked about: to know nothing of a user is another question.
    let cases = from
        .split
        .cases
        .iter()
        .map(|c| c.instance.history(from.ds).n_targets(from.ds));
    let least_choices = cases.min().unwrap_or(0).min(1);
    for back in 1..=config.windows {
        let split = from.split.earlier(from.ds, back);
        if split.cases.is_empty() {
            break;
        }
        let window = Fitting::new(from.ds, &split, from.entities, from.repeats, from.n_threads);
        let stage = Stage::fit(&window, config, expectations, &actions, watch)?;
        // What the window's catalogue would not have held: that it is in the later one says that it was chosen since.
        let users = window.interactions().counts(window.entities.n());
        let unborn = (0u32..).zip(&users).filter(|u| *u.1 < least);
        let fitted = Fitted {
            stage,
            questions: questions(&window, &split, config, least_choices),
            unborn: unborn.map(|u| u.0).collect(),
            candidates: config.candidates,
            from: &window,
        };
        visit(back, &fitted)?;
    }
    Ok(())
}

/// The fewest users who chose an entity of the catalogue.
fn least_users(from: &Fitting) -> u32 {
    let counts = from.interactions().counts(from.entities.n());
    counts.into_iter().min().unwrap_or(0)
}

/// A sample of the window's questions about users with `least` choices, and some of them again with cut histories.
fn questions(from: &Fitting, split: &Split, config: &HkfrConfig, least: usize) -> Vec<Instance> {
    let key = |q: &Instance| mix(hash(config.seed, &from.ds.users[q.user as usize].id));
    let mut all: Vec<Instance> = split.cases.iter().map(|c| c.instance.clone()).collect();
    all.retain(|q| q.history(from.ds).n_targets(from.ds) >= least);
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

impl Fitted<'_> {
    /// Calls `visit` with the number of each question and its list, in order. Memory holds a batch of lists.
    ///
    /// # Errors
    /// The first of `visit`.
    pub fn each_list<E>(
        &self,
        mut visit: impl FnMut(usize, List) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let n_threads = self.from.n_threads.max(1);
        let mut pool = Pool::new(n_threads);
        let mut number = 0;
        for questions in self.questions.chunks(BATCH * n_threads) {
            let share = questions.len().div_ceil(n_threads);
            let mut lists: Vec<Option<List>> = questions.iter().map(|_| None).collect();
            let jobs = questions.chunks(share).zip(lists.chunks_mut(share));
            pool.each(
                jobs.collect(),
                |(questions, lists): (&[Instance], &mut [_])| {
                    let mut scratch = Scratch::default();
                    for (question, list) in questions.iter().zip(lists) {
                        *list = Some(self.list(question, &mut scratch));
                    }
                },
            );
            for list in lists.into_iter().flatten() {
                visit(number, list)?;
                number += 1;
            }
        }
        Ok(())
    }

    fn list(&self, question: &Instance, scratch: &mut Scratch) -> List {
        let (from, entities) = (self.from, self.from.entities);
        let targets = question.targets.iter();
        let mut targets: Vec<u32> = targets.filter_map(|&i| entities.of_item(i)).collect();
        targets.sort_unstable();
        let history = question.history(from.ds);
        let user = Context::new(from.ds, entities, &history);
        let mut excluded = from
            .repeats
            .excluded(from.ds, entities, &history)
            .unwrap_or_default();
        excluded.extend(&self.unborn);
        excluded.sort_unstable();
        let candidates = self
            .stage
            .rows(&user, entities, self.candidates, &excluded, scratch);
        let label = |e: &u32| u8::from(targets.binary_search(e).is_ok());
        List {
            labels: candidates.iter().map(label).collect(),
            candidates,
            rows: scratch.rows.clone(),
        }
    }
}

/// A split as it is, all of its cases asked.
///
/// # Errors
/// Those of fitting.
pub(super) fn cases<'a>(
    from: &'a Fitting<'a>,
    config: &HkfrConfig,
    expectations: Option<&[Expectation]>,
    watch: Watch,
) -> Result<Fitted<'a>> {
    let actions = super::features::actions(from);
    Ok(Fitted {
        stage: Stage::fit(from, config, expectations, &actions, watch)?,
        questions: from
            .split
            .cases
            .iter()
            .map(|c| c.instance.clone())
            .collect(),
        unborn: Vec::new(),
        candidates: config.candidates,
        from,
    })
}
