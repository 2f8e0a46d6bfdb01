//! `hkfr search`: settings by validation. One space and one budget for every system: a number of trials and,
//! where it is given, a time that quick systems may fill with more of them.
//!
//! In: a config. Out, in `<out>/<name>/search/`: `trials.jsonl`, a line a trial as soon as it is
//! done; `space.toml`, what was drawn from; and `chosen.toml`, the best settings of each system, which
//! `[recommend] settings` of a config reads. The test split is not made here: nothing can be chosen by it.
//!
//! A trial learns from what the validation split allows and is scored by NDCG@10 over its cases,
//! the whole catalogue ranked. What stops by held-out orders learns once in a trial, for half of the time; only with
//! the chosen settings it learns again, from everything (`refit`), unless the space has that key. A trial that is in the file already is not made again.

mod chosen;
mod space;
mod trials;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use hkfr_events::{Phase, SplitConfig, split};
use hkfr_rec::baselines::{CHOICES_VERSION, Entities, RepeatPolicy};
use hkfr_rec::method::rival_with_own;
use hkfr_rec::systems::{self, Fitting, Recipe, Settings};
use serde_json::json;

use crate::config::{SYSTEMS, nearest};
use crate::progress::{Progress, Unit};
use crate::stage::{Manifest, peak_mb, reset_peak};
use crate::stages::{FitWatch, Session, n_threads};
use crate::{digest, sealed};

pub use space::Space;
pub use trials::{Trial, Trials};

/// With a budget of time a system may have so many times the trials that each has.
const MORE: usize = 10;

/// What to search, as asked on the command line.
pub struct Search {
    /// Empty: those of the config that need no language model.
    pub systems: Vec<String>,
    /// Trials of each system and task, at least.
    pub n_trials: usize,
    /// Seconds that those of each system and task may take in all before no further one is begun.
    pub seconds: f64,
    /// Absent: the built-in space.
    pub space: Option<PathBuf>,
    /// Where the chosen settings go besides `chosen.toml`.
    pub write: Option<PathBuf>,
}

impl Search {
    /// The most trials of a system and task.
    fn most(&self) -> usize {
        match self.seconds > 0.0 {
            true => MORE * self.n_trials,
            false => self.n_trials,
        }
    }

    /// As a comment says it.
    fn budget(&self) -> String {
        let (n, most, seconds) = (self.n_trials, self.most(), self.seconds);
        match seconds > 0.0 {
            true => format!("{n} trials a system, up to {most} within {seconds} s"),
            false => format!("at most {n} trials a system"),
        }
    }
}

