//! Beam search: the likeliest whole outputs rather than the likeliest next token.
//!
//! `score = Σ ln p(token) / length^length_penalty` (the penalty of Hugging Face's `generate`; 0, the
//! default, is the log-probability itself). An ended hypothesis keeps its place, and the beam
//! narrows by it (Sutskever et al., arXiv 1409.3215): so width 1 is greedy decoding, and a width
//! that holds every continuation finds the best output there is.

use crate::constrain::{Constraint, TokenMask};
use crate::error::{Error, Result};
use crate::generate::{Generator, append, check_budget};
use crate::generated::{Finish, Generated};
use crate::kernels::log_sum_exp;

/// Rows reserved at a time: a fork leaves the rest of its parent's unused.
const ROOM: usize = 16;

#[derive(Debug, Clone, PartialEq)]
pub struct BeamConfig {
    /// Hypotheses that are followed at once; 1 is greedy.
    pub width: usize,
    /// Above 0 it favours long outputs; 0 is off.
    pub length_penalty: f32,
    /// Tokens of an output, the stop token included; none leaves the model's context.
    pub max_new_tokens: Option<usize>,
    pub stop_tokens: Vec<u32>,
}

impl Default for BeamConfig {
    fn default() -> Self {
        Self {
            width: 1,
            length_penalty: 0.0,
            max_new_tokens: None,
            stop_tokens: Vec::new(),
        }
    }
}

struct Hypothesis {
    segment: usize,
    tokens: Vec<u32>,
    log_probs: Vec<f32>,
    sum: f32,
    constraint: Option<Box<dyn Constraint>>,
    narrowed: bool,
}

impl Generator<'_> {
    /// The best `width` outputs after `prefix` and `prompt`, with their scores, best first.
    ///
    /// # Errors
    /// If the prompt does not fit the context, the width is 0, or the constraint cannot be met.
    pub fn beam_search(
        &mut self,
        prefix: &[u32],
        prompt: &[u32],
        config: &BeamConfig,
        constraint: Option<Box<dyn Constraint>>,
    ) -> Result<Vec<(f32, Generated)>> {
        self.shared.check(prefix, &[prompt])?;
        let left = self.shared.model.config.max_positions + 1 - prefix.len() - prompt.len();
        let budget = config.max_new_tokens.unwrap_or(left).min(left);
        check_budget(budget, constraint.as_deref())?;
        if config.width == 0 {
            return Err(Error::Config("a beam needs a width of at least 1".into()));
        }
        let mut live = vec![Hypothesis {
            segment: self.shared.branch(prefix, &[prompt], ROOM)?[0],
            tokens: Vec::new(),
            log_probs: Vec::new(),
            sum: 0.0,
            constraint,
            narrowed: false,
        }];
        // With whether it ended by a token of its own.
        let mut done: Vec<(Hypothesis, bool)> = Vec::new();
        for budget in (1..=budget).rev() {
            let best = self.expand(&mut live, config.width - done.len(), budget);
            let mut next = Vec::new();
            for (parent, token, log_prob) in best {
                let h = live[parent].continued(token, log_prob);
                let stop = match &h.constraint {
                    Some(constraint) => constraint.is_done(),
                    None => config.stop_tokens.contains(&token),
                };
                if stop || budget == 1 {
                    done.push((h, stop));
                } else {
                    next.push((parent, h));
                }
            }
            if next.is_empty() {
                break;
            }
            // The last child of a parent grows it; the others fork off it before.
            for at in 0..next.len() {
                let (parent, token) = (next[at].0, *next[at].1.tokens.last().expect("continued"));
                let segment = live[parent].segment;
                let last_child = next[at + 1..].iter().all(|n| n.0 != parent);
                next[at].1.segment = if last_child {
                    append(&mut self.shared, segment, token, ROOM)
                } else {
                    self.shared
                        .tree
                        .push_with_room(Some(segment), &[token], ROOM)
                };
            }
            self.shared.extend();
            live = next.into_iter().map(|n| n.1).collect();
        }
        let score = |h: &Hypothesis| h.sum / (h.tokens.len() as f32).powf(config.length_penalty);
        done.sort_by(|a, b| score(&b.0).total_cmp(&score(&a.0)));
        Ok(done
            .into_iter()
            .map(|(h, ended)| {
                let said = &h.tokens[..h.tokens.len() - usize::from(ended)];
                let bytes: Vec<u8> = said
                    .iter()
                    .filter_map(|&t| self.vocabulary.bytes(t))
                    .flatten()
                    .copied()
                    .collect();
                let generated = Generated {
                    text: String::from_utf8_lossy(&bytes).into_owned(),
                    finish: if ended && !h.narrowed {
                        Finish::Stop
                    } else {
                        Finish::Length
                    },
                    log_probs: h.log_probs.clone(),
                    tokens: h.tokens.clone(),
                };
                (score(&h), generated)
            })
            .collect())
    }

    /// The best `width` of all one-token continuations: (hypothesis, token, ln p), best first.
    fn expand(
        &mut self,
        live: &mut [Hypothesis],
        width: usize,
        budget: usize,
    ) -> Vec<(usize, u32, f32)> {
        let segments: Vec<usize> = live.iter().map(|h| h.segment).collect();
        let vocab_size = self.shared.model.config.vocab_size;
        let logits = self.shared.logits(&segments);
        // By sum, then by hypothesis and token, so that ties fall as in greedy decoding.
        let mut best: Vec<(f32, usize, u32, f32)> = Vec::new();
        let rank = |a: &(f32, usize, u32, f32), b: &(f32, usize, u32, f32)| {
            b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2)))
        };
        let mut mask = TokenMask::default();
        for (i, (h, logits)) in live
            .iter_mut()
            .zip(logits.chunks_exact(vocab_size))
            .enumerate()
        {
            let norm = log_sum_exp(logits);
            if let Some(constraint) = &h.constraint {
                h.narrowed |= constraint.allowed(budget, &mut mask);
            }
            let masked = h.constraint.is_some();
            for (token, &logit) in logits.iter().enumerate() {
                let token = token as u32;
                if !masked || mask.contains(token) {
                    let log_prob = logit - norm;
                    best.push((h.sum + log_prob, i, token, log_prob));
                }
            }
            // Only the best `width` so far can be among the best of all.
            if best.len() > width {
                best.select_nth_unstable_by(width, rank);
                best.truncate(width);
            }
        }
        best.sort_unstable_by(rank);
        best.into_iter().map(|b| (b.1, b.2, b.3)).collect()
    }
}

impl Hypothesis {
    fn continued(&self, token: u32, log_prob: f32) -> Self {
        let mut constraint = self.constraint.as_ref().map(|c| c.fork());
        constraint.iter_mut().for_each(|c| c.advance(token));
        Self {
            segment: self.segment,
            tokens: [&self.tokens[..], &[token]].concat(),
            log_probs: [&self.log_probs[..], &[log_prob]].concat(),
            sum: self.sum + log_prob,
            constraint,
            narrowed: self.narrowed,
        }
    }
}
