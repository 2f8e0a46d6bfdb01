//! A step of a gated recurrent unit, forward and backward.

#![allow(unsafe_code)]

use super::{Simd, sigmoid, vectorised};

vectorised! {
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
        let dy = numbers(3 * D, 2);
        let (i, s, h) = (numbers(9 * D, 10), numbers(9 * D, 11), numbers(3 * D, 12));
        let (ui, us, uh) = (numbers(9 * D, 13), numbers(9 * D, 14), numbers(3 * D, 15));
        let step = |i: &[f32], s: &[f32], h: &[f32]| {
            let (mut y, mut gates) = (vec![0.0; 3 * D], i.to_vec());
            gru(&mut y, &mut gates, s, h, D);
            (inner(&y, &dy), gates)
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
}
