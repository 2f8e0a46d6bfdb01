//! Products and sums of few rows, and rounding to bfloat16.

#![allow(unsafe_code)]

use super::{LANES, Simd, sum2, vectorised};

/// Sums that stay in registers while a row of a sparse product is added up.
const BLOCK: usize = 4 * LANES;

vectorised! {
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

    /// Rounds to bfloat16 (nearest, ties to even), two neighbours to the low and high half of an
    /// element of `pairs`.
    pub fn round_bf16(pairs: &mut [f32], xs: &[f32]) {
        // To the nearest: half of the last place, less one where the last bit is even.
        let round = |x: f32| x.to_bits().wrapping_add(0x7fff + (x.to_bits() >> 16 & 1));
        for (pair, x) in pairs.iter_mut().zip(xs.chunks_exact(2)) {
            *pair = f32::from_bits(round(x[0]) >> 16 | round(x[1]) & 0xffff_0000);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::numbers;

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
}
