//! What forgetting a user takes away, counted before anything is changed, and told to people.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use hkfr_events::store::{self, Found};
use hkfr_events::{Split, UserIdx};
use hkfr_fuse::{Answers, PseudonymKey};
use serde::{Deserialize, Serialize};

use super::pending::PENDING;
use super::rows::{Who, files};
use super::tombstones::{Adapter, Tombstone};
use crate::ablate;
use crate::config::Config;
use crate::stage::{MANIFEST, Manifest};
use crate::stages::rankers::MODELS;
use crate::stages::service::ANSWERS;
use crate::stages::{ORDER, SPLIT_FILE};
use crate::{digest, sealed};

/// Weights in an adapter's directory.
const WEIGHTS: &str = "adapter_model.safetensors";

/// It names nobody: the user is a keyed hash and a number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// [`PseudonymKey::tombstone`].
    pub user: String,
    /// Absent: the data set holds no such user, and what was made of an earlier one does.
    pub user_index: Option<UserIdx>,
    /// Before the user went.
    pub n_users: usize,
    /// Stage, and what of the user is in it.
    pub removed: Vec<(String, String)>,
    /// Stages that stay up to date.
    pub fresh: Vec<String>,
    /// Directories that are emptied: what is made of all users at once, or unfinished.
    pub cleared: Vec<String>,
    pub adapters: Vec<Adapter>,
    /// Files of fitted rankers, below the run's directory, which go: nobody can be taken out of one.
    #[serde(default)]
    pub rankers: Vec<PathBuf>,
    /// What lies outside of the run, or cannot be told.
    pub notes: Vec<String>,
}

/// Stages whose files have rows of one user.
pub fn has_rows(stage: &str) -> bool {
    ["fuse", "instruct", "recommend"].contains(&stage)
}

/// Whether knowledge counts other users than its own, by the config that its stage was made with.
fn tells_of_others(fuse: &Manifest) -> bool {
    !fuse.config["fusion"]["cohort"].is_null()
}

