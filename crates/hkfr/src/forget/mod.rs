//! `hkfr forget CONFIG --user ID`: a user leaves a run, and stays out.
//!
//! First all is counted: what goes, which adapters were tuned on it, what lies elsewhere. That is the plan,
//! and all that a dry run does. Then the plan goes to `<run>/forgetting.json` and the user among the
//! forgotten ([`tombstones`]); rows are taken out, file by file; manifests are written anew; the plan is removed.
//! Killed anywhere in between, the same command goes on: every step may be done twice.
//!
//! What stays up to date: events, split, knowledge and instructions, without the user. What was fitted on
//! the user (adapters, rankers, lists, report) cannot be mended, and is made anew by the next `hkfr run`, rankers being
//! removed at once, since some of them hold histories as they are; so are knowledge
//! and instructions that tell users of their cohort, which counted the user (paid answers stay).
//!
//! A user whom the data set no longer holds may still be in paid answers, prompts and shards: that goes too.
//! Nothing is done while a shard of the run is at work.

pub mod pending;
mod plan;
mod rows;
pub mod tombstones;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use hkfr_events::{IngestReport, Split, store};
use hkfr_fuse::Answers;
use serde_json::json;

pub use pending::PENDING;
pub use plan::Plan;
pub use rows::files;

use crate::config::Config;
use crate::stage::{MANIFEST, Manifest, RunLock, clear};
use crate::stages::service::{ANSWERS, KEEP, close_answers};
use crate::stages::{ORDER, SPLIT_FILE, recount_rows};
use crate::{atomic, key, sealed};
use rows::Who;
use tombstones::{Tombstone, Tombstones};

/// Takes a user out of a run, or with `dry_run` says what that would do. Returns what is to be told.
pub fn run(config: &Config, id: &str, dry_run: bool) -> Result<String> {
    let run_dir = config.run_dir();
    let ingest = run_dir.join("ingest");
    ensure!(
        ingest.join(MANIFEST).exists(),
        "{} holds no data set: there is nobody to forget",
        run_dir.display()
    );
    let _lock = RunLock::acquire(&run_dir)?;
    let mut shards = ShardLocks::default();
    shards.hold(&run_dir)?;
    let pending = Plan::pending(&run_dir)?;
    let key = match dry_run && pending.is_none() {
        true => key::find(config)?,
        false => Some(key::find_or_make(config)?),
    };
    let tombstone = key.as_ref().map(|k| k.tombstone(id));
    let forgotten = match &key {
        Some(key) => Some(Tombstones::of(&run_dir, key)?),
        None => None,
    };
    let (plan, continued) = match pending {
        Some(plan) if Some(&plan.user) == tombstone.as_ref() => (plan, true),
        Some(_) => bail!(
            "another user was being forgotten in {} when the process ended; give the same command for that user first",
            run_dir.display()
        ),
        None => {
            let found = store::find_user(&ingest, id)?;
            let plan = Plan::make(config, id, found.as_ref(), key.as_ref())?;
            if !plan.holds_the_user(&run_dir, id)? {
                let before = forgotten
                    .as_ref()
                    .zip(tombstone.as_ref())
                    .and_then(|(f, t)| f.find(t));
                return match before {
                    Some(before) => plan::before(&run_dir, before),
                    None => bail!(
                        "no user of this id in {}; nothing was changed. Ids are as in the log",
                        ingest.display()
                    ),
                };
            }
            (plan, false)
        }
    };
    if dry_run {
        return Ok(plan.told(&run_dir, "would go"));
    }
    let key = key.context("a key was made")?;
    if !continued {
        sealed::write(&run_dir.join(PENDING), &plan)?;
        // Whoever starts from here on sees the plan; who started before it holds a lock by now.
        if let Err(e) = shards.hold(&run_dir) {
            fs_err::remove_file(run_dir.join(PENDING))?;
            return Err(e);
        }
    }
    let mut forgotten = Tombstones::of(&run_dir, &key)?;
    let mut adapters = plan.adapters.clone();
    // Of the same user who was forgotten before, and came back.
    let before = forgotten
        .find(&plan.user)
        .into_iter()
        .flat_map(|t| &t.adapters);
    let before = before.filter(|a| !plan.adapters.contains(a)).cloned();
    adapters.extend(before);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let tombstone = Tombstone {
        user: plan.user.clone(),
        at: now.map_or(0, |d| d.as_secs()),
        adapters,
    };
    forgotten.add(&run_dir, tombstone)?;
    take_out(&run_dir, id, &plan, &key.user(id))?;
    reseal(&run_dir, &plan)?;
    fs_err::remove_file(run_dir.join(PENDING))?;
    let said = match continued {
        true => "is gone (this continued what was interrupted)",
        false => "is gone",
    };
    Ok(plan.told(&run_dir, said))
}

