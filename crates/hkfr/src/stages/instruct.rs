//! Knowledge and tasks → instruction rows as messages, Alpaca and ShareGPT JSONL, three files an input;
//! `report.json`, and what LLaMA-Factory and Axolotl must be told to read them.
//!
//! Nothing is written before every row has passed: its input cites events before as-of only, its label is of
//! the user's next order from as-of on, before the end of training, and of no order that a case asks for.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, Result};
use hkfr_events::{Dataset, Split};
use hkfr_lm::ChatLayout;
use hkfr_rec::llm::row_lengths;
use hkfr_rec::tasks::{
    Answer, Candidate, CurateConfig, Guard, InstructionRow, ItemSampler, Report, RowsConfig,
    TaskSet, axolotl, curate, dataset_info, read_messages, write_alpaca, write_messages,
    write_sharegpt,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Session;
use super::texts::Texts;
use crate::atomic;
use crate::config::InstructionsConfig;
use crate::stage::{Outcome, Spec};
use hkfr_rec::method::Input;

const REPORT: &str = "report.json";
const FORMAT_VERSION: u32 = 1;

/// `report.json`: what the rows are made of, by variant.
#[derive(Serialize, Deserialize)]
struct Reports {
    format_version: u32,
    variants: BTreeMap<String, VariantReport>,
}

#[derive(Serialize, Deserialize)]
struct VariantReport {
    checks: Checks,
    #[serde(flatten)]
    report: Report,
}

/// How much was looked at before anything was written; one that fails ends the stage.
#[derive(Default, Serialize, Deserialize)]
struct Checks {
    /// Labels that are of the next order from as-of on, before the end of training, and of no case's order.
    labels_in_training: usize,
    /// Events cited by inputs, all before as-of.
    cited_before_as_of: usize,
}

pub(super) fn run(session: &mut Session) -> Result<Outcome> {
    let variants = session.config.inputs(true);
    let names: Vec<_> = variants.iter().map(|v| v.name()).collect();
    let fusion = &session.config.fusion;
    let (tasks, hash) = session.tasks()?;
    let mut outside = vec![hash];
    if !variants.is_empty() {
        outside.push(session.llm_fingerprint()?);
    }
    let numbers = variants.contains(&Input::Numbers);
    let spec = Spec {
        name: "instruct",
        inputs: &["ingest", "split", "fuse"],
        config: json!({
            "instructions": session.config.instructions,
            "templates": fusion.templates,
            "variants": names,
            "number_tokens": numbers.then_some(fusion.knowledge_tokens),
        }),
        seed: session.config.seed,
        outside,
        keep: &[],
    };
    let runner = session.runner.clone();
    runner.stage(&spec, |ctx| {
        let mut reports = BTreeMap::new();
        if !variants.is_empty() {
            let (dataset, split, model) = (session.dataset()?, session.split()?, session.model()?);
            let config = session.config.instructions.clone();
            let limit = (config.max_tokens as usize).min(model.llama.config.max_positions);
            let maker = Maker {
                dataset: &dataset,
                split: &split,
                tasks: &tasks,
                sampler: ItemSampler::new(&dataset, &split),
                chat: &model.chat,
                asked: config.rows(),
                curate: curate_config(&config, limit),
                seed: ctx.seed,
            };
            for input in &variants {
                let texts = Texts::open(session, *input, &dataset, &split)?;
                let (rows, report) = maker.rows(&texts, &|| Ok(ctx.stop.check()?))?;
                let file = |form: &str| ctx.dir.join(format!("{}.{form}.jsonl", input.name()));
                write_messages(&file("messages"), &rows)?;
                write_alpaca(&file("alpaca"), &rows)?;
                write_sharegpt(&file("sharegpt"), &rows)?;
                ctx.count(&format!("rows {}", input.name()), rows.len());
                reports.insert(input.name().to_owned(), report);
            }
            atomic::write_json(&ctx.dir.join("dataset_info.json"), &dataset_info(&names))?;
            let part = axolotl(names[0], limit);
            atomic::write(&ctx.dir.join("axolotl.yml"), part.as_bytes())?;
        }
        let reports = Reports {
            format_version: FORMAT_VERSION,
            variants: reports,
        };
        atomic::write_json(&ctx.dir.join(REPORT), &reports)?;
        Ok(())
    })
}

fn read(path: &Path) -> Result<Reports> {
    serde_json::from_slice(&fs_err::read(path)?)
        .with_context(|| format!("{} is damaged; run with --force instruct", path.display()))
}

/// Brings the report in the stage's directory in line with rows of which some were taken out.
pub fn recount_rows(dir: &Path) -> Result<()> {
    let path = dir.join(REPORT);
    let mut reports = read(&path)?;
    for (variant, VariantReport { report, .. }) in &mut reports.variants {
        report.recount(&read_messages(
            &dir.join(format!("{variant}.messages.jsonl")),
        )?);
    }
    atomic::write_json(&path, &reports)
}

/// Prints what the rows are made of.
pub(super) fn show(session: &Session) -> Result<()> {
    let path = session.dir("instruct").join(REPORT);
    let reports = read(&path)?;
    if reports.variants.is_empty() {
        println!("No system is tuned: there are no instruction rows.");
    }
    for (variant, VariantReport { checks, report }) in &reports.variants {
        println!("{variant}: {}", report.table());
        println!(
            "Checked: {} labels lie from as-of on and within training, {} cited events before as-of.\n",
            checks.labels_in_training, checks.cited_before_as_of
        );
    }
    if let Some(dir) = path.parent().filter(|_| !reports.variants.is_empty()) {
        println!(
            "In {}: messages, Alpaca and ShareGPT JSONL, dataset_info.json for LLaMA-Factory, axolotl.yml, report.json",
            dir.display()
        );
    }
    Ok(())
}

fn curate_config(config: &InstructionsConfig, max_tokens: usize) -> CurateConfig {
    CurateConfig {
        others: config.other_tasks_per_instance.map(|n| n as usize),
        max_label_share: config.max_label_share,
        max_tokens,
    }
}

/// What all variants are made with.
struct Maker<'a> {
    dataset: &'a Dataset,
    split: &'a Split,
    tasks: &'a TaskSet,
    sampler: ItemSampler,
    chat: &'a ChatLayout,
    asked: RowsConfig,
    curate: CurateConfig,
    seed: u64,
}

