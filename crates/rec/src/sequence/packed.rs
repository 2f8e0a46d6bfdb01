//! The sequences of a batch, packed one after the other without padding.

use std::ops::Range;

use rand::Rng;

use super::orders::{Orders, one_of};

/// The output at `row` should be `item`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    pub row: u32,
    pub item: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packed {
    /// Rows of the item table, sequence after sequence, oldest first.
    pub tokens: Vec<u32>,
    /// Ascending by row.
    pub targets: Vec<Target>,
    /// Where each sequence ends.
    ends: Vec<usize>,
}

impl Packed {
    pub fn clear(&mut self) {
        self.tokens.clear();
        self.targets.clear();
        self.ends.clear();
    }

    /// Appends a sequence; an empty one too, so that sequences keep their places.
    pub fn push(&mut self, tokens: &[u32]) {
        self.tokens.extend_from_slice(tokens);
        self.ends.push(self.tokens.len());
    }

    /// Appends a sequence each of whose rows predicts the next item (Kang & McAuley, arXiv 1808.09781,
    /// section III-A), one of the next order. A single order teaches nothing.
    pub fn push_next_item(&mut self, sequence: &Orders, rng: &mut impl Rng) {
        let mut row = self.tokens.len() as u32;
        for (order, next) in sequence.each().zip(sequence.each().skip(1)) {
            self.tokens.extend_from_slice(order);
            for _ in order {
                let item = one_of(next, rng);
                self.targets.push(Target { row, item });
                row += 1;
            }
        }
        self.ends.push(self.tokens.len());
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    pub fn n_sequences(&self) -> usize {
        self.ends.len()
    }

    /// The rows of each sequence.
    pub fn sequences(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| start..end)
    }
}
