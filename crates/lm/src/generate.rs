//! Text generation for many requests at once: each pass over the weights adds one token to every
//! live request. When one ends, the next takes its place, and its prompt is computed in the same
//! pass as the next token of the others (iteration-level scheduling: Orca, OSDI 2022).
//!
//! Keys and values lie in pages of equal size (as in vLLM, arXiv 2309.06180), which pass from one
//! request to the next: thousands of requests take no more memory than `batch_size` of them.
//!
//! Requests share a prefix, whose keys and values are computed once for an adapter, and differ in all
//! else: prompt, limits, sampling, seed, constraint, adapter. Those of one adapter run together. Nothing of a
//! request depends on its neighbours, so that a batch says what each request alone would, up to the rounding of sums of
//! a different shape. With a [`Decoder`](crate::Decoder) that is not so: a pass that holds a prompt, or many requests,
//! multiplies by the whole weights and not by the rounded ones.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::adapters::{Adapters, unknown};
use crate::constrain::Constraint;
use crate::error::{Error, Result};
use crate::forward::Session;
use crate::generated::{Generated, Step};
use crate::live::Live;
use crate::lora::Lora;
use crate::model::Llama;
use crate::prefix::SharedPrefix;
use crate::sampler::{Sampler, Sampling};
use crate::text::TextStream;
use crate::vocabulary::Vocabulary;

/// Rows of a page: each further page costs attention one more product a head, while thousands of
/// rows in one would cost memory for each request.
const PAGE: usize = 256;

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
    /// One of [`Generator::adapters`]; none is what the generator was made with.
    pub adapter: Option<String>,
}

pub struct Generator<'a> {
    pub(crate) shared: SharedPrefix<'a>,
    pub(crate) vocabulary: Arc<Vocabulary>,
    /// How many requests are live at once. More share a pass over the weights, and each takes memory.
    pub batch_size: usize,
    /// What requests may name.
    pub adapters: Option<&'a Adapters>,
}

/// Requests of one adapter, each with its prompt.
type Group<'a> = (Option<&'a Lora>, Vec<(Live, Vec<u32>)>);

impl<'a> Generator<'a> {
    pub fn new(model: &'a Llama, lora: Option<&'a Lora>, vocabulary: Arc<Vocabulary>) -> Self {
        Self {
            shared: SharedPrefix::new(model, lora),
            vocabulary,
            batch_size: 16,
            adapters: None,
        }
    }

    /// What computes: its `pool` and its `decoder` may be set. A pass with a new request's prompt is
    /// longer than a decoder serves, and then all of it is computed with the model's own matrices.
    pub fn session(&mut self) -> &mut Session {
        &mut self.shared.session
    }

    /// Completes `prefix` followed by each request's prompt; results are in the order of the requests.
    ///
    /// # Errors
    /// If a prompt does not fit the context, an adapter is not loaded or of another model's geometry,
    /// or a setting or a constraint cannot be met.
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
        let mut groups: Vec<Group> = Vec::new();
        for (i, mut request) in requests.into_iter().enumerate() {
            let of_request = |e| Error::Config(format!("request {i}: {e}"));
            let lora = self.adapter(request.adapter.take()).map_err(of_request)?;
            let prepared = self.prepare(prefix, i, request).map_err(of_request)?;
            let of = |lora: Option<&Lora>| lora.map(std::ptr::from_ref);
            match groups.iter_mut().find(|g| of(g.0) == of(lora)) {
                Some(group) => group.1.push(prepared),
                None => groups.push((lora, vec![prepared])),
            }
        }
        // If a prompt is empty, all begin with the prefix's last token.
        let mut prompts = groups.iter().flat_map(|g| &g.1);
        let n_own = usize::from(prompts.any(|(_, prompt)| prompt.is_empty()));
        let own_adapter = self.shared.lora;
        let mut done = Vec::new();
        let outcome = groups.into_iter().try_for_each(|(lora, group)| {
            self.shared.lora = lora;
            self.run(prefix, n_own, group, &mut on_token, &mut done)
        });
        self.shared.lora = own_adapter;
        outcome?;
        done.sort_unstable_by_key(|d| d.0);
        Ok(done.into_iter().map(|d| d.1).collect())
    }

    /// Requests of one adapter. The last `n_own` tokens of the prefix are computed for each of them.
    fn run(
        &mut self,
        prefix: &[u32],
        n_own: usize,
        waiting: Vec<(Live, Vec<u32>)>,
        on_token: &mut impl FnMut(&Step) -> bool,
        done: &mut Vec<(usize, Generated)>,
    ) -> Result<()> {
        let (shared, own) = prefix.split_at(prefix.len() - n_own);
        let longest = waiting.iter().map(|(l, p)| p.len() + l.budget).max();
        // The last token of an output is not computed any more.
        let page = (n_own + longest.unwrap_or(0)).saturating_sub(1).min(PAGE);
        let root = self.shared.root(shared);
        let mut waiting = waiting.into_iter();
        let mut live: Vec<Live> = Vec::new();
        let vocab_size = self.shared.model.config.vocab_size;
        loop {
            let n_free = self.batch_size.max(1) - live.len();
            for (mut l, prompt) in waiting.by_ref().take(n_free) {
                let tree = &mut self.shared.tree;
                for tokens in [own, &prompt].concat().chunks(page) {
                    let parent = l.pages.last().copied().or(root);
                    let room = page - tokens.len();
                    l.pages.push(tree.push_with_room(parent, tokens, room));
                }
                live.push(l);
            }
            if live.is_empty() {
                return Ok(());
            }
            self.shared.extend();
            let segments: Vec<usize> = live.iter().map(Live::segment).collect();
            let logits = self.shared.logits(&segments).chunks_exact(vocab_size);
            let mut going_on = Vec::with_capacity(live.len());
            let mut ended = Vec::new();
            for (mut l, logits) in live.into_iter().zip(logits) {
                match l.say(logits, &self.vocabulary, on_token)? {
                    Some(finish) => ended.push((l, finish)),
                    None => going_on.push(l),
                }
            }
            for (mut l, finish) in ended {
                while let Some(page) = l.pages.pop() {
                    self.shared.tree.free(page);
                }
                done.push((l.request, l.end(finish)));
            }
            self.shared.session.rewind(&self.shared.tree);
            live = going_on;
            for l in &mut live {
                let (at, token) = (l.segment(), l.tokens[l.tokens.len() - 1]);
                let segment = append(&mut self.shared, at, token, page - 1);
                if segment != at {
                    l.pages.push(segment);
                }
            }
        }
    }

    fn adapter(&self, name: Option<String>) -> Result<Option<&'a Lora>> {
        let Some(name) = name else {
            return Ok(self.shared.lora);
        };
        let Some(adapters) = self.adapters else {
            return Err(unknown(&name, std::iter::empty()));
        };
        let lora = adapters.get(&name)?;
        lora.check_fits(&self.shared.model.config)?;
        Ok(Some(lora))
    }

    /// Rows for whose keys and values there is memory: the prefix, and the pages of what was
    /// computed at once.
    pub fn n_rows(&self) -> usize {
        self.shared.tree.len()
    }

    fn prepare(&self, prefix: &[u32], i: usize, request: Request) -> Result<(Live, Vec<u32>)> {
        let Request {
            prompt,
            config,
            constraint,
            ..
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
            pages: Vec::new(),
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
