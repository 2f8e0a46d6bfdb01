//! Every system ranks the catalogue for every case: one run file a system and task.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use hkfr_eval::{RankedList, Run};
use hkfr_events::{Dataset, Split};
use hkfr_rec::baselines::{BaselineConfig, Entities, Interactions, RepeatPolicy, fit_one};
use hkfr_rec::rank;
use serde_json::json;

use super::Session;
use super::llm_ranking::LlmRanking;
use crate::config::RecommendConfig;
use crate::stage::{Outcome, Spec, StageContext};

/// The tasks that every system ranks: names of run files and of truths.
pub const TASKS: [&str; 2] = ["category", "item"];

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
        let config = session.config.recommend.clone();
        let lists = Lists::new(&dataset, &split, &config, ctx.seed);
        let baselines = baseline_config(&config);
        let mut interactions: HashMap<&str, Interactions> = HashMap::new();
        let dir = ctx.dir.clone();
        rank_all(ctx, &systems, |system, task| {
            if super::llm::system(system).is_some() {
                let path = LlmRanking::open(system, &dir).finish(session, &lists)?;
                if task == TASKS[0] {
                    LlmRanking::write_features(&path, system, &lists)?;
                }
                return LlmRanking::read(&path, system, task, &lists);
            }
            let entities = lists.entities(task);
            let task_name = if task == "item" { "item" } else { "category" };
            let interactions = interactions
                .entry(task_name)
                .or_insert_with(|| Interactions::fit(&dataset, &split, entities));
            let scorer = fit_one(system, &dataset, &split, entities, interactions, &baselines)?;
            let mut scores = vec![0.0; entities.n()];
            lists.run(system, task, |case| {
                session.stop.check()?;
                scorer.score(
                    &dataset,
                    &split.cases[case].instance.history(&dataset),
                    &mut scores,
                );
                lists.rank(task, case, &scores)
            })
        })?;
        LlmRanking::clean(&dir)
    })
}

fn baseline_config(c: &RecommendConfig) -> BaselineConfig {
    BaselineConfig {
        recent_half_life_days: c.recent_half_life_days,
        own_half_life_days: c.own_half_life_days,
        knn_neighbours: c.knn_neighbours as usize,
        knn_shrinkage: c.knn_shrinkage,
        ease_lambda: c.ease_lambda,
        ease_max_entities: c.ease_max_items as usize,
        ..BaselineConfig::default()
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
    mut rank: impl FnMut(&str, &str) -> Result<Run>,
) -> Result<()> {
    let progress = ctx.progress(
        "ranking",
        "runs",
        Some((systems.len() * TASKS.len()) as u64),
    );
    for system in systems {
        for task in TASKS {
            ctx.stop.check()?;
            let path = ctx.dir.join(format!("{system}.{task}.jsonl"));
            if path.exists() {
                progress.skip(1);
                continue;
            }
            progress.note(system);
            let run = rank(system, task)?;
            ensure!(
                run.system == system.as_str() && run.task == task,
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
    ctx.count("runs", systems.len() * TASKS.len());
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
