//! Instruction tuning: examples → LoRA adapter and item head, with checkpoints.
//!
//! A step is one batch of packed users. The order of examples, the schedule and the initial weights
//! follow from the seed, so a training that was stopped and resumed gives the weights of one that was not.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;

use hkfr_lm::{
    AdamW, ChatLayout, Llama, Lora, LoraConfig, TapLoss, Trainer, load_tensors, save_tensors,
};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::item_head::{HeadLoss, ItemHead, ItemVectors, optimiser};
use super::pack::{Prompt, TuneExample};
use crate::error::{Error, Result};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TuneConfig {
    pub lora: LoraConfig,
    /// Peak rate of the adapter; linear warm-up, then cosine to a tenth.
    pub learning_rate: f32,
    /// Peak rate of the item head.
    pub head_learning_rate: f32,
    /// Share of the steps that warm up.
    pub warmup_ratio: f32,
    pub weight_decay: f32,
    pub max_grad_norm: f32,
    pub epochs: f32,
    /// Users a step. They are computed one a thread, and their gradients summed: memory does not grow with it.
    pub batch_size: usize,
    pub checkpoint_steps: usize,
    /// Weight of the item loss against the token loss in the adapter's gradient.
    pub item_loss_weight: f32,
    /// Changes no byte of the result: a checkpoint is continued on any number.
    #[serde(skip)]
    pub n_threads: usize,
    pub seed: u64,
}

/// One step, as it is reported while tuning.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TuneEvent {
    pub step: usize,
    pub n_steps: usize,
    /// Mean negative log-likelihood of an answer token, nats.
    pub token_loss: f32,
    /// Mean cross-entropy of the next order's items, nats.
    pub item_loss: f32,
    pub grad_norm: f32,
    pub n_tokens: usize,
}

pub struct TuneOutcome {
    pub lora: Lora,
    /// If one was given.
    pub head: Option<ItemHead>,
    pub steps: Vec<TuneEvent>,
    /// False if `progress` asked to stop: the checkpoint continues it.
    pub finished: bool,
}

/// Tunes on `examples`, or continues from `checkpoint` if that file belongs to the same config and data
/// (`data_hash`). Without `items` there is no item head, and the targets of the examples teach nothing.
/// `progress` sees every step and returns false to stop after writing a checkpoint.
#[expect(clippy::too_many_arguments)]
pub fn tune(
    model: &Llama,
    chat: &ChatLayout,
    item_instruction: &str,
    items: Option<(&ItemVectors, ItemHead)>,
    examples: &[TuneExample],
    config: &TuneConfig,
    data_hash: &str,
    checkpoint: &Path,
    progress: &mut dyn FnMut(&TuneEvent) -> bool,
) -> Result<TuneOutcome> {
    if examples.is_empty() {
        return Err(Error::Tuning(
            "there is no example to tune on: widen the sample of training instances".into(),
        ));
    }
    let lora = Lora::new(config.lora, &model.config, config.seed);
    let (vectors, head) = items.unzip();
    let mut state = State {
        adam: AdamW::new(lora.params.len(), config.weight_decay),
        lora,
        head: head.map(|head| (optimiser(&head), head)),
        steps: Vec::new(),
    };
    let identity = format!(
        "{data_hash} {}",
        serde_json::to_string(config).expect("plain data")
    );
    if checkpoint.exists() {
        state.load(checkpoint, &identity)?;
    }
    let prompt = Prompt {
        chat,
        item_instruction,
    };
    let batch_size = config.batch_size.max(1);
    let n_steps =
        ((examples.len() as f32 * config.epochs / batch_size as f32).ceil() as usize).max(1);
    let order = order(examples.len(), n_steps * batch_size, config.seed);
    let mut trainer = Trainer::new(config.n_threads);
    let mut grads = vec![0.0; state.lora.params.len()];
    while state.steps.len() < n_steps {
        let step = state.steps.len();
        let batch: Vec<&TuneExample> = order[step * batch_size..(step + 1) * batch_size]
            .iter()
            .map(|&i| &examples[i])
            .collect();
        let packed = batch
            .iter()
            .map(|e| prompt.pack(e, model.config.max_positions))
            .collect::<hkfr_lm::Result<Vec<_>>>()?;
        let loss = vectors
            .zip(state.head.as_ref())
            .map(|(vectors, (_, head))| HeadLoss {
                vectors,
                head,
                targets: batch.iter().map(|e| &e.targets[..]).collect(),
                factors: Mutex::new(batch.iter().map(|_| None).collect()),
                weight: config.item_loss_weight,
            });
        trainer.set_step(config.seed, step as u64);
        let tap = loss.as_ref().map(|loss| loss as &dyn TapLoss);
        let stats = trainer.gradient(model, &state.lora, &packed, tap, &mut grads);
        let head_grads = loss.map(HeadLoss::into_grads);
        if !stats.token_loss.is_finite() || !stats.grad_norm.is_finite() {
            return Err(Error::Tuning(format!(
                "the loss is not a number at step {}; lower learning_rate",
                step + 1
            )));
        }
        let rate = schedule(step, n_steps, config.warmup_ratio);
        let clip = (config.max_grad_norm / stats.grad_norm.max(1e-12)).min(1.0);
        state.adam.update(
            &mut state.lora.params,
            &grads,
            clip,
            config.learning_rate * rate,
        );
        if let Some(((adam, head), mut grads)) = state.head.as_mut().zip(head_grads) {
            grads.iter_mut().for_each(|g| *g /= batch.len() as f32);
            let rate = config.head_learning_rate * rate;
            adam.update(&mut head.params, &grads, 1.0, rate);
        }
        state.steps.push(TuneEvent {
            step: step + 1,
            n_steps,
            token_loss: stats.token_loss,
            item_loss: stats.tap_loss,
            grad_norm: stats.grad_norm,
            n_tokens: stats.n_tokens,
        });
        let go_on = progress(&state.steps[step]);
        let last = step + 1 == n_steps;
        if !last && (!go_on || (step + 1).is_multiple_of(config.checkpoint_steps.max(1))) {
            state.save(checkpoint, &identity)?;
        }
        if !go_on && !last {
            return Ok(state.outcome(false));
        }
    }
    Ok(state.outcome(true))
}

