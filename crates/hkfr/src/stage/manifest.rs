//! `manifest.json`: what a finished stage was made from, what it cost, and which files it holds.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use hkfr_lm::log::{EVENTS, METRICS};

use super::{PARTIAL, Spec, hash_of_input};
use crate::{atomic, digest, sealed};

pub const MANIFEST: &str = "manifest.json";

/// Files that tell how a stage went, not what it made.
const LOGS: [&str; 2] = [METRICS, EVENTS];

/// Databases whose rows another file tells: their own bytes depend on which thread wrote first.
const STORES: [&str; 1] = ["knowledge.sqlite"];

/// Newest format this build reads and the one it writes. Since 2 a manifest ends with its checksum, and says
/// what its input hash was made from.
pub const FORMAT_VERSION: u32 = 2;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub format_version: u32,
    pub stage: String,
    pub hkfr_version: String,
    /// What it was made from: outputs upstream, config, seed, files from outside.
    pub input_hash: String,
    /// Absent before format 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_from: Option<MadeFrom>,
    /// What was made: the contents of all files but logs and stores whose rows are exported beside them. A forced
    /// stage that makes the same again leaves the stages after it up to date.
    pub output_hash: String,
    pub config: Value,
    pub seed: u64,
    pub counts: Map<String, Value>,
    /// Of the process that finished it; what a stopped process spent is not in it.
    pub wall_seconds: f64,
    /// Peak resident memory in MB (10⁶ bytes); `None` where the system does not tell.
    pub peak_memory_mb: Option<f64>,
    /// Seconds since 1970-01-01 UTC.
    pub finished_at: u64,
    pub files: Vec<FileEntry>,
}

/// What goes into the input hash besides the seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeFrom {
    pub stages: Vec<String>,
    /// As JSON text.
    pub config: String,
    pub outside: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Relative to the stage's directory, with `/`.
    pub path: String,
    pub size: u64,
    pub modified_ns: u64,
    pub sha256: String,
}

