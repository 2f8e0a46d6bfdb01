//! Ranking of named candidates by constrained decoding: a distribution over the candidates alone.
//!
//! The names form a trie. At each prefix the model chooses among the tokens that continue some name,
//! or end one: `p(c) = Π_t softmax over the allowed tokens (logit of token t of c)`. The
//! probabilities of all candidates sum to 1, every answer is a candidate, and where a prefix allows
//! one token only there is nothing to compute. (Constrained decoding over entity names: GENRE,
//! arXiv 2010.00904.)
//!
//! A prefix bounds all names below it, so that best-first expansion finds the exact top k while it
//! computes only the prefixes whose bound is above the k-th score.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::forward::Session;
use crate::kernels::{dot, log_sum_exp};
use crate::lora::Lora;
use crate::model::Llama;
use crate::tree::TokenTree;

/// A non-empty, duplicate-free set of token sequences as a trie.
#[derive(Debug, Clone)]
pub struct Candidates {
    /// Node 0 is the root; a parent precedes its children.
    nodes: Vec<Node>,
    n: usize,
    longest: usize,
}

#[derive(Debug, Clone, Default)]
struct Node {
    children: Vec<(u32, usize)>,
    /// The candidate that ends here: its node is the end-of-answer token.
    candidate: Option<usize>,
}

impl Candidates {
    /// `names[i]` are the tokens of candidate i, without the end-of-answer token `end`.
    ///
    /// # Errors
    /// No names, or two that are equal.
    pub fn new(names: &[Vec<u32>], end: u32) -> Result<Self> {
        let mut nodes = vec![Node::default()];
        let mut edges: HashMap<(usize, u32), usize> = HashMap::new();
        for (i, name) in names.iter().enumerate() {
            let mut at = 0;
            for &token in name.iter().chain(&[end]) {
                at = *edges.entry((at, token)).or_insert_with(|| {
                    nodes.push(Node::default());
                    let child = nodes.len() - 1;
                    nodes[at].children.push((token, child));
                    child
                });
            }
            if let Some(other) = nodes[at].candidate.replace(i) {
                return Err(Error::Config(format!(
                    "candidates {other} and {i} have the same name"
                )));
            }
        }
        let Some(longest) = names.iter().map(Vec::len).max() else {
            return Err(Error::Config("there are no candidates".into()));
        };
        Ok(Self {
            nodes,
            n: names.len(),
            longest: longest + 1,
        })
    }

    pub fn len(&self) -> usize {
        self.n
    }

    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Tokens of the longest name, its end included.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Follows the only way from `node` to where there is a choice or a candidate; appends the
    /// tokens on it.
    fn forced(&self, mut node: usize, tokens: &mut Vec<u32>) -> usize {
        while let [(token, child)] = self.nodes[node].children[..] {
            tokens.push(token);
            node = child;
        }
        node
    }
}

/// A prefix after which there is a choice that has not been computed.
struct Open {
    node: usize,
    /// The tokens from the parent's prefix to this one.
    tokens: Vec<u32>,
    bound: f32,
    /// Segment of the parent's prefix.
    parent: usize,
}

/// `ln p` of each candidate: exact for (at least) the best `top`, and for the others the bound at
/// which they were left, which is at most the `top`-th score.
///
/// `tree` holds the prompt, whose last segment `prompt` was computed by the session's last call;
/// branches are appended to it. `width` is how many prefixes one pass expands.
pub fn score_candidates(
    session: &mut Session,
    model: &Llama,
    lora: Option<&Lora>,
    tree: &mut TokenTree,
    prompt: usize,
    candidates: &Candidates,
    top: usize,
    width: usize,
) -> Vec<f32> {
    let mut search = Search {
        candidates,
        open: Vec::new(),
        exact: Vec::new(),
        hidden: Vec::new(),
    };
    let mut begin = Vec::new();
    let start = candidates.forced(0, &mut begin);
    search.found(0.0, start, begin, prompt);
    if search.open.first().is_some_and(|o| o.tokens.is_empty()) {
        // The choice is right after the prompt, which is computed.
        let root = search.open.swap_remove(0);
        search.expand(session, model, tree, &[(root, prompt)]);
    }
    loop {
        search.exact.sort_by(|a, b| b.0.total_cmp(&a.0));
        let kth = search.exact.get(top.max(1) - 1);
        let threshold = kth.map_or(f32::NEG_INFINITY, |e| e.0);
        search.open.sort_by(|a, b| b.bound.total_cmp(&a.bound));
        let best = search.open.iter().take(width.max(1));
        let n = best.take_while(|o| o.bound >= threshold).count();
        if n == 0 {
            break;
        }
        let batch: Vec<(Open, usize)> = search
            .open
            .drain(..n)
            .map(|o| {
                let segment = tree.push(Some(o.parent), &o.tokens);
                (o, segment)
            })
            .collect();
        session.extend(model, lora, tree);
        search.expand(session, model, tree, &batch);
    }
    search.scores()
}

struct Search<'a> {
    candidates: &'a Candidates,
    open: Vec<Open>,
    exact: Vec<(f32, usize)>,
    hidden: Vec<f32>,
}

impl Search<'_> {
    /// Chooses after each computed prefix: (it, its segment).
    fn expand(
        &mut self,
        session: &Session,
        model: &Llama,
        tree: &TokenTree,
        batch: &[(Open, usize)],
    ) {
        let rows: Vec<usize> = batch.iter().map(|b| tree.rows(b.1).end - 1).collect();
        let mut hidden = std::mem::take(&mut self.hidden);
        session.hidden(model, &rows, &mut hidden);
        let d = model.config.hidden_size;
        for ((open, segment), hidden) in batch.iter().zip(hidden.chunks_exact(d)) {
            let children = &self.candidates.nodes[open.node].children;
            let logits: Vec<f32> = children
                .iter()
                .map(|&(token, _)| dot(hidden, model.output_embedding(token)))
                .collect();
            let norm = log_sum_exp(&logits);
            for (&(token, child), logit) in children.iter().zip(logits) {
                let mut tokens = vec![token];
                let node = self.candidates.forced(child, &mut tokens);
                self.found(open.bound + logit - norm, node, tokens, *segment);
            }
        }
        self.hidden = hidden;
    }

    fn found(&mut self, bound: f32, node: usize, tokens: Vec<u32>, parent: usize) {
        match self.candidates.nodes[node].candidate {
            Some(candidate) => self.exact.push((bound, candidate)),
            None => self.open.push(Open {
                node,
                tokens,
                bound,
                parent,
            }),
        }
    }

    fn scores(self) -> Vec<f32> {
        let mut scores = vec![f32::NEG_INFINITY; self.candidates.n];
        for (score, candidate) in self.exact {
            scores[candidate] = score;
        }
        let mut below: Vec<(usize, f32)> = self.open.iter().map(|o| (o.node, o.bound)).collect();
        while let Some((node, bound)) = below.pop() {
            let node = &self.candidates.nodes[node];
            if let Some(candidate) = node.candidate {
                scores[candidate] = bound;
            }
            below.extend(node.children.iter().map(|c| (c.1, bound)));
        }
        scores
    }
}
