//! The sequences of a batch, packed one after the other without padding.

use std::ops::Range;

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

    /// Appends a sequence each of whose rows predicts the next item (Kang & McAuley,
    /// arXiv 1808.09781, section III-A). One of fewer than two items teaches nothing.
    pub fn push_next_item(&mut self, sequence: &[u32]) {
        let row = self.tokens.len() as u32;
        self.push(&sequence[..sequence.len().saturating_sub(1)]);
        let targets = (row..).zip(sequence.iter().skip(1));
        self.targets
            .extend(targets.map(|(row, &item)| Target { row, item }));
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
