//! Random numbers that are the same everywhere: SplitMix64, seeded by a hash of what they are for.

use crate::hash;

pub(super) struct Draw {
    state: u64,
}

impl Draw {
    /// The numbers of the `n`th thing of a kind, independent of all other things.
    pub fn of(seed: u64, kind: &str, n: u64) -> Self {
        let state = hash::mix(hash::bytes(seed, kind.as_bytes()) ^ hash::mix(n));
        Self { state }
    }

    fn bits(&mut self) -> u64 {
        let bits = hash::mix(self.state);
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        bits
    }

    /// Uniform in (0, 1].
    pub fn fraction(&mut self) -> f64 {
        hash::fraction(self.bits())
    }

    pub fn chance(&mut self, p: f64) -> bool {
        self.fraction() <= p
    }

    /// Uniform in 0..n.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// In 0..n, the lower the more likely: the first tenth gets a third.
    pub fn skewed(&mut self, n: usize) -> usize {
        let u = 1.0 - self.fraction();
        ((n as f64 * u * u) as usize).min(n - 1)
    }

    /// A position, as likely as its weight.
    pub fn among(&mut self, weights: &[f64]) -> usize {
        let mut left = self.fraction() * weights.iter().sum::<f64>();
        for (i, w) in weights.iter().enumerate() {
            left -= w;
            if left <= 0.0 {
                return i;
            }
        }
        weights.len() - 1
    }
}
