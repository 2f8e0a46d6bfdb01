//! `hkfr ablate CONFIG`: the table that shows what HKFR owes to what, for any data set.
//!
//! In: the config of a run. Out, in `<out>/<name>/`: `ablate-runs/seed-N/`, a run a seed, all on the events and the
//! split of the config's own run; and `ablate/`, a stage of its own, with the comparison of the runs to HKFR:
//! table.txt, table.md, table.tex, report.html, report.json, and ablate.json, which says what each system is. What is up to date is
//! not made again, and what was interrupted goes on.

mod about;
mod plan;
mod share;

use std::path::PathBuf;

use anyhow::{Context, Result};
use hkfr_eval::html::ReportPage;
use serde_json::json;

use crate::compare;
use crate::config::Config;
use crate::stage::{Manifest, Outcome, RunLock, Runner, Spec};
use crate::stages::{REPORT, Session, eval_config, who_asked};
use crate::stop::Stop;

use about::{About, VERSION};
use plan::Plan;

/// Directory of the table, in that of the config's run.
pub const TABLE: &str = "ablate";
/// Beside it: a run a seed.
pub const RUNS: &str = "ablate-runs";

/// What is printed. `seeds` empty: the config's, and the next two. `open` starts a walk with a config.
///
/// # Errors
/// A seed twice; what the stages say.
pub fn run(
    config: &Config,
    seeds: &[u64],
    stop: &Stop,
    open: impl Fn(Config) -> Result<Session>,
) -> Result<String> {
    let plan = Plan::new(config, seeds)?;
    let run_dir = config.run_dir();
    let mut ran = open(config.clone())?.walk_quietly("split")?;
    let _lock = RunLock::acquire(&run_dir)?;
    let configs = plan.configs(config);
    let dirs: Vec<PathBuf> = configs.iter().map(Config::run_dir).collect();
    for of_seed in &configs {
        let n = of_seed.systems().count();
        eprintln!("── seed {}: {n} systems", of_seed.seed);
        let mut session = open(of_seed.clone())?;
        share::events_and_split(&run_dir, &of_seed.run_dir())?;
        share::answers(config, &[&run_dir, &dirs[0]], &of_seed.run_dir())?;
        ran += session.walk_quietly("evaluate")?;
    }
    let mut outside = Vec::new();
    for stage in ["recommend", "evaluate"] {
        for dir in &dirs {
            let made = Manifest::read(&dir.join(stage))?.context("a stage that has just run")?;
            outside.push(made.output_hash);
        }
    }
    let spec = Spec {
        name: TABLE,
        inputs: &["ingest", "split"],
        config: json!({ "evaluate": config.evaluate, "plan": plan, "version": VERSION }),
        seed: config.seed,
        outside,
        keep: &[],
    };
    let runner = Runner::new(&run_dir, stop.clone(), &[]);
    let outcome = runner.stage(&spec, |ctx| {
        let report = compare::of_runs(&dirs, eval_config(&configs[0]))?;
        let table = compare::text(&report);
        let about = About::new(config, &plan, &run_dir, &report)?;
        let mut notes = vec![compare::SAME_QUESTIONS.into()];
        notes.extend(about.notes());
        notes.extend(who_asked(&configs[0]));
        let listed: String = notes.iter().map(|note| format!("{note}\n")).collect();
        let text = format!("{table}\n{listed}");
        crate::atomic::write(&ctx.dir.join("table.txt"), text.as_bytes())?;
        let json = serde_json::to_string(&about)? + "\n";
        crate::atomic::write(&ctx.dir.join("ablate.json"), json.as_bytes())?;
        ctx.count("systems", plan.systems.len());
        ctx.count("seeds", plan.seeds.len());
        let page = ReportPage {
            title: format!("hkfr: what {} owes to what", config.name),
            subtitle: about.data.licence.clone(),
            notes,
            report: report.clone(),
            ..ReportPage::default()
        };
        compare::write(&ctx.dir, &page)
    })?;
    if ran == 0 && outcome == Outcome::UpToDate {
        eprintln!("all up to date");
    }
    let dir = run_dir.join(TABLE);
    eprintln!("report: {}", dir.join(REPORT).display());
    Ok(fs_err::read_to_string(dir.join("table.txt"))?)
}
