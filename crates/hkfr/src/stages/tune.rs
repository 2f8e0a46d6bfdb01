//! Instruction rows → a PEFT adapter directory and an item head, one an input.

use std::collections::HashMap;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use hkfr_events::{Dataset, Split};
use hkfr_lm::log::TrainingLog;
use hkfr_lm::{
    ADAPTER_CONFIG, Lora, LoraConfig, load_adapter, load_tensors, save_adapter, save_tensors,
};
use hkfr_rec::llm::{ItemHead, ItemVectors, TuneConfig, TuneEvent, TuneExample, TuneRow, tune};
use hkfr_rec::tasks::{InstructionRow, read_messages};
use serde_json::json;

use super::items::{item_vectors, popularity};
use super::{Model, Session, n_threads};
use crate::config::TuningConfig;
use crate::stage::{Outcome, Spec};
use hkfr_rec::method::Input;

/// Sentence embeddings of the catalogue, in the directory of this stage.
pub const ITEMS: &str = "items.safetensors";
const HEAD: &str = "item_head.safetensors";

pub(super) fn run(session: &mut Session) -> Result<Outcome> {
    let inputs = session.config.inputs(true);
    let names: Vec<_> = inputs.iter().map(|v| v.name()).collect();
    let any_llm = !session.config.inputs(false).is_empty();
    let mut outside = Vec::new();
    if any_llm {
        outside.extend([session.llm_fingerprint()?, session.tasks()?.1]);
    }
    let has_item_head = session.config.has_item_head();
    if has_item_head {
        outside.push(session.encoder_fingerprint()?);
    }
    let spec = Spec {
        name: "tune",
        inputs: &["ingest", "split", "instruct"],
        config: json!({
            "tuning": session.config.tuning,
            "variants": names,
            "precision": session.config.models.precision,
        }),
        seed: session.config.seed,
        outside,
        keep: &[],
    };
    let runner = session.runner.clone();
    runner.stage(&spec, |ctx| {
        if !any_llm {
            return Ok(());
        }
        let vectors = has_item_head
            .then(|| item_vectors(session, &ctx.dir.join(ITEMS)))
            .transpose()?;
        let (dataset, split, model) = (session.dataset()?, session.split()?, session.model()?);
        super::cut_offs::check(
            &session.config,
            &dataset,
            &split,
            &super::page::knowledge(session)?,
        )?;
        let instruction = session.tasks()?.0.instruction("next_item")?;
        let config = tune_config(&session.config.tuning, ctx.seed);
        for input in &inputs {
            let dir = ctx.dir.join(input.name());
            let done = if input.has_item_head() {
                HEAD
            } else {
                ADAPTER_CONFIG
            };
            if dir.join(done).exists() {
                continue;
            }
            fs_err::create_dir_all(&dir)?;
            let rows = read_messages(
                &session
                    .dir("instruct")
                    .join(format!("{}.messages.jsonl", input.name())),
            )?;
            let mut examples = examples(&dataset, &split, rows)?;
            let items = vectors.as_ref().filter(|_| input.has_item_head());
            if items.is_none() {
                examples.iter_mut().for_each(|e| e.targets.clear());
            }
            let items = items.map(|vectors| {
                let counts = popularity(&dataset, &split);
                (vectors, ItemHead::at_popularity(vectors, &counts))
            });
            let mut progress = None;
            let mut log = None;
            let mut logged = Ok(());
            let mut on_step = |e: &TuneEvent| {
                let bar = progress.get_or_insert_with(|| {
                    let bar = ctx.progress(
                        &format!("tuning {}", input.name()),
                        "steps",
                        Some(e.n_steps as u64),
                    );
                    bar.skip(e.step as u64 - 1);
                    bar
                });
                bar.inc(1);
                bar.note(if input.has_item_head() {
                    format!("loss {:.3}, items {:.3}", e.token_loss, e.item_loss)
                } else {
                    format!("loss {:.3}", e.token_loss)
                });
                logged = write_step(&mut log, &dir, e);
                logged.is_ok() && !ctx.stop.requested()
            };
            let checkpoint = dir.join("checkpoint.safetensors");
            let hash = &ctx.input_hash;
            let outcome = tune(
                &model.llama,
                &model.chat,
                &instruction,
                items,
                &examples,
                &config,
                hash,
                &checkpoint,
                &mut on_step,
            )?;
            drop(progress);
            logged?;
            ctx.stop.check()?;
            ensure!(outcome.finished, "the tuning stopped early");
            save_adapter(
                &dir,
                &outcome.lora,
                &model.llama.config,
                &session.base_model()?,
            )?;
            // Last: it marks this input as done.
            if let Some(head) = outcome.head {
                let tensor = ("head".into(), vec![head.params.len()], &head.params[..]);
                save_tensors(&dir.join(HEAD), &[tensor], HashMap::new())?;
            }
            if checkpoint.exists() {
                fs_err::remove_file(&checkpoint)?;
            }
            let tokens: usize = outcome.steps.iter().map(|s| s.n_tokens).sum();
            ctx.count(&format!("steps {}", input.name()), outcome.steps.len());
            ctx.count(&format!("tokens {}", input.name()), tokens);
        }
        Ok(())
    })
}

