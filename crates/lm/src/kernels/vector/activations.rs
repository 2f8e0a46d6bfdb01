//! Activations and gates, element by element, forward and backward.

#![allow(unsafe_code)]

use super::{Simd, exp, sigmoid, vectorised};

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

vectorised! {
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

    /// GELU in place: `x Φ(x)`.
    pub fn gelu(xs: &mut [f32]) {
        for x in xs {
            *x *= 0.5 * (1.0 + erf(*x / std::f32::consts::SQRT_2));
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
}

#[cfg(test)]
mod tests {
    use super::super::check::{along, close, inner};
    use super::super::dot;
    use super::*;
    use crate::kernels::numbers;

    #[test]
    fn gradients_equal_finite_differences() {
        const D: usize = 37;
        let (x, dy) = (numbers(3 * D, 1), numbers(3 * D, 2));
        let ux = numbers(3 * D, 5);
        let mut dx = dy.clone();
        gelu_back(&mut dx, &x);
        let f = |t| {
            let mut y = along(&x, &ux, t);
            gelu(&mut y);
            inner(&y, &dy)
        };
        close("gelu", &f, dot(&dx, &ux));

        let (z, uz) = (numbers(3 * D, 8), numbers(3 * D, 9));
        let gate = |z: &[f32], x: &[f32]| {
            let (mut y, mut gates) = (vec![0.0; 3 * D], z.to_vec());
            sigmoid_gate(&mut y, &mut gates, x);
            (inner(&y, &dy), gates)
        };
        let (mut dz, mut dx) = (vec![0.0; 3 * D], vec![0.0; 3 * D]);
        sigmoid_gate_back(&mut dz, &mut dx, &dy, &gate(&z, &x).1, &x);
        close("gate z", &|t| gate(&along(&z, &uz, t), &x).0, dot(&dz, &uz));
        close("gate x", &|t| gate(&z, &along(&x, &ux, t)).0, dot(&dx, &ux));
    }
}
