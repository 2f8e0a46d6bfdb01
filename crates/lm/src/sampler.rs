//! The next token from its logits: the most probable one, or a draw.
//!
//! The steps and their order are those of Hugging Face's `generate`: repetition penalty (CTRL, arXiv
//! 1909.05858: a positive logit of a token that was there is divided by it, a negative one
//! multiplied), temperature, top-k, top-p (nucleus, arXiv 1904.09751), min-p (arXiv 2407.01082).
//! Each is off until it is set, and without a temperature nothing is drawn.
//!
//! ```
//! use hkfr_lm::{Sampler, Sampling};
//! let logits = [0.5f32.ln(), 0.3f32.ln(), 0.2f32.ln()];
//! let sampling = Sampling { temperature: Some(1.0), top_p: Some(0.7), ..Sampling::default() };
//! let kept = Sampler::new(&sampling, &[]).unwrap().distribution(&logits, None);
//! assert_eq!(kept.iter().map(|k| k.0).collect::<Vec<_>>(), [0, 1]);
//! assert!((kept[0].1 - 0.625).abs() < 1e-6);
//! ```

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::constrain::TokenMask;
use crate::error::{Error, Result};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// Draws from `softmax(logits / temperature)`; none takes the most probable token.
    pub temperature: Option<f32>,
    /// Keeps the k most probable tokens.
    pub top_k: Option<usize>,
    /// Keeps the most probable tokens until their probabilities sum to this.
    pub top_p: Option<f32>,
    /// Keeps the tokens with at least this share of the greatest probability.
    pub min_p: Option<f32>,
    /// Above 1 it makes tokens of the prompt and the output less probable.
    pub repetition_penalty: Option<f32>,
    /// Of the request, so that its draws don't depend on the requests beside it.
    pub seed: u64,
}

impl Sampling {
    fn check(&self) -> Result<()> {
        let fail = |what: &str| Err(Error::Config(what.into()));
        if self
            .temperature
            .is_some_and(|t| !(t > 0.0 && t.is_finite()))
        {
            return fail(
                "temperature must be above 0; leave it out to take the most probable token",
            );
        }
        if self.top_k == Some(0) {
            return fail("top_k must be at least 1; leave it out to keep all tokens");
        }
        if self.top_p.is_some_and(|p| !(p > 0.0 && p <= 1.0)) {
            return fail("top_p must be above 0 and at most 1; leave it out to keep all tokens");
        }
        if self.min_p.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            return fail("min_p must lie between 0 and 1; leave it out to keep all tokens");
        }
        if self
            .repetition_penalty
            .is_some_and(|p| !(p > 0.0 && p.is_finite()))
        {
            return fail("repetition_penalty must be above 0; 1 changes nothing");
        }
        let cut = self.top_k.is_some() || self.top_p.is_some() || self.min_p.is_some();
        if cut && self.temperature.is_none() {
            return fail(
                "top_k, top_p and min_p restrict draws, and without a temperature nothing is drawn: set temperature",
            );
        }
        Ok(())
    }
}

/// The state of one request's draws.
#[derive(Debug, Clone)]
pub struct Sampler {
    config: Sampling,
    rng: ChaCha8Rng,
    /// By token: was it in the prompt or the output? Empty without a penalty.
    seen: Vec<bool>,
}

impl Sampler {
    /// # Errors
    /// If a setting is out of its range; the error says what to set.
    pub fn new(config: &Sampling, prompt: &[u32]) -> Result<Self> {
        config.check()?;
        let mut sampler = Self {
            config: config.clone(),
            rng: ChaCha8Rng::seed_from_u64(config.seed),
            seen: Vec::new(),
        };
        prompt.iter().for_each(|&token| sampler.observe(token));
        Ok(sampler)
    }

    /// Notes that a token is part of the text.
    pub fn observe(&mut self, token: u32) {
        if self.config.repetition_penalty.is_some() {
            let at = token as usize;
            if at >= self.seen.len() {
                self.seen.resize(at + 1, false);
            }
            self.seen[at] = true;
        }
    }

    fn penalised(&self, token: usize, logit: f32) -> f32 {
        match self.config.repetition_penalty {
            Some(penalty) if self.seen.get(token) == Some(&true) => {
                if logit > 0.0 {
                    logit / penalty
                } else {
                    logit * penalty
                }
            }
            _ => logit,
        }
    }

    /// The next token among those of the mask; it is observed. `None` if the mask allows none.
    pub fn next(&mut self, logits: &[f32], mask: Option<&TokenMask>) -> Option<u32> {
        let token = if self.config.temperature.is_some() {
            let kept = self.distribution(logits, mask);
            let mut u: f32 = self.rng.random();
            let drawn = kept.iter().find(|k| {
                u -= k.1;
                u < 0.0
            });
            // Rounding may leave a rest of u: it belongs to the last.
            drawn.or(kept.last())?.0
        } else {
            let mut best: Option<(f32, u32)> = None;
            for (token, &logit) in logits.iter().enumerate() {
                let logit = self.penalised(token, logit);
                if best.is_none_or(|b| logit > b.0) && allows(mask, token) {
                    best = Some((logit, token as u32));
                }
            }
            best?.1
        };
        self.observe(token);
        Some(token)
    }

    /// The tokens that a draw is made from and their probabilities, the most probable first.
    pub fn distribution(&self, logits: &[f32], mask: Option<&TokenMask>) -> Vec<(u32, f32)> {
        let scale = 1.0 / self.config.temperature.unwrap_or(1.0);
        let mut kept: Vec<(u32, f32)> = logits
            .iter()
            .enumerate()
            .filter(|&(token, _)| allows(mask, token))
            .map(|(token, &l)| (token as u32, self.penalised(token, l) * scale))
            .collect();
        let by_rank = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if let Some(k) = self.config.top_k.filter(|&k| k < kept.len()) {
            kept.select_nth_unstable_by(k - 1, by_rank);
            kept.truncate(k);
        }
        softmax(&mut kept);
        if let Some(p) = self.config.top_p {
            // All tokens below this together have less than 1 − p: none of them is in the nucleus,
            // and tens of thousands need no sorting.
            let least = (1.0 - p) / kept.len() as f32;
            kept.retain(|k| k.1 >= least);
        }
        kept.sort_unstable_by(by_rank);
        if let Some(p) = self.config.top_p {
            let mut sum = 0.0;
            let n = kept.iter().take_while(|k| {
                let open = sum < p;
                sum += k.1;
                open
            });
            let n = n.count();
            kept.truncate(n);
        }
        if let (Some(p), Some(&(_, greatest))) = (self.config.min_p, kept.first()) {
            kept.retain(|k| k.1 >= p * greatest);
        }
        let sum: f32 = kept.iter().map(|k| k.1).sum();
        kept.iter_mut().for_each(|k| k.1 /= sum);
        kept
    }
}

fn allows(mask: Option<&TokenMask>, token: usize) -> bool {
    mask.is_none_or(|mask| mask.contains(token as u32))
}

fn softmax(kept: &mut [(u32, f32)]) {
    let max = kept.iter().fold(f32::NEG_INFINITY, |m, k| m.max(k.1));
    kept.iter_mut().for_each(|k| k.1 = (k.1 - max).exp());
    let sum: f32 = kept.iter().map(|k| k.1).sum();
    kept.iter_mut().for_each(|k| k.1 /= sum);
}