/// Appends a step to the log of the directory. The first one of a process opens it, and drops what an
/// earlier process logged after the checkpoint that is continued here.
fn write_step(log: &mut Option<TrainingLog>, dir: &Path, e: &TuneEvent) -> Result<()> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |d| d.as_secs_f64());
    let log = match log {
        Some(log) => log,
        None => log.insert(TrainingLog::open(dir, e.step as u64 - 1, now)?),
    };
    log.step(
        e.step as u64,
        now,
        &[
            ("token_loss", f64::from(e.token_loss)),
            ("item_loss", f64::from(e.item_loss)),
            ("grad_norm", f64::from(e.grad_norm)),
            ("n_tokens", e.n_tokens as f64),
        ],
    )?;
    Ok(())
}

fn tune_config(c: &TuningConfig, seed: u64) -> TuneConfig {
    TuneConfig {
        lora: LoraConfig {
            rank: c.rank as usize,
            alpha: c.alpha,
            rslora: c.rslora,
            targets: c.targets,
            dropout: c.dropout,
        },
        learning_rate: c.learning_rate,
        head_learning_rate: c.head_learning_rate,
        warmup_ratio: c.warmup_ratio,
        weight_decay: c.weight_decay,
        max_grad_norm: c.max_grad_norm,
        epochs: c.epochs,
        batch_size: c.batch_size as usize,
        checkpoint_steps: c.checkpoint_steps as usize,
        item_loss_weight: c.item_loss_weight,
        n_threads: n_threads(),
        seed,
    }
}

/// The adapter of an input, as [`run`] left it.
pub(super) fn load_lora(dir: &Path, input: Input, model: &Model) -> Result<Lora> {
    Ok(load_adapter(&dir.join(input.name()), &model.llama.config)?)
}

/// The item head of an input, as [`run`] left it.
pub(super) fn load_head(dir: &Path, input: Input, vectors: &ItemVectors) -> Result<ItemHead> {
    let path = dir.join(input.name()).join(HEAD);
    let (mut tensors, _) = load_tensors(&path)?;
    let head = tensors.remove("head").map(|t| ItemHead { params: t.1 });
    let head = head.filter(|h| h.params.len() == ItemHead::untuned(vectors).params.len());
    head.with_context(|| {
        format!(
            "{} does not fit the catalogue; run with --force tune",
            path.display()
        )
    })
}

/// Rows grouped by instance, in the order of the split's training instances.
fn examples(
    dataset: &Dataset,
    split: &Split,
    rows: Vec<InstructionRow>,
) -> Result<Vec<TuneExample>> {
    let mut by_instance: HashMap<(String, i64, Option<u32>), TuneExample> = HashMap::new();
    for row in rows {
        let example = by_instance
            .entry((row.user, row.as_of, row.keep_last))
            .or_default();
        example.input = row.input;
        example.rows.push(TuneRow {
            instruction: row.instruction,
            output: row.output,
        });
    }
    let mut examples = Vec::new();
    for instance in &split.train {
        let user = dataset.users[instance.user as usize].id.clone();
        if let Some(mut example) =
            by_instance.remove(&(user, instance.as_of.seconds(), instance.keep_last))
        {
            example.targets = instance
                .targets
                .iter()
                .filter_map(|&i| split.catalogue.position(i))
                .map(|p| p as u32)
                .collect();
            example.targets.sort_unstable();
            example.targets.dedup();
            examples.push(example);
        }
    }
    ensure!(
        by_instance.is_empty(),
        "instruction rows of instances that are not in the split; run with --force instruct"
    );
    Ok(examples)
}