/// `n` indices into the examples: one shuffle an epoch.
fn order(n_examples: usize, n: usize, seed: u64) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut order = Vec::with_capacity(n + n_examples);
    while order.len() < n {
        let mut epoch: Vec<usize> = (0..n_examples).collect();
        epoch.shuffle(&mut rng);
        order.extend(epoch);
    }
    order
}

/// Linear warm-up to 1, cosine down to 0.1.
fn schedule(step: usize, n_steps: usize, warmup_ratio: f32) -> f32 {
    let warmup = (n_steps as f32 * warmup_ratio).ceil();
    let at = step as f32 + 1.0;
    if at <= warmup {
        return at / warmup;
    }
    let done = (at - warmup) / (n_steps as f32 - warmup).max(1.0);
    0.1 + 0.45 * (1.0 + (std::f32::consts::PI * done).cos())
}

struct State {
    lora: Lora,
    adam: AdamW,
    head: Option<(AdamW, ItemHead)>,
    steps: Vec<TuneEvent>,
}

impl State {
    fn outcome(self, finished: bool) -> TuneOutcome {
        TuneOutcome {
            lora: self.lora,
            head: self.head.map(|(_, head)| head),
            steps: self.steps,
            finished,
        }
    }

    fn save(&self, path: &Path, identity: &str) -> Result<()> {
        let mut vectors: Vec<(&str, &[f32])> = vec![
            ("lora", &self.lora.params),
            ("lora.m", &self.adam.m),
            ("lora.v", &self.adam.v),
        ];
        if let Some((adam, head)) = &self.head {
            vectors.extend([
                ("head", &head.params[..]),
                ("head.m", &adam.m),
                ("head.v", &adam.v),
            ]);
        }
        let tensors: Vec<_> = vectors
            .iter()
            .map(|(name, v)| ((*name).to_owned(), vec![v.len()], *v))
            .collect();
        let steps = serde_json::to_string(&self.steps).expect("plain data");
        let metadata = HashMap::from([
            ("identity".into(), identity.into()),
            ("steps".into(), steps),
        ]);
        Ok(save_tensors(path, &tensors, metadata)?)
    }

    /// A checkpoint of another config or data is left aside; a damaged one is an error.
    fn load(&mut self, path: &Path, identity: &str) -> Result<()> {
        let (mut tensors, metadata) = load_tensors(path)?;
        if metadata.get("identity").map(String::as_str) != Some(identity) {
            tracing::warn!(
                "{} belongs to another config or data and is not continued",
                path.display()
            );
            return Ok(());
        }
        let damaged = |what: &str| {
            Error::Tuning(format!(
                "{}: lacks {what}; delete the file to begin anew",
                path.display()
            ))
        };
        let mut into: Vec<(&str, &mut Vec<f32>)> = vec![
            ("lora", &mut self.lora.params),
            ("lora.m", &mut self.adam.m),
            ("lora.v", &mut self.adam.v),
        ];
        if let Some((adam, head)) = &mut self.head {
            into.extend([
                ("head", &mut head.params),
                ("head.m", &mut adam.m),
                ("head.v", &mut adam.v),
            ]);
        }
        for (name, vector) in into {
            let (_, data) = tensors.remove(name).ok_or_else(|| damaged(name))?;
            if data.len() != vector.len() {
                return Err(damaged(&format!("{name} in the right length")));
            }
            *vector = data;
        }
        let steps = metadata
            .get("steps")
            .and_then(|s| serde_json::from_str(s).ok());
        self.steps = steps.ok_or_else(|| damaged("the step log"))?;
        self.adam.step = self.steps.len() as u64;
        if let Some((adam, _)) = &mut self.head {
            adam.step = self.steps.len() as u64;
        }
        Ok(())
    }
}
