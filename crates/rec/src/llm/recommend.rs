//! Ranked categories and items for a user, from one prefill of the user's prompt.
//!
//! Categories: the probability of their names among the catalogue's ([`hkfr_lm::score_candidates`]).
//! Items: the whole catalogue by the user vector or, as the categories, by name ([`ItemScores`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hkfr_lm::{
    Candidates, ChatLayout, Decoder, Llama, Lora, QuantModel, Result, Session, TokenTree,
    score_candidates,
};

use super::calibrate::Calibration;
use super::case_scores::CaseScores;
use super::item_head::{ItemHead, ItemVectors, user_vector};
use super::pack::check_length;

/// Prefixes of names that one pass computes.
const PREFIXES: usize = 256;

/// What the items are ranked by.
pub enum ItemScores<'a> {
    /// The user vector ([`ItemHead::scores`]).
    Head(&'a ItemVectors, &'a ItemHead),
    /// `ln p(name)` among the catalogue's names, exact for at least the best [`Asker::top`].
    Names(&'a Candidates),
}

/// Who asks for a list.
pub struct Asker<'a> {
    /// Knowledge or behaviour text.
    pub input: &'a str,
    /// The best items so many of which have exact scores if items are ranked by name: the length of the list and
    /// all that is left out of it. The fewer, the faster.
    pub top: usize,
}

/// A tuned or untuned model with all it needs to rank.
pub struct Ranker<'a> {
    pub model: &'a Llama,
    pub chat: &'a ChatLayout,
    pub lora: Option<&'a Lora>,
    /// The model's weights for passes of few rows; `None`: all in `f32`.
    pub rounded: Option<Arc<QuantModel>>,
    pub items: ItemScores<'a>,
    pub item_instruction: &'a str,
    /// The names of the categories and what is asked about them; `None`: they are not ranked.
    pub categories: Option<(&'a Candidates, &'a str)>,
    /// `None`: the raw scores.
    pub calibration: Option<Calibration>,
}

impl Ranker<'_> {
    /// Scores for the user whom the asker's input describes.
    ///
    /// # Errors
    /// If the model's chat template changes a text, or a sequence does not fit the context.
    pub fn rank(&self, session: &mut Session, asker: &Asker) -> Result<CaseScores> {
        let mut questions = vec![self.item_instruction];
        questions.extend(self.categories.map(|c| c.1));
        let asked = self.chat.questions(asker.input, &questions)?;
        let mut tree = TokenTree::default();
        let root = (!asked.shared.is_empty()).then(|| tree.push(None, &asked.shared));
        let question = tree.push(root, &asked.own[0]);
        let categories = self.categories.map(|c| c.0).zip(asked.own.get(1));
        // The user vector needs no answer: both questions are computed in one pass.
        let by_head = matches!(self.items, ItemScores::Head(..));
        let at_once = categories
            .filter(|_| by_head)
            .map(|(_, own)| tree.push(root, own));
        let question_tokens = asked.own.iter().map(Vec::len).max().unwrap_or(0);
        let item_tokens = match self.items {
            ItemScores::Head(..) => 0,
            ItemScores::Names(names) => names.longest(),
        };
        let category_tokens = categories.map_or(0, |(names, _)| names.longest());
        check_length(
            asked.shared.len() + question_tokens + item_tokens.max(category_tokens),
            self.model.config.max_positions,
        )?;
        session.prefill(self.model, self.lora, &tree);
        let mut hidden = Vec::new();
        session.hidden(self.model, &[tree.rows(question).end - 1], &mut hidden);
        let user_vector = user_vector(self.model, &hidden);
        let items = match self.items {
            ItemScores::Head(vectors, head) => head.scores(vectors, &user_vector),
            ItemScores::Names(names) => {
                self.by_name(session, &mut tree, question, names, asker.top)
            }
        };
        let mut category_scores = Vec::new();
        if let Some((names, own)) = categories {
            let question = at_once.unwrap_or_else(|| {
                let question = tree.push(root, own);
                session.extend(self.model, self.lora, &tree);
                question
            });
            category_scores = self.by_name(session, &mut tree, question, names, names.len());
        }
        let mut scores = CaseScores {
            categories: category_scores,
            items,
            user_vector,
            prompt_tokens: asked.shared.len() + asked.own.iter().map(Vec::len).sum::<usize>(),
        };
        if let Some(calibration) = &self.calibration {
            calibration.apply(&mut scores);
        }
        Ok(scores)
    }

    fn by_name(
        &self,
        session: &mut Session,
        tree: &mut TokenTree,
        question: usize,
        names: &Candidates,
        top: usize,
    ) -> Vec<f32> {
        let (model, lora) = (self.model, self.lora);
        score_candidates(session, model, lora, tree, question, names, top, PREFIXES)
    }
}

/// Ranks for each asker on `n_threads` threads. `done` is called from them as results come, in any
/// order, and returns false to stop.
pub fn recommend(
    ranker: &Ranker,
    askers: &[Asker],
    n_threads: usize,
    done: &(dyn Fn(usize, Result<CaseScores>) -> bool + Sync),
) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..n_threads.max(1) {
            scope.spawn(|| {
                let weights = ranker.rounded.clone();
                let mut session = Session::default();
                session.decoder = weights.map(Decoder::new);
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(asker) = askers.get(i) else { break };
                    if !done(i, ranker.rank(&mut session, asker)) {
                        next.store(askers.len(), Ordering::Relaxed);
                        break;
                    }
                }
            });
        }
    });
}
