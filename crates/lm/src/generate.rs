//! Text generation for many requests at once: each pass over the weights adds one token to every
//! live request.
//!
//! Requests share a prefix, whose keys and values are computed once, and differ in all else: prompt,
//! limits, sampling, seed, constraint. Nothing of a request depends on its neighbours, so that a
//! batch says what each request alone would (up to the rounding of sums of a different shape).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::constrain::{Constraint, TokenMask};
use crate::error::{Error, Result};
use crate::kernels::log_sum_exp;
use crate::lora::Lora;
use crate::model::Llama;
use crate::prefix::SharedPrefix;
use crate::sampler::{Sampler, Sampling};
use crate::text::TextStream;
use crate::vocabulary::Vocabulary;

/// Rows reserved for a request at a time: beyond them its keys lie in a further range, which costs
/// attention one more product a head, while reserving thousands would cost memory for each request.
const ROOM: usize = 256;

/// What a request may say and when it ends. By default: greedy, no stop, no limit but the context.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GenerateConfig {
    /// Tokens of the output, the stop token included; none leaves the model's context.
    pub max_new_tokens: Option<usize>,
    /// Tokens that end the output, such as the model's end-of-turn token.
    pub stop_tokens: Vec<u32>,
    /// Texts that end the output and are cut off it.
    pub stop_strings: Vec<String>,
    pub sampling: Sampling,
}

/// One prompt, after the shared prefix.
#[derive(Default)]
pub struct Request {
    pub prompt: Vec<u32>,
    pub config: GenerateConfig,
    /// It says by its own end tokens when the output ends; stop tokens are not asked.
    pub constraint: Option<Box<dyn Constraint>>,
}

/// Why an output ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// A stop token.
    Stop,
    /// A stop string.
    StopString,
    /// The token budget. With a constraint the output is complete nevertheless: the budget excluded
    /// tokens on the way that the constraint alone would have allowed.
    Length,
    /// The callback asked for it.
    Cancelled,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// All tokens that were generated, the stop token included.
    pub tokens: Vec<u32>,
    /// Their text, without the stop token and from the stop string on.
    pub text: String,
    /// `ln p(token | all before)` under the model itself, before penalty, temperature and constraint.
    pub log_probs: Vec<f32>,
    pub finish: Finish,
}

/// One token of one request, as it is generated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step<'a> {
    /// Index of the request.
    pub request: usize,
    pub token: u32,
    pub log_prob: f32,
    /// Text that is certain now: whole characters that cannot become part of a stop string.
    pub text: &'a str,
}

pub struct Generator<'a> {
    pub(crate) shared: SharedPrefix<'a>,
    pub(crate) vocabulary: Arc<Vocabulary>,
    /// How many requests are live at once. More share a pass over the weights, and each takes memory.
    pub batch_size: usize,
}

/// A request that goes on.
struct Live {
    request: usize,
    segment: usize,
    sampler: Sampler,
    constraint: Option<Box<dyn Constraint>>,
    stop_tokens: Vec<u32>,
    text: TextStream,
    tokens: Vec<u32>,
    log_probs: Vec<f32>,
    /// Tokens left.
    budget: usize,
    /// The budget took a choice from the constraint.
    narrowed: bool,
}

impl<'a> Generator<'a> {
    pub fn new(model: &'a Llama, lora: Option<&'a Lora>, vocabulary: Arc<Vocabulary>) -> Self {
        Self {
            shared: SharedPrefix::new(model, lora),
            vocabulary,
            batch_size: 16,
        }
    }

    /// Completes `prefix` followed by each request's prompt; results are in the order of the requests.
    ///
    /// # Errors
    /// If a prompt does not fit the context, or a setting or a constraint cannot be met.
    pub fn generate(&mut self, prefix: &[u32], requests: Vec<Request>) -> Result<Vec<Generated>> {
        self.generate_streaming(prefix, requests, |_| true)
    }

    /// [`Generator::generate`] with a call for every token; `false` ends that request.
    pub fn generate_streaming(
        &mut self,
        prefix: &[u32],
        requests: Vec<Request>,
        mut on_token: impl FnMut(&Step) -> bool,
    ) -> Result<Vec<Generated>> {
        // All requests are checked before the first is computed.
        let mut waiting = Vec::with_capacity(requests.len());
        for (i, request) in requests.into_iter().enumerate() {
            waiting.push(
                self.prepare(prefix, i, request)
                    .map_err(|e| Error::Config(format!("request {i}: {e}")))?,
            );
        }
        let mut done = Vec::with_capacity(waiting.len());
        let mut waiting = waiting.into_iter().peekable();
        while waiting.peek().is_some() {
            let wave = waiting.by_ref().take(self.batch_size.max(1)).unzip();
            done.extend(self.wave(prefix, wave, &mut on_token)?);
        }
        done.sort_unstable_by_key(|d: &(usize, Generated)| d.0);
        Ok(done.into_iter().map(|d| d.1).collect())
    }

