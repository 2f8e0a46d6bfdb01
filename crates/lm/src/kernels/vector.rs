//! What a decoder does between matrix products, element by element and row by row.
//!
//! Each function is compiled once for every [`Simd`] level. Sums run in 16 lanes that are added at
//! the end, in the same order at every level.

#![allow(unsafe_code)]

use super::simd::Simd;

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

#[inline(always)]
fn inv_rms(x: &[f32], eps: f32) -> f32 {
    1.0 / (sum(x, |v| v * v) / x.len() as f32 + eps).sqrt()
}

vectorised! {
    /// RMSNorm (arXiv 1910.07467): `y = x / sqrt(mean(x²) + eps) · g` for each row of length `g.len()`.
    pub fn rms_norm(ys: &mut [f32], xs: &[f32], g: &[f32], eps: f32) {
        for (y, x) in ys.chunks_exact_mut(g.len()).zip(xs.chunks_exact(g.len())) {
            let inv = inv_rms(x, eps);
            for ((y, x), g) in y.iter_mut().zip(x).zip(g) {
                *y = x * inv * g;
            }
        }
    }

    /// Adds the gradient of [`rms_norm`] with respect to xs to `dxs`.
    pub fn rms_norm_back(dxs: &mut [f32], dys: &[f32], xs: &[f32], g: &[f32], eps: f32) {
        let d = g.len();
        let rows = dys.chunks_exact(d).zip(xs.chunks_exact(d));
        for (dx, (dy, x)) in dxs.chunks_exact_mut(d).zip(rows) {
            let inv = inv_rms(x, eps);
            let mut dot = [0.0f32; LANES];
            for (i, ((dy, x), g)) in dy.iter().zip(x).zip(g).enumerate() {
                dot[i % LANES] += dy * x * g;
            }
            let c = dot.iter().sum::<f32>() * inv * inv * inv / d as f32;
            for (((dx, dy), x), g) in dx.iter_mut().zip(dy).zip(x).zip(g) {
                *dx += dy * g * inv - x * c;
            }
        }
    }

    /// SwiGLU (arXiv 2002.05202): `act = silu(gate) · up`.
    pub fn swiglu(act: &mut [f32], gate: &[f32], up: &[f32]) {
        for ((a, g), u) in act.iter_mut().zip(gate).zip(up) {
            *a = g * sigmoid(*g) * u;
        }
    }

    /// From `dact` to the gradients of gate and up, which overwrite `dgate` and `dup`.
    pub fn swiglu_back(dgate: &mut [f32], dup: &mut [f32], dact: &[f32], gate: &[f32], up: &[f32]) {
        let inputs = dact.iter().zip(gate).zip(up);
        for ((dgate, dup), ((dact, gate), up)) in dgate.iter_mut().zip(dup).zip(inputs) {
            let s = sigmoid(*gate);
            let silu = gate * s;
            *dup = dact * silu;
            *dgate = dact * up * (s + silu * (1.0 - s));
        }
    }

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

    /// `a · b`.
    pub fn dot(a: &[f32], b: &[f32]) -> f32 {
        sum2(a, b, |x, y| x * y)
    }

    /// `out_j = keep·out_j + scale · x·y_j`, the rows y_j `stride` apart. With `keep == 0` the old
    /// content is not read.
    pub fn dots(out: &mut [f32], keep: f32, scale: f32, x: &[f32], ys: &[f32], stride: usize) {
        for (j, out) in out.iter_mut().enumerate() {
            let y = &ys[j * stride..][..x.len()];
            let value = scale * sum2(x, y, |a, b| a * b);
            *out = if keep == 0.0 { value } else { keep * *out + value };
        }
    }

    /// Rounds to bfloat16 (nearest, ties to even), two neighbours to the low and high half of an
    /// element of `pairs`.
    pub fn round_bf16(pairs: &mut [f32], xs: &[f32]) {
        // To the nearest: half of the last place, less one where the last bit is even.
        let round = |x: f32| x.to_bits().wrapping_add(0x7fff + (x.to_bits() >> 16 & 1));
        for (pair, x) in pairs.iter_mut().zip(xs.chunks_exact(2)) {
            *pair = f32::from_bits(round(x[0]) >> 16 | round(x[1]) & 0xffff_0000);
        }
    }

    /// LayerNorm (arXiv 1607.06450) in place: `(x − mean) / sqrt(var + eps) · g + b`, row by row.
    pub fn layer_norm(xs: &mut [f32], g: &[f32], b: &[f32], eps: f32) {
        let d = g.len() as f32;
        for x in xs.chunks_exact_mut(g.len()) {
            let mean = sum(x, |v| v) / d;
            let inv = 1.0 / (sum(x, |v| (v - mean) * (v - mean)) / d + eps).sqrt();
            for ((x, g), b) in x.iter_mut().zip(g).zip(b) {
                *x = (*x - mean) * inv * g + b;
            }
        }
    }

    /// GELU in place: `x Φ(x)`, with the error function by Abramowitz & Stegun 7.1.26 (absolute
    /// error below 1.5e-7).
    pub fn gelu(xs: &mut [f32]) {
        for x in xs {
            let z = x.abs() / std::f32::consts::SQRT_2;
            let t = 1.0 / (1.0 + 0.327_591_1 * z);
            let poly = t
                * (0.254_829_6
                    + t * (-0.284_496_72
                        + t * (1.421_413_8 + t * (-1.453_152_1 + t * 1.061_405_4))));
            let erf = (1.0 - poly * exp(-z * z)).copysign(*x);
            *x *= 0.5 * (1.0 + erf);
        }
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
