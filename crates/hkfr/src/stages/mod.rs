//! The walk over the stages: fetch → ingest → split → fuse → instruct → tune → recommend → evaluate.
//!
//! A stage is a file here with one function `fn(&mut Session) -> Result<Outcome>`: it says in a
//! [`Spec`] what it depends on, and does its work in the closure that [`Runner::stage`] calls only
//! if it must. [`STAGES`] is the order. What several stages need in memory (the data set, the
//! split) is loaded once, by [`Session::dataset`] and [`Session::split`], and not at all if every
//! stage is up to date.

mod asking;
mod claims;
mod ctr;
mod cut_offs;
mod evaluate;
mod expectations;
mod features;
mod fit_watch;
mod fitted;
mod forms;
mod fuse;
mod fuse_worker;
mod histories;
mod hkfr;
mod ingest;
mod instruct;
pub mod items;
mod leaks;
mod merge;
mod model;
pub mod outstanding;
mod page;
mod prompts;
mod ranked;
pub mod rankers;
mod recommend;
mod refresh;
pub mod service;
mod split;
pub mod texts;
mod tune;
mod useful;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use hkfr_events::store::{self, Shard};
use hkfr_events::{Dataset, Split};
use hkfr_fuse::TemplateSet;
use hkfr_rec::tasks::TaskSet;

use crate::config::Config;
use crate::digest;
use crate::fetch::{self, Asset, Fetcher};
use crate::stage::{Outcome, RunLock, Runner};
use crate::stop::Stop;

pub use ctr::ctr;
pub use evaluate::{REPORT, segment_order};
pub(crate) use evaluate::{eval_config, truths};
pub use features::features;
pub use fit_watch::{FitState, FitWatch, Validated};
pub use histories::{facts_config, fusion};
pub use instruct::recount_rows;
pub use leaks::check as check_leaks;
pub use merge::merge;
pub use model::{Model, assets_of, check_asset_names, open_tokenizer};
pub(crate) use page::who_asked;
pub use prompts::prompts;
pub use recommend::{rank_all, read_runs};
pub use split::SPLIT_FILE;

type StageFn = fn(&mut Session) -> Result<Outcome>;

/// The stages that write a directory, in the order of the data.
const STAGES: [(&str, StageFn); 7] = [
    ("ingest", ingest::run),
    ("split", split::run),
    ("fuse", fuse::run),
    ("instruct", instruct::run),
    ("tune", tune::run),
    ("recommend", recommend::run),
    ("evaluate", evaluate::run),
];

/// Names of all stages, in order; `fetch` has the cache as its directory.
pub const ORDER: [&str; 8] = [
    "fetch",
    "ingest",
    "split",
    "fuse",
    "instruct",
    "tune",
    "recommend",
    "evaluate",
];

/// One walk: the config, and what its stages share.
pub struct Session {
    pub config: Config,
    pub runner: Runner,
    pub stop: Stop,
    fetcher: Fetcher,
    assets: Vec<Asset>,
    dataset: Option<Rc<Dataset>>,
    split: Option<Rc<Split>>,
    model: Option<Rc<Model>>,
    _lock: RunLock,
}

impl Session {
    /// Takes the lock of the run directory, which it makes if absent.
    pub fn new(config: Config, fetcher: Fetcher, stop: Stop, force: &[String]) -> Result<Self> {
        let lock = RunLock::acquire(&config.run_dir())?;
        Self::locked(lock, config, fetcher, stop, force)
    }

