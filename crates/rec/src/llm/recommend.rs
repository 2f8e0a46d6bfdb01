//! Ranked categories and items for a user, from one prefill of the user's prompt.
//!
//! Categories: the probability of their names among the catalogue's ([`hkfr_lm::score_candidates`]).
//! Items: the whole catalogue by the user vector ([`ItemHead::scores`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hkfr_lm::{
    Candidates, ChatLayout, Decoder, Llama, Lora, QuantModel, Result, Session, TokenTree,
    score_candidates,
};

use super::calibrate::Calibration;
use super::item_head::{ItemHead, ItemVectors};
use super::pack::check_length;

/// Prefixes of names that one pass computes.
const PREFIXES: usize = 256;

/// A tuned or untuned model with all it needs to rank.
pub struct Ranker<'a> {
    pub model: &'a Llama,
    pub chat: &'a ChatLayout,
    pub lora: Option<&'a Lora>,
    /// The model's weights for passes of few rows; `None`: all in `f32`.
    pub rounded: Option<Arc<QuantModel>>,
    pub vectors: &'a ItemVectors,
    pub head: &'a ItemHead,
    pub categories: &'a Candidates,
    pub category_instruction: &'a str,
    pub item_instruction: &'a str,
    /// `None`: the raw scores.
    pub calibration: Option<Calibration>,
}

pub struct CaseScores {
    /// By category position of the catalogue: `ln p(name)`, or what calibration made of it.
    pub categories: Vec<f32>,
    /// By catalogue position.
    pub items: Vec<f32>,
    pub user_vector: Vec<f32>,
    pub prompt_tokens: usize,
}

impl Ranker<'_> {
    /// Scores for the user whom `input` (knowledge or behaviour text) describes.
    ///
    /// # Errors
    /// If the model's chat template changes a text, or a sequence does not fit the context.
    pub fn rank(&self, session: &mut Session, input: &str) -> Result<CaseScores> {
        let questions = [self.item_instruction, self.category_instruction];
        let asked = self.chat.questions(input, &questions)?;
        let mut tree = TokenTree::default();
        let root = (!asked.shared.is_empty()).then(|| tree.push(None, &asked.shared));
        let [items, categories] = [0, 1].map(|i| tree.push(root, &asked.own[i]));
        let max_positions = self.model.config.max_positions;
        check_length(&tree, self.categories.longest(), max_positions)?;
        let prompt_tokens = tree.len();
        session.prefill(self.model, self.lora, &tree);
        let mut hidden = Vec::new();
        session.hidden(self.model, &[tree.rows(items).end - 1], &mut hidden);
        let categories = score_candidates(
            session,
            self.model,
            self.lora,
            &mut tree,
            categories,
            self.categories,
            self.categories.len(),
            PREFIXES,
        );
        let mut scores = CaseScores {
            categories,
            items: self.head.scores(self.vectors, &hidden),
            user_vector: ItemHead::user_vector(self.vectors, &hidden),
            prompt_tokens,
        };
        if let Some(calibration) = &self.calibration {
            calibration.apply(&mut scores);
        }
        Ok(scores)
    }
}

/// Ranks for each input on `n_threads` threads. `done` is called from them as results come, in any
/// order, and returns false to stop.
pub fn recommend(
    ranker: &Ranker,
    inputs: &[&str],
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
                    let Some(input) = inputs.get(i) else { break };
                    if !done(i, ranker.rank(&mut session, input)) {
                        next.store(inputs.len(), Ordering::Relaxed);
                        break;
                    }
                }
            });
        }
    });
}
