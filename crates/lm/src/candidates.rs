//! Exact ranking of named candidates by the probability the model gives their names.
//!
//! `score(c) = ln p(tokens of c, end of answer | prompt)`. The names form a trie. A node's bound is
//! the log-probability of its prefix, and no name below it can score higher, so best-first
//! expansion finds the exact top k while it computes only the prefixes whose bound is above the
//! k-th score. Every answer is a candidate: the model cannot name what doesn't exist.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::forward::Session;
use crate::kernels::log_sum_exp;
use crate::lora::Lora;
use crate::model::Llama;
use crate::tree::TokenTree;

/// A non-empty, duplicate-free set of token sequences as a trie.
#[derive(Debug, Clone)]
pub struct Candidates {
    /// Node 0 is the root; a parent precedes its children.
    nodes: Vec<Node>,
    n: usize,
}

#[derive(Debug, Clone, Default)]
struct Node {
    children: Vec<(u32, usize)>,
    /// The candidate that ends here: its node is the end-of-answer token.
    candidate: Option<usize>,
}

impl Candidates {
    /// `names[i]` are the tokens of candidate i, without the end-of-answer token `end`.
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
        if names.is_empty() {
            return Err(Error::Config("there are no candidates".into()));
        }
        Ok(Self {
            nodes,
            n: names.len(),
        })
    }

    pub fn len(&self) -> usize {
        self.n
    }

    pub fn is_empty(&self) -> bool {
        self.n == 0
    }
}

/// A node that was reached: its bound and where its tokens lie in the tree.
#[derive(Clone, Copy)]
struct Open {
    node: usize,
    /// The token that leads to it.
    token: u32,
    bound: f32,
    /// Segment of the parent prefix.
    parent: usize,
}

/// A score for each candidate: exact for (at least) the best `top`, and for the others the bound at
/// which they were left, which is below the `top`-th score.
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
    let mut scores = vec![f32::NEG_INFINITY; candidates.n];
    let mut exact = Vec::new();
    let mut open = Vec::new();
    let last = tree.rows(prompt).end - 1;
    let logits = session.logits(model, &[last]);
    reach(candidates, 0, 0.0, prompt, logits, &mut open, &mut exact);
    loop {
        exact.sort_by(|a: &(f32, usize), b| b.0.total_cmp(&a.0));
        let threshold = exact.get(top.max(1) - 1).map_or(f32::NEG_INFINITY, |e| e.0);
        open.sort_by(|a: &Open, b| b.bound.total_cmp(&a.bound));
        let n = open
            .iter()
            .take(width.max(1))
            .take_while(|o| o.bound >= threshold)
            .count();
        if n == 0 {
            break;
        }
        let batch: Vec<Open> = open.drain(..n).collect();
        let segments: Vec<usize> = batch
            .iter()
            .map(|o| tree.push(Some(o.parent), &[o.token]))
            .collect();
        session.extend(model, lora, tree);
        let rows: Vec<usize> = segments.iter().map(|&s| tree.rows(s).end - 1).collect();
        let v = model.config.vocab_size;
        let logits = session.logits(model, &rows);
        for ((o, &segment), logits) in batch.iter().zip(&segments).zip(logits.chunks_exact(v)) {
            reach(
                candidates, o.node, o.bound, segment, logits, &mut open, &mut exact,
            );
        }
    }
    for (score, candidate) in exact {
        scores[candidate] = score;
    }
    let mut below: Vec<(usize, f32)> = open.iter().map(|o| (o.node, o.bound)).collect();
    while let Some((node, bound)) = below.pop() {
        if let Some(candidate) = candidates.nodes[node].candidate {
            scores[candidate] = bound;
        }
        below.extend(candidates.nodes[node].children.iter().map(|c| (c.1, bound)));
    }
    scores
}

/// The children of a node whose next-token logits are known: prefixes become open, names exact.
fn reach(
    candidates: &Candidates,
    node: usize,
    bound: f32,
    segment: usize,
    logits: &[f32],
    open: &mut Vec<Open>,
    exact: &mut Vec<(f32, usize)>,
) {
    let norm = log_sum_exp(logits);
    for &(token, child) in &candidates.nodes[node].children {
        let bound = bound + logits[token as usize] - norm;
        match candidates.nodes[child].candidate {
            Some(candidate) => exact.push((bound, candidate)),
            None => open.push(Open {
                node: child,
                token,
                bound,
                parent: segment,
            }),
        }
    }
}

/// `ln p(option | prompt)` summed over its tokens, for each option, in one pass over all of them.
pub fn score_continuations(
    session: &mut Session,
    model: &Llama,
    lora: Option<&Lora>,
    tree: &mut TokenTree,
    prompt: usize,
    options: &[Vec<u32>],
) -> Vec<f32> {
    let last = tree.rows(prompt).end - 1;
    let firsts: Vec<f32> = {
        let logits = session.logits(model, &[last]);
        let norm = log_sum_exp(logits);
        options
            .iter()
            .map(|o| logits[o[0] as usize] - norm)
            .collect()
    };
    let segments: Vec<usize> = options.iter().map(|o| tree.push(Some(prompt), o)).collect();
    session.extend(model, lora, tree);
    let mut asked = Vec::new();
    for (option, &segment) in options.iter().zip(&segments) {
        asked.extend(
            tree.rows(segment)
                .zip(&option[1..])
                .map(|(row, &token)| (row, token)),
        );
    }
    let mut log_probs = session.log_probs(model, &asked).into_iter();
    options
        .iter()
        .zip(firsts)
        .map(|(o, first)| first + log_probs.by_ref().take(o.len() - 1).sum::<f32>())
        .collect()
}
