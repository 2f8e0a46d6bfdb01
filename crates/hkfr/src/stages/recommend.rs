//! Every system ranks the catalogue for every case: one run file a system and task, and beside it
//! what it cost.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use hkfr_eval::{RankedList, Run};
use hkfr_events::{Dataset, Split};
use hkfr_rec::baselines::{Entities, RepeatPolicy};
use hkfr_rec::rank;
use hkfr_rec::systems::{self, Fitting};
use serde::Serialize;
use serde_json::json;

use super::Session;
use super::llm::n_threads;
use super::llm_ranking::LlmRanking;
use crate::config::{RecommendConfig, TASKS};
use crate::progress::Progress;
use crate::stage::{Outcome, Spec, StageContext};
use crate::stop::Stop;

pub(super) fn run(session: &mut Session) -> Result<Outcome> {
    let any_llm = !super::llm::variants(&session.config, false).is_empty();
    let mut outside = Vec::new();
    if any_llm {
        outside.push(session.llm_fingerprint()?);
    }
    let spec = Spec {
        name: "recommend",
        inputs: &["ingest", "split", "fuse", "tune"],
        config: json!({
            "recommend": session.config.recommend,
            "settings": session.config.systems,
            "systems": session.config.systems().collect::<Vec<_>>(),
            "arithmetic": any_llm.then(|| session.config.models.arithmetic()),
        }),
        seed: session.config.seed,
        outside,
        keep: &[],
    };
    let runner = session.runner.clone();
    runner.stage(&spec, |ctx| {
        let (dataset, split) = (session.dataset()?, session.split()?);
        let systems: Vec<String> = session.config.systems().map(str::to_owned).collect();
        let config = session.config.clone();
        let lists = Lists::new(&dataset, &split, &config.recommend, ctx.seed);
        let fittings = TASKS.map(|task| (task, lists.fitting(task)));
        let (dir, stop, seed) = (ctx.dir.clone(), ctx.stop.clone(), ctx.seed);
        let tasks = &config.recommend.tasks;
        rank_all(ctx, &systems, tasks, |system, task, progress| {
            if super::llm::system(system).is_some() {
                let path = LlmRanking::open(system, &dir).finish(session, &lists)?;
                if *task == tasks[0] {
                    LlmRanking::write_features(&path, system, &lists)?;
                }
                return LlmRanking::read(&path, system, task, &lists);
            }
            let settings = config.systems.of(task, system);
            let recipe = systems::recipe(system, &settings, seed)?;
            let from = fittings.iter().find(|f| f.0 == task).map(|f| &f.1);
            let from = from.context("a task of the config")?;
            let started = Instant::now();
            let scorer = recipe.fit(from, &mut |p| watch(progress, &stop, system, p));
            stop.check()?;
            let scorer = scorer?;
            let fit_seconds = started.elapsed().as_secs_f64();
            let started = Instant::now();
            let mut scores = vec![0.0; from.entities.n()];
            let run = lists.run(system, task, |case| {
                stop.check()?;
                let history = split.cases[case].instance.history(&dataset);
                scorer.score(&dataset, &history, &mut scores);
                lists.rank(task, case, &scores)
            })?;
            let cost = Cost {
                fit_seconds,
                score_seconds: started.elapsed().as_secs_f64(),
                peak_mb: crate::stage::peak_mb(),
                settings: recipe.settings(),
            };
            let path = dir.join(format!("{system}.{task}.cost.json"));
            crate::atomic::write_json(&path, &cost)?;
            Ok(run)
        })?;
        LlmRanking::clean(&dir)
    })
}

/// What a system took, with all its settings.
#[derive(Serialize)]
struct Cost {
    fit_seconds: f64,
    /// One case after the other, on one thread.
    score_seconds: f64,
    /// Of the process, since the system was begun.
    peak_mb: Option<f64>,
    settings: systems::Settings,
}

/// Shows how far a fit is, and ends it if somebody asks.
pub fn watch(
    progress: &Progress,
    stop: &Stop,
    system: &str,
    at: systems::Progress,
) -> ControlFlow<()> {
    match at {
        systems::Progress::Trained { epoch, loss } => {
            progress.note(format!("{system}, epoch {epoch}: loss {loss:.3}"));
        }
        systems::Progress::Validated { epoch, accuracy } => progress.note(format!(
            "{system}, epoch {epoch}: validation NDCG@10 {:.4}",
            accuracy.ndcg_at_10
        )),
    }
    match stop.check() {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    }
}

