//! What is known of items besides who chose them: a dense vector of their text, and attributes.

use crate::error::{Error, Result};

/// Of each item of a catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemFeatures {
    n_items: usize,
    text_dim: usize,
    /// (items, text_dim).
    texts: Vec<f32>,
    /// By item, below `n_attributes`.
    attributes: Vec<Vec<u32>>,
    n_attributes: usize,
}

impl ItemFeatures {
    /// `texts` (items, text_dim) has vectors of any origin, best whitened ([`whiten`](crate::text::whiten())) and of a
    /// norm near 1; `attributes` has by item the numbers of what it shares with others: its brand, its categories.
    ///
    /// # Errors
    /// Texts of another size, or that are not numbers.
    pub fn new(texts: Vec<f32>, text_dim: usize, attributes: Vec<Vec<u32>>) -> Result<Self> {
        let n_items = attributes.len();
        if texts.len() != n_items * text_dim {
            let n = texts.len();
            return Err(Error::Config(format!(
                "texts of {n} numbers for {n_items} items of {text_dim} each"
            )));
        }
        if let Some(at) = texts.iter().position(|x| !x.is_finite()) {
            let item = at / text_dim;
            return Err(Error::Config(format!(
                "the text of item {item} holds what is not a number"
            )));
        }
        let largest = attributes.iter().flatten().max();
        Ok(Self {
            n_items,
            text_dim,
            texts,
            n_attributes: largest.map_or(0, |&a| a as usize + 1),
            attributes,
        })
    }

    pub fn n_items(&self) -> usize {
        self.n_items
    }

    pub fn text_dim(&self) -> usize {
        self.text_dim
    }

    /// (items, text_dim).
    pub fn texts(&self) -> &[f32] {
        &self.texts
    }

    pub fn attributes(&self, item: usize) -> &[u32] {
        &self.attributes[item]
    }

    /// One more than the largest.
    pub fn n_attributes(&self) -> usize {
        self.n_attributes
    }
}
