//! The ranker's features → Parquet for anyone's ranker: `features/<task>/` with `pairs.parquet`, `users.parquet`,
//! `items.parquet`, `schema.json`, and the targets of the test lists as qrels.
//!
//! Lists are written as they are made, so that memory holds a row group and what the ranker is fitted to.

mod files;
mod schema;

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use hkfr_rec::method::{self, Expectation, Visit};
use serde_json::json;

use super::evaluate::truths;
use super::expectations::Expectations;
use super::fit_watch::FitWatch;
use super::ranked::Lists;
use super::{Session, fitted::fitted};
use crate::args::FeaturesOptions;
use crate::lists::write_truth;
use crate::progress::{Progress, Unit};
use crate::stage::{Outcome, Spec, StageContext};

pub(super) use files::negatives;
pub(super) use schema::{FEATURE, GROUP};

/// The ranker whose features they are.
const SYSTEM: &str = "hkfr";

pub(super) const PAIRS: &str = "pairs.parquet";

/// User vectors by (user, as-of, cut of the history).
pub(super) type Vectors = HashMap<(String, i64, Option<u32>), Vec<f32>>;

/// Writes the features, if they are not up to date.
///
/// # Errors
/// Those of the stages before it; no list to learn from.
pub fn features(session: &mut Session, args: &FeaturesOptions) -> Result<Outcome> {
    let config = session.config.clone();
    let ranks = config.systems().any(|s| s == SYSTEM);
    let llm = config.llm(SYSTEM).filter(|_| ranks);
    session.walk(if llm.is_some() { "tune" } else { "split" })?;
    let tasks: Vec<String> = match &args.task {
        Some(task) => vec![task.clone()],
        None => config.recommend.tasks.clone(),
    };
    let mut outside = Vec::new();
    if llm.is_some() {
        outside.extend([session.llm_fingerprint()?, session.tasks()?.1]);
    }
    let inputs: &'static [&'static str] = if llm.is_some() {
        &["ingest", "split", "fuse", "tune"]
    } else {
        &["ingest", "split"]
    };
    let spec = Spec {
        name: "features",
        inputs,
        config: json!({
            "recommend": config.recommend,
            "settings": config.systems,
            "fitted": fitted(&config)?,
            "tasks": tasks,
            "negatives": args.negatives,
            "arithmetic": llm.map(|_| config.models.arithmetic()),
        }),
        seed: config.seed,
        outside,
        keep: &[],
    };
    let runner = session.runner.clone();
    runner.stage(&spec, |ctx| {
        let (dataset, split) = (session.dataset()?, session.split()?);
        let lists = Lists::new(&dataset, &split, &config.recommend, ctx.seed);
        let (mut expectations, mut vectors) = (None, Vectors::new());
        if let Some(llm) = llm {
            let asked = Expectations::open(llm, &ctx.dir);
            asked.finish(session, &lists)?;
            vectors = asked.vectors()?;
            expectations = Some(asked.features(session, &lists)?);
        }
        for task in &tasks {
            let known = expectations.as_deref();
            write(session, ctx, &lists, task, known, &vectors, args)?;
        }
        Expectations::clean(&ctx.dir)
    })
}

fn write(
    session: &Session,
    ctx: &mut StageContext,
    lists: &Lists,
    task: &str,
    expectations: Option<&[Expectation]>,
    vectors: &Vectors,
    args: &FeaturesOptions,
) -> Result<()> {
    let config = &session.config;
    let dir = ctx.dir.join(task);
    fs_err::create_dir_all(&dir)?;
    let ranker = super::hkfr::settings(config, task, None)?;
    let from = lists.fitting(task);
    let progress = Progress::new("writing features", Unit::Things("lists"), None);
    let mut watch = FitWatch::new(&progress, &ctx.stop, SYSTEM, task);
    let texts = files::Texts::of(&from, config.seed);
    let target = files::Target {
        dir: &dir,
        dataset: lists.dataset,
        entities: lists.entities(task),
        texts: &texts,
        vectors,
        negatives: args.negatives.map(|n| n as usize),
        seed: config.seed,
    };
    let mut tables: Option<files::Tables> = None;
    method::each_list(
        &from,
        &ranker,
        expectations,
        &mut |at| watch.hear(at),
        &mut |visit| {
            ctx.stop.check()?;
            match visit {
                Visit::Window(window) => {
                    let tables = match &mut tables {
                        Some(tables) => tables,
                        None => tables.insert(files::Tables::create(&target, window.columns)?),
                    };
                    tables.window(&target, window)
                }
                Visit::List(window, list) => {
                    progress.inc(1);
                    let tables = tables.as_mut().context("a window comes before its lists")?;
                    tables.list(&target, window, list)
                }
            }
        },
    )?;
    drop(progress);
    let tables = tables.context("the split has no case")?;
    let counts = tables.finish(&target, task, &ranker)?;
    for (name, n) in counts {
        ctx.count(&format!("{task} {name}"), n);
    }
    targets(session, lists, task, &dir)
}

/// What the test lists are judged by: all targets, candidates or not.
fn targets(session: &Session, lists: &Lists, task: &str, dir: &Path) -> Result<()> {
    let all = truths(lists.dataset, lists.split, session.config.recommend.repeats);
    let truth = all.into_iter().find(|t| t.task == task);
    write_truth(truth.context("a task of the config")?, dir)?;
    Ok(())
}
