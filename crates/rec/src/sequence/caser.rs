//! Caser (Tang & Wang, arXiv 1809.07426): convolutions over the window of the last L items.
//!
//! `hidden_i = relu(W drop[o; õ] + b)`. `o` has, of each height h from 1 to L, the filters
//! `max_e relu(F_h · [e_{e−h+1}; …; e_e] + b_h)` over the places e where h rows of the window end; `õ`
//! has weighted sums of its rows (section 3.2). Rows before the first item are zero vectors.
//! The paper joins a vector of the user to `hidden` and has output vectors besides those of the items.
//! Here there are neither: who is new or held out has no vector, and a history alone is asked.
//!
//! A convolution depends on where it ends, not on the window: each is computed once, and the maxima
//! slide over them. Those that end before the first item are all relu(b_h).

use std::ops::Range;

use hkfr_lm::{View, ViewMut, dot, matmul, relu, relu_back};
use serde::{Deserialize, Serialize};

use super::layers::{Dropout, Linear, add, copy, zeros};
use super::layout::{Init, Layout, check_sizes};
use super::network::Network;
use super::packed::Packed;
use crate::error::{Error, Result};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CaserConfig {
    /// Width of items and hidden states.
    pub dim: usize,
    /// Items from which the next one is told, the last ones.
    pub window: usize,
    /// Horizontal filters of each height.
    pub n_horizontal: usize,
    pub n_vertical: usize,
    /// Items of a history that are trained on, the last ones; at least `window`.
    pub max_len: usize,
}

impl Default for CaserConfig {
    fn default() -> Self {
        Self {
            dim: 64,
            window: 5,
            n_horizontal: 16,
            n_vertical: 4,
            max_len: 50,
        }
    }
}

/// The horizontal filters of one height.
struct Filters {
    height: usize,
    /// (filters, height · dim), the oldest row first.
    w: Range<usize>,
    b: Range<usize>,
}

pub struct Caser {
    pub config: CaserConfig,
    layout: Layout,
    /// By height, from 1.
    horizontal: Vec<Filters>,
    /// (filters, window).
    vertical: Range<usize>,
    dense: Linear,
}

/// The maximum is where a filter ends before the first item.
const PADDING: u32 = u32::MAX;

impl Caser {
    pub(super) const NAME: &'static str = "caser";

    /// # Errors
    /// A size of 0 or above 65,536, or a window above `max_len`.
    pub fn new(config: CaserConfig) -> Result<Self> {
        let c = &config;
        let sizes = [
            ("dim", c.dim),
            ("window", c.window),
            ("n_horizontal", c.n_horizontal),
            ("n_vertical", c.n_vertical),
            ("max_len", c.max_len),
        ];
        check_sizes(Self::NAME, &sizes)?;
        if c.window > c.max_len {
            let (window, max_len) = (c.window, c.max_len);
            return Err(Error::Config(format!(
                "caser window = {window} is above max_len = {max_len}"
            )));
        }
        let mut layout = Layout::default();
        let horizontal = (1..=c.window).map(|height| {
            let (name, n) = (format!("horizontal.{height}"), c.n_horizontal);
            let shape = [n, height, c.dim];
            let init = Init::xavier(height * c.dim, n);
            Filters {
                height,
                w: layout.push(format!("{name}.weight"), &shape, init),
                b: layout.push(format!("{name}.bias"), &[n], Init::Constant(0.0)),
            }
        });
        let horizontal = horizontal.collect();
        let (shape, init) = (
            [c.n_vertical, c.window],
            Init::xavier(c.window, c.n_vertical),
        );
        let vertical = layout.push("vertical.weight".into(), &shape, init);
        let n_features = c.window * c.n_horizontal + c.n_vertical * c.dim;
        Ok(Self {
            horizontal,
            vertical,
            dense: Linear::new(&mut layout, "dense", n_features, c.dim, true),
            layout,
            config,
        })
    }

    /// Horizontal features of a row; the vertical ones follow.
    fn n_maxima(&self) -> usize {
        self.config.window * self.config.n_horizontal
    }

    fn n_features(&self) -> usize {
        self.n_maxima() + self.config.n_vertical * self.config.dim
    }

