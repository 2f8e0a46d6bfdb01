//! Losses of hidden states against items, their scores being `s_j = h · e_j`, and the gradients.
//!
//! | loss | of a target t |
//! |---|---|
//! | [`Loss::Bce`] | `−ln σ(s_t) − ln(1 − σ(s_n))`, n one item that the sequence does not hold |
//! | [`Loss::Softmax`] | `−ln softmax_t` over the whole catalogue |
//! | [`Loss::SampledSoftmax`] | `−ln softmax_t` over t and the negatives of its micro-batch |
//!
//! A negative that is the target itself is left out. With `log_q`, `ln q_j` is taken from every
//! score, the target's too (Yi et al., RecSys 2019, eq. 3): what is drawn often is then not pushed
//! down more often. For uniform negatives that changes nothing.

use hkfr_lm::{View, ViewMut, dot, linear, matmul, softmax};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::item_table::ItemTable;
use super::layers::zeros;
use super::negatives::{Negatives, Sampling};
use super::packed::Packed;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    Bce,
    Softmax,
    SampledSoftmax {
        /// For each micro-batch; `in-batch` negatives have no number.
        n_negatives: usize,
        sampling: Sampling,
        log_q: bool,
    },
}

/// Scores that are held at a time: 4 MiB.
const SCORES: usize = 1 << 20;

/// Buffers of one micro-batch. The gradient of `candidates[i]` is row i of `dcandidates`, that of
/// `targets[i]` row i of `dtargets`.
#[derive(Default)]
pub(super) struct Head {
    pub targets: Vec<u32>,
    pub dtargets: Vec<f32>,
    pub candidates: Vec<u32>,
    pub dcandidates: Vec<f32>,
    hidden: Vec<f32>,
    dhidden: Vec<f32>,
    target_vectors: Vec<f32>,
    vectors: Vec<f32>,
    scores: Vec<f32>,
}

impl Head {
    /// The sum of the loss over the targets of `batch`. `x` (rows, d) holds hidden states and then
    /// `weight` times their gradient.
    #[allow(clippy::too_many_arguments)]
    pub fn loss(
        &mut self,
        loss: Loss,
        items: ItemTable,
        batch: &Packed,
        negatives: &Negatives,
        weight: f32,
        x: &mut [f32],
        rng: &mut impl Rng,
    ) -> f64 {
        let d = items.d;
        let rows = || batch.targets.iter().map(|t| t.row as usize * d);
        let n = batch.targets.len();
        self.targets.clear();
        self.targets.extend(batch.targets.iter().map(|t| t.item));
        self.hidden.clear();
        for at in rows() {
            self.hidden.extend_from_slice(&x[at..at + d]);
        }
        self.dhidden.resize(n * d, 0.0);
        items.gather(&mut self.target_vectors, self.targets.iter().copied());
        self.dtargets.resize(n * d, 0.0);
        let sum = match loss {
            Loss::Bce => {
                let sequences = batch.sequences().flat_map(|rows| {
                    let first = batch
                        .targets
                        .partition_point(|t| (t.row as usize) < rows.start);
                    let end = batch
                        .targets
                        .partition_point(|t| (t.row as usize) < rows.end);
                    let (sequence, targets) = (&batch.tokens[rows], &batch.targets[first..end]);
                    targets.iter().map(move |_| (sequence, targets))
                });
                negatives.draw_unseen(&mut self.candidates, sequences, rng);
                items.gather(&mut self.vectors, self.candidates.iter().copied());
                self.bce(d, weight)
            }
            Loss::Softmax => {
                self.candidates.clear();
                self.candidates.extend(0..negatives.log_q.len() as u32);
                let table = &items.rows[..self.candidates.len() * d];
                if items.is_masked() {
                    items.gather(&mut self.vectors, self.candidates.iter().copied());
                }
                self.softmax(d, weight, (!items.is_masked()).then_some(table), None)
            }
            Loss::SampledSoftmax {
                n_negatives, log_q, ..
            } => {
                negatives.draw(&mut self.candidates, n_negatives, &self.targets, rng);
                items.gather(&mut self.vectors, self.candidates.iter().copied());
                self.softmax(d, weight, None, log_q.then_some(&negatives.log_q))
            }
        };
        items.mask(&mut self.dtargets, self.targets.iter().copied());
        items.mask(&mut self.dcandidates, self.candidates.iter().copied());
        x.fill(0.0);
        for (at, dh) in rows().zip(self.dhidden.chunks_exact(d)) {
            x[at..at + d].copy_from_slice(dh);
        }
        sum
    }

