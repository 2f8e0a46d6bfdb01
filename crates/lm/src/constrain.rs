//! Constrained decoding: which tokens may come next, so that the output is in a given language.
//!
//! A language is a deterministic automaton over bytes, not over tokens, so that EVERY way to cut a
//! text into tokens is accepted, also tokens that reach across a space or a quote. The mask is the
//! walk of the vocabulary's trie in step with the automaton (Willard and Louf, arXiv 2307.09702).
//!
//! The output always ends inside its language: a token is allowed only if the rest of the budget
//! suffices for the shortest ending after it. As that ending's own first token leaves one ending
//! the shorter, some token is always allowed.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::vocabulary::Vocabulary;

/// A set of tokens as bits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenMask(Vec<u64>);

impl TokenMask {
    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn allow(&mut self, token: u32) {
        let at = token as usize / 64;
        if at >= self.0.len() {
            self.0.resize(at + 1, 0);
        }
        self.0[at] |= 1 << (token % 64);
    }

    pub fn contains(&self, token: u32) -> bool {
        self.0
            .get(token as usize / 64)
            .is_some_and(|bits| bits >> (token % 64) & 1 == 1)
    }

    pub fn len(&self) -> usize {
        self.0.iter().map(|bits| bits.count_ones() as usize).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&bits| bits == 0)
    }
}

/// What a request may still say. It carries its own state.
pub trait Constraint: Send {
    /// Sets `mask` to the tokens that may come next when `budget` tokens are left, the next and the
    /// end token included. Returns whether the budget excluded a token that the language allows.
    fn allowed(&self, budget: usize, mask: &mut TokenMask) -> bool;

    /// Goes on by a token that the mask allowed.
    fn advance(&mut self, token: u32);

    /// Whether the output has ended: an end token was said.
    fn is_done(&self) -> bool;

    /// The fewest tokens that complete the output, the end token included.
    fn min_tokens(&self) -> usize;

    /// A copy that goes its own way, for a beam.
    fn fork(&self) -> Box<dyn Constraint>;
}

/// A deterministic automaton over bytes from whose every state an end can be reached.
pub trait Automaton: Send + Sync {
    type State: Clone + Eq + Hash + Send;

    fn start(&self) -> Self::State;

    /// The state after `byte`, or none if no text of the language goes on so.
    fn step(&self, state: &Self::State, byte: u8) -> Option<Self::State>;

    /// Whether the text may end here.
    fn is_end(&self, state: &Self::State) -> bool;

    /// A shortest text from here to an end. After its first byte, it is the rest of it.
    fn shortest(&self, state: &Self::State) -> Vec<u8>;

    /// Whether a byte can be part of a shortest ending. A vocabulary must have it as a token.
    fn in_endings(&self, byte: u8) -> bool;

    /// The length of [`Automaton::shortest`].
    fn distance(&self, state: &Self::State) -> usize {
        self.shortest(state).len()
    }
}

/// The language of an [`Automaton`] as a constraint.
pub struct ByteConstraint<A: Automaton> {
    automaton: Arc<A>,
    vocabulary: Arc<Vocabulary>,
    ends: Vec<u32>,
    /// None once an end token was said.
    state: Option<A::State>,
}

impl<A: Automaton> ByteConstraint<A> {
    /// `ends` are the tokens that end the output, such as the model's end-of-turn token.
    ///
    /// # Errors
    /// If there is no end token, or the vocabulary lacks a byte of an ending as a token of its own:
    /// an output could then get stuck.
    pub fn new(automaton: Arc<A>, vocabulary: Arc<Vocabulary>, ends: &[u32]) -> Result<Self> {
        let lacks = |&byte: &u8| automaton.in_endings(byte) && !vocabulary.has_byte(byte);
        if let Some(byte) = (0..=255).find(lacks) {
            return Err(Error::Tokenizer(format!(
                "no token stands for the byte 0x{byte:02X} alone, which an output may need to end: use a model with byte-level BPE, or leave out the strings with that byte"
            )));
        }
        if ends.is_empty() {
            return Err(Error::Config(
                "a constraint needs an end token: give the model's end-of-turn token".into(),
            ));
        }
        Ok(Self {
            state: Some(automaton.start()),
            automaton,
            vocabulary,
            ends: ends.to_vec(),
        })
    }

    /// Tokens of the shortest ending, the end token included. The vocabulary has its bytes, so
    /// there is one.
    fn cost(&self, state: &A::State) -> usize {
        let rest = self.automaton.shortest(state);
        self.vocabulary.min_tokens(&rest).unwrap_or(rest.len()) + 1
    }
}

impl<A: Automaton + 'static> Constraint for ByteConstraint<A> {
    fn allowed(&self, budget: usize, mask: &mut TokenMask) -> bool {
        mask.clear();
        let Some(state) = &self.state else {
            return false;
        };
        if self.automaton.is_end(state) {
            self.ends.iter().for_each(|&end| mask.allow(end));
        }
        let mut narrowed = false;
        // Many tokens lead to the same state, and its cost is the slow part.
        let mut costs: HashMap<A::State, usize> = HashMap::new();
        self.vocabulary.walk(
            state.clone(),
            |state, byte| self.automaton.step(state, byte),
            |state, ids| {
                // As many bytes are at most as many tokens: mostly that settles it.
                let fits = self.automaton.distance(state) + 2 <= budget
                    || *costs
                        .entry(state.clone())
                        .or_insert_with(|| self.cost(state))
                        < budget;
                if fits {
                    let says = |id: &&u32| !self.ends.contains(id);
                    ids.iter().filter(says).for_each(|&id| mask.allow(id));
                } else {
                    narrowed = true;
                }
            },
        );
        narrowed
    }

    fn advance(&mut self, token: u32) {
        if self.ends.contains(&token) {
            self.state = None;
        }
        for &byte in self.vocabulary.bytes(token).unwrap_or_default() {
            self.state = self
                .state
                .as_ref()
                .and_then(|s| self.automaton.step(s, byte));
        }
    }

    fn is_done(&self) -> bool {
        self.state.is_none()
    }

    fn min_tokens(&self) -> usize {
        self.state.as_ref().map_or(0, |state| self.cost(state))
    }

    fn fork(&self) -> Box<dyn Constraint> {
        Box::new(Self {
            automaton: self.automaton.clone(),
            vocabulary: self.vocabulary.clone(),
            ends: self.ends.clone(),
            state: self.state.clone(),
        })
    }
}