    /// Calls `f(row, earlier row, where that row's vector lies in the window of `row`)` for each pair.
    fn each_pair(&self, batch: &Packed, mut f: impl FnMut(usize, usize, Range<usize>)) {
        let CaserConfig { dim, window, .. } = self.config;
        for rows in batch.sequences() {
            for row in rows.clone() {
                for earlier in rows.start.max((row + 1).saturating_sub(window))..=row {
                    let at = (window - 1 - (row - earlier)) * dim;
                    f(row, earlier, at..at + dim);
                }
            }
        }
    }

    /// Every filter at every row where it may end, its bias added.
    fn convolve(&self, params: &[f32], a: &mut Activations) {
        let (n, width) = (
            a.convolved.len() / self.n_maxima(),
            self.config.n_horizontal,
        );
        let (total, long) = (self.n_maxima(), self.config.window * self.config.dim);
        for row in a.convolved.chunks_exact_mut(total) {
            for (filters, out) in self.horizontal.iter().zip(row.chunks_exact_mut(width)) {
                out.copy_from_slice(&params[filters.b.clone()]);
            }
        }
        for (i, filters) in self.horizontal.iter().enumerate() {
            let d_in = filters.height * self.config.dim;
            matmul(
                ViewMut::new(&mut a.convolved[i * width..], n, width, total),
                1.0,
                1.0,
                View::new(&a.windows[long - d_in..], n, d_in, long),
                View::new(&params[filters.w.clone()], width, d_in, d_in).t(),
            );
        }
    }

    /// The maxima of a row's window and the rows where they are: the oldest if there are more, as in
    /// PyTorch. `start` is the first row of the sequence.
    fn maxima(
        &self,
        params: &[f32],
        convolved: &[f32],
        (start, row): (usize, usize),
        features: &mut [f32],
        ends: &mut [u32],
    ) {
        let width = self.config.n_horizontal;
        let out = features
            .chunks_exact_mut(width)
            .zip(ends.chunks_exact_mut(width));
        for (i, (filters, (best, ends))) in self.horizontal.iter().zip(out).enumerate() {
            let at = |end: usize| &convolved[end * self.n_maxima() + i * width..][..width];
            let mut first = row + filters.height;
            if first < start + self.config.window {
                best.copy_from_slice(&params[filters.b.clone()]);
                ends.fill(PADDING);
                first = start;
            } else {
                first -= self.config.window;
                best.copy_from_slice(at(first));
                ends.fill(first as u32);
                first += 1;
            }
            for end in first..=row {
                for ((best, found), x) in best.iter_mut().zip(&mut *ends).zip(at(end)) {
                    let higher = *x > *best;
                    *best = if higher { *x } else { *best };
                    *found = if higher { end as u32 } else { *found };
                }
            }
        }
    }
}

#[derive(Default)]
pub struct Activations {
    /// (rows, window · dim), the oldest row first, and their gradient.
    windows: Vec<f32>,
    dwindows: Vec<f32>,
    /// (rows, window · n_horizontal) by the row where a filter ends; backward the gradient.
    convolved: Vec<f32>,
    /// (rows, window · n_horizontal): the rows of the maxima.
    ends: Vec<u32>,
    /// (rows, window · n_horizontal + n_vertical · dim) and their gradient.
    features: Vec<f32>,
    dfeatures: Vec<f32>,
    hidden: Vec<f32>,
}

impl Network for Caser {
    type Activations = Activations;

    fn name(&self) -> &str {
        Self::NAME
    }

    fn dim(&self) -> usize {
        self.config.dim
    }

