//! A GRU layer (Cho et al., arXiv 1406.1078) in PyTorch's form:
//!
//! `r = σ(W_ir x + b_ir + W_hr h + b_hr)`, `z = σ(W_iz x + b_iz + W_hz h + b_hz)`,
//! `n = tanh(W_in x + b_in + r (W_hn h + b_hn))`, `h ← (1 − z) n + z h`, h = 0 at the start.
//!
//! Rows lie step by step ([`Steps`]), so that a step is one product. What does not depend on the
//! step before, the input's products and all gradients of parameters, is one product of all rows.

use std::cmp::Reverse;
use std::ops::Range;

use hkfr_lm::{gru, gru_back};

use super::layers::{Linear, add};
use super::layout::{Init, Layout};
use super::packed::Packed;

/// A batch step by step: first items, second items and so on, each step in the same order of
/// sequences, longest first. The sequences of a step are then the first ones of the step before.
#[derive(Default)]
pub(super) struct Steps {
    /// The batch's row at each place.
    rows: Vec<usize>,
    /// Where each step ends.
    ends: Vec<usize>,
    sequences: Vec<Range<usize>>,
}

impl Steps {
    pub fn plan(&mut self, batch: &Packed) {
        self.sequences.clear();
        self.sequences.extend(batch.sequences());
        self.sequences
            .sort_unstable_by_key(|s| (Reverse(s.len()), s.start));
        self.rows.clear();
        self.ends.clear();
        for t in 0..self.sequences.first().map_or(0, Range::len) {
            let active = self.sequences.iter().take_while(|s| s.len() > t);
            self.rows.extend(active.map(|s| s.start + t));
            self.ends.push(self.rows.len());
        }
    }

    /// Rows (rows, d) of the batch, step by step.
    pub fn gather(&self, to: &mut Vec<f32>, xs: &[f32], d: usize) {
        to.clear();
        for &row in &self.rows {
            to.extend_from_slice(&xs[row * d..][..d]);
        }
    }

    /// Back to the batch's rows.
    pub fn scatter(&self, to: &mut [f32], xs: &[f32], d: usize) {
        for (&row, x) in self.rows.iter().zip(xs.chunks_exact(d)) {
            to[row * d..][..d].copy_from_slice(x);
        }
    }

    /// Where each step lies, and where the step before it begins.
    fn each(&self) -> impl DoubleEndedIterator<Item = (Range<usize>, Option<usize>)> + '_ {
        let start = |t: usize| t.checked_sub(1).map_or(0, |before| self.ends[before]);
        let step = move |t: usize| (start(t)..self.ends[t], t.checked_sub(1).map(start));
        (0..self.ends.len()).map(step)
    }
}

pub(super) struct Gru {
    input: Linear,
    hidden: Linear,
    d: usize,
}

#[derive(Default)]
pub(super) struct Activations {
    /// Hidden states (rows, d).
    pub hs: Vec<f32>,
    /// Those of the step before.
    prev: Vec<f32>,
    /// (rows, 3 d): r, z and n; and the products of `prev`.
    gates: Vec<f32>,
    states: Vec<f32>,
}

impl Gru {
    /// Parameters `weight_ih`, `bias_ih`, `weight_hh` and `bias_hh`: r, z and n one below the other.
    pub fn new(layout: &mut Layout, name: &str, d_in: usize, d: usize) -> Self {
        let mut linear = |from: &str, d_in| {
            let (w, b) = (
                format!("{name}.weight_{from}"),
                format!("{name}.bias_{from}"),
            );
            let init = Init::xavier(d_in, d);
            Linear::named(layout, w, Some(b), d_in, 3 * d, init)
        };
        Self {
            input: linear("ih", d_in),
            hidden: linear("hh", d),
            d,
        }
    }

    /// xs (rows, d_in) → `hs`.
    pub fn forward(&self, params: &[f32], steps: &Steps, xs: &[f32], a: &mut Activations) {
        let (n, d) = (steps.rows.len(), self.d);
        self.input.forward(params, &mut a.gates, xs);
        a.hs.resize(n * d, 0.0);
        a.prev.resize(n * d, 0.0);
        a.states.resize(n * 3 * d, 0.0);
        self.hidden.biases(params, &mut a.states);
        for (step, before) in steps.each() {
            let (narrow, wide) = (
                d * step.start..d * step.end,
                3 * d * step.start..3 * d * step.end,
            );
            let (prev, states) = (&mut a.prev[narrow.clone()], &mut a.states[wide.clone()]);
            match before {
                None => prev.fill(0.0),
                Some(before) => {
                    prev.copy_from_slice(&a.hs[before * d..][..narrow.len()]);
                    self.hidden.products(params, states, prev);
                }
            }
            gru(&mut a.hs[narrow], &mut a.gates[wide], states, prev, d);
        }
    }

    /// `dx` from the gradient of the hidden states to that of `xs`; adds to `grads`.
    pub fn backward(
        &self,
        params: &[f32],
        grads: &mut [f32],
        steps: &Steps,
        dx: &mut Vec<f32>,
        xs: &[f32],
        a: &mut Activations,
    ) {
        let d = self.d;
        for (step, before) in steps.each().rev() {
            let (narrow, wide) = (
                d * step.start..d * step.end,
                3 * d * step.start..3 * d * step.end,
            );
            let (earlier, dh) = dx[..narrow.end].split_at_mut(narrow.start);
            let (gates, states) = (&mut a.gates[wide.clone()], &mut a.states[wide]);
            gru_back(dh, gates, states, &a.prev[narrow], d);
            if let Some(before) = before {
                let dprev = &mut earlier[before * d..][..dh.len()];
                add(dprev, dh);
                self.hidden.back_inputs(params, dprev, 1.0, states);
            }
        }
        self.hidden.back_params(grads, &a.states, &a.prev);
        self.input.backward(params, grads, dx, 0.0, &a.gates, xs);
    }
}
