//! Softmax, its logarithm's norm and its gradient.

#![allow(unsafe_code)]

use super::{Simd, exp, max, sum, sum2, vectorised};

vectorised! {
    /// `ln Σ exp(x)`, stable.
    pub fn log_sum_exp(xs: &[f32]) -> f32 {
        let max = max(xs);
        max + sum(xs, |x| exp(x - max)).ln()
    }

    /// Softmax in place.
    pub fn softmax(xs: &mut [f32]) {
        let max = max(xs);
        xs.iter_mut().for_each(|x| *x = exp(*x - max));
        let inv = 1.0 / sum(xs, |x| x);
        xs.iter_mut().for_each(|x| *x *= inv);
    }

    /// The gradient of [`softmax`], in place of that of its result: `dp ← p (dp − Σ p dp)`.
    pub fn softmax_back(dp: &mut [f32], p: &[f32]) {
        let dot = sum2(dp, p, |a, b| a * b);
        for (dp, p) in dp.iter_mut().zip(p) {
            *dp = p * (*dp - dot);
        }
    }
}
