//! Judgements and embeddings of many texts after one prefix, without generating a token.
//!
//! - `p(yes) / (p(yes) + p(no))`, each summed over the tokens that say it ("Yes", " yes", …): the
//!   relevance score of pointwise LLM rankers (Zhuang et al., arXiv 2310.14122).
//! - A text's embedding: the mean or the last of its final hidden states, of length 1 (Sentence-BERT,
//!   arXiv 1908.10084; last token: E5-Mistral, arXiv 2401.00368).

use crate::error::{Error, Result};
use crate::kernels::log_sum_exp;
use crate::prefix::SharedPrefix;
use crate::vocabulary::Vocabulary;

/// Rows computed in one pass: enough to fill the matrix products, few enough for the buffers.
const ROWS: usize = 1024;

/// The tokens that say a word alone: any case, with or without spaces around it.
///
/// ```
/// use hkfr_lm::{Vocabulary, tokens_saying};
/// let words = ["yes", " Yes", "yesterday", "no"];
/// let vocabulary = Vocabulary::new(words.iter().map(|w| Some(w.as_bytes().to_vec())).collect());
/// assert_eq!(tokens_saying(&vocabulary, "yes"), [0, 1]);
/// ```
pub fn tokens_saying(vocabulary: &Vocabulary, word: &str) -> Vec<u32> {
    (0..vocabulary.len() as u32)
        .filter(|&id| {
            let text = vocabulary
                .bytes(id)
                .and_then(|b| std::str::from_utf8(b).ok());
            text.is_some_and(|t| t.trim().eq_ignore_ascii_case(word))
        })
        .collect()
}

/// Which hidden states of a text its embedding is made of; never those of the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    Mean,
    /// Of the last token, the only one that has seen the whole text.
    Last,
}

impl SharedPrefix<'_> {
    /// `p(yes) / (p(yes) + p(no))` after each prompt.
    ///
    /// # Errors
    /// If `yes` or `no` is empty or they share a token, or a prompt does not fit the context.
    pub fn yes_no(
        &mut self,
        prefix: &[u32],
        prompts: &[&[u32]],
        yes: &[u32],
        no: &[u32],
    ) -> Result<Vec<f32>> {
        if yes.is_empty() || no.is_empty() || yes.iter().any(|t| no.contains(t)) {
            return Err(Error::Config(
                "yes and no need tokens of their own: choose words that the vocabulary holds as single tokens".into(),
            ));
        }
        let vocab_size = self.model.config.vocab_size;
        if let Some(t) = yes.iter().chain(no).find(|&&t| t as usize >= vocab_size) {
            return Err(Error::Config(format!(
                "token {t} is beyond the model's vocabulary of {vocab_size}"
            )));
        }
        let mut scores = Vec::with_capacity(prompts.len());
        for batch in batches(prompts) {
            let segments = self.branch(prefix, batch, 0)?;
            for logits in self.logits(&segments).chunks_exact(vocab_size) {
                let of = |tokens: &[u32]| {
                    let logits: Vec<f32> = tokens.iter().map(|&t| logits[t as usize]).collect();
                    log_sum_exp(&logits)
                };
                scores.push(1.0 / (1.0 + (of(no) - of(yes)).exp()));
            }
        }
        Ok(scores)
    }

    /// An embedding of length 1 and width `hidden_size` for each text after `prefix`.
    ///
    /// # Errors
    /// If a text is empty or does not fit the context.
    pub fn embed(
        &mut self,
        prefix: &[u32],
        texts: &[&[u32]],
        pooling: Pooling,
    ) -> Result<Vec<Vec<f32>>> {
        if let Some(i) = texts.iter().position(|t| t.is_empty()) {
            return Err(Error::Config(format!(
                "text {i} is empty and has no embedding: leave it out"
            )));
        }
        let mut embeddings = Vec::with_capacity(texts.len());
        let mut hidden = Vec::new();
        for batch in batches(texts) {
            for segment in self.branch(prefix, batch, 0)? {
                let mut rows: Vec<usize> = self.tree.rows(segment).collect();
                if pooling == Pooling::Last {
                    rows.drain(..rows.len() - 1);
                }
                self.session.hidden(self.model, &rows, &mut hidden);
                let mut sum = vec![0.0; self.model.config.hidden_size];
                for row in hidden.chunks_exact(sum.len()) {
                    sum.iter_mut().zip(row).for_each(|(s, x)| *s += x);
                }
                // The length takes the mean's 1/n out again.
                let norm = sum.iter().map(|x| x * x).sum::<f32>().sqrt();
                if norm > 0.0 {
                    sum.iter_mut().for_each(|x| *x /= norm);
                }
                embeddings.push(sum);
            }
        }
        Ok(embeddings)
    }
}

/// Consecutive texts with at most [`ROWS`] tokens together, or one text alone.
fn batches<'t, 's>(texts: &'s [&'t [u32]]) -> impl Iterator<Item = &'s [&'t [u32]]> {
    let mut rest = texts;
    std::iter::from_fn(move || {
        let mut rows = 0;
        let n = rest
            .iter()
            .take_while(|t| {
                rows += t.len() + 1;
                rows <= ROWS
            })
            .count();
        let (batch, after) = rest.split_at(n.max(1).min(rest.len()));
        rest = after;
        (!batch.is_empty()).then_some(batch)
    })
}
