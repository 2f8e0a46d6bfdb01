//! One optimiser step: packed examples → loss on the outputs only → gradients → AdamW.
//!
//! `loss = Σ w·(−ln p(token | row)) / Σ w` over the labels of a batch, plus, if a [`TapLoss`] is
//! given, the mean of its loss over the examples.
//!
//! Examples are dealt to lanes by length, each lane sums its gradients in the order of its examples,
//! and lanes are added in their order. Threads only decide who computes a lane, so a seed gives the
//! same bytes on any number of them.
//!
//! This is gradient accumulation: a thread holds the activations of one example at a time, so that
//! memory follows from the longest example and not from the size of the batch.

use std::sync::Mutex;

use crate::backward::{Gradients, backward};
use crate::dropout;
use crate::forward::Session;
use crate::kernels::softmax;
use crate::lora::Lora;
use crate::model::Llama;
use crate::tree::TokenTree;

/// Labels whose logits are computed together.
const LABELS: usize = 64;

/// Sums of gradients that are kept apart: the most threads that can work on one batch. Each costs a
/// copy of the adapter's parameters, if the batch has an example for it.
const MAX_LANES: usize = 16;

/// The hidden state of `row` should predict `token`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Label {
    pub row: usize,
    pub token: u32,
    pub weight: f32,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Example {
    pub tree: TokenTree,
    pub labels: Vec<Label>,
    /// Rows whose final hidden states go to the [`TapLoss`].
    pub taps: Vec<usize>,
}

/// A loss on hidden states that is not about tokens: a ranking head. Called from several threads.
pub trait TapLoss: Sync {
    /// `hidden` (taps, width) of the batch's example; fills `grad`, of the same shape, and returns the loss.
    fn loss(&self, example: usize, hidden: &[f32], grad: &mut [f32]) -> f32;
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StepStats {
    /// Mean negative log-likelihood of a label, nats.
    pub token_loss: f32,
    /// Mean of the tap loss over the examples.
    pub tap_loss: f32,
    pub n_labels: usize,
    pub n_tokens: usize,
    /// Length of the gradient before clipping.
    pub grad_norm: f32,
}

/// Buffers of one thread.
#[derive(Default)]
struct Worker {
    session: Session,
    gradients: Gradients,
    hidden: Vec<f32>,
    dhidden: Vec<f32>,
    logits: Vec<f32>,
}

/// A share of a batch, and the sums over it.
#[derive(Default)]
struct Lane {
    examples: Vec<usize>,
    grads: Vec<f32>,
    label_loss: f64,
    tap_loss: f64,
}

/// What all examples of a batch share.
#[derive(Clone, Copy)]
struct Task<'a> {
    model: &'a Llama,
    lora: &'a Lora,
    batch: &'a [Example],
    total_weight: f32,
    tap: Option<&'a dyn TapLoss>,
    /// Seed and step of the dropout masks.
    at: (u64, u64),
}

/// Workers with their buffers; one a core. Memory: the activations of the longest example a worker, and
/// the gradient of the adapter up to 16 times, whatever the size of the batch.
pub struct Trainer {
    workers: Vec<Worker>,
    lanes: Vec<Lane>,
    at: (u64, u64),
}

impl Trainer {
    pub fn new(n_threads: usize) -> Self {
        let mut workers = Vec::new();
        workers.resize_with(n_threads.max(1), Worker::default);
        Self {
            workers,
            lanes: Vec::new(),
            at: (0, 0),
        }
    }

    /// Dropout masks of the gradients from now on: a pair (seed, step) always gives the same ones,
    /// so that a training which was stopped continues as if it had not been.
    pub fn set_step(&mut self, seed: u64, step: u64) {
        self.at = (seed, step);
    }

    /// Loss and gradient (laid out as `lora.params`) of a batch, however large: both are normalised by
    /// the label weight (the tap loss by the examples) of the whole batch.
    pub fn gradient(
        &mut self,
        model: &Llama,
        lora: &Lora,
        batch: &[Example],
        tap: Option<&dyn TapLoss>,
        grads: &mut [f32],
    ) -> StepStats {
        let total_weight: f32 = batch.iter().flat_map(|e| &e.labels).map(|l| l.weight).sum();
        let n_lanes = batch.len().min(MAX_LANES);
        self.lanes.resize_with(n_lanes, Lane::default);
        for (lane, examples) in self.lanes.iter_mut().zip(deal(batch, n_lanes)) {
            lane.examples = examples;
        }
        let task = Task {
            model,
            lora,
            batch,
            total_weight,
            tap,
            at: self.at,
        };
        let lanes = Mutex::new(self.lanes.iter_mut());
        std::thread::scope(|scope| {
            for worker in &mut self.workers {
                scope.spawn(|| {
                    let next = || lanes.lock().expect("a worker panicked").next();
                    while let Some(lane) = next() {
                        worker.lane(task, lane);
                    }
                });
            }
        });
        grads.fill(0.0);
        let mut stats = StepStats::default();
        let (mut label_loss, mut tap_loss) = (0.0, 0.0);
        for lane in &self.lanes {
            grads.iter_mut().zip(&lane.grads).for_each(|(g, l)| *g += l);
            label_loss += lane.label_loss;
            tap_loss += lane.tap_loss;
        }
        stats.token_loss = (label_loss / f64::from(total_weight.max(f32::MIN_POSITIVE))) as f32;
        stats.tap_loss = (tap_loss / batch.len().max(1) as f64) as f32;
        stats.n_labels = batch.iter().map(|e| e.labels.len()).sum();
        stats.n_tokens = batch.iter().map(|e| e.tree.len()).sum();
        stats.grad_norm = grads
            .iter()
            .map(|g| f64::from(*g).powi(2))
            .sum::<f64>()
            .sqrt() as f32;
        stats
    }
}

