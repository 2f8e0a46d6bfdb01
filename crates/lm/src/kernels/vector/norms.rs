//! Norms of rows, forward and backward.

#![allow(unsafe_code)]

use super::{LANES, Simd, sum, sum2, vectorised};

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
}

#[cfg(test)]
mod tests {
    use super::super::check::{along, close, inner};
    use super::super::dot;
    use super::*;
    use crate::kernels::numbers;

    #[test]
    fn the_gradients_of_layer_norm_equal_finite_differences() {
        const D: usize = 37;
        let (x, dy) = (numbers(3 * D, 1), numbers(3 * D, 2));
        let (g, b) = (numbers(D, 3), numbers(D, 4));
        let (ux, ug, ub) = (numbers(3 * D, 5), numbers(D, 6), numbers(D, 7));
        let (mut dx, mut dg, mut db) = (vec![0.0; 3 * D], vec![0.0; D], vec![0.0; D]);
        layer_norm_back(&mut dx, &mut dg, &mut db, &dy, &x, &g, 1e-5);
        let norm = |x: &[f32], g: &[f32], b: &[f32]| {
            let mut y = x.to_vec();
            layer_norm(&mut y, g, b, 1e-5);
            inner(&y, &dy)
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
    }
}
