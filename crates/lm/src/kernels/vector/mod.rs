//! What a network does between matrix products, element by element and row by row.
//!
//! Each function is compiled once for every [`Simd`] level. Sums run in 16 lanes that are added at
//! the end, in the same order at every level.

mod activations;
mod gru;
mod norms;
mod products;
mod softmax;
mod training;

use super::simd::Simd;

pub use activations::{
    gelu, gelu_back, relu, relu_back, sigmoid_gate, sigmoid_gate_back, swiglu, swiglu_back,
};
pub use gru::{gru, gru_back};
pub use norms::{layer_norm, layer_norm_back, rms_norm, rms_norm_back};
pub use products::{add_rows, add_weighted_rows, dot, dots, round_bf16};
pub use softmax::{log_sum_exp, softmax, softmax_back};
pub use training::{AdamStep, adam, dropout};

/// Compiles a function for every level, and calls the best one.
macro_rules! vectorised {
    ($($(#[$meta:meta])* pub fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {$(
        $(#[$meta])*
        pub fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq")]
            fn avx512($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
            match Simd::detect() {
                // SAFETY: the level was detected on this machine.
                #[cfg(target_arch = "x86_64")]
                Simd::Avx512 => unsafe { avx512($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                Simd::Avx2 => unsafe { avx2($($arg),*) },
                _ => body($($arg),*),
            }
        }
    )*};
}
use vectorised;

const LANES: usize = 16;

/// `Σ f(a, b)` in lanes.
#[inline(always)]
fn sum2(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a_chunks.remainder().iter().zip(b_chunks.remainder());
    let rest: f32 = rest.map(|(&x, &y)| f(x, y)).sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for i in 0..LANES {
            lanes[i] += f(x[i], y[i]);
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// `Σ f(a)` in lanes.
#[inline(always)]
fn sum(a: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    sum2(a, a, |x, _| f(x))
}

#[inline(always)]
fn max(xs: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = xs.chunks_exact(LANES);
    let rest = chunks.remainder().iter().copied();
    let rest = rest.fold(f32::NEG_INFINITY, f32::max);
    for x in chunks {
        for i in 0..LANES {
            lanes[i] = lanes[i].max(x[i]);
        }
    }
    lanes.into_iter().fold(rest, f32::max)
}

/// `eˣ` with a relative error below 2e-7 (Cephes' `expf`): 0 below −87.3, at most `e⁸⁸`.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    let y = x.clamp(-87.3, 88.0);
    // x = n ln 2 + r; adding and subtracting 1.5·2²³ rounds to the nearest whole number.
    let shifted = y * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = y - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 0.166_666_65;
    let p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    if x < -87.3 { 0.0 } else { p * power }
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Directional derivatives by central differences.
#[cfg(test)]
mod check {
    /// `f'(0)` is `expected` but for a thousandth.
    pub fn close(name: &str, f: &dyn Fn(f32) -> f64, expected: f32) {
        let slope = (f(1e-2) - f(-1e-2)) / 2e-2;
        let error = (slope - f64::from(expected)).abs() / slope.abs();
        assert!(error < 1e-3, "{name}: {slope} {expected}");
    }

    /// `from + t · to`.
    pub fn along(from: &[f32], to: &[f32], t: f32) -> Vec<f32> {
        from.iter().zip(to).map(|(a, b)| a + t * b).collect()
    }

    /// `a · b` in 64 bits.
    pub fn inner(a: &[f32], b: &[f32]) -> f64 {
        let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
        products.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_near_that_of_the_standard_library() {
        let mut worst = 0.0f64;
        for i in -870_000..880_000 {
            let x = i as f32 * 1e-4;
            let expected = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) / expected - 1.0).abs());
        }
        assert!(worst < 2e-7, "relative error {worst}");
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-1000.0), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn sums_run_over_every_element() {
        for n in 0..70 {
            let xs: Vec<f32> = (0..n).map(|i| (i % 7) as f32 - 3.0).collect();
            let ones = vec![1.0; n];
            assert_eq!(
                sum2(&xs, &ones, |a, b| a * b),
                xs.iter().sum::<f32>(),
                "{n}"
            );
            if n > 0 {
                let naive = xs.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln();
                assert!((f64::from(log_sum_exp(&xs)) - naive).abs() < 1e-5, "{n}");
            }
        }
    }
}