/// Longest first, each to the lane with the fewest tokens so far; the heaviest lanes come first, so
/// that threads end together.
fn deal(batch: &[Example], n: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..batch.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(batch[i].tree.len()), i));
    let mut shares = vec![(0, Vec::new()); n];
    for i in order {
        let share = shares
            .iter_mut()
            .min_by_key(|s| s.0)
            .expect("a lane for each example");
        share.0 += batch[i].tree.len();
        share.1.push(i);
    }
    shares.sort_by_key(|s| std::cmp::Reverse(s.0));
    shares.into_iter().map(|s| s.1).collect()
}

impl Worker {
    fn lane(&mut self, task: Task, lane: &mut Lane) {
        lane.grads.clear();
        lane.grads.resize(task.lora.params.len(), 0.0);
        (lane.label_loss, lane.tap_loss) = (0.0, 0.0);
        for i in std::mem::take(&mut lane.examples) {
            self.example(task, i, lane);
        }
    }

    fn example(&mut self, task: Task, index: usize, lane: &mut Lane) {
        let Task { model, lora, .. } = task;
        let example = &task.batch[index];
        let (seed, step) = task.at;
        self.session.dropout.key = Some(dropout::key(seed, step, index));
        let (d, v) = (model.config.hidden_size, model.config.vocab_size);
        self.session.restart();
        self.session.run(model, Some(lora), &example.tree, true);
        let n_labels = example.labels.len();
        let mut rows: Vec<usize> = example.labels.iter().map(|l| l.row).collect();
        rows.extend(&example.taps);
        self.session.hidden(model, &rows, &mut self.hidden);
        self.dhidden.clear();
        self.dhidden.resize(rows.len() * d, 0.0);

        // In chunks: the logits of all labels of a long example would not fit any cache.
        for ((labels, hidden), dhidden) in example
            .labels
            .chunks(LABELS)
            .zip(self.hidden[..n_labels * d].chunks(LABELS * d))
            .zip(self.dhidden[..n_labels * d].chunks_mut(LABELS * d))
        {
            let n = labels.len();
            self.logits.resize(n * v, 0.0);
            let pool = &mut self.session.pool;
            model.output.multiply(pool, &mut self.logits, 0.0, hidden);
            for (logits, label) in self.logits.chunks_exact_mut(v).zip(labels) {
                softmax(logits);
                let p = &mut logits[label.token as usize];
                lane.label_loss -= f64::from(label.weight) * f64::from(p.max(1e-30).ln());
                *p -= 1.0;
                let weight = label.weight / task.total_weight;
                logits.iter_mut().for_each(|l| *l *= weight);
            }
            let back = &model.transposed().output;
            back.multiply(&mut self.session.pool, dhidden, 0.0, &self.logits);
        }
        if let Some(tap) = task.tap.filter(|_| !example.taps.is_empty()) {
            let dhidden = &mut self.dhidden[n_labels * d..];
            lane.tap_loss += f64::from(tap.loss(index, &self.hidden[n_labels * d..], dhidden));
            dhidden
                .iter_mut()
                .for_each(|g| *g /= task.batch.len() as f32);
        }
        let (session, gradients) = (&mut self.session, &mut self.gradients);
        backward(
            model,
            lora,
            &example.tree,
            session,
            gradients,
            &rows,
            &self.dhidden,
            &mut lane.grads,
        );
    }
}

/// AdamW (Loshchilov & Hutter, arXiv 1711.05101) on one slice of parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct AdamW {
    pub m: Vec<f32>,
    pub v: Vec<f32>,
    pub step: u64,
    pub weight_decay: f32,
}

impl AdamW {
    pub fn new(n_params: usize, weight_decay: f32) -> Self {
        Self {
            m: vec![0.0; n_params],
            v: vec![0.0; n_params],
            step: 0,
            weight_decay,
        }
    }

    /// β₁ = 0.9, β₂ = 0.999, ε = 1e-8; `grads` are multiplied by `grad_scale` first (clipping).
    pub fn update(&mut self, params: &mut [f32], grads: &[f32], grad_scale: f32, lr: f32) {
        self.step += 1;
        let (b1, b2) = (0.9_f32, 0.999_f32);
        let c1 = 1.0 - f64::from(b1).powf(self.step as f64) as f32;
        let c2 = 1.0 - f64::from(b2).powf(self.step as f64) as f32;
        for i in 0..params.len() {
            let g = grads[i] * grad_scale;
            self.m[i] = b1 * self.m[i] + (1.0 - b1) * g;
            self.v[i] = b2 * self.v[i] + (1.0 - b2) * g * g;
            let update = self.m[i] / c1 / ((self.v[i] / c2).sqrt() + 1e-8);
            params[i] -= lr * (update + self.weight_decay * params[i]);
        }
    }
}