    fn max_len(&self) -> usize {
        self.config.max_len
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn pack_history(&self, batch: &mut Packed, history: &[u32]) {
        batch.push(&history[history.len().saturating_sub(self.config.window)..]);
    }

    fn forward(
        &self,
        params: &[f32],
        batch: &Packed,
        dropout: Dropout,
        x: &mut Vec<f32>,
        a: &mut Activations,
    ) {
        if batch.is_empty() {
            return;
        }
        let (n, c) = (batch.len(), &self.config);
        let (long, n_maxima, n_features) = (c.window * c.dim, self.n_maxima(), self.n_features());
        zeros(&mut a.windows, n * long);
        self.each_pair(batch, |row, earlier, at| {
            a.windows[row * long..][at].copy_from_slice(&x[earlier * c.dim..][..c.dim]);
        });
        a.convolved.resize(n * n_maxima, 0.0);
        self.convolve(params, a);
        a.ends.resize(n * n_maxima, PADDING);
        a.features.resize(n * n_features, 0.0);
        let vertical = View::new(
            &params[self.vertical.clone()],
            c.n_vertical,
            c.window,
            c.window,
        );
        for rows in batch.sequences() {
            for row in rows.clone() {
                let features = &mut a.features[row * n_features..][..n_features];
                let (maxima, sums) = features.split_at_mut(n_maxima);
                let ends = &mut a.ends[row * n_maxima..][..n_maxima];
                self.maxima(params, &a.convolved, (rows.start, row), maxima, ends);
                relu(maxima);
                matmul(
                    ViewMut::new(sums, c.n_vertical, c.dim, c.dim),
                    0.0,
                    1.0,
                    vertical,
                    View::new(&a.windows[row * long..][..long], c.window, c.dim, c.dim),
                );
            }
        }
        dropout.apply(&mut a.features, 0, 0);
        self.dense.forward(params, x, &a.features);
        relu(x);
        copy(&mut a.hidden, x);
    }

    fn backward(
        &self,
        params: &[f32],
        grads: &mut [f32],
        batch: &Packed,
        dropout: Dropout,
        dx: &mut Vec<f32>,
        a: &mut Activations,
    ) {
        if batch.is_empty() {
            return;
        }
        let (n, c) = (batch.len(), &self.config);
        let (long, n_maxima, n_features) = (c.window * c.dim, self.n_maxima(), self.n_features());
        relu_back(dx, &a.hidden);
        self.dense
            .backward(params, grads, &mut a.dfeatures, 0.0, dx, &a.features);
        dropout.apply(&mut a.dfeatures, 0, 0);

        // To where the maxima were. A feature that was dropped is not above 0 and has no gradient.
        a.convolved.fill(0.0);
        let rows = a
            .features
            .chunks_exact(n_features)
            .zip(a.dfeatures.chunks_exact(n_features));
        for ((xs, dxs), ends) in rows.zip(a.ends.chunks_exact(n_maxima)) {
            for (j, ((x, dx), &end)) in xs.iter().zip(dxs).zip(ends).enumerate() {
                if *x <= 0.0 {
                    continue;
                }
                if end == PADDING {
                    let filters = &self.horizontal[j / c.n_horizontal];
                    grads[filters.b.start + j % c.n_horizontal] += dx;
                } else {
                    a.convolved[end as usize * n_maxima + j] += dx;
                }
            }
        }

        a.dwindows.resize(n * long, 0.0);
        // The highest filters first: they write the whole window.
        for (i, filters) in self.horizontal.iter().enumerate().rev() {
            let (width, d_in) = (c.n_horizontal, filters.height * c.dim);
            let dys = View::new(&a.convolved[i * width..], n, width, n_maxima);
            let keep = if filters.height == c.window { 0.0 } else { 1.0 };
            matmul(
                ViewMut::new(&mut a.dwindows[long - d_in..], n, d_in, long),
                keep,
                1.0,
                dys,
                View::new(&params[filters.w.clone()], width, d_in, d_in),
            );
            matmul(
                ViewMut::new(&mut grads[filters.w.clone()], width, d_in, d_in),
                1.0,
                1.0,
                dys.t(),
                View::new(&a.windows[long - d_in..], n, d_in, long),
            );
            for dy in a.convolved.chunks_exact(n_maxima) {
                add(&mut grads[filters.b.clone()], &dy[i * width..][..width]);
            }
        }

        let vertical = View::new(
            &params[self.vertical.clone()],
            c.n_vertical,
            c.window,
            c.window,
        );
        for (row, dxs) in a.dfeatures.chunks_exact(n_features).enumerate() {
            let dsums = &dxs[n_maxima..];
            matmul(
                ViewMut::new(
                    &mut a.dwindows[row * long..][..long],
                    c.window,
                    c.dim,
                    c.dim,
                ),
                1.0,
                1.0,
                vertical.t(),
                View::new(dsums, c.n_vertical, c.dim, c.dim),
            );
            let window = a.windows[row * long..][..long].chunks_exact(c.dim);
            let dw = grads[self.vertical.clone()].chunks_exact_mut(c.window);
            for (dw, dsum) in dw.zip(dsums.chunks_exact(c.dim)) {
                for (dw, x) in dw.iter_mut().zip(window.clone()) {
                    *dw += dot(dsum, x);
                }
            }
        }

        zeros(dx, n * c.dim);
        self.each_pair(batch, |row, earlier, at| {
            let to = &mut dx[earlier * c.dim..][..c.dim];
            add(to, &a.dwindows[row * long..][at]);
        });
    }
}