/// The locks of all shards that ever were at work in a run directory.
#[derive(Default)]
struct ShardLocks(BTreeMap<String, RunLock>);

impl ShardLocks {
    /// Takes those that are not held yet.
    ///
    /// # Errors
    /// A shard that is at work, by its lock.
    fn hold(&mut self, run_dir: &Path) -> Result<()> {
        for entry in fs_err::read_dir(run_dir)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.starts_with(".lock-") && !self.0.contains_key(&name) {
                let lock = RunLock::named(run_dir, &name)
                    .context("a shard of the run writes what it knows of the user")?;
                self.0.insert(name, lock);
            }
        }
        Ok(())
    }
}

fn take_out(run_dir: &Path, id: &str, plan: &Plan, subject: &str) -> Result<()> {
    let ingest = run_dir.join("ingest");
    for path in files(run_dir)? {
        // What a killed process left half written may hold anybody.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".tmp") || name.starts_with(".tmp") {
            fs_err::remove_file(&path)?;
        }
    }
    let who = Who::new(id, &ingest)?;
    forget_bad_rows(&ingest.join("rows.json"), id)?;
    if let Some(user) = plan.user_index {
        store::forget_user(&ingest, id)?;
        let stays = !plan.cleared.iter().any(|c| c == "split");
        if stays && run_dir.join("split").join(MANIFEST).exists() {
            let path = run_dir.join("split").join(SPLIT_FILE);
            let mut split = Split::load(&path)?;
            split.forget(user, plan.n_users);
            split.save(&path)?;
        }
    }
    forget_answers(&run_dir.join("fuse"), subject)?;
    for stage in ORDER.iter().filter(|s| plan::has_rows(s)) {
        let dir = run_dir.join(stage);
        if !dir.join(MANIFEST).exists() {
            continue;
        }
        for path in files(&dir)?.iter().filter(|p| !p.ends_with(ANSWERS)) {
            who.take_out(path)?;
        }
    }
    for ranker in &plan.rankers {
        match fs_err::remove_file(run_dir.join(ranker)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
            _ => {}
        }
    }
    let instruct = run_dir.join("instruct");
    if instruct.join(MANIFEST).exists() {
        recount_rows(&instruct)?;
    }
    for cleared in &plan.cleared {
        let dir = run_dir.join(cleared);
        match cleared.as_str() {
            // What others were paid for stays, also in a shard.
            name if name.starts_with("fuse") => {
                forget_answers(&dir, subject)?;
                clear(&dir, &KEEP)?;
            }
            _ if dir.exists() => fs_err::remove_dir_all(&dir)?,
            _ => {}
        }
    }
    Ok(())
}

/// Of the stage `fuse` or a shard of it.
fn forget_answers(dir: &Path, subject: &str) -> Result<()> {
    let answers = dir.join(ANSWERS);
    if answers.exists() {
        sealed::open(&answers)?;
        Answers::open(&answers)?.forget(subject)?;
        close_answers(dir)?;
    }
    Ok(())
}

/// Shown rows of the report on the logs may quote the id. They stay counted.
fn forget_bad_rows(path: &Path, id: &str) -> Result<()> {
    let Ok(bytes) = std::fs::read(path) else {
        return Ok(());
    };
    let mut report: IngestReport = serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is damaged; run with --force ingest", path.display()))?;
    let n = report.first_bad.len();
    report.first_bad.retain(|row| !row.reason.contains(id));
    if report.first_bad.len() < n {
        atomic::write_json(path, &report)?;
    }
    Ok(())
}

/// In the order of the data, since each input hash holds the outputs before it.
fn reseal(run_dir: &Path, plan: &Plan) -> Result<()> {
    for stage in &ORDER[1..] {
        let dir = run_dir.join(stage);
        let Some(mut manifest) = Manifest::read(&dir)? else {
            continue;
        };
        if *stage == "ingest" {
            let info: serde_json::Value =
                serde_json::from_slice(&fs_err::read(dir.join("info.json"))?)?;
            for (name, key) in [("users", "n_users"), ("events", "n_events")] {
                manifest.counts.insert(name.into(), json!(info[key]));
            }
        }
        let fresh = plan.fresh.iter().any(|f| f == stage);
        manifest.reseal(run_dir, fresh)?;
    }
    Ok(())
}
