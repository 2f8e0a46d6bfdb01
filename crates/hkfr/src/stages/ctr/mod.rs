//! What `features` wrote → `ctr/`: logistic regression and DCN-v2 with and without groups of features, their AUC,
//! log-loss and calibration on the test lists, by segment, with paired differences. `ctr.json` has all figures, `table.txt`
//! is what is printed.

mod pairs;
mod table;

use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, Result};
use hkfr_eval::binary::{BinaryConfig, Predictions, Rows, SegmentRows, evaluate};
use hkfr_lm::Pool;
use hkfr_rec::ctr::{self, Ctr, CtrConfig};
use serde::Serialize;
use serde_json::json;

use super::features::PAIRS;
use super::{Session, n_threads};
use crate::config::TASKS;
use crate::progress::{Progress, Unit};
use crate::stage::{Outcome, Spec, StageContext};
use crate::stop::Stop;
use pairs::Pairs;

const TABLE: &str = "table.txt";

/// What a model may read: the groups that are left out, or the only ones.
enum Variant {
    All,
    Without(&'static str),
    Only(&'static [&'static str]),
}

const VARIANTS: [Variant; 4] = [
    Variant::All,
    Variant::Without("semantic"),
    Variant::Without("text"),
    Variant::Only(&["own", "counts"]),
];

impl Variant {
    fn name(&self) -> String {
        match self {
            Self::All => "all".into(),
            Self::Without(group) => format!("no {group}"),
            Self::Only(groups) => format!("{} only", groups.join(" + ")),
        }
    }

    /// The features that it reads; `None`: it would be what another variant is.
    fn columns(&self, groups: &[String]) -> Option<Vec<usize>> {
        let keeps = |group: &str| match self {
            Self::All => true,
            Self::Without(without) => group != *without,
            Self::Only(only) => only.contains(&group),
        };
        let all = groups.iter().enumerate();
        let kept: Vec<usize> = all.filter(|(_, g)| keeps(g)).map(|(i, _)| i).collect();
        let is_all = matches!(self, Self::All);
        (!kept.is_empty() && (is_all || kept.len() < groups.len())).then_some(kept)
    }
}

/// A model and what became of it.
#[derive(Serialize)]
struct Fitted {
    name: String,
    config: CtrConfig,
    n_features: usize,
    /// Inputs of the network.
    n_inputs: usize,
    /// Epochs of the parameters that were kept.
    epoch: usize,
}

#[derive(Serialize)]
struct TaskFigures {
    task: String,
    train_rows: usize,
    models: Vec<Fitted>,
    segments: Vec<SegmentRows>,
}

/// The table, made anew if it is not up to date.
///
/// # Errors
/// Features that were not written; those of fitting.
pub fn ctr(session: &mut Session, negatives: usize) -> Result<String> {
    let config = session.config.clone();
    let spec = Spec {
        name: "ctr",
        inputs: &["features"],
        config: json!({
            "negatives": negatives,
            "models": models().map(|m| m.1),
            "resamples": config.evaluate.resamples,
        }),
        seed: config.seed,
        outside: Vec::new(),
        keep: &[],
    };
    let runner = session.runner.clone();
    let features = session.dir("features");
    let outcome = runner.stage(&spec, |ctx| {
        let mut all = Vec::new();
        for task in TASKS {
            let path = features.join(task).join(PAIRS);
            if path.exists() {
                all.push(of_task(
                    ctx,
                    &path,
                    task,
                    negatives,
                    config.evaluate.resamples,
                )?);
            }
        }
        crate::atomic::write_json(&ctx.dir.join("ctr.json"), &all)?;
        let text = table::text(&all);
        crate::atomic::write(&ctx.dir.join(TABLE), text.as_bytes())
    })?;
    if outcome == Outcome::UpToDate {
        eprintln!("ctr: up to date");
    }
    Ok(fs_err::read_to_string(session.dir("ctr").join(TABLE))?)
}