impl Maker<'_> {
    fn rows(
        &self,
        texts: &Texts,
        go_on: &dyn Fn() -> Result<()>,
    ) -> Result<(Vec<InstructionRow>, VariantReport)> {
        let guard = Guard::new(self.dataset, self.split);
        let mut checks = Checks::default();
        let mut answered = HashMap::new();
        let mut inputs = Vec::new();
        let mut candidates = Vec::new();
        for (position, instance) in self.split.train.iter().enumerate() {
            go_on()?;
            let next = guard.next(instance)?;
            checks.cited_before_as_of += guard.cited(instance, &texts.cited(instance)?)?;
            let input = texts.of(instance)?;
            let answers = match texts.numbers() {
                Some(numbers) => numbers.answers(instance, self.asked.labels),
                None => self
                    .tasks
                    .answers(&next, &self.sampler, &self.asked, self.seed)?,
            };
            for first in answers.iter().filter(|a| a.n == 0) {
                *answered.entry(first.task).or_default() += 1;
            }
            checks.labels_in_training += answers.len();
            let of = (position, instance);
            for answer in self.measured(&input, answers)? {
                candidates.push(Candidate::new(self.dataset, of, &input, answer, self.seed));
            }
            inputs.push(input);
        }
        let (kept, dropped) = curate(candidates, &self.curate);
        let row = |c: &Candidate| {
            let (instance, input) = (&self.split.train[c.instance], &inputs[c.instance]);
            c.answer.row(self.dataset, instance, input)
        };
        let asked = match texts.numbers() {
            Some(_) => hkfr_rec::tasks::LABEL_TASKS.map(str::to_owned).to_vec(),
            None => self.asked.tasks.clone(),
        };
        let report = Report::new(
            &kept,
            (inputs.len(), &answered),
            &dropped,
            (&asked, self.curate.max_tokens),
        );
        let rows = kept.iter().map(row).collect();
        Ok((rows, VariantReport { checks, report }))
    }

    /// The answers with the tokens of their rows.
    fn measured(&self, input: &str, answers: Vec<Answer>) -> Result<Vec<(Answer, usize)>> {
        let rows: Vec<(&str, &str)> = answers
            .iter()
            .map(|a| (&*a.instruction, &*a.output))
            .collect();
        let lengths = row_lengths(self.chat, input, &rows)?;
        Ok(answers.into_iter().zip(lengths).collect())
    }
}
