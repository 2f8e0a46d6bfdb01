//! The frame of a stage: one directory, one manifest, skipped while up to date, resumed after a stop.
//!
//! `<out>/<name>/<stage>/` holds the files of a stage; `manifest.json` in it is written last, and
//! atomically: a directory without one is unfinished. A stage is up to date if its manifest carries
//! the same input hash (outputs of the stages before it, its own config, the seed, the assets), and
//! its files are still there. An unfinished directory with the same input hash is handed to the
//! stage again as it is; with another one it is cleared first.

mod lock;
mod manifest;
mod memory;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use hkfr_events::store::Shard;
use serde::Serialize;
use serde_json::{Value, json};

pub use lock::{ReadLock, RunLock};
pub use manifest::{FORMAT_VERSION, FileEntry, MANIFEST, MadeFrom, Manifest};
pub use memory::{peak_mb, reset_peak};

use crate::progress::{Progress, Unit};
use crate::stop::Stop;
use crate::{digest, sealed};

/// Marks an unfinished directory with the input hash that its contents belong to.
pub const PARTIAL: &str = "partial.json";

/// Raise it when what the stages write changes meaning: everything is then made again.
const PIPELINE_VERSION: u32 = 1;

/// What a stage depends on.
#[derive(Debug, Clone)]
pub struct Spec {
    pub name: &'static str,
    /// Stages whose manifests must exist and be finished.
    pub inputs: &'static [&'static str],
    /// The sections of the config that this stage reads.
    pub config: Value,
    pub seed: u64,
    /// Fingerprints of files from outside: fetched assets, the user's logs, templates.
    pub outside: Vec<String>,
    /// Files that survive when the stage is made anew, such as a cache of paid LLM answers.
    pub keep: &'static [&'static str],
}

/// What a stage is handed.
pub struct StageContext {
    /// The stage's own directory; it exists.
    pub dir: PathBuf,
    pub stop: Stop,
    pub seed: u64,
    /// The input hash: stable across a stop and its continuation.
    pub input_hash: String,
    /// True if an earlier process left work of this very input in `dir`.
    pub resumed: bool,
    counts: serde_json::Map<String, Value>,
}

impl StageContext {
    /// A number for the manifest and the line at the end of the stage.
    pub fn count(&mut self, name: &str, n: impl Serialize) {
        self.counts.insert(name.to_owned(), json!(n));
    }

    pub fn progress(&self, label: &str, unit: &'static str, total: Option<u64>) -> Progress {
        Progress::new(label, Unit::Things(unit), total)
    }
}

/// What became of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    UpToDate,
    Ran,
}

/// Runs stages in one run directory, in the order in which they are called.
#[derive(Debug, Clone)]
pub struct Runner {
    run_dir: PathBuf,
    stop: Stop,
    force: Vec<String>,
    /// Of which the named stages take the users only, in directories of their own.
    shard: Option<(Shard, &'static [&'static str])>,
}

impl Runner {
    /// `force`: names of stages that run even if they are up to date.
    pub fn new(run_dir: &Path, stop: Stop, force: &[String]) -> Self {
        Self {
            run_dir: run_dir.into(),
            stop,
            force: force.to_vec(),
            shard: None,
        }
    }

