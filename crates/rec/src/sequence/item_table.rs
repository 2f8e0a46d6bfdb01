//! The item vectors of one step, under a dropout of their own.
//!
//! An item has one mask a step, whether it is read, a target or a negative, as in RecTools 0.13, on
//! which eSASRec's numbers were measured: what an item is cannot rest on a few of its elements.

use super::layers::Dropout;
use crate::scores::mix;

#[derive(Clone, Copy)]
pub(super) struct ItemTable<'a> {
    /// (items and special tokens, d).
    pub rows: &'a [f32],
    pub d: usize,
    pub dropout: Dropout,
}

impl<'a> ItemTable<'a> {
    /// `out` (ids, d).
    pub fn gather(self, out: &mut Vec<f32>, ids: impl Iterator<Item = u32> + Clone) {
        out.clear();
        for id in ids.clone() {
            out.extend_from_slice(&self.rows[id as usize * self.d..][..self.d]);
        }
        self.mask(out, ids);
    }

    /// From the gradient of what was gathered to that of the table's rows, in place.
    pub fn mask(self, rows: &mut [f32], ids: impl Iterator<Item = u32>) {
        if !self.is_masked() {
            return;
        }
        for (row, id) in rows.chunks_exact_mut(self.d).zip(ids) {
            let key = self.dropout.key.map(|key| mix(key ^ mix(u64::from(id))));
            Dropout {
                key,
                ..self.dropout
            }
            .apply(row, 0, 0);
        }
    }

    pub fn is_masked(self) -> bool {
        self.dropout.key.is_some() && self.dropout.rate > 0.0
    }
}
