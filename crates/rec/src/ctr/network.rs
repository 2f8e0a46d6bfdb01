//! Cross layers, deep layers and the output: forward, and gradients of the log-loss. All parameters are one vector.

use std::ops::Range;

use hkfr_lm::{View, ViewMut, dot, linear, linear_back, matmul, relu, relu_back};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{CtrConfig, Structure};

/// A matrix (d_out, d_in) and its bias, as places in the vector of parameters.
#[derive(Debug, Clone, PartialEq)]
struct Layer {
    d_in: usize,
    d_out: usize,
    weights: Range<usize>,
    bias: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Network {
    d: usize,
    structure: Structure,
    cross: Vec<Layer>,
    deep: Vec<Layer>,
    out: Layer,
    pub params: Vec<f32>,
}

/// What a batch is computed in.
#[derive(Default)]
pub(super) struct State {
    n: usize,
    /// x_0 … x_L, (n, d) each.
    xs: Vec<Vec<f32>>,
    /// W_l x_l + b_l, (n, d) each.
    products: Vec<Vec<f32>>,
    /// By deep layer (n, width).
    hidden: Vec<Vec<f32>>,
    logits: Vec<f32>,
}

impl State {
    /// Room for the inputs of `n` rows.
    pub fn begin(&mut self, n: usize, d: usize) {
        self.n = n;
        if self.xs.is_empty() {
            self.xs.push(Vec::new());
        }
        self.xs[0].resize(n * d, 0.0);
    }

    /// (n, d).
    pub fn inputs_mut(&mut self) -> &mut [f32] {
        &mut self.xs[0]
    }

    pub fn logits(&self) -> &[f32] {
        &self.logits
    }
}

pub(super) fn sigmoid(z: f32) -> f64 {
    1.0 / (1.0 + (-f64::from(z)).exp())
}

impl Network {
    /// `base`: share of positive labels, where the output begins.
    pub fn new(d: usize, config: &CtrConfig, base: f64) -> Self {
        let mut n = 0;
        let mut layer = |d_in: usize, d_out: usize| {
            let weights = n..n + d_in * d_out;
            let bias = weights.end..weights.end + d_out;
            n = bias.end;
            Layer {
                d_in,
                d_out,
                weights,
                bias,
            }
        };
        let cross: Vec<Layer> = (0..config.cross_layers).map(|_| layer(d, d)).collect();
        let mut width = d;
        let mut deep = Vec::new();
        for &next in &config.deep {
            deep.push(layer(width, next));
            width = next;
        }
        let d_out = match (deep.is_empty(), config.structure) {
            (true, _) => d,
            (false, Structure::Parallel) => d + width,
            (false, Structure::Stacked) => width,
        };
        let out = layer(d_out, 1);
        let mut params = vec![0.0; n];
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
        // Glorot; logistic regression is convex and begins at 0.
        let is_linear = cross.is_empty() && deep.is_empty();
        for layer in cross.iter().chain(&deep).chain([&out]) {
            let bound = (6.0 / (layer.d_in + layer.d_out) as f32).sqrt();
            if !is_linear {
                let weights = params[layer.weights.clone()].iter_mut();
                weights.for_each(|w| *w = rng.random_range(-bound..bound));
            }
        }
        let base = base.clamp(1e-6, 1.0 - 1e-6);
        params[out.bias.start] = (base / (1.0 - base)).ln() as f32;
        Self {
            d,
            structure: config.structure,
            cross,
            deep,
            out,
            params,
        }
    }

    fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.cross.iter().chain(&self.deep).chain([&self.out])
    }

    fn weights(&self, layer: &Layer) -> &[f32] {
        &self.params[layer.weights.clone()]
    }

    /// `ys = xs Wᵀ + b`.
    fn apply(&self, layer: &Layer, xs: &[f32], n: usize, ys: &mut Vec<f32>) {
        ys.resize(n * layer.d_out, 0.0);
        let bias = &self.params[layer.bias.clone()];
        ys.chunks_exact_mut(layer.d_out)
            .for_each(|y| y.copy_from_slice(bias));
        let w = self.weights(layer);
        linear(ys, 1.0, xs, w, n, layer.d_in, layer.d_out);
    }

