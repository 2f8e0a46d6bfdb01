//! What only training does: dropout, and the steps of the optimiser.

#![allow(unsafe_code)]

use super::{Simd, vectorised};

/// Wellons' lowbias32: a bijection whose every bit depends on every bit.
#[inline(always)]
fn lowbias32(x: u32) -> u32 {
    let h = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    let h = (h ^ (h >> 15)).wrapping_mul(0x846c_a68b);
    h ^ (h >> 16)
}

/// What all parameters of a step of [`adam`] share.
#[derive(Debug, Clone, Copy)]
pub struct AdamStep {
    /// Divided by the correction of the first moment.
    lr: f32,
    b1: f32,
    b2: f32,
    inv_c2: f32,
}

impl AdamStep {
    /// The `step`-th, counted from 1.
    pub fn new(lr: f32, (b1, b2): (f32, f32), step: u64) -> Self {
        let correction = |b: f32| 1.0 - f64::from(b).powf(step as f64);
        Self {
            lr: (f64::from(lr) / correction(b1)) as f32,
            b1,
            b2,
            inv_c2: (1.0 / correction(b2)) as f32,
        }
    }
}

vectorised! {
    /// Dropout (Srivastava et al., JMLR 2014) in place: `x ← x / (1 − p)`, or 0 with probability p.
    /// Element i's fate is a function of (key, i): backward, the same call masks the gradient.
    pub fn dropout(xs: &mut [f32], key: u64, p: f32) {
        let threshold = (f64::from(p) * 4_294_967_296.0) as u32;
        let scale = 1.0 / (1.0 - p);
        // Near keys may differ in one bit: mixed, their masks have nothing in common.
        let salt = lowbias32((key >> 32) as u32);
        let mut counter = key as u32;
        for x in xs {
            let h = lowbias32(lowbias32(counter) ^ salt);
            *x = if h >= threshold { *x * scale } else { 0.0 };
            counter = counter.wrapping_add(1);
        }
    }

    /// A step of Adam (arXiv 1412.6980, algorithm 1) with ε = 1e-8.
    pub fn adam(params: &mut [f32], m: &mut [f32], v: &mut [f32], grads: &[f32], step: AdamStep) {
        let AdamStep { lr, b1, b2, inv_c2 } = step;
        let moments = m.iter_mut().zip(v);
        for ((p, (m, v)), g) in params.iter_mut().zip(moments).zip(grads) {
            *m = b1 * *m + (1.0 - b1) * g;
            *v = b2 * *v + (1.0 - b2) * g * g;
            *p -= lr * *m / ((*v * inv_c2).sqrt() + 1e-8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1,000,000 draws: the share that is dropped within five standard deviations, and no memory
    /// from one element to the next or from one key to the next.
    #[test]
    fn dropout_drops_its_share_independently() {
        let (n, p) = (1_000_000, 0.2f64);
        let mask = |key| {
            let mut xs = vec![1.0; n];
            dropout(&mut xs, key, p as f32);
            xs
        };
        let (a, b) = (mask(1 << 40 | 7), mask(2 << 40 | 7));
        let near = |count: usize, p: f64| {
            let sd = (n as f64 * p * (1.0 - p)).sqrt();
            assert!(
                (count as f64 - n as f64 * p).abs() < 5.0 * sd,
                "{count} {p}"
            );
        };
        near(a.iter().filter(|x| **x == 0.0).count(), p);
        near(
            a.windows(2).filter(|w| w[0] == 0.0 && w[1] == 0.0).count(),
            p * p,
        );
        near(
            a.iter()
                .zip(&b)
                .filter(|(a, b)| **a == 0.0 && **b == 0.0)
                .count(),
            p * p,
        );
        assert!(a.iter().all(|x| *x == 0.0 || *x == 1.25));
    }
}