/// Prompts, features, what was learnt from them, and shards of stages: what can be made again from the log, and holds everybody.
fn beside_the_stages(run_dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs_err::read_dir(run_dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_beside = ["prompts", "features", "ctr"].contains(&name.as_str());
        if entry.path().is_dir() && (is_beside || name.contains("-shard-")) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

impl Plan {
    /// Of a process that ended before it was done.
    pub fn pending(run_dir: &Path) -> Result<Option<Self>> {
        let path = run_dir.join(PENDING);
        let bytes = match std::fs::read(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.with_context(|| path.display().to_string())?,
        };
        ensure!(
            sealed::holds(&bytes) == Some(true),
            "{} is damaged; delete it and give the command again, with --force ingest at the next `hkfr run`",
            path.display()
        );
        Ok(Some(serde_json::from_slice(&bytes)?))
    }

    pub fn make(
        config: &Config,
        id: &str,
        found: Option<&Found>,
        key: Option<&PseudonymKey>,
    ) -> Result<Self> {
        let run_dir = config.run_dir();
        let who = Who::new(id, &run_dir.join("ingest"))?;
        let mut plan = Self {
            user: key.map(|k| k.tombstone(id)).unwrap_or_default(),
            user_index: found.map(|f| f.user),
            n_users: found.map_or(0, |f| f.n_users),
            removed: Vec::new(),
            fresh: Vec::new(),
            cleared: Vec::new(),
            adapters: Vec::new(),
            rankers: Vec::new(),
            notes: Vec::new(),
        };
        if let Some(found) = found {
            let what = format!("{} events, a profile", found.n_events);
            plan.removed.push(("ingest".into(), what));
        }
        for stage in &ORDER[1..] {
            plan.stage(&run_dir, stage, &who)?;
        }
        let derived = ["check-leaks", ablate::TABLE, ablate::RUNS];
        let there = derived.iter().filter(|name| run_dir.join(name).exists());
        plan.cleared.extend(there.map(|name| (*name).to_owned()));
        plan.cleared.extend(beside_the_stages(&run_dir)?);
        plan.answers(&run_dir, id, key)?;
        plan.elsewhere(config, id)?;
        Ok(plan)
    }

    /// Whether there is anything of the user to take out.
    pub fn holds_the_user(&self, run_dir: &Path, id: &str) -> Result<bool> {
        if !self.removed.is_empty() {
            return Ok(true);
        }
        let who = Who::new(id, &run_dir.join("ingest"))?;
        for name in &self.cleared {
            // It names users in its cases alone; one that cannot be read is made again.
            let split = Split::load(&run_dir.join(name).join(SPLIT_FILE));
            if split.is_ok_and(|s| s.cases.iter().any(|c| who.is_case(&c.case_id))) {
                return Ok(true);
            }
            for path in files(&run_dir.join(name))? {
                if who.count(&path)? > 0 {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn stage(&mut self, run_dir: &Path, stage: &str, who: &Who) -> Result<()> {
        let dir = run_dir.join(stage);
        if !dir.exists() {
            return Ok(());
        }
        let Some(manifest) = Manifest::read(&dir)? else {
            self.cleared.push(stage.into());
            return Ok(());
        };
        if stage == "evaluate" {
            self.cleared.push(stage.into());
            return Ok(());
        }
        // A damaged file must not become a good one by being written anew.
        for file in &manifest.files {
            let path = dir.join(&file.path);
            let found = digest::of_file(&path).ok();
            ensure!(
                found.as_ref() == Some(&file.sha256),
                "{} is not what stage {stage} wrote; `hkfr run CONFIG` mends it, then forget the user",
                path.display()
            );
        }
        let upstream = |s: &str| ["ingest", "split", "fuse", "instruct"].contains(&s);
        // Ingest is made from nothing before it, so that its input hash stays right.
        let is_fresh = manifest.is_fresh(run_dir)?.unwrap_or(stage == "ingest");
        // What is told of others counts the user, and may cite the user's events.
        let counts_others = match stage {
            _ if self.user_index.is_none() => false,
            "fuse" => tells_of_others(&manifest),
            "instruct" => {
                Manifest::read(&run_dir.join("fuse"))?.is_some_and(|m| tells_of_others(&m))
            }
            _ => false,
        };
        if upstream(stage) && is_fresh && !counts_others {
            self.fresh.push(stage.into());
        }
        match (stage, self.user_index) {
            // Its numbers are those of users of another data set.
            ("split", _) if !is_fresh => self.cleared.push(stage.into()),
            ("split", Some(user)) => {
                let (train, cases) = Split::load(&dir.join(SPLIT_FILE))?.n_of(user);
                let what = format!("{train} training instances, {cases} cases");
                self.removed.push((stage.into(), what));
            }
            ("tune", _) => self.adapters(run_dir, who)?,
            ("recommend", user) => {
                // Those that are up to date without the user were fitted without the user.
                if user.is_some() || !is_fresh {
                    self.rankers(run_dir, &dir)?;
                }
                self.rows(stage, &dir, who)?;
            }
            _ if has_rows(stage) => self.rows(stage, &dir, who)?,
            _ => {}
        }
        Ok(())
    }

    fn rows(&mut self, stage: &str, dir: &Path, who: &Who) -> Result<()> {
        for path in files(dir)?.iter().filter(|p| !p.ends_with(ANSWERS)) {
            let n = who.count(path)?;
            let name = path.strip_prefix(dir).unwrap_or(path).display();
            if n > 0 {
                self.removed
                    .push((stage.into(), format!("{name}: {n} rows")));
            }
        }
        Ok(())
    }

    /// Neighbourhoods hold histories as they are; all others were counted or learnt from all users at once.
    fn rankers(&mut self, run_dir: &Path, recommend: &Path) -> Result<()> {
        let models = recommend.join(MODELS);
        if models.exists() {
            let all = files(&models)?.into_iter();
            let below = |p: PathBuf| p.strip_prefix(run_dir).map_or(p.clone(), Path::to_owned);
            self.rankers.extend(all.map(below));
        }
        Ok(())
    }

    fn adapters(&mut self, run_dir: &Path, who: &Who) -> Result<()> {
        for path in files(&run_dir.join("tune"))? {
            if !path.ends_with(WEIGHTS) {
                continue;
            }
            let dir = path.parent().context("a file has a directory")?;
            let variant = dir.file_name().unwrap_or_default().to_string_lossy();
            let rows = run_dir
                .join("instruct")
                .join(format!("{variant}.messages.jsonl"));
            let rows = match rows.exists() {
                true => who.count(&rows)?,
                false => 0,
            };
            if rows > 0 {
                self.adapters.push(Adapter {
                    path: dir.strip_prefix(run_dir).unwrap_or(dir).to_owned(),
                    rows,
                    sha256: digest::of_file(&path)?,
                });
            }
        }
        Ok(())
    }

    fn answers(&mut self, run_dir: &Path, id: &str, key: Option<&PseudonymKey>) -> Result<()> {
        let shards = beside_the_stages(run_dir)?;
        let shards = shards.into_iter().filter(|name| name.starts_with("fuse"));
        let mut known: Option<BTreeSet<String>> = None;
        for name in std::iter::once("fuse".to_owned()).chain(shards) {
            let path = run_dir.join(&name).join(ANSWERS);
            let Some(answers) = Answers::open_read_only(&path)? else {
                continue;
            };
            let known = match &mut known {
                Some(known) => known,
                None => known.insert(subjects(run_dir, id, key)?),
            };
            self.answers_of(&name, &path, &answers, key.map(|k| k.user(id)), known)?;
        }
        Ok(())
    }

    /// Of the stage `fuse`, or a shard of it. `known`: pseudonyms of all users that there are, this one included.
    fn answers_of(
        &mut self,
        name: &str,
        path: &Path,
        answers: &Answers,
        subject: Option<String>,
        known: &BTreeSet<String>,
    ) -> Result<()> {
        let (about, unknown) = answers.about(&subject.unwrap_or_default())?;
        if about > 0 {
            let what = format!("{about} paid answers");
            self.removed.push((name.into(), what));
        }
        let others = answers.about_others(known)?;
        if others > 0 {
            self.notes.push(format!(
                "{}: {others} paid answers are about users whom the log no longer holds, or were stored under another pseudonym key, and nobody can tell about whom; if this user may be among them, delete the file: what it held is then asked and paid for again",
                path.display()
            ));
        }
        if unknown > 0 {
            self.notes.push(format!(
                "{unknown} paid answers were stored before it was noted whom they are about; `hkfr fuse CONFIG --force fuse` notes it without asking anything, then give this command again"
            ));
        }
        for path in answers.batch_files()?.iter().filter(|p| p.exists()) {
            let path = path.display();
            self.notes.push(format!(
                "{path}: a batch file, which may hold what was asked or said about the user; delete it"
            ));
        }
        Ok(())
    }

    /// What no run can change.
    fn elsewhere(&mut self, config: &Config, id: &str) -> Result<()> {
        if let Some(path) = &config.data.path {
            let hold = match self.user_index {
                Some(_) => "hold",
                None => "may hold",
            };
            self.notes.push(format!(
                "{}: the logs {hold} the user; ingest leaves the user out from now on",
                path.display()
            ));
        }
        if let Some(path) = config.fusion.cassette.as_ref().filter(|p| p.exists()) {
            self.notes.push(format!(
                "{}: the cassette may hold answers about the user; record it anew",
                path.display()
            ));
        }
        let own = config.run_dir();
        let Ok(siblings) = std::fs::read_dir(&config.out) else {
            return Ok(());
        };
        let mut others: Vec<PathBuf> = siblings
            .filter_map(|e| Some(e.ok()?.path()))
            .filter(|p| *p != own && p.join("ingest").join(MANIFEST).exists())
            .collect();
        others.sort();
        for other in others {
            if store::find_user(&other.join("ingest"), id)?.is_some() {
                self.notes.push(format!(
                    "{}: another run that holds the user; `hkfr forget` with its config",
                    other.display()
                ));
            }
        }
        Ok(())
    }

    /// For people. The id is not repeated.
    pub fn told(&self, run_dir: &Path, said: &str) -> String {
        let mut out = format!("of the user, from {} {said}:\n", run_dir.display());
        for (stage, what) in &self.removed {
            let _ = writeln!(out, "  {stage:<9} {what}");
        }
        if !self.cleared.is_empty() {
            let _ = writeln!(out, "  emptied   {}", self.cleared.join(", "));
        }
        if !self.fresh.is_empty() {
            let _ = writeln!(
                out,
                "up to date without the user: {}",
                self.fresh.join(", ")
            );
        }
        let anew: Vec<&str> = ORDER[1..]
            .iter()
            .filter(|s| run_dir.join(s).exists() || self.cleared.iter().any(|c| c == *s))
            .filter(|s| !self.fresh.iter().any(|f| f == *s))
            .copied()
            .collect();
        if !anew.is_empty() {
            let _ = writeln!(out, "`hkfr run CONFIG` makes anew: {}", anew.join(", "));
        }
        out += &adapters(run_dir, &self.adapters);
        if let Some(dir) = self.rankers.first().and_then(|r| r.parent()) {
            let _ = writeln!(
                out,
                "fitted on all users: {} rankers in {}, which go too; delete every copy, `hkfr run CONFIG` fits them anew",
                self.rankers.len(),
                run_dir.join(dir).display()
            );
        }
        for note in &self.notes {
            let _ = writeln!(out, "left: {note}");
        }
        out
    }
}

fn adapters(run_dir: &Path, adapters: &[Adapter]) -> String {
    let mut out = String::new();
    for a in adapters {
        let _ = writeln!(
            out,
            "tuned on the user: {}, on {} rows; nobody can be taken out of weights: delete every copy, `hkfr run CONFIG` tunes anew",
            run_dir.join(&a.path).display(),
            a.rows
        );
    }
    out
}

/// Pseudonyms of all users of the data set, and of this one.
fn subjects(run_dir: &Path, id: &str, key: Option<&PseudonymKey>) -> Result<BTreeSet<String>> {
    let Some(key) = key else {
        return Ok(BTreeSet::new());
    };
    let users = store::users_with_prefix(&run_dir.join("ingest"), "")?;
    let users = users.iter().map(String::as_str).chain([id]);
    Ok(users.map(|user| key.user(user)).collect())
}

/// Of a user who was forgotten earlier.
pub fn before(run_dir: &Path, tombstone: &Tombstone) -> Result<String> {
    let still = |a: &&Adapter| {
        digest::of_file(&run_dir.join(&a.path).join(WEIGHTS)).is_ok_and(|found| found == a.sha256)
    };
    let still: Vec<Adapter> = tombstone.adapters.iter().filter(still).cloned().collect();
    let day = crate::show::date(tombstone.at as i64);
    let mut out = format!("the user was forgotten on {day}; nothing of theirs is left\n");
    out += &adapters(run_dir, &still);
    Ok(out)
}