    /// The stages named here are of one shard: `ingest` lies in `ingest-shard-2-of-3`.
    pub fn of_shard(self, shard: Shard, stages: &'static [&'static str]) -> Self {
        let shard = Some((shard, stages));
        Self { shard, ..self }
    }

    /// Of the users of this stage; `None`: all.
    pub fn shard(&self, stage: &str) -> Option<Shard> {
        let (shard, stages) = self.shard?;
        stages.contains(&stage).then_some(shard)
    }

    pub fn dir(&self, stage: &str) -> PathBuf {
        match self.shard(stage) {
            Some(shard) => self.run_dir.join(format!("{stage}-{}", shard.slug())),
            None => self.run_dir.join(stage),
        }
    }

    /// Skips, resumes or runs a stage; the manifest is written last.
    pub fn stage(
        &self,
        spec: &Spec,
        work: impl FnOnce(&mut StageContext) -> Result<()>,
    ) -> Result<Outcome> {
        self.stop.check()?;
        let dir = self.dir(spec.name);
        let input_hash = self.input_hash(spec)?;
        let forced = self.force.iter().any(|f| f == spec.name);
        if !forced
            && let Some(manifest) = Manifest::read(&dir)?
            && manifest.input_hash == input_hash
            && manifest.files_are_there(&dir)
        {
            return Ok(Outcome::UpToDate);
        }
        let resumed = !forced && partial_hash(&dir).as_ref() == Some(&input_hash);
        if !resumed {
            clear(&dir, spec.keep)?;
            let partial = json!({ "format_version": FORMAT_VERSION, "input_hash": input_hash });
            sealed::write(&dir.join(PARTIAL), &partial)?;
        }
        let shard = self.shard(spec.name).map(|s| format!(" of shard {s}"));
        eprintln!(
            "{}{}{}",
            spec.name,
            shard.unwrap_or_default(),
            if resumed { " (continued)" } else { "" }
        );
        reset_peak();
        let started = Instant::now();
        let mut ctx = StageContext {
            dir: dir.clone(),
            stop: self.stop.clone(),
            seed: spec.seed,
            input_hash: input_hash.clone(),
            resumed,
            counts: serde_json::Map::new(),
        };
        work(&mut ctx)?;
        // Work that noticed the stop late has finished all the same; work that returned early
        // because of it has not, and must not be sealed.
        self.stop.check()?;
        let manifest = Manifest::seal(
            &dir,
            spec,
            self.outside(spec),
            input_hash,
            ctx.counts,
            started.elapsed().as_secs_f64(),
            peak_mb(),
        )?;
        fs_err::remove_file(dir.join(PARTIAL))?;
        eprintln!("  {}", manifest.summary());
        Ok(Outcome::Ran)
    }

    /// What else a stage is made from: a shard holds its own users only.
    fn outside(&self, spec: &Spec) -> Vec<String> {
        let shard = self.shard(spec.name).map(|s| format!("shard {s}"));
        spec.outside.iter().cloned().chain(shard).collect()
    }

    /// What a stage is made from, as its manifest has it.
    pub fn input_hash(&self, spec: &Spec) -> Result<String> {
        let mut upstream = Vec::new();
        for &input in spec.inputs {
            match Manifest::read(&self.dir(input))? {
                Some(manifest) => upstream.push(manifest.output_hash),
                None => bail!(
                    "stage {} needs {input}, which is not finished in {}; run `hkfr {input} CONFIG` first",
                    spec.name,
                    self.run_dir.display()
                ),
            }
        }
        Ok(hash_of_input(
            spec.name,
            &upstream,
            &spec.config.to_string(),
            spec.seed,
            &self.outside(spec),
        ))
    }
}

/// `config`: as JSON text, since numbers that were written and read again may differ in the last digit.
fn hash_of_input(
    stage: &str,
    upstream: &[String],
    config: &str,
    seed: u64,
    outside: &[String],
) -> String {
    const PLACE: &str = "<config>";
    let all = json!({
        "pipeline": PIPELINE_VERSION,
        "stage": stage,
        "upstream": upstream,
        "config": PLACE,
        "seed": seed,
        "outside": outside,
    });
    let text = all.to_string();
    digest::of_text(&text.replacen(&format!("\"{PLACE}\""), config, 1))
}

fn partial_hash(dir: &Path) -> Option<String> {
    let bytes = std::fs::read(dir.join(PARTIAL)).ok()?;
    let value: Value = serde_json::from_slice(&bytes).ok()?;
    Some(value["input_hash"].as_str()?.to_owned())
}

/// Empties the directory of a stage, apart from `keep`. The manifest goes first: what is half
/// cleared must not look finished.
pub(crate) fn clear(dir: &Path, keep: &[&str]) -> Result<()> {
    fs_err::create_dir_all(dir)?;
    for first in [MANIFEST, PARTIAL] {
        match fs_err::remove_file(dir.join(first)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
            _ => {}
        }
    }
    for entry in fs_err::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if keep.iter().any(|k| name == *k) {
            continue;
        }
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            fs_err::remove_dir_all(&path)
        } else {
            fs_err::remove_file(&path)
        }
        .with_context(|| format!("cannot clear {}", dir.display()))?;
    }
    Ok(())
}