    fn bce(&mut self, d: usize, weight: f32) -> f64 {
        let n = self.targets.len();
        zeros(&mut self.dcandidates, n * d);
        let mut sum = 0.0;
        for i in 0..n {
            let at = i * d..(i + 1) * d;
            let h = &self.hidden[at.clone()];
            let (e_t, e_n) = (&self.target_vectors[at.clone()], &self.vectors[at.clone()]);
            let (s_t, s_n) = (dot(h, e_t), dot(h, e_n));
            sum += softplus(-s_t) + softplus(s_n);
            let (ds_t, ds_n) = (-weight * sigmoid(-s_t), weight * sigmoid(s_n));
            for (j, k) in at.enumerate() {
                self.dhidden[k] = ds_t * e_t[j] + ds_n * e_n[j];
                self.dtargets[k] = ds_t * h[j];
                self.dcandidates[k] = ds_n * h[j];
            }
        }
        sum
    }

    /// Over the candidates, whose vectors are `table` or else those gathered, and the target.
    fn softmax(
        &mut self,
        d: usize,
        weight: f32,
        table: Option<&[f32]>,
        log_q: Option<&Vec<f32>>,
    ) -> f64 {
        let n = self.candidates.len();
        let vectors = table.unwrap_or(&self.vectors);
        zeros(&mut self.dcandidates, n * d);
        // The last column is the target.
        let width = n + 1;
        let chunk = (SCORES / width).clamp(32, 1024);
        let mut sum = 0.0;
        for (first, targets) in (0..).step_by(chunk).zip(self.targets.chunks(chunk)) {
            let (rows, at) = (targets.len(), first * d..(first + targets.len()) * d);
            let hidden = &self.hidden[at.clone()];
            let target_vectors = &self.target_vectors[at.clone()];
            self.scores.resize(rows * width, 0.0);
            let h = View::new(hidden, rows, d, d);
            let e = View::new(vectors, n, d, d);
            let scores = ViewMut::new(&mut self.scores, rows, n, width);
            matmul(scores, 0.0, 1.0, h, e.t());
            for (i, (scores, &target)) in
                self.scores.chunks_exact_mut(width).zip(targets).enumerate()
            {
                let row = i * d..(i + 1) * d;
                let (scores_n, score_t) = scores.split_at_mut(n);
                score_t[0] = dot(&hidden[row.clone()], &target_vectors[row]);
                if let Some(log_q) = log_q {
                    score_t[0] -= log_q[target as usize];
                    for (s, &c) in scores_n.iter_mut().zip(&self.candidates) {
                        *s -= log_q[c as usize];
                    }
                }
                for (s, &c) in scores_n.iter_mut().zip(&self.candidates) {
                    *s = if c == target { f32::NEG_INFINITY } else { *s };
                }
                softmax(scores);
                sum -= f64::from(scores[n].max(f32::MIN_POSITIVE)).ln();
                scores[n] -= 1.0;
                scores.iter_mut().for_each(|s| *s *= weight);
            }
            let dscores = View::new(&self.scores, rows, n, width);
            let dhidden = &mut self.dhidden[at.clone()];
            matmul(ViewMut::new(dhidden, rows, d, d), 0.0, 1.0, dscores, e);
            let dcandidates = ViewMut::new(&mut self.dcandidates, n, d, d);
            matmul(dcandidates, 1.0, 1.0, dscores.t(), h);
            let dtargets = self.dtargets[at].chunks_exact_mut(d);
            let ds_t = self.scores.chunks_exact(width).map(|s| s[n]);
            let rows = hidden.chunks_exact(d).zip(target_vectors.chunks_exact(d));
            for (((dh, dt), ds), (h, e)) in dhidden
                .chunks_exact_mut(d)
                .zip(dtargets)
                .zip(ds_t)
                .zip(rows)
            {
                dh.iter_mut().zip(e).for_each(|(dh, e)| *dh += ds * e);
                dt.iter_mut().zip(h).for_each(|(dt, h)| *dt = ds * h);
            }
        }
        sum
    }
}

/// `ln(1 + eˣ)`.
pub(crate) fn softplus(x: f32) -> f64 {
    let x = f64::from(x);
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Scores (n, items) of hidden states (n, d).
pub(crate) fn all_scores(out: &mut Vec<f32>, hidden: &[f32], items: &[f32], d: usize) {
    let (n, n_items) = (hidden.len() / d, items.len() / d);
    out.resize(n * n_items, 0.0);
    linear(out, 0.0, hidden, items, n, d, n_items);
}