    /// From the inputs of `state` to its logits.
    pub fn forward(&self, state: &mut State) {
        let n = state.n;
        state.xs.resize_with(self.cross.len() + 1, Vec::new);
        state.products.resize_with(self.cross.len(), Vec::new);
        state.hidden.resize_with(self.deep.len(), Vec::new);
        for (l, layer) in self.cross.iter().enumerate() {
            self.apply(layer, &state.xs[l], n, &mut state.products[l]);
            let (before, after) = state.xs.split_at_mut(l + 1);
            let terms = before[0].iter().zip(&state.products[l]).zip(&before[l]);
            after[0].clear();
            after[0].extend(terms.map(|((x0, z), x)| x0 * z + x));
        }
        for (j, layer) in self.deep.iter().enumerate() {
            let (before, after) = state.hidden.split_at_mut(j);
            let xs = match before.last() {
                Some(hidden) => hidden,
                None => &state.xs[self.deep_reads()],
            };
            self.apply(layer, xs, n, &mut after[0]);
            relu(&mut after[0]);
        }
        let (w, bias) = (self.weights(&self.out), self.params[self.out.bias.start]);
        let (w_cross, w_deep) = w.split_at(self.cross_width());
        let crossed = &state.xs[self.cross.len()];
        state.logits.clear();
        for row in 0..n {
            let mut z = bias;
            if !w_cross.is_empty() {
                z += dot(w_cross, &crossed[row * self.d..][..self.d]);
            }
            if let Some(hidden) = state.hidden.last() {
                z += dot(w_deep, &hidden[row * w_deep.len()..][..w_deep.len()]);
            }
            state.logits.push(z);
        }
    }

    /// Which x the deep layers read.
    fn deep_reads(&self) -> usize {
        match self.structure {
            Structure::Parallel => 0,
            Structure::Stacked => self.cross.len(),
        }
    }

    /// Outputs of the cross layers that the output reads.
    fn cross_width(&self) -> usize {
        if self.structure == Structure::Stacked && !self.deep.is_empty() {
            0
        } else {
            self.d
        }
    }

    /// Sum of the rows' losses after [`Self::forward`].
    pub fn loss(state: &State, labels: &[u8]) -> f64 {
        let of = |(&z, &y): (&f32, &u8)| {
            // ln(1 + e^z) − y z, without overflow.
            let z = f64::from(z);
            z.max(0.0) + (-z.abs()).exp().ln_1p() - if y > 0 { z } else { 0.0 }
        };
        state.logits.iter().zip(labels).map(of).sum()
    }

    /// Gradients of the mean loss and of l2, after [`Self::forward`].
    pub fn backward(&self, state: &State, labels: &[u8], l2: f32, grads: &mut Vec<f32>) {
        let n = state.n;
        grads.clear();
        grads.resize(self.params.len(), 0.0);
        let dlogits = state.logits.iter().zip(labels);
        let dlogits: Vec<f32> = dlogits
            .map(|(&z, &y)| (sigmoid(z) - f64::from(y.min(1))) as f32 / n as f32)
            .collect();
        let width = self.cross_width();
        let crossed = &state.xs[self.cross.len()];
        grads[self.out.bias.start] = dlogits.iter().sum();
        let w = self.weights(&self.out);
        let (dw_cross, dw_deep) = grads[self.out.weights.clone()].split_at_mut(width);
        let sum_rows = |out: &mut [f32], xs: &[f32]| {
            let rows = xs.chunks_exact(out.len());
            for (row, dz) in rows.zip(&dlogits) {
                out.iter_mut().zip(row).for_each(|(o, x)| *o += dz * x);
            }
        };
        let spread = |w: &[f32]| -> Vec<f32> {
            let rows = dlogits.iter();
            rows.flat_map(|dz| w.iter().map(move |w| dz * w)).collect()
        };
        // Of x_L.
        let mut dx = vec![0.0; n * self.d];
        if width > 0 {
            sum_rows(dw_cross, crossed);
            dx = spread(&w[..width]);
        }
        if let Some(hidden) = state.hidden.last() {
            sum_rows(dw_deep, hidden);
            let mut dys = spread(&w[width..]);
            for (j, layer) in self.deep.iter().enumerate().rev() {
                relu_back(&mut dys, &state.hidden[j]);
                let xs = match j.checked_sub(1) {
                    Some(before) => &state.hidden[before],
                    None => &state.xs[self.deep_reads()],
                };
                self.layer_back(layer, xs, &dys, n, grads);
                // Nothing asks for the gradient of the inputs.
                if j > 0 {
                    let mut dxs = vec![0.0; n * layer.d_in];
                    let w = self.weights(layer);
                    linear_back(&mut dxs, 0.0, &dys, w, n, layer.d_in, layer.d_out);
                    dys = dxs;
                } else if self.structure == Structure::Stacked {
                    let w = self.weights(layer);
                    linear_back(&mut dx, 1.0, &dys, w, n, layer.d_in, layer.d_out);
                }
            }
        }
        for (l, layer) in self.cross.iter().enumerate().rev() {
            let dz: Vec<f32> = dx.iter().zip(&state.xs[0]).map(|(a, b)| a * b).collect();
            self.layer_back(layer, &state.xs[l], &dz, n, grads);
            if l > 0 {
                let w = self.weights(layer);
                linear_back(&mut dx, 1.0, &dz, w, n, layer.d_in, layer.d_out);
            }
        }
        for layer in self.layers() {
            let weights = self.params[layer.weights.clone()].iter();
            let grads = grads[layer.weights.clone()].iter_mut();
            grads.zip(weights).for_each(|(g, w)| *g += l2 * w);
        }
    }

