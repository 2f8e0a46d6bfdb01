//! The byte string of every token, and all of them as one trie, so that a mask over tens of
//! thousands of tokens is one walk that leaves a branch at its first impossible byte.
//!
//! ```
//! use hkfr_lm::Vocabulary;
//! let vocabulary = Vocabulary::new(vec![None, Some(b"a".to_vec()), Some(b"ab".to_vec()), Some(b"b".to_vec())]);
//! // The tokens that "abc" can begin with.
//! let mut found = Vec::new();
//! vocabulary.walk(0, |&at, byte| (b"abc".get(at) == Some(&byte)).then_some(at + 1), |_, ids| found.extend_from_slice(ids));
//! assert_eq!(found, [1, 2]);
//! assert_eq!(vocabulary.min_tokens(b"aab"), Some(2));
//! ```

use crate::tokenizer::Tokenizer;

/// A node in preorder: its first child follows it, its next sibling is at `skip`.
struct Node {
    byte: u8,
    depth: u32,
    skip: u32,
    /// The tokens that end here, in `Vocabulary::ids`.
    ids: (u32, u32),
}

pub struct Vocabulary {
    bytes: Vec<Option<Vec<u8>>>,
    nodes: Vec<Node>,
    ids: Vec<u32>,
    /// The node of a first byte, or `nodes.len()`.
    roots: Vec<usize>,
}

impl Vocabulary {
    /// `bytes[id]` is what token `id` stands for; `None` for a special token, which no text contains.
    pub fn new(bytes: Vec<Option<Vec<u8>>>) -> Self {
        let mut sorted: Vec<(&[u8], u32)> = bytes
            .iter()
            .enumerate()
            .filter_map(|(id, b)| Some((b.as_deref().filter(|b| !b.is_empty())?, id as u32)))
            .collect();
        sorted.sort_unstable();
        let mut nodes: Vec<Node> = Vec::new();
        let mut ids = Vec::with_capacity(sorted.len());
        let mut path: Vec<usize> = Vec::new();
        let mut last: &[u8] = &[];
        for (text, id) in sorted {
            let common = text.iter().zip(last).take_while(|(a, b)| a == b).count();
            for &closed in &path[common..] {
                nodes[closed].skip = nodes.len() as u32;
            }
            path.truncate(common);
            for (depth, &byte) in text.iter().enumerate().skip(common) {
                path.push(nodes.len());
                nodes.push(Node {
                    byte,
                    depth: depth as u32,
                    skip: 0,
                    ids: (ids.len() as u32, ids.len() as u32),
                });
            }
            ids.push(id);
            nodes[path[text.len() - 1]].ids.1 = ids.len() as u32;
            last = text;
        }
        for closed in path {
            nodes[closed].skip = nodes.len() as u32;
        }
        let mut roots = vec![nodes.len(); 256];
        let mut at = 0;
        while at < nodes.len() {
            roots[nodes[at].byte as usize] = at;
            at = nodes[at].skip as usize;
        }
        Self {
            bytes,
            nodes,
            ids,
            roots,
        }
    }

    pub fn of(tokenizer: &Tokenizer) -> Self {
        let n = tokenizer.vocab_size() as u32;
        Self::new((0..n).map(|id| tokenizer.token_bytes(id)).collect())
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What a token stands for; `None` for a special token or one beyond the vocabulary.
    pub fn bytes(&self, token: u32) -> Option<&[u8]> {
        self.bytes.get(token as usize)?.as_deref()
    }

    /// Walks the trie along all byte strings that `step` can follow from `start`, and calls
    /// `visit(state, tokens)` where tokens end.
    pub fn walk<S>(
        &self,
        start: S,
        mut step: impl FnMut(&S, u8) -> Option<S>,
        mut visit: impl FnMut(&S, &[u32]),
    ) {
        let mut states = vec![start];
        let mut at = 0;
        while let Some(node) = self.nodes.get(at) {
            states.truncate(node.depth as usize + 1);
            match step(&states[node.depth as usize], node.byte) {
                Some(state) => {
                    if node.ids.0 < node.ids.1 {
                        visit(&state, &self.ids[node.ids.0 as usize..node.ids.1 as usize]);
                    }
                    states.push(state);
                    at += 1;
                }
                None => at = node.skip as usize,
            }
        }
    }

    /// The fewest tokens that spell `text`, if any do.
    pub fn min_tokens(&self, text: &[u8]) -> Option<usize> {
        // fewest[i]: for text[i..].
        let mut fewest = vec![None; text.len() + 1];
        fewest[text.len()] = Some(0);
        for start in (0..text.len()).rev() {
            let mut at = self.roots[text[start] as usize];
            let mut end = start + 1;
            let mut best: Option<usize> = None;
            while let Some(node) = self.nodes.get(at) {
                if node.ids.0 < node.ids.1
                    && let Some(rest) = fewest[end]
                {
                    best = Some(best.map_or(rest + 1, |b| b.min(rest + 1)));
                }
                let Some(&byte) = text.get(end) else { break };
                let mut child = at + 1;
                while child < node.skip as usize && self.nodes[child].byte != byte {
                    child = self.nodes[child].skip as usize;
                }
                if child >= node.skip as usize {
                    break;
                }
                at = child;
                end += 1;
            }
            fewest[start] = best;
        }
        fewest[0]
    }

    /// Whether a token stands for this byte alone.
    pub fn has_byte(&self, byte: u8) -> bool {
        let node = self.nodes.get(self.roots[byte as usize]);
        node.is_some_and(|n| n.ids.0 < n.ids.1)
    }
}