/// From scores to lists, the same way for every system.
pub struct Lists<'a> {
    pub dataset: &'a Dataset,
    pub split: &'a Split,
    items: Entities,
    categories: Entities,
    depth: usize,
    repeats: RepeatPolicy,
    seed: u64,
}

impl<'a> Lists<'a> {
    fn new(dataset: &'a Dataset, split: &'a Split, config: &RecommendConfig, seed: u64) -> Self {
        Self {
            items: Entities::items(dataset, &split.catalogue),
            categories: Entities::categories(dataset, &split.catalogue),
            depth: config.depth as usize,
            repeats: config.repeats,
            dataset,
            split,
            seed,
        }
    }

    /// What a system learns from. The policy of the table is about items: a category is never used up.
    pub fn fitting(&self, task: &str) -> Fitting<'_> {
        let repeats = match task {
            "item" => self.repeats,
            _ => RepeatPolicy::Allow,
        };
        let entities = self.entities(task);
        Fitting::new(self.dataset, self.split, entities, repeats, n_threads())
    }

    /// Length of the lists.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The most items that [`Self::rank`] leaves out of one list.
    pub fn longest_exclusion(&self) -> usize {
        let excluded = self.split.cases.iter().map(|case| {
            let history = case.instance.history(self.dataset);
            let excluded = self.repeats.excluded(self.dataset, &self.items, &history);
            excluded.map_or(0, |e| e.len())
        });
        excluded.max().unwrap_or(0)
    }

    fn entities(&self, task: &str) -> &Entities {
        if task == "item" {
            &self.items
        } else {
            &self.categories
        }
    }

    /// The list of a case: (entity, score), best first. What was chosen before is excluded by the
    /// policy of the table from the items; a category is never used up.
    pub fn rank(&self, task: &str, case: usize, scores: &[f32]) -> Result<Vec<(u32, f32)>> {
        let case = &self.split.cases[case];
        let history = case.instance.history(self.dataset);
        let exclude = if task == "item" {
            self.repeats.excluded(self.dataset, &self.items, &history)
        } else {
            None
        };
        Ok(rank(
            scores,
            self.depth,
            &case.case_id,
            self.seed,
            exclude.as_deref(),
        )?)
    }

    /// A run of what `list` gives for each case.
    pub fn run(
        &self,
        system: &str,
        task: &str,
        mut list: impl FnMut(usize) -> Result<Vec<(u32, f32)>>,
    ) -> Result<Run> {
        let entities = self.entities(task);
        let mut lists = Vec::with_capacity(self.split.cases.len());
        for (i, case) in self.split.cases.iter().enumerate() {
            let ranked = list(i).with_context(|| format!("case {}", case.case_id))?;
            lists.push(RankedList {
                case: case.case_id.clone(),
                items: ranked.iter().map(|r| entities.id(r.0).to_owned()).collect(),
                scores: ranked.iter().map(|r| r.1.into()).collect(),
            });
        }
        Ok(Run {
            system: system.into(),
            task: task.into(),
            depth: self.depth,
            seed: Some(self.seed),
            lists,
        })
    }
}

/// Calls `rank(system, task)` for each pair whose run file is not there yet, and writes it whole:
/// after a stop, the systems that were finished are not ranked again.
pub fn rank_all(
    ctx: &mut StageContext,
    systems: &[String],
    tasks: &[String],
    mut rank: impl FnMut(&str, &str, &Progress) -> Result<Run>,
) -> Result<()> {
    let n_runs = systems.len() * tasks.len();
    let progress = ctx.progress("ranking", "runs", Some(n_runs as u64));
    for system in systems {
        for task in tasks {
            ctx.stop.check()?;
            let path = ctx.dir.join(format!("{system}.{task}.jsonl"));
            if path.exists() {
                progress.skip(1);
                continue;
            }
            progress.note(system);
            crate::stage::reset_peak();
            let run = rank(system, task, &progress)?;
            ensure!(
                run.system == system.as_str() && run.task == *task,
                "asked for {system}.{task}, got {}.{}",
                run.system,
                run.task
            );
            run.write(&path)?;
            progress.inc(1);
        }
    }
    drop(progress);
    ctx.count("systems", systems.len());
    ctx.count("runs", n_runs);
    Ok(())
}

/// All run files of a directory, in the order of their names.
pub fn read_runs(dir: &Path) -> Result<Vec<Run>> {
    let mut paths = Vec::new();
    for entry in fs_err::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "jsonl") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths
        .iter()
        .map(|path| Run::read(path))
        .collect::<Result<_, _>>()?)
}