    /// Gradients of a layer's own parameters.
    fn layer_back(&self, layer: &Layer, xs: &[f32], dys: &[f32], n: usize, grads: &mut [f32]) {
        let (d_in, d_out) = (layer.d_in, layer.d_out);
        matmul(
            ViewMut::new(&mut grads[layer.weights.clone()], d_out, d_in, d_in),
            0.0,
            1.0,
            View::new(dys, n, d_out, d_out).t(),
            View::new(xs, n, d_in, d_in),
        );
        let dbias = &mut grads[layer.bias.clone()];
        for dy in dys.chunks_exact(d_out) {
            dbias.iter_mut().zip(dy).for_each(|(b, d)| *b += d);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean loss and l2 of a network on a batch, as [`Network::backward`] differentiates it.
    fn objective(network: &Network, state: &mut State, labels: &[u8], l2: f32) -> f64 {
        network.forward(state);
        let squares: f64 = network
            .layers()
            .flat_map(|l| network.weights(l))
            .map(|&w| f64::from(w) * f64::from(w))
            .sum();
        Network::loss(state, labels) / labels.len() as f64 + f64::from(l2) / 2.0 * squares
    }

    /// Along a random direction in every layer's weights and biases.
    #[test]
    fn gradients_are_finite_differences() {
        let (n, d, l2) = (40, 7, 0.01);
        let shapes: [(usize, &[usize], Structure); 6] = [
            (0, &[], Structure::Parallel),
            (2, &[], Structure::Parallel),
            (0, &[5], Structure::Parallel),
            (3, &[6, 5], Structure::Parallel),
            (2, &[6, 5], Structure::Stacked),
            (1, &[4], Structure::Stacked),
        ];
        for (cross_layers, deep, structure) in shapes {
            let config = CtrConfig {
                cross_layers,
                deep: deep.to_vec(),
                structure,
                ..CtrConfig::dcn()
            };
            let mut rng = ChaCha8Rng::seed_from_u64(5);
            let mut network = Network::new(d, &config, 0.3);
            let jitter = network.params.iter_mut();
            jitter.for_each(|p| *p += rng.random_range(-0.2..0.2));
            let mut state = State::default();
            state.begin(n, d);
            let inputs = state.inputs_mut().iter_mut();
            inputs.for_each(|x| *x = rng.random_range(-1.0..1.0));
            let labels: Vec<u8> = (0..n).map(|_| u8::from(rng.random_bool(0.4))).collect();
            let mut grads = Vec::new();
            network.forward(&mut state);
            network.backward(&state, &labels, l2, &mut grads);
            let parts: Vec<Range<usize>> = network
                .layers()
                .flat_map(|l| [l.weights.clone(), l.bias.clone()])
                .collect();
            for part in parts {
                let direction: Vec<f32> =
                    part.clone().map(|_| rng.random_range(-1.0..1.0)).collect();
                let mut at = |step: f32| {
                    let mut moved = network.clone();
                    let params = moved.params[part.clone()].iter_mut();
                    params.zip(&direction).for_each(|(p, u)| *p += step * u);
                    objective(&moved, &mut state, &labels, l2)
                };
                // A relu that switches between the two points spoils a difference: of some steps one is small enough.
                let numeric = [4e-3, 1e-3, 2.5e-4]
                    .map(|step: f32| (at(step) - at(-step)) / f64::from(2.0 * step));
                let exact: f64 = grads[part.clone()]
                    .iter()
                    .zip(&direction)
                    .map(|(g, u)| f64::from(g * u))
                    .sum();
                assert!(
                    numeric
                        .iter()
                        .any(|x| (x - exact).abs() < 5e-4 * (1.0 + exact.abs())),
                    "{config:?} {part:?}: {numeric:?} ≠ {exact}"
                );
            }
        }
    }
}
