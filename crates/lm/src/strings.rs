//! A set of strings as an automaton: titles of a catalogue, labels, the values of an enum.
//!
//! The strings lie sorted, and a state is the range of those that begin with what was said. So
//! thousands of titles need no trie in memory, and a step is two binary searches.

use crate::constrain::Automaton;
use crate::error::{Error, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StringSet {
    /// Sorted, unique, at least one.
    strings: Vec<Vec<u8>>,
    /// Which bytes occur.
    bytes: Box<[bool; 256]>,
}

/// The strings `lo..hi` share their first `depth` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    lo: u32,
    hi: u32,
    depth: u32,
}

impl StringSet {
    /// # Errors
    /// If there are no strings or one is empty: no answer could be told from it.
    pub fn new<S: Into<Vec<u8>>>(strings: impl IntoIterator<Item = S>) -> Result<Self> {
        let mut strings: Vec<Vec<u8>> = strings.into_iter().map(Into::into).collect();
        strings.sort_unstable();
        strings.dedup();
        match strings.first() {
            None => Err(Error::Config(
                "there are no strings to choose from: give at least one".into(),
            )),
            Some(first) if first.is_empty() => Err(Error::Config(
                "one of the strings to choose from is empty: leave it out".into(),
            )),
            _ => {
                let mut bytes = Box::new([false; 256]);
                strings
                    .iter()
                    .flatten()
                    .for_each(|&b| bytes[b as usize] = true);
                Ok(Self { strings, bytes })
            }
        }
    }

    pub fn len(&self) -> usize {
        self.strings.len()
    }

    pub fn is_empty(&self) -> bool {
        self.strings.is_empty()
    }

    /// The first of the shortest strings of a range: taking its next byte keeps it so.
    fn nearest(&self, span: &Span) -> &[u8] {
        let range = &self.strings[span.lo as usize..span.hi as usize];
        range
            .iter()
            .min_by_key(|s| s.len())
            .expect("a span is not empty")
    }
}

impl Automaton for StringSet {
    type State = Span;

    fn start(&self) -> Span {
        Span {
            lo: 0,
            hi: self.strings.len() as u32,
            depth: 0,
        }
    }

    fn step(&self, span: &Span, byte: u8) -> Option<Span> {
        let range = &self.strings[span.lo as usize..span.hi as usize];
        let at = |s: &Vec<u8>| s.get(span.depth as usize).copied();
        let lo = range.partition_point(|s| at(s) < Some(byte));
        let n = range[lo..].partition_point(|s| at(s) == Some(byte));
        (n > 0).then_some(Span {
            lo: span.lo + lo as u32,
            hi: span.lo + (lo + n) as u32,
            depth: span.depth + 1,
        })
    }

    fn is_end(&self, span: &Span) -> bool {
        self.strings[span.lo as usize].len() == span.depth as usize
    }

    fn shortest(&self, span: &Span) -> Vec<u8> {
        self.nearest(span)[span.depth as usize..].to_vec()
    }

    fn in_endings(&self, byte: u8) -> bool {
        self.bytes[byte as usize]
    }

    fn distance(&self, span: &Span) -> usize {
        self.nearest(span).len() - span.depth as usize
    }
}