/// Makes the trials that are missing; returns the table of the best.
///
/// # Errors
/// An unknown system; a space that does not fit the systems; what the stages and trials say.
pub fn run(session: &mut Session, search: &Search) -> Result<String> {
    let systems = chosen_systems(session, search)?;
    let space = match &search.space {
        Some(path) => Space::read(path)?,
        None => Space::built_in(),
    };
    session.ingest()?;
    let dataset = session.dataset()?;
    let config = session.config.clone();
    let split_config = SplitConfig {
        phase: Phase::Validation,
        ..config.split.clone()
    };
    let split = split::build(&dataset, &split_config)?;
    let ingested = Manifest::read(&session.dir("ingest"))?.context("ingest has just run")?;
    let dir = session.dir("search");
    fs_err::create_dir_all(&dir)?;
    let (trials_path, chosen_path) = (dir.join("trials.jsonl"), dir.join("chosen.toml"));
    let space_path = dir.join("space.toml");
    sealed::open(&space_path)?;
    crate::atomic::write(&space_path, space.toml()?.as_bytes())?;
    sealed::close(&space_path)?;
    sealed::open(&trials_path)?;
    let mut done = Trials::open(&trials_path)?;
    let tasks = &config.recommend.tasks;
    let n = systems.len() * tasks.len() * search.n_trials;
    let n = (search.seconds <= 0.0).then_some(n as u64);
    let progress = Progress::new("searching", Unit::Unequal("trials"), n);
    let mut best = Vec::new();
    for task in tasks {
        let (entities, repeats) = match task.as_str() {
            "item" => (
                Entities::items(&dataset, &split.catalogue),
                config.recommend.repeats,
            ),
            _ => (
                Entities::categories(&dataset, &split.catalogue),
                RepeatPolicy::Allow,
            ),
        };
        let from = Fitting::new(&dataset, &split, &entities, repeats, n_threads());
        for system in &systems {
            let settings = space.draw(system, search.most(), config.seed)?;
            progress.skip(search.n_trials.saturating_sub(settings.len()) as u64);
            let mut trials: Vec<Trial> = Vec::new();
            for (number, settings) in settings.into_iter().enumerate() {
                let seconds: f64 = trials.iter().map(|t| t.seconds).sum();
                if number >= search.n_trials && seconds >= search.seconds {
                    break;
                }
                session.stop.check()?;
                let recipe = trial_recipe(system, &settings, config.seed)?;
                let mut known_by = vec![
                    json!(ingested.output_hash),
                    json!(split_config),
                    json!(task),
                    json!(repeats),
                    json!(system),
                    json!(recipe.settings()),
                    json!(config.seed),
                ];
                known_by.extend((recipe.version() > 0).then(|| json!(recipe.version())));
                // Of items an order holds each once.
                known_by
                    .extend((task == "category").then(|| json!({ "choices": CHOICES_VERSION })));
                let key = digest::of_text(&json!(known_by).to_string());
                if let Some(trial) = done.find(&key) {
                    progress.skip(1);
                    trials.push(trial.clone());
                    continue;
                }
                progress.note(format!("{system}, {task}"));
                reset_peak();
                let started = Instant::now();
                let stop = session.stop.clone();
                let mut watch = FitWatch::new(&progress, &stop, system, task);
                let scorer = recipe.fit(&from, &mut |at| watch.hear(at));
                let epochs = watch.epochs();
                session.stop.check()?;
                let accuracy = systems::accuracy(&*scorer?, &from)?;
                let trial = Trial {
                    key,
                    task: task.clone(),
                    system: system.clone(),
                    number,
                    settings,
                    accuracy,
                    seconds: started.elapsed().as_secs_f64(),
                    epochs,
                    peak_mb: peak_mb(),
                };
                done.push(&trial)?;
                progress.note("");
                progress.inc(1);
                trials.push(trial);
            }
            best.push(chosen::Chosen::of(trials));
        }
    }
    drop(progress);
    let toml = chosen::toml(&config, &search.budget(), &best)?;
    sealed::open(&chosen_path)?;
    for path in [Some(&chosen_path), search.write.as_ref()]
        .into_iter()
        .flatten()
    {
        let toml = match fs_err::read_to_string(path) {
            Ok(before) => toml.clone() + &chosen::kept(&before, &best),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => toml.clone(),
            Err(e) => return Err(e.into()),
        };
        crate::atomic::write(path, toml.as_bytes())?;
    }
    sealed::close(&trials_path)?;
    sealed::close(&chosen_path)?;
    Ok(chosen::table(&best))
}

/// The system of these settings, which learns once.
fn trial_recipe(system: &str, settings: &Settings, seed: u64) -> Result<Box<dyn Recipe>> {
    let recipe = systems::recipe(system, settings, seed)?;
    if settings.contains_key("refit") || !recipe.settings().contains_key("refit") {
        return Ok(recipe);
    }
    let mut settings = settings.clone();
    settings.insert("refit".into(), false.into());
    Ok(systems::recipe(system, &settings, seed)?)
}

fn chosen_systems(session: &Session, search: &Search) -> Result<Vec<String>> {
    let systems: Vec<String> = match search.systems.is_empty() {
        true => session
            .config
            .systems()
            .filter(|s| SYSTEMS.contains(s))
            .map(str::to_owned)
            .collect(),
        false => search.systems.clone(),
    };
    ensure!(
        !systems.is_empty(),
        "[recommend] systems names none that has settings to search; give --systems"
    );
    for system in &systems {
        if let Some(rival) = rival_with_own(system) {
            bail!("\"{system}\" has no settings of its own: search those of {rival} and of hkfr");
        }
        ensure!(
            SYSTEMS.contains(&system.as_str()),
            "there is no system \"{system}\" to search{}",
            nearest(system, SYSTEMS.iter().copied())
        );
    }
    Ok(systems)
}
