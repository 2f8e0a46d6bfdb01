//! The linear part of the ranker: a conditional logit over each list (McFadden 1974).
//!
//! ```text
//! score(x) = Σ_f w_f · z_f        z_f = (asinh(x_f / s_f) − m_f) / d_f, 0 where x_f is missing
//! loss     = −mean over lists of the mean over the chosen of ln softmax(score) + λ/2 · Σ w²
//! ```
//!
//! s: mean size of the values that are not 0, so that counts and scores of any unit count by their order of magnitude;
//! m, d: mean and deviation over the rows. Minimised by L-BFGS. With few lists it is steadier than trees, and it goes
//! on beyond the values that it has seen.

use hkfr_lm::Pool;
use serde::{Deserialize, Serialize};

use super::trees::Lists;

/// Pairs of steps and gradients that L-BFGS remembers.
const MEMORY: usize = 8;
const ITERATIONS: usize = 60;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Linear {
    /// By feature.
    size: Vec<f32>,
    mean: Vec<f32>,
    deviation: Vec<f32>,
    weights: Vec<f32>,
}

impl Linear {
    /// `l2`: λ.
    pub fn fit(lists: &Lists, l2: f64, n_threads: usize) -> Self {
        let mut one = Self::fit_each(lists, &[l2], n_threads);
        one.pop().expect("one λ")
    }

    /// One for each λ; the lists are scaled once.
    pub fn fit_each(lists: &Lists, l2: &[f64], n_threads: usize) -> Vec<Self> {
        let scaled = Self::scaled(lists);
        let n = lists.n_features;
        let mut z = Vec::with_capacity(lists.rows.len());
        for row in lists.rows.chunks_exact(n) {
            z.extend((0..n).map(|f| scaled.z(f, row[f])));
        }
        let mut pool = Pool::new(n_threads);
        let share = lists.sizes.len().div_ceil(4 * n_threads.max(1)).max(1);
        let mut fit = |l2| {
            let weights = minimise(n, &mut |w| objective(lists, &z, share, l2, w, &mut pool));
            Self {
                weights: weights.iter().map(|&w| w as f32).collect(),
                ..scaled.clone()
            }
        };
        l2.iter().map(|&l2| fit(l2)).collect()
    }

    fn scaled(lists: &Lists) -> Self {
        let n = lists.n_features;
        let finite = |f: usize| {
            let column = lists.rows.iter().skip(f).step_by(n);
            column.copied().filter(|x| x.is_finite())
        };
        let mut linear = Self {
            size: vec![1.0; n],
            mean: vec![0.0; n],
            deviation: vec![1.0; n],
            weights: vec![0.0; n],
        };
        for f in 0..n {
            let (mut sum, mut count) = (0f64, 0f64);
            for x in finite(f).filter(|&x| x != 0.0) {
                sum += f64::from(x.abs());
                count += 1.0;
            }
            let size = if count > 0.0 {
                (sum / count) as f32
            } else {
                1.0
            };
            let (mut sum, mut squares, mut count) = (0f64, 0f64, 0f64);
            for x in finite(f) {
                let x = f64::from((x / size).asinh());
                sum += x;
                squares += x * x;
                count += 1.0;
            }
            let mean = sum / f64::max(count, 1.0);
            let variance = squares / f64::max(count, 1.0) - mean * mean;
            linear.size[f] = size;
            linear.mean[f] = mean as f32;
            // A constant says nothing: its weight stays 0.
            linear.deviation[f] = if variance > 1e-9 {
                variance.sqrt() as f32
            } else {
                f32::INFINITY
            };
        }
        linear
    }

    fn z(&self, f: usize, x: f32) -> f32 {
        if x.is_finite() {
            ((x / self.size[f]).asinh() - self.mean[f]) / self.deviation[f]
        } else {
            0.0
        }
    }

    /// Writes the scores of `rows` (out.len(), features).
    pub fn score(&self, rows: &[f32], out: &mut [f32]) {
        let n = self.weights.len();
        for (row, out) in rows.chunks_exact(n).zip(out) {
            *out = (0..n).map(|f| self.weights[f] * self.z(f, row[f])).sum();
        }
    }

    /// By feature, of values that are scaled alike.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }
}

