//! Draws catalogue items in proportion to how often they were chosen in the training histories.

use hkfr_events::{Dataset, ItemIdx, Split};
use rand::Rng;

use crate::baselines::{Entities, Popularity};

/// Made once a split.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemSampler {
    items: Vec<ItemIdx>,
    /// By catalogue position: the summed counts up to and with it.
    cumulative: Vec<f64>,
}

impl ItemSampler {
    pub fn new(ds: &Dataset, split: &Split) -> Self {
        let popularity = Popularity::fit(ds, split, &Entities::items(ds, &split.catalogue));
        let mut sum = 0.0;
        let cumulative = popularity
            .counts()
            .iter()
            .map(|&c| {
                sum += f64::from(c);
                sum
            })
            .collect();
        Self {
            items: split.catalogue.items.clone(),
            cumulative,
        }
    }

    /// `None` if nothing was chosen in training.
    pub fn draw(&self, rng: &mut impl Rng) -> Option<ItemIdx> {
        let total = *self.cumulative.last()?;
        if total <= 0.0 {
            return None;
        }
        let at = rng.random::<f64>() * total;
        self.items
            .get(self.cumulative.partition_point(|&c| c <= at))
            .copied()
    }

    /// An item that `is_wrong` does not reject; `None` if many draws found none (the user's
    /// targets are nearly all that is popular).
    pub(super) fn draw_other(
        &self,
        rng: &mut impl Rng,
        is_wrong: impl Fn(ItemIdx) -> bool,
    ) -> Option<ItemIdx> {
        (0..64).find_map(|_| self.draw(rng).filter(|&i| !is_wrong(i)))
    }
}