impl Manifest {
    /// `None` if there is none; an error if it is unreadable or newer than this build.
    pub fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(MANIFEST);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e).with_context(|| path.display().to_string()),
        };
        let damaged = || {
            format!(
                "{} is damaged; delete it, and the stage is made again",
                path.display()
            )
        };
        let value: Value = serde_json::from_slice(&bytes).with_context(damaged)?;
        let version = value["format_version"].as_u64().with_context(damaged)?;
        if version > u64::from(FORMAT_VERSION) {
            bail!(
                "{}: format version {version} is newer than {FORMAT_VERSION}, the newest this build reads; upgrade hkfr, or delete the directory",
                path.display()
            );
        }
        Ok(Some(serde_json::from_value(value).with_context(damaged)?))
    }

    /// Hashes the files of a finished stage and writes its manifest.
    pub(super) fn seal(
        dir: &Path,
        spec: &Spec,
        outside: Vec<String>,
        input_hash: String,
        counts: Map<String, Value>,
        wall_seconds: f64,
        peak_memory_mb: Option<f64>,
    ) -> Result<Self> {
        let mut files = Vec::new();
        list(dir, "", &mut files)?;
        files.retain(|f| !spec.keep.contains(&f.path.as_str()));
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let manifest = Self {
            format_version: FORMAT_VERSION,
            stage: spec.name.into(),
            hkfr_version: env!("CARGO_PKG_VERSION").into(),
            input_hash,
            made_from: Some(MadeFrom {
                stages: spec.inputs.iter().map(|s| (*s).to_owned()).collect(),
                config: spec.config.to_string(),
                outside,
            }),
            output_hash: output_hash(&files),
            config: spec.config.clone(),
            seed: spec.seed,
            counts,
            wall_seconds: (wall_seconds * 1e3).round() / 1e3,
            peak_memory_mb,
            finished_at: std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |d| d.as_secs()),
            files,
        };
        sealed::write(&dir.join(MANIFEST), &manifest)?;
        Ok(manifest)
    }

    /// Whether it was made from what now stands in the stages before it; `None` where it does not say.
    pub fn is_fresh(&self, run_dir: &Path) -> Result<Option<bool>> {
        let expected = self.expected_input(run_dir)?;
        Ok(expected.map(|hash| hash == self.input_hash))
    }

    fn expected_input(&self, run_dir: &Path) -> Result<Option<String>> {
        let Some(made_from) = &self.made_from else {
            return Ok(None);
        };
        let mut upstream = Vec::new();
        for stage in &made_from.stages {
            match Self::read(&run_dir.join(stage))? {
                Some(manifest) => upstream.push(manifest.output_hash),
                None => return Ok(None),
            }
        }
        Ok(Some(hash_of_input(
            &self.stage,
            &upstream,
            &made_from.config,
            self.seed,
            &made_from.outside,
        )))
    }

    /// Writes the manifest of a stage anew whose files were changed on purpose; what it did not list before, it
    /// does not list now. `fresh`: they are still what the stage makes of those before it.
    pub fn reseal(mut self, run_dir: &Path, fresh: bool) -> Result<()> {
        let dir = run_dir.join(&self.stage);
        let mut files = Vec::new();
        list(&dir, "", &mut files)?;
        let known = |path: &str| self.files.iter().any(|f| f.path == path);
        files.retain(|f| known(&f.path));
        files.sort_by(|a, b| a.path.cmp(&b.path));
        self.output_hash = output_hash(&files);
        self.files = files;
        if let Some(hash) = self.expected_input(run_dir)?.filter(|_| fresh) {
            self.input_hash = hash;
        }
        self.format_version = FORMAT_VERSION;
        sealed::write(&dir.join(MANIFEST), &self)
    }

    /// Are all files still what they were? Only one whose time of modification changed (a copied
    /// directory) is hashed.
    pub fn files_are_there(&self, dir: &Path) -> bool {
        self.files.iter().all(|f| {
            let path = dir.join(&f.path);
            std::fs::metadata(&path).is_ok_and(|meta| {
                meta.len() == f.size
                    && (atomic::modified_ns(&meta) == f.modified_ns
                        || digest::of_file(&path).is_ok_and(|found| found == f.sha256))
            })
        })
    }

    /// `1,468 events · 3 files · 12.3 s · 410 MB`
    pub fn summary(&self) -> String {
        let mut parts: Vec<String> = self
            .counts
            .iter()
            .filter(|(_, n)| n.is_number() || n.is_string())
            .map(|(name, n)| match n.as_u64() {
                Some(n) => format!("{} {name}", indicatif::HumanCount(n)),
                None => format!("{} {name}", n.as_str().map_or(n.to_string(), str::to_owned)),
            })
            .collect();
        parts.push(format!("{:.1} s", self.wall_seconds));
        if let Some(mb) = self.peak_memory_mb {
            parts.push(format!("{mb:.0} MB"));
        }
        parts.join(" · ")
    }
}

fn output_hash(files: &[FileEntry]) -> String {
    // A log carries the time of every step: two trainings with the same result differ in it.
    let is_log = |path: &str| LOGS.iter().any(|log| path.ends_with(log));
    let contents: Vec<String> = files
        .iter()
        .filter(|f| !is_log(&f.path) && !STORES.contains(&f.path.as_str()))
        .map(|f| format!("{} {}", f.sha256, f.path))
        .collect();
    digest::of_text(&contents.join("\n"))
}

fn list(dir: &Path, prefix: &str, files: &mut Vec<FileEntry>) -> Result<()> {
    for entry in fs_err::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &format!("{path}/"), files)?;
        } else if path != MANIFEST && path != PARTIAL {
            let meta = entry.metadata()?;
            files.push(FileEntry {
                size: meta.len(),
                modified_ns: atomic::modified_ns(&meta),
                sha256: digest::of_file(&entry.path())?,
                path,
            });
        }
    }
    Ok(())
}