fn models() -> [(&'static str, CtrConfig); 2] {
    [("LR", CtrConfig::logistic()), ("DCN-v2", CtrConfig::dcn())]
}

fn of_task(
    ctx: &StageContext,
    path: &Path,
    task: &str,
    negatives: usize,
    resamples: u32,
) -> Result<TaskFigures> {
    let pairs = Pairs::read(path, negatives, ctx.seed)?;
    let mut jobs: Vec<Job> = Vec::new();
    let mut first: Option<usize> = None;
    for (model, config) in models() {
        let whole = jobs.len();
        for variant in VARIANTS {
            let Some(columns) = variant.columns(&pairs.groups) else {
                continue;
            };
            let reference = if jobs.len() == whole {
                first
            } else {
                Some(whole)
            };
            let config = CtrConfig {
                seed: ctx.seed,
                ..config.clone()
            };
            jobs.push((
                format!("{model}, {}", variant.name()),
                config,
                columns,
                reference,
            ));
        }
        first = first.or(Some(whole));
    }
    let fitted = fit(&pairs, &jobs, task, &ctx.stop)?;
    ctx.stop.check()?;
    let predictions: Vec<Predictions> = jobs
        .iter()
        .zip(&fitted)
        .map(|((name, _, _, reference), (_, p))| Predictions {
            model: name,
            p,
            reference: *reference,
        })
        .collect();
    let rows = Rows {
        labels: &pairs.test.labels,
        users: &pairs.test.users,
        segments: &pairs.segments,
        names: &pairs.segment_names,
    };
    let config = BinaryConfig {
        confidence: 0.95,
        resamples: resamples as usize,
        seed: ctx.seed,
    };
    let segments = evaluate(&rows, &predictions, &config)?;
    let models = jobs.into_iter().zip(&fitted);
    let models = models.map(|((name, config, columns, _), (model, _))| Fitted {
        name,
        config,
        n_features: columns.len(),
        n_inputs: model.n_inputs(),
        epoch: model.epoch(),
    });
    Ok(TaskFigures {
        task: task.into(),
        train_rows: pairs.train.labels.len(),
        models: models.collect(),
        segments,
    })
}

/// Name, settings, columns, and the position of what it is compared with.
type Job = (String, CtrConfig, Vec<usize>, Option<usize>);

/// A model, and what it predicts of the test rows.
type Answered = (Ctr, Vec<f64>);

/// Each model is fitted by one thread.
fn fit(pairs: &Pairs, jobs: &[Job], task: &str, stop: &Stop) -> Result<Vec<Answered>> {
    let label = format!("fitting, {task}");
    let progress = Progress::new(&label, Unit::Unequal("models"), Some(jobs.len() as u64));
    let rows = ctr::Rows {
        n_features: pairs.groups.len(),
        values: &pairs.train.values,
        labels: &pairs.train.labels,
        users: &pairs.train.users,
    };
    let mut done: Vec<hkfr_rec::Result<Answered>> = jobs
        .iter()
        .map(|_| Err(hkfr_rec::Error::Interrupted))
        .collect();
    let parts = jobs.iter().zip(&mut done).collect();
    Pool::new(n_threads()).each(
        parts,
        |((name, config, columns, _), done): (&Job, &mut _)| {
            let fitted = Ctr::fit(&rows, columns, config, &|epoch| {
                let held_out = epoch.held_out.unwrap_or(epoch.learnt);
                progress.note(format!(
                    "{name}: epoch {}, log-loss {held_out:.4}",
                    epoch.number
                ));
                if stop.requested() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            *done = fitted.map(|model| {
                let p = model.predict(&pairs.test.values);
                (model, p)
            });
            progress.inc(1);
        },
    );
    stop.check()?;
    let models = done.into_iter().zip(jobs);
    models
        .map(|(fitted, (name, ..))| fitted.with_context(|| name.clone()))
        .collect()
}
