//! One optimiser step: packed examples → loss on the outputs only → gradients → AdamW.
//!
//! `loss = Σ w·(−ln p(token | row)) / Σ w` over the labels of a batch, plus, if a [`TapLoss`] is
//! given, the mean of its loss over the examples. Examples are dealt to the workers by length, the
//! same way every time, so a seed and a thread count give the same numbers.

use crate::backward::{Gradients, backward};
use crate::forward::Session;
use crate::kernels::{linear, linear_back, softmax};
use crate::lora::Lora;
use crate::model::Llama;
use crate::tree::TokenTree;

/// Labels whose logits are computed together.
const LABELS: usize = 64;

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

#[derive(Default)]
struct Worker {
    session: Session,
    gradients: Gradients,
    grads: Vec<f32>,
    hidden: Vec<f32>,
    dhidden: Vec<f32>,
    logits: Vec<f32>,
    label_loss: f64,
    tap_loss: f64,
}

/// Workers with their buffers; one a core.
pub struct Trainer {
    workers: Vec<Worker>,
}

impl Trainer {
    pub fn new(n_threads: usize) -> Self {
        let mut workers = Vec::new();
        workers.resize_with(n_threads.max(1), Worker::default);
        Self { workers }
    }

    /// Loss and gradient (laid out as `lora.params`) of a batch.
    pub fn gradient(
        &mut self,
        model: &Llama,
        lora: &Lora,
        batch: &[Example],
        tap: Option<&dyn TapLoss>,
        grads: &mut [f32],
    ) -> StepStats {
        let total_weight: f32 = batch.iter().flat_map(|e| &e.labels).map(|l| l.weight).sum();
        let shares = deal(batch, self.workers.len());
        std::thread::scope(|scope| {
            for (worker, share) in self.workers.iter_mut().zip(&shares) {
                scope.spawn(move || {
                    worker.grads.clear();
                    worker.grads.resize(lora.params.len(), 0.0);
                    (worker.label_loss, worker.tap_loss) = (0.0, 0.0);
                    for &i in share {
                        worker.example(model, lora, i, &batch[i], total_weight, tap, batch.len());
                    }
                });
            }
        });
        grads.fill(0.0);
        let mut stats = StepStats::default();
        let (mut label_loss, mut tap_loss) = (0.0, 0.0);
        for worker in &self.workers {
            grads
                .iter_mut()
                .zip(&worker.grads)
                .for_each(|(g, w)| *g += w);
            label_loss += worker.label_loss;
            tap_loss += worker.tap_loss;
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

/// Longest first, each to the worker with the fewest tokens so far.
fn deal(batch: &[Example], n: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..batch.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(batch[i].tree.len()), i));
    let mut shares = vec![(0, Vec::new()); n];
    for i in order {
        let share = shares
            .iter_mut()
            .min_by_key(|s| s.0)
            .expect("there is a worker");
        share.0 += batch[i].tree.len();
        share.1.push(i);
    }
    shares.into_iter().map(|s| s.1).collect()
}

impl Worker {
    fn example(
        &mut self,
        model: &Llama,
        lora: &Lora,
        index: usize,
        example: &Example,
        total_weight: f32,
        tap: Option<&dyn TapLoss>,
        n_examples: usize,
    ) {
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
            linear(&mut self.logits, 0.0, hidden, &model.embed_tokens, n, d, v);
            for (logits, label) in self.logits.chunks_exact_mut(v).zip(labels) {
                softmax(logits);
                let p = &mut logits[label.token as usize];
                self.label_loss -= f64::from(label.weight) * f64::from(p.max(1e-30).ln());
                *p -= 1.0;
                let weight = label.weight / total_weight;
                logits.iter_mut().for_each(|l| *l *= weight);
            }
            linear_back(dhidden, 0.0, &self.logits, &model.embed_tokens, n, d, v);
        }
        if let Some(tap) = tap.filter(|_| !example.taps.is_empty()) {
            let dhidden = &mut self.dhidden[n_labels * d..];
            self.tap_loss += f64::from(tap.loss(index, &self.hidden[n_labels * d..], dhidden));
            dhidden.iter_mut().for_each(|g| *g /= n_examples as f32);
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
            &mut self.grads,
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
