//! What sequence models read of the catalogue, by settings.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::sequence::ItemFeatures;
use crate::text::{EntityTexts, whiten};

/// The widest text.
const MAX_DIM: usize = 4096;

/// All off by default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeatureConfig {
    /// Width of an item's text (LSA, whitened) as it is read; 0: no text is.
    pub text_dim: usize,
    /// Whether what items share (brand, categories) has vectors of its own.
    pub attributes: bool,
}

impl FeatureConfig {
    /// # Errors
    /// A value out of its range.
    pub fn check(&self) -> Result<()> {
        if self.text_dim > MAX_DIM {
            let dim = self.text_dim;
            return Err(Error::Config(format!(
                "text_dim = {dim}: at most {MAX_DIM}"
            )));
        }
        Ok(())
    }

    /// None if nothing is read. `seed` decides where the LSA begins.
    ///
    /// # Errors
    /// None that a catalogue can have.
    pub fn read<'a>(
        &self,
        texts: impl FnOnce() -> &'a EntityTexts,
        seed: u64,
    ) -> Result<Option<Arc<ItemFeatures>>> {
        if *self == Self::default() {
            return Ok(None);
        }
        let (texts, dim) = (texts(), self.text_dim);
        let dense = if dim > 0 {
            whiten(&texts.lsa(dim, seed), dim, dim)
        } else {
            Vec::new()
        };
        let of = |entity| texts.attributes(entity).collect();
        let attributes = if self.attributes {
            (0..texts.n() as u32).map(of).collect()
        } else {
            vec![Vec::new(); texts.n()]
        };
        Ok(Some(Arc::new(ItemFeatures::new(dense, dim, attributes)?)))
    }
}
