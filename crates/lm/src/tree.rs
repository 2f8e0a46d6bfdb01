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
//!
//! A segment pushed with room can grow by a token a call, as generation does. Its rows stay side by
//! side: attention then reads one range of keys a request, and the requests that share a prefix
//! meet it in one product. A chain of one-token segments would read one range a token.
//!
//! ```
//! # use hkfr_lm::TokenTree;
//! let mut tree = TokenTree::default();
//! let prompt = tree.push(None, &[5, 6, 7]);
//! let a = tree.push_with_room(Some(prompt), &[8], 2);
//! let b = tree.push_with_room(Some(prompt), &[9], 2);
//! assert_eq!((tree.grow(a, 10), tree.grow(b, 11)), (4, 7));
//! let fork = tree.push(Some(a), &[12]);
//! tree.grow(a, 13);
//! assert_eq!(tree.context(fork), [0..3, 3..5, 9..10]);
//! ```
//!
//! A branch that has ended can be freed: the next push that fits takes its rows.
//!
//! ```
//! # use hkfr_lm::TokenTree;
//! let mut tree = TokenTree::default();
//! let prompt = tree.push(None, &[5, 6, 7]);
//! let ended = tree.push_with_room(Some(prompt), &[8], 2);
//! tree.free(ended);
//! let next = tree.push_with_room(Some(prompt), &[9, 10], 1);
//! assert_eq!((tree.rows(next), tree.len()), (3..5, 6));
//! ```
//!
//! Invariants: segments lie in the order of their indices and do not overlap; a row never moves; a
//! child sees its parent as long as it was when the child was pushed, so growth changes no branch.

use std::ops::Range;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    /// Empty if the segment was freed.
    rows: Range<usize>,
    /// Where the next segment begins: rows up to here are reserved.
    reserved_end: usize,
    /// The parent and the row at which it ended when this segment was pushed.
    parent: Option<(usize, usize)>,
}

impl Segment {
    /// Rows, those in reserve included.
    fn size(&self) -> usize {
        self.reserved_end - self.rows.start
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenTree {
    tokens: Vec<u32>,
    positions: Vec<u32>,
    segments: Vec<Segment>,
    /// Segments whose rows the next push may take.
    free: Vec<usize>,
    /// Rows in the order in which they got their tokens: what a session has yet to compute.
    arrivals: Vec<usize>,
}

impl TokenTree {
    /// Adds a segment and returns its index: in the place of a freed one that is large enough, or at
    /// the end. `parent` is the index of a segment.
    ///
    /// # Panics
    /// If `tokens` is empty or the parent does not exist.
    pub fn push(&mut self, parent: Option<usize>, tokens: &[u32]) -> usize {
        self.push_with_room(parent, tokens, 0)
    }

    /// [`TokenTree::push`] with `room` rows reserved for [`TokenTree::grow`]. Every reserved row
    /// takes memory of a key and a value in each layer of a session, whether it is used or not.
    ///
    /// # Panics
    /// If `tokens` is empty or the parent does not exist.
    pub fn push_with_room(&mut self, parent: Option<usize>, tokens: &[u32], room: usize) -> usize {
        assert!(!tokens.is_empty(), "a segment needs at least one token");
        let parent = parent.map(|p| (p, self.segments[p].rows.end));
        let first = parent.map_or(0, |(_, end)| self.positions[end - 1] + 1);
        let size = tokens.len() + room;
        let fits = |&s: &usize| self.segments[s].size() >= size;
        let segment = match self.free.iter().position(fits) {
            Some(at) => self.free.swap_remove(at),
            None => {
                let start = self.tokens.len();
                self.tokens.resize(start + size, 0);
                self.positions.resize(start + size, 0);
                self.segments.push(Segment {
                    rows: start..start,
                    reserved_end: start + size,
                    parent: None,
                });
                self.segments.len() - 1
            }
        };
        let s = &mut self.segments[segment];
        let (start, end) = (s.rows.start, s.rows.start + tokens.len());
        s.parent = parent;
        s.rows.end = end;
        self.tokens[start..end].copy_from_slice(tokens);
        self.tokens[end..s.reserved_end].fill(0);
        let positions = &mut self.positions[start..s.reserved_end];
        (first..).zip(positions).for_each(|(p, to)| *to = p);
        self.arrivals.extend(start..end);
        segment
    }

    /// Gives the rows of a segment, those in reserve too, to the pushes that follow. All of the tree
    /// must have been computed, and the session must [`rewind`](crate::Session::rewind) before it
    /// extends the tree again.
    ///
    /// # Panics
    /// If it was freed before, or has a child that was not.
    pub fn free(&mut self, segment: usize) {
        let rows = self.rows(segment);
        let child = |s: &Segment| !s.rows.is_empty() && s.parent.is_some_and(|p| p.0 == segment);
        assert!(
            !rows.is_empty() && !self.segments.iter().any(child),
            "segment {segment} was freed before or has children"
        );
        self.arrivals.retain(|row| !rows.contains(row));
        self.segments[segment].rows.end = rows.start;
        self.free.push(segment);
    }

    /// Appends a token to a segment, whatever was pushed since, and returns its row. Children that
    /// the segment already has do not see it.
    ///
    /// # Panics
    /// If the segment has no room left.
    pub fn grow(&mut self, segment: usize, token: u32) -> usize {
        assert!(self.room(segment) > 0, "segment {segment} is full");
        let row = self.segments[segment].rows.end;
        self.segments[segment].rows.end += 1;
        self.tokens[row] = token;
        self.arrivals.push(row);
        row
    }

    /// How many tokens a segment can still grow by.
    pub fn room(&self, segment: usize) -> usize {
        let s = &self.segments[segment];
        s.reserved_end - s.rows.end
    }

    /// Drops all segments from the `n_segments`-th on. A session that computed the tree must
    /// [`rewind`](crate::Session::rewind) before it extends it again.
    pub fn truncate(&mut self, n_segments: usize) {
        if n_segments < self.segments.len() {
            let end = self.segments[n_segments].rows.start;
            self.segments.truncate(n_segments);
            self.free.retain(|&s| s < n_segments);
            self.tokens.truncate(end);
            self.positions.truncate(end);
            self.arrivals.retain(|&row| row < end);
        }
    }

    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Rows, those included that are reserved or freed.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Tokens by row; a reserved row holds 0.
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
        self.segments[segment].parent.map(|p| p.0)
    }

    /// Parent and the row at which a segment branches off it: segments that agree on both see the
    /// same prefix.
    pub(crate) fn fork(&self, segment: usize) -> Option<(usize, usize)> {
        self.segments[segment].parent
    }

    /// The segment in whose reservation a row lies.
    pub(crate) fn segment_at(&self, row: usize) -> usize {
        self.segments.partition_point(|s| s.rows.start <= row) - 1
    }

    /// How many tokens arrived and are still there.
    pub(crate) fn n_tokens(&self) -> usize {
        self.arrivals.len()
    }

    /// The rows of all tokens but the first `n`, ascending.
    pub(crate) fn rows_since(&self, n: usize) -> Vec<usize> {
        let mut rows = self.arrivals[n..].to_vec();
        rows.sort_unstable();
        rows
    }

    /// The row ranges a segment attends to, root first, its own rows last.
    pub fn context(&self, segment: usize) -> Vec<Range<usize>> {
        let mut chain = vec![self.rows(segment)];
        let mut at = segment;
        while let Some((parent, end)) = self.segments[at].parent {
            chain.push(self.segments[parent].rows.start..end);
            at = parent;
        }
        chain.reverse();
        chain
    }
}