    /// Of one shard: the named stages take its users only. Other shards may be at work beside it.
    pub fn of_shard(
        shard: Shard,
        stages: &'static [&'static str],
        config: Config,
        fetcher: Fetcher,
        stop: Stop,
        force: &[String],
    ) -> Result<Self> {
        let lock = RunLock::named(&config.run_dir(), &format!(".lock-{}", shard.slug()))?;
        let mut session = Self::locked(lock, config, fetcher, stop, force)?;
        session.runner = session.runner.of_shard(shard, stages);
        Ok(session)
    }

    fn locked(
        lock: RunLock,
        config: Config,
        fetcher: Fetcher,
        stop: Stop,
        force: &[String],
    ) -> Result<Self> {
        crate::forget::pending::ensure_none_pending(&config.run_dir())?;
        Ok(Self {
            runner: Runner::new(&config.run_dir(), stop.clone(), force),
            config,
            stop,
            fetcher,
            assets: fetch::assets()?,
            dataset: None,
            split: None,
            model: None,
            _lock: lock,
        })
    }

    /// Runs the stages up to and including `until`, each only if it is not up to date.
    pub fn walk(&mut self, until: &str) -> Result<()> {
        if self.walk_quietly(until)? == 0 {
            eprintln!("all up to date");
        }
        match until {
            "instruct" => instruct::show(self)?,
            "evaluate" => evaluate::show(self)?,
            _ => {}
        }
        Ok(())
    }

    /// [`walk`](Self::walk) without what it shows at the end; how many stages ran.
    pub(crate) fn walk_quietly(&mut self, until: &str) -> Result<usize> {
        ensure!(
            STAGES.iter().any(|(name, _)| *name == until),
            "stage {until} is not part of this build"
        );
        self.fetch(until)?;
        let n = STAGES.iter().take_while(|(name, _)| *name != until).count();
        self.walk_stages(&STAGES[..=n])
    }

    /// Runs these stages, each only if it is not up to date; how many ran.
    fn walk_stages(&mut self, stages: &[(&str, StageFn)]) -> Result<usize> {
        let mut ran = 0;
        for (name, run) in stages {
            let outcome = run(self).with_context(|| format!("stage {name}"))?;
            match outcome {
                Outcome::UpToDate => eprintln!("{name}: up to date"),
                Outcome::Ran => ran += 1,
            }
        }
        Ok(ran)
    }

    /// The stage `fuse` alone: what it needs is there.
    pub fn fuse(&mut self) -> Result<()> {
        self.fetch("fuse")?;
        self.walk_stages(&STAGES[2..3])?;
        Ok(())
    }

    /// The events, if they are not there yet.
    pub fn ingest(&mut self) -> Result<()> {
        self.fetch("ingest")?;
        ingest::run(self).context("stage ingest")?;
        Ok(())
    }

    /// Obtains what the stages up to `until` will ask for: before any of them runs, so that a
    /// missing file is known at once and not after the first ten minutes.
    fn fetch(&mut self, until: &str) -> Result<()> {
        if self.config.data.path.is_none()
            && let Some(asset) = self.config.data.adapter.asset()
        {
            self.asset_dir(asset).context("stage fetch")?;
        }
        let ranks_by_llm = !self.config.llms().is_empty();
        let reaches = |stage| position(until) >= position(stage);
        if ranks_by_llm && reaches("fuse") {
            self.llm_path().context("stage fetch")?;
        }
        if self.config.has_item_head() && reaches("tune") {
            self.encoder_path().context("stage fetch")?;
        }
        Ok(())
    }

    /// The directory that holds the asset's verified files; fetched if need be.
    pub fn asset_dir(&mut self, name: &str) -> Result<PathBuf> {
        let asset = fetch::find(&self.assets, name)?;
        self.fetcher.obtain(asset)
    }

    /// What goes into the input hash of a stage that reads this asset.
    pub fn asset_fingerprint(&self, name: &str) -> Result<String> {
        Ok(fetch::find(&self.assets, name)?.fingerprint())
    }

    pub fn dir(&self, stage: &str) -> PathBuf {
        self.runner.dir(stage)
    }

    /// The ingested data set.
    pub fn dataset(&mut self) -> Result<Rc<Dataset>> {
        if let Some(dataset) = &self.dataset {
            return Ok(Rc::clone(dataset));
        }
        let dataset = Rc::new(store::read(&self.dir("ingest"))?);
        self.dataset = Some(Rc::clone(&dataset));
        Ok(dataset)
    }

    pub fn split(&mut self) -> Result<Rc<Split>> {
        if let Some(split) = &self.split {
            return Ok(Rc::clone(split));
        }
        let split = Rc::new(Split::load(&self.dir("split").join(SPLIT_FILE))?);
        self.split = Some(Rc::clone(&split));
        Ok(split)
    }

    pub fn templates(&self) -> Result<TemplateSet> {
        let fusion = &self.config.fusion;
        Ok(TemplateSet::load(
            &fusion.templates,
            fusion.template_dir.as_deref(),
        )?)
    }

    /// What is asked of a user, and the hash of all its texts.
    pub fn tasks(&self) -> Result<(TaskSet, String)> {
        let fusion = &self.config.fusion;
        let tasks = TaskSet::load(&fusion.templates, fusion.template_dir.as_deref())?;
        let hash = digest::of_text(tasks.source());
        Ok((tasks, hash))
    }
}

pub fn n_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn position(stage: &str) -> Option<usize> {
    ORDER.iter().position(|s| *s == stage)
}

/// Names, sizes and times of the files below a path: what tells that a user's logs have changed,
/// without reading them.
fn fingerprint_path(path: &Path) -> Result<String> {
    ensure!(
        path.exists(),
        "{} does not exist ([data] path)",
        path.display()
    );
    let mut lines = Vec::new();
    let mut todo = vec![path.to_owned()];
    while let Some(path) = todo.pop() {
        let meta = fs_err::metadata(&path)?;
        if meta.is_dir() {
            for entry in fs_err::read_dir(&path)? {
                todo.push(entry?.path());
            }
        } else {
            let modified = crate::atomic::modified_ns(&meta);
            lines.push(format!("{} {} {modified}", path.display(), meta.len()));
        }
    }
    lines.sort();
    Ok(digest::of_text(&lines.join("\n")))
}
