//! Every system ranks the catalogue for every case: one run file a system and task, and beside it
//! what it cost and the fitted ranker.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use hkfr_eval::Run;
use hkfr_rec::baselines::CHOICES_VERSION;
use hkfr_rec::method::{Expectation, HkfrRecipe, Llm, System};
use hkfr_rec::systems::{self, Recipe};
use hkfr_rec::{About, Ranker, training_hash};
use serde::Serialize;
use serde_json::json;

use super::Session;
use super::expectations::Expectations;
use super::fit_watch::FitWatch;
use super::fitted::fitted;
use super::ranked::Lists;
use super::rankers;
use crate::config::TASKS;
use crate::progress::{Progress, Unit};
use crate::stage::{Outcome, Spec, StageContext};

pub(super) fn run(session: &mut Session) -> Result<Outcome> {
    let any_llm = !session.config.inputs(false).is_empty();
    let mut outside = Vec::new();
    if any_llm {
        outside.extend([session.llm_fingerprint()?, session.tasks()?.1]);
    }
    let version = |system: &str| match systems::recipe(system, &systems::Settings::new(), 0) {
        Ok(recipe) => recipe.version(),
        Err(_) => 0,
    };
    let systems = session.config.systems().map(|s| (s, version(s)));
    let versions: BTreeMap<&str, u32> = systems.filter(|s| s.1 > 0).collect();
    let spec = Spec {
        name: "recommend",
        inputs: &["ingest", "split", "fuse", "tune"],
        config: json!({
            "recommend": session.config.recommend,
            "settings": session.config.systems,
            "fitted": fitted(&session.config)?,
            "systems": session.config.systems().collect::<Vec<_>>(),
            "versions": versions,
            "choices": CHOICES_VERSION,
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
        let fitted_on = training_hash(&dataset, &split);
        let (dir, stop, seed) = (ctx.dir.clone(), ctx.stop.clone(), ctx.seed);
        let tasks = &config.recommend.tasks;
        let mut said = Said::default();
        rank_all(ctx, &systems, tasks, |system, task, progress| {
            let expectations = config.llm(system).map(|llm| Expectations::open(llm, &dir));
            if let Some(expectations) = &expectations {
                expectations.finish(session, &lists)?;
                if *task == tasks[0] {
                    expectations.write_features(system, &lists)?;
                }
                if !super::hkfr::is_ranker(system) {
                    return expectations.run(system, task, &lists);
                }
            }
            let recipe: Box<dyn Recipe> = match System::named(system) {
                Some(System::Hkfr { without, .. }) => Box::new(HkfrRecipe {
                    config: super::hkfr::settings(&config, task, without)?,
                    expectations: match &expectations {
                        Some(asked) => Some(said.of(asked, session, &lists)?),
                        None => None,
                    },
                }),
                _ => systems::recipe(system, &config.systems.of(task, system), seed)?,
            };
            let from = fittings.iter().find(|f| f.0 == task).map(|f| &f.1);
            let from = from.context("a task of the config")?;
            let started = Instant::now();
            let mut watch = FitWatch::new(progress, &stop, system, task);
            let mut epochs = None;
            let scorer = recipe.fit(from, &mut |at| {
                if let systems::Progress::Trained { epoch, .. } = at {
                    epochs = Some(epoch);
                }
                watch.hear(at)
            });
            stop.check()?;
            let about = About {
                system: system.into(),
                task: task.into(),
                fitted_on: fitted_on.clone(),
                repeats: from.repeats,
                seed,
            };
            let ranker = Ranker::new(about, from.entities, scorer?);
            let fit_seconds = started.elapsed().as_secs_f64();
            let started = Instant::now();
            let run = lists.of_scorer(system, task, ranker.scorer(), &stop)?;
            let cost = Cost {
                fit_seconds,
                score_seconds: started.elapsed().as_secs_f64(),
                peak_mb: crate::stage::peak_mb(),
                epochs,
                ranker_mb: rankers::save(&dir, &ranker, config.recommend.max_ranker_mb)?,
                settings: recipe.settings(),
            };
            let path = dir.join(format!("{system}.{task}.cost.json"));
            crate::atomic::write_json(&path, &cost)?;
            Ok(run)
        })?;
        Expectations::clean(&dir)
    })
}

/// What the language model said last: its answers are features of both tasks, and of the next system that asks it.
#[derive(Default)]
struct Said(Option<(Llm, Rc<[Expectation]>)>);

impl Said {
    fn of(
        &mut self,
        asked: &Expectations,
        session: &mut Session,
        lists: &Lists,
    ) -> Result<Rc<[Expectation]>> {
        if let Some((llm, said)) = &self.0
            && *llm == asked.llm
        {
            return Ok(Rc::clone(said));
        }
        let said: Rc<[Expectation]> = asked.features(session, lists)?.into();
        self.0 = Some((asked.llm, Rc::clone(&said)));
        Ok(said)
    }
}

/// What a system took, with all its settings.
#[derive(Serialize)]
struct Cost {
    fit_seconds: f64,
    /// On all threads.
    score_seconds: f64,
    /// Of the process, since the system was begun.
    peak_mb: Option<f64>,
    /// Of the last fit: those that were best if it is a refit, else up to where it stopped.
    epochs: Option<usize>,
    /// Of the fitted ranker's file, which is as much as it takes in memory; `None`: it was too large to be kept.
    ranker_mb: Option<f64>,
    settings: systems::Settings,
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
    let progress = Progress::new("ranking", Unit::Unequal("runs"), Some(n_runs as u64));
    for system in systems {
        for task in tasks {
            ctx.stop.check()?;
            let path = ctx.dir.join(format!("{system}.{task}.jsonl"));
            if path.exists() {
                progress.skip(1);
                continue;
            }
            progress.note(format!("{system}, {task}"));
            crate::stage::reset_peak();
            let run = rank(system, task, &progress)?;
            ensure!(
                run.system == system.as_str() && run.task == *task,
                "asked for {system}.{task}, got {}.{}",
                run.system,
                run.task
            );
            run.write(&path)?;
            // What was left of a fit is of the past.
            progress.note("");
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
