//! What a network does between matrix products, element by element and row by row.
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
/// Sums that stay in registers while a row of a sparse product is added up.
const BLOCK: usize = 4 * LANES;

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

/// Wellons' lowbias32: a bijection whose every bit depends on every bit.
#[inline(always)]
fn lowbias32(x: u32) -> u32 {
    let h = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    let h = (h ^ (h >> 15)).wrapping_mul(0x846c_a68b);
    h ^ (h >> 16)
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The error function by Abramowitz & Stegun 7.1.26: absolute error below 1.5e-7.
#[inline(always)]
fn erf(x: f32) -> f32 {
    let z = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let poly = t
        * (0.254_829_6
            + t * (-0.284_496_72 + t * (1.421_413_8 + t * (-1.453_152_1 + t * 1.061_405_4))));
    (1.0 - poly * exp(-z * z)).copysign(x)
}

#[inline(always)]
fn inv_rms(x: &[f32], eps: f32) -> f32 {
    1.0 / (sum(x, |v| v * v) / x.len() as f32 + eps).sqrt()
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

    /// GELU in place: `x Φ(x)`.
    pub fn gelu(xs: &mut [f32]) {
        for x in xs {
            *x *= 0.5 * (1.0 + erf(*x / std::f32::consts::SQRT_2));
        }
    }

    /// Gradients of [`layer_norm`], `xs` being what went in: added to `dxs`, `dg` and `db`.
    pub fn layer_norm_back(
        dxs: &mut [f32],
        dg: &mut [f32],
        db: &mut [f32],
        dys: &[f32],
        xs: &[f32],
        g: &[f32],
        eps: f32,
    ) {
        let d = g.len();
        let rows = dys.chunks_exact(d).zip(xs.chunks_exact(d));
        for (dx, (dy, x)) in dxs.chunks_exact_mut(d).zip(rows) {
            let mean = sum(x, |v| v) / d as f32;
            let inv = 1.0 / (sum(x, |v| (v - mean) * (v - mean)) / d as f32 + eps).sqrt();
            for (((dg, db), dy), x) in dg.iter_mut().zip(&mut *db).zip(dy).zip(x) {
                *dg += dy * (x - mean) * inv;
                *db += dy;
            }
            let a = sum2(dy, g, |dy, g| dy * g) / d as f32;
            let mut dot = [0.0f32; LANES];
            for (i, ((dy, x), g)) in dy.iter().zip(x).zip(g).enumerate() {
                dot[i % LANES] += dy * g * (x - mean);
            }
            let c = dot.iter().sum::<f32>() * inv * inv / d as f32;
            for (((dx, dy), x), g) in dx.iter_mut().zip(dy).zip(x).zip(g) {
                *dx += inv * (dy * g - a - (x - mean) * c);
            }
        }
    }

    /// From the gradient of [`gelu`]'s result to that of its input `xs`, in place.
    pub fn gelu_back(dxs: &mut [f32], xs: &[f32]) {
        for (dx, x) in dxs.iter_mut().zip(xs) {
            let density = exp(-0.5 * x * x) * 0.398_942_3;
            *dx *= 0.5 * (1.0 + erf(x / std::f32::consts::SQRT_2)) + x * density;
        }
    }

    /// `max(x, 0)` in place.
    pub fn relu(xs: &mut [f32]) {
        xs.iter_mut().for_each(|x| *x = x.max(0.0));
    }

    /// From the gradient of [`relu`]'s result `ys` to that of its input, in place.
    pub fn relu_back(dys: &mut [f32], ys: &[f32]) {
        for (dy, y) in dys.iter_mut().zip(ys) {
            *dy = if *y > 0.0 { *dy } else { 0.0 };
        }
    }

    /// A gated branch: `ys += σ(z)·x`; `gates` hold z before and σ(z) after.
    pub fn sigmoid_gate(ys: &mut [f32], gates: &mut [f32], xs: &[f32]) {
        for ((y, gate), x) in ys.iter_mut().zip(gates).zip(xs) {
            *gate = sigmoid(*gate);
            *y += *gate * x;
        }
    }

    /// From `dys` of [`sigmoid_gate`] to the gradients of z and x, which overwrite `dzs` and `dxs`;
    /// `gates` are σ(z).
    pub fn sigmoid_gate_back(
        dzs: &mut [f32],
        dxs: &mut [f32],
        dys: &[f32],
        gates: &[f32],
        xs: &[f32],
    ) {
        let inputs = dys.iter().zip(gates).zip(xs);
        for ((dz, dx), ((dy, gate), x)) in dzs.iter_mut().zip(dxs).zip(inputs) {
            *dx = dy * gate;
            *dz = dy * x * gate * (1.0 - gate);
        }
    }

    /// A step of a GRU (Cho et al., arXiv 1406.1078) as PyTorch has it, for each row of `hs` (n, d):
    /// `r = σ(i_r + h_r)`, `z = σ(i_z + h_z)`, `n = tanh(i_n + r h_n)`, `h = n + z (prev − n)`.
    /// `gates` (n, 3 d) hold i, the input's products, before and r, z, n after; `states` (n, 3 d)
    /// are those of the hidden states `prev`.
    pub fn gru(hs: &mut [f32], gates: &mut [f32], states: &[f32], prev: &[f32], d: usize) {
        let gates = gates.chunks_exact_mut(3 * d).zip(states.chunks_exact(3 * d));
        let rows = hs.chunks_exact_mut(d).zip(prev.chunks_exact(d));
        for ((h, prev), (gate, state)) in rows.zip(gates) {
            let (rz, n) = gate.split_at_mut(2 * d);
            for (g, s) in rz.iter_mut().zip(state) {
                *g = sigmoid(*g + s);
            }
            let ((r, z), s) = (rz.split_at(d), &state[2 * d..]);
            for ((n, r), s) in n.iter_mut().zip(r).zip(s) {
                *n = 2.0 * sigmoid(2.0 * (*n + r * s)) - 1.0;
            }
            for (((h, prev), z), n) in h.iter_mut().zip(prev).zip(z).zip(n) {
                *h = *n + z * (prev - *n);
            }
        }
    }

    /// Backward through [`gru`], in place: `dhs` become the part of the gradient of `prev` that does
    /// not go through `states`, `gates` and `states` the gradients of both products.
    pub fn gru_back(
        dhs: &mut [f32],
        gates: &mut [f32],
        states: &mut [f32],
        prev: &[f32],
        d: usize,
    ) {
        let states = states.chunks_exact_mut(3 * d);
        let gates = gates.chunks_exact_mut(3 * d).zip(states);
        let rows = dhs.chunks_exact_mut(d).zip(prev.chunks_exact(d));
        for ((dh, prev), (gate, state)) in rows.zip(gates) {
            let ((r, zn), (drz, s)) = (gate.split_at_mut(d), state.split_at_mut(2 * d));
            let (z, n) = zn.split_at_mut(d);
            for (((dh, prev), z), n) in dh.iter_mut().zip(prev).zip(z).zip(&mut *n) {
                let (dn, dz) = (*dh * (1.0 - *z), *dh * (prev - *n));
                *dh *= *z;
                *z *= dz * (1.0 - *z);
                *n = dn * (1.0 - *n * *n);
            }
            for ((r, s), n) in r.iter_mut().zip(s).zip(n) {
                let dr = *n * *s;
                *s = *n * *r;
                *r *= dr * (1.0 - *r);
            }
            drz.copy_from_slice(&gate[..2 * d]);
        }
    }

    /// `out_j += Σ_i x_ij` over rows of length `out.len()`: the gradient of a bias.
    pub fn add_rows(out: &mut [f32], xs: &[f32]) {
        for x in xs.chunks_exact(out.len()) {
            out.iter_mut().zip(x).for_each(|(o, x)| *o += x);
        }
    }

    /// `out += Σ w·x_i` over `rows` of (i, w), the rows x_i of `xs` being as long as `out`: a row of a
    /// sparse product.
    pub fn add_weighted_rows(out: &mut [f32], xs: &[f32], rows: &[(u32, f32)]) {
        let d = out.len();
        for (first, out) in (0..).step_by(BLOCK).zip(out.chunks_mut(BLOCK)) {
            let xs = &xs[first..];
            if let Some(out) = out.as_mut_array::<BLOCK>() {
                // In registers.
                let mut sums = *out;
                for &(i, w) in rows {
                    let x = &xs[i as usize * d..][..BLOCK];
                    for k in 0..BLOCK {
                        sums[k] += w * x[k];
                    }
                }
                *out = sums;
            } else {
                for &(i, w) in rows {
                    let x = &xs[i as usize * d..][..out.len()];
                    out.iter_mut().zip(x).for_each(|(o, x)| *o += w * x);
                }
            }
        }
    }

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
    use super::super::numbers;
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

    /// Directional derivatives by central differences, in a direction of random numbers.
    #[test]
    fn weighted_rows_are_added_whatever_their_length() {
        for d in [1, 5, 64, 70, 130] {
            let xs = numbers(6 * d, 1);
            let rows = [(4, 0.5), (0, -2.0), (4, 1.0), (5, 0.25)];
            let mut out = numbers(d, 2);
            let expected = |k: usize| {
                let add = |sum: f32, &(i, w): &(u32, f32)| sum + w * xs[i as usize * d + k];
                rows.iter().fold(out[k], add)
            };
            let expected: Vec<f32> = (0..d).map(expected).collect();
            add_weighted_rows(&mut out, &xs, &rows);
            assert_eq!(out, expected, "{d}");
        }
    }

    #[test]
    fn gradients_equal_finite_differences() {
        const D: usize = 37;
        let (x, dy) = (numbers(3 * D, 1), numbers(3 * D, 2));
        let (g, b) = (numbers(D, 3), numbers(D, 4));
        let close = |name: &str, f: &dyn Fn(f32) -> f64, expected: f32| {
            let slope = (f(1e-2) - f(-1e-2)) / 2e-2;
            let error = (slope - f64::from(expected)).abs() / slope.abs();
            assert!(error < 1e-3, "{name}: {slope} {expected}");
        };
        let along = |from: &[f32], to: &[f32], t: f32| -> Vec<f32> {
            from.iter().zip(to).map(|(a, b)| a + t * b).collect()
        };
        let inner = |a: &[f32]| -> f64 {
            let products = a
                .iter()
                .zip(&dy)
                .map(|(a, b)| f64::from(*a) * f64::from(*b));
            products.sum()
        };

        let (ux, ug, ub) = (numbers(3 * D, 5), numbers(D, 6), numbers(D, 7));
        let (mut dx, mut dg, mut db) = (vec![0.0; 3 * D], vec![0.0; D], vec![0.0; D]);
        layer_norm_back(&mut dx, &mut dg, &mut db, &dy, &x, &g, 1e-5);
        let norm = |x: &[f32], g: &[f32], b: &[f32]| {
            let mut y = x.to_vec();
            layer_norm(&mut y, g, b, 1e-5);
            inner(&y)
        };
        close(
            "layer_norm x",
            &|t| norm(&along(&x, &ux, t), &g, &b),
            dot(&dx, &ux),
        );
        close(
            "layer_norm g",
            &|t| norm(&x, &along(&g, &ug, t), &b),
            dot(&dg, &ug),
        );
        close(
            "layer_norm b",
            &|t| norm(&x, &g, &along(&b, &ub, t)),
            dot(&db, &ub),
        );

        let mut dx = dy.clone();
        gelu_back(&mut dx, &x);
        let f = |t| {
            let mut y = along(&x, &ux, t);
            gelu(&mut y);
            inner(&y)
        };
        close("gelu", &f, dot(&dx, &ux));

        let (z, uz) = (numbers(3 * D, 8), numbers(3 * D, 9));
        let gate = |z: &[f32], x: &[f32]| {
            let (mut y, mut gates) = (vec![0.0; 3 * D], z.to_vec());
            sigmoid_gate(&mut y, &mut gates, x);
            (inner(&y), gates)
        };
        let (mut dz, mut dx) = (vec![0.0; 3 * D], vec![0.0; 3 * D]);
        sigmoid_gate_back(&mut dz, &mut dx, &dy, &gate(&z, &x).1, &x);
        close("gate z", &|t| gate(&along(&z, &uz, t), &x).0, dot(&dz, &uz));
        close("gate x", &|t| gate(&z, &along(&x, &ux, t)).0, dot(&dx, &ux));

        let (i, s, h) = (numbers(9 * D, 10), numbers(9 * D, 11), numbers(3 * D, 12));
        let (ui, us, uh) = (numbers(9 * D, 13), numbers(9 * D, 14), numbers(3 * D, 15));
        let step = |i: &[f32], s: &[f32], h: &[f32]| {
            let (mut y, mut gates) = (vec![0.0; 3 * D], i.to_vec());
            gru(&mut y, &mut gates, s, h, D);
            (inner(&y), gates)
        };
        let (mut di, mut ds, mut dh) = (step(&i, &s, &h).1, s.clone(), dy.clone());
        gru_back(&mut dh, &mut di, &mut ds, &h, D);
        close(
            "gru i",
            &|t| step(&along(&i, &ui, t), &s, &h).0,
            dot(&di, &ui),
        );
        close(
            "gru s",
            &|t| step(&i, &along(&s, &us, t), &h).0,
            dot(&ds, &us),
        );
        close(
            "gru h",
            &|t| step(&i, &s, &along(&h, &uh, t)).0,
            dot(&dh, &uh),
        );
    }

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
