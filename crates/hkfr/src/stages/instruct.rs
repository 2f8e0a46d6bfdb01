//! Knowledge and tasks → instruction rows, as Alpaca and as messages JSONL, one pair of files a variant.

use anyhow::Result;
use hkfr_rec::tasks::{ItemSampler, RowsConfig, TaskSet, write_alpaca, write_messages};
use serde_json::json;

use super::Session;
use super::llm::{Texts, Variant, variants};
use crate::stage::{Outcome, Spec};

pub(super) fn run(session: &mut Session) -> Result<Outcome> {
    let variants = variants(&session.config, true);
    let names: Vec<_> = variants.iter().map(|v| v.name()).collect();
    let fusion = &session.config.fusion;
    let tasks = TaskSet::load(&fusion.templates, fusion.template_dir.as_deref())?;
    let mut outside = Vec::new();
    if let Some(dir) = &fusion.template_dir {
        outside.push(super::fingerprint_path(dir)?);
    }
    let mut budget = None;
    if variants.contains(&Variant::Numbers) {
        outside.push(session.llm_fingerprint()?);
        budget = Some(fusion.knowledge_tokens);
    }
    let spec = Spec {
        name: "instruct",
        inputs: &["ingest", "split", "fuse"],
        config: json!({
            "instructions": session.config.instructions,
            "templates": fusion.templates,
            "variants": names,
            "number_tokens": budget,
        }),
        seed: session.config.seed,
        outside,
        keep: &[],
    };
    let runner = session.runner.clone();
    runner.stage(&spec, |ctx| {
        let (dataset, split) = (session.dataset()?, session.split()?);
        let sampler = ItemSampler::new(&dataset, &split);
        let config = session.config.instructions.clone();
        let asked = RowsConfig {
            tasks: config.tasks.clone(),
            labels: config.labels_per_task as usize,
            others: config.other_tasks_per_instance.map(|n| n as usize),
        };
        let mut skipped = 0;
        for variant in &variants {
            let texts = Texts::open(session, *variant, &dataset, &split)?;
            let mut rows = Vec::new();
            for instance in &split.train {
                ctx.stop.check()?;
                let input = texts.of(instance)?;
                if let Some(numbers) = texts.numbers() {
                    rows.extend(numbers.rows(instance, &input, asked.labels));
                    continue;
                }
                let (made, n) =
                    tasks.rows(&dataset, &sampler, instance, &input, &asked, ctx.seed)?;
                rows.extend(made);
                skipped += n;
            }
            write_messages(
                &ctx.dir.join(format!("{}.messages.jsonl", variant.name())),
                &rows,
            )?;
            write_alpaca(
                &ctx.dir.join(format!("{}.alpaca.jsonl", variant.name())),
                &rows,
            )?;
            ctx.count(&format!("rows {}", variant.name()), rows.len());
        }
        ctx.count("tasks without an answer", skipped);
        Ok(())
    })
}
