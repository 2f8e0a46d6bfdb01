//! Many prompts after one prefix, whose keys and values are computed once and kept between calls.

use crate::error::{Error, Result};
use crate::forward::Session;
use crate::lora::Lora;
use crate::model::Llama;
use crate::tree::TokenTree;

/// A model with a cached prefix: what generation, scoring and embedding of many texts begin with.
pub struct SharedPrefix<'a> {
    pub model: &'a Llama,
    /// The adapter of what is computed next; each keeps keys and values of the prefix of its own.
    pub lora: Option<&'a Lora>,
    pub session: Session,
    pub tree: TokenTree,
    /// The prefix. Segment i holds it as the i-th of `roots` computes it; if it is empty, there are none.
    cached: Vec<u32>,
    roots: Vec<Option<&'a Lora>>,
}

impl<'a> SharedPrefix<'a> {
    pub fn new(model: &'a Llama, lora: Option<&'a Lora>) -> Self {
        Self {
            model,
            lora,
            session: Session::default(),
            tree: TokenTree::default(),
            cached: Vec::new(),
            roots: Vec::new(),
        }
    }

    /// What [`SharedPrefix::branch`] refuses; else how many tokens of the prefix each prompt takes.
    pub(crate) fn check(&self, prefix: &[u32], prompts: &[&[u32]]) -> Result<usize> {
        let c = &self.model.config;
        let n_own = usize::from(prompts.iter().any(|p| p.is_empty()));
        if n_own > prefix.len() {
            return Err(Error::Config(
                "a prompt is empty: give at least one token, such as the model's bos token".into(),
            ));
        }
        for (i, prompt) in prompts.iter().enumerate() {
            let n = prefix.len() + prompt.len();
            if n > c.max_positions {
                return Err(Error::Config(format!(
                    "prompt {i} has {n} tokens, and the model's context is {}: shorten it",
                    c.max_positions
                )));
            }
            if let Some(id) = prompt
                .iter()
                .chain(prefix)
                .find(|&&id| id as usize >= c.vocab_size)
            {
                return Err(Error::Config(format!(
                    "prompt {i} has the token {id}, and the vocabulary has {}: encode it with the model's own tokenizer",
                    c.vocab_size
                )));
            }
        }
        Ok(n_own)
    }

    /// Computes `prefix` followed by each of `prompts` in one pass and returns the segments of the
    /// prompts, each with `room` to grow. What an earlier call branched off is forgotten; its prefix
    /// is reused if it and the adapter are the same. If a prompt is empty, all begin with the prefix's last token.
    ///
    /// # Errors
    /// If a sequence is empty, has an id beyond the vocabulary, or is longer than the context.
    pub fn branch(
        &mut self,
        prefix: &[u32],
        prompts: &[&[u32]],
        room: usize,
    ) -> Result<Vec<usize>> {
        let n_own = self.check(prefix, prompts)?;
        let (shared, own) = prefix.split_at(prefix.len() - n_own);
        let root = self.root(shared);
        let segments = prompts
            .iter()
            .map(|prompt| {
                self.tree
                    .push_with_room(root, &[own, prompt].concat(), room)
            })
            .collect();
        self.extend();
        Ok(segments)
    }

    /// Forgets what was branched off before and returns the segment of `shared`, computed now unless
    /// it was for this adapter already; `None` if it is empty. Another prefix displaces all.
    pub(crate) fn root(&mut self, shared: &[u32]) -> Option<usize> {
        if self.cached != shared {
            self.roots.clear();
            self.cached = shared.to_vec();
        }
        self.tree.truncate(self.roots.len());
        self.session.rewind(&self.tree);
        if shared.is_empty() {
            return None;
        }
        // While it is borrowed, an adapter neither moves nor changes.
        let of = |lora: Option<&Lora>| lora.map(std::ptr::from_ref);
        let known = self.roots.iter().position(|&r| of(r) == of(self.lora));
        Some(known.unwrap_or_else(|| {
            self.roots.push(self.lora);
            let root = self.tree.push(None, shared);
            self.extend();
            root
        }))
    }

    /// Computes what was appended to the tree.
    pub fn extend(&mut self) {
        self.session.extend(self.model, self.lora, &self.tree);
    }

    /// Logits after the last row of each segment, (segments, vocabulary).
    pub fn logits(&mut self, segments: &[usize]) -> &[f32] {
        let rows: Vec<usize> = segments
            .iter()
            .map(|&s| self.tree.rows(s).end - 1)
            .collect();
        self.session.logits(self.model, &rows)
    }
}