/// The loss and its gradient.
fn objective(
    lists: &Lists,
    z: &[f32],
    share: usize,
    l2: f64,
    w: &[f64],
    pool: &mut Pool,
) -> (f64, Vec<f64>) {
    let n = lists.n_features;
    let weights: Vec<f32> = w.iter().map(|&w| w as f32).collect();
    let mut parts = Vec::new();
    let mut first = 0;
    for sizes in lists.sizes.chunks(share) {
        let rows = sizes.iter().sum::<u32>() as usize;
        parts.push((first, sizes, 0f64, vec![0f64; n]));
        first += rows;
    }
    pool.each(
        parts.iter_mut().collect(),
        |part: &mut (usize, &[u32], f64, Vec<f64>)| {
            let (mut at, sizes, loss, gradient) = (part.0, part.1, &mut part.2, &mut part.3);
            let mut scores = Vec::new();
            for &size in sizes {
                let rows = at..at + size as usize;
                at = rows.end;
                let labels = &lists.labels[rows.clone()];
                let z = &z[rows.start * n..rows.end * n];
                scores.clear();
                scores.extend(z.chunks_exact(n).map(|z| dot(z, &weights)));
                let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let total: f32 = scores.iter().map(|s| (s - top).exp()).sum();
                let chosen = labels.iter().filter(|&&l| l > 0).count().max(1) as f32;
                for ((z, &s), &label) in z.chunks_exact(n).zip(&scores).zip(labels) {
                    let p = (s - top).exp() / total;
                    let mut slope = p;
                    if label > 0 {
                        slope -= 1.0 / chosen;
                        *loss -= f64::from((s - top - total.ln()) / chosen);
                    }
                    gradient
                        .iter_mut()
                        .zip(z)
                        .for_each(|(g, z)| *g += f64::from(slope * z));
                }
            }
        },
    );
    let n_lists = lists.sizes.len().max(1) as f64;
    let mut loss = l2 / 2.0 * w.iter().map(|w| w * w).sum::<f64>();
    let mut gradient: Vec<f64> = w.iter().map(|w| l2 * w).collect();
    for (_, _, of_part, part) in &parts {
        loss += of_part / n_lists;
        gradient
            .iter_mut()
            .zip(part)
            .for_each(|(g, p)| *g += p / n_lists);
    }
    (loss, gradient)
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// A function and its gradient at a point.
type Objective<'a> = dyn FnMut(&[f64]) -> (f64, Vec<f64>) + 'a;

/// L-BFGS with backtracking (Nocedal and Wright, algorithms 7.4 and 3.1).
fn minimise(n: usize, objective: &mut Objective) -> Vec<f64> {
    let mut x = vec![0.0; n];
    let (mut loss, mut gradient) = objective(&x);
    let mut memory: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    for _ in 0..ITERATIONS {
        let direction = direction(&gradient, &memory);
        let slope = product(&gradient, &direction);
        let norm = product(&direction, &direction).sqrt();
        let mut step = if memory.is_empty() {
            1.0 / norm.max(1.0)
        } else {
            1.0
        };
        let (next, next_loss, next_gradient) = loop {
            let next: Vec<f64> = x
                .iter()
                .zip(&direction)
                .map(|(x, d)| x + step * d)
                .collect();
            let (next_loss, next_gradient) = objective(&next);
            if next_loss <= loss + 1e-4 * step * slope || step < 1e-8 {
                break (next, next_loss, next_gradient);
            }
            step /= 2.0;
        };
        if next_loss >= loss {
            break;
        }
        let s: Vec<f64> = next.iter().zip(&x).map(|(a, b)| a - b).collect();
        let y: Vec<f64> = next_gradient
            .iter()
            .zip(&gradient)
            .map(|(a, b)| a - b)
            .collect();
        let gained = loss - next_loss;
        (x, loss, gradient) = (next, next_loss, next_gradient);
        if product(&s, &y) > 1e-12 {
            memory.push((s, y));
            if memory.len() > MEMORY {
                memory.remove(0);
            }
        }
        if gained < 1e-7 {
            break;
        }
    }
    x
}

/// Downhill, by the two-loop recursion.
fn direction(gradient: &[f64], memory: &[(Vec<f64>, Vec<f64>)]) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut factors = Vec::with_capacity(memory.len());
    for (s, y) in memory.iter().rev() {
        let factor = product(s, &q) / product(s, y);
        q.iter_mut().zip(y).for_each(|(q, y)| *q -= factor * y);
        factors.push(factor);
    }
    if let Some((s, y)) = memory.last() {
        let scale = product(s, y) / product(y, y);
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((s, y), factor) in memory.iter().zip(factors.into_iter().rev()) {
        let back = factor - product(y, &q) / product(s, y);
        q.iter_mut().zip(s).for_each(|(q, s)| *q += back * s);
    }
    q
}
