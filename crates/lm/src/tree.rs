//! Token sequences that share prefixes, packed into one forward pass.
//!
//! A segment attends to all tokens of its ancestors and causally to itself; its positions continue
//! where its parent's end. So a user's prompt is computed once for many tasks or candidates, and
//! each branch sees exactly what it would see alone. (Tree attention: SpecInfer, arXiv 2305.09781.)
//!
//! ```
//! use hkfr_lm::TokenTree;
//! let mut tree = TokenTree::default();
//! let prompt = tree.push(None, &[5, 6, 7]);
//! let yes = tree.push(Some(prompt), &[8]);
//! let no = tree.push(Some(prompt), &[9, 10]);
//! assert_eq!(tree.rows(no), 4..6);
//! assert_eq!(tree.positions(), [0, 1, 2, 3, 3, 4]);
//! assert_eq!(tree.context(yes), [0..3, 3..4]);
//! ```

use std::ops::Range;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    rows: Range<usize>,
    parent: Option<usize>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenTree {
    tokens: Vec<u32>,
    positions: Vec<u32>,
    segments: Vec<Segment>,
}

impl TokenTree {
    /// Appends a segment and returns its index. `parent` is the index of an earlier segment.
    ///
    /// # Panics
    /// If `tokens` is empty or the parent does not exist.
    pub fn push(&mut self, parent: Option<usize>, tokens: &[u32]) -> usize {
        assert!(!tokens.is_empty(), "a segment needs at least one token");
        let first = parent.map_or(0, |p| self.positions[self.segments[p].rows.end - 1] + 1);
        let start = self.tokens.len();
        self.tokens.extend_from_slice(tokens);
        self.positions
            .extend((0..tokens.len() as u32).map(|i| first + i));
        self.segments.push(Segment {
            rows: start..self.tokens.len(),
            parent,
        });
        self.segments.len() - 1
    }

    pub fn clear(&mut self) {
        self.tokens.clear();
        self.positions.clear();
        self.segments.clear();
    }

    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    pub fn positions(&self) -> &[u32] {
        &self.positions
    }

    pub fn n_segments(&self) -> usize {
        self.segments.len()
    }

    /// The rows of a segment in the packed order.
    pub fn rows(&self, segment: usize) -> Range<usize> {
        self.segments[segment].rows.clone()
    }

    pub fn parent(&self, segment: usize) -> Option<usize> {
        self.segments[segment].parent
    }

    /// The row ranges a segment attends to, root first, its own rows last.
    pub fn context(&self, segment: usize) -> Vec<Range<usize>> {
        let mut chain = vec![self.rows(segment)];
        let mut at = segment;
        while let Some(parent) = self.segments[at].parent {
            chain.push(self.rows(parent));
            at = parent;
        }
        chain.reverse();
        chain
    }
}