    fn prepare(&self, prefix: &[u32], i: usize, request: Request) -> Result<(Live, Vec<u32>)> {
        let Request {
            prompt,
            config,
            constraint,
        } = request;
        self.shared.check(prefix, &[&prompt])?;
        // The last token is not computed any more: it needs no position.
        let left = self.shared.model.config.max_positions + 1 - prefix.len() - prompt.len();
        let budget = config.max_new_tokens.unwrap_or(left).min(left);
        check_budget(budget, constraint.as_deref())?;
        if constraint.is_some() && !config.stop_strings.is_empty() {
            return Err(Error::Config(
                "a stop string would cut a constrained output: take out one of the two".into(),
            ));
        }
        let mut sampler = Sampler::new(&config.sampling, prefix)?;
        prompt.iter().for_each(|&token| sampler.observe(token));
        let live = Live {
            request: i,
            segment: 0,
            sampler,
            constraint,
            stop_tokens: config.stop_tokens,
            text: TextStream::new(config.stop_strings),
            tokens: Vec::new(),
            log_probs: Vec::new(),
            budget,
            narrowed: false,
        };
        Ok((live, prompt))
    }

    fn wave(
        &mut self,
        prefix: &[u32],
        (mut live, prompts): (Vec<Live>, Vec<Vec<u32>>),
        on_token: &mut impl FnMut(&Step) -> bool,
    ) -> Result<Vec<(usize, Generated)>> {
        let prompts: Vec<&[u32]> = prompts.iter().map(|p| &p[..]).collect();
        let room = live.iter().map(|l| l.budget).max().unwrap_or(0).min(ROOM);
        let segments = self.shared.branch(prefix, &prompts, room)?;
        for (live, segment) in live.iter_mut().zip(segments) {
            live.segment = segment;
        }
        let mut done = Vec::with_capacity(live.len());
        let vocab_size = self.shared.model.config.vocab_size;
        while !live.is_empty() {
            let segments: Vec<usize> = live.iter().map(|l| l.segment).collect();
            let logits = self.shared.logits(&segments);
            let mut going_on = Vec::with_capacity(live.len());
            for (mut l, logits) in live.into_iter().zip(logits.chunks_exact(vocab_size)) {
                match l.say(logits, &self.vocabulary, on_token)? {
                    Some(finish) => done.push((
                        l.request,
                        Generated {
                            tokens: l.tokens,
                            text: l.text.finish(),
                            log_probs: l.log_probs,
                            finish,
                        },
                    )),
                    None => going_on.push(l),
                }
            }
            live = going_on;
            for l in &mut live {
                let token = l.tokens[l.tokens.len() - 1];
                l.segment = append(&mut self.shared, l.segment, token, l.budget.min(ROOM));
            }
            if !live.is_empty() {
                self.shared.extend();
            }
        }
        Ok(done)
    }
}

/// Grows a segment by a token, or continues in a new one if it is full.
pub(crate) fn append(shared: &mut SharedPrefix, segment: usize, token: u32, room: usize) -> usize {
    if shared.tree.room(segment) > 0 {
        shared.tree.grow(segment, token);
        segment
    } else {
        shared.tree.push_with_room(Some(segment), &[token], room)
    }
}

pub(crate) fn check_budget(budget: usize, constraint: Option<&dyn Constraint>) -> Result<()> {
    if budget == 0 {
        return Err(Error::Config(
            "no room for a new token: raise max_new_tokens or shorten the prompt".into(),
        ));
    }
    match constraint.map_or(0, |c| c.min_tokens()) {
        needed if needed > budget => Err(Error::Config(format!(
            "the shortest output that meets the constraint has {needed} tokens, and {budget} are left: raise max_new_tokens or shorten the prompt"
        ))),
        _ => Ok(()),
    }
}

impl Live {
    /// Says the next token. Returns why the request ends, if it does.
    fn say(
        &mut self,
        logits: &[f32],
        vocabulary: &Vocabulary,
        on_token: &mut impl FnMut(&Step) -> bool,
    ) -> Result<Option<Finish>> {
        let mut mask = None;
        if let Some(constraint) = &self.constraint {
            let mut allowed = TokenMask::default();
            self.narrowed |= constraint.allowed(self.budget, &mut allowed);
            mask = Some(allowed);
        }
        let token = self.sampler.next(logits, mask.as_ref()).ok_or_else(|| {
            Error::Config(format!(
                "request {}: the constraint allows no token: is its end token in the vocabulary?",
                self.request
            ))
        })?;
        let log_prob = logits[token as usize] - log_sum_exp(logits);
        self.tokens.push(token);
        self.log_probs.push(log_prob);
        self.budget -= 1;
        let stop = match &mut self.constraint {
            Some(constraint) => {
                constraint.advance(token);
                constraint.is_done()
            }
            None => self.stop_tokens.contains(&token),
        };
        let bytes = if stop { None } else { vocabulary.bytes(token) };
        let text = self.text.push(bytes.unwrap_or_default());
        let stop_string = self.text.stopped();
        let last = stop || stop_string || self.budget == 0;
        let rest = if last {
            self.text.rest()
        } else {
            String::new()
        };
        let go_on = on_token(&Step {
            request: self.request,
            token,
            log_prob,
            text: &(text + &rest),
        });
        Ok(match () {
            () if stop && !self.narrowed => Some(Finish::Stop),
            () if stop => Some(Finish::Length),
            () if stop_string => Some(Finish::StopString),
            () if self.budget == 0 => Some(Finish::Length),
            () if !go_on => Some(Finish::Cancelled),
            () => None,
        })
    }
}
