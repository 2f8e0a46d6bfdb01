//! `hkfr merge`: the directories of all shards of a stage → the directory of the stage, as one machine would have
//! made it. The stages after it go on from there.
//!
//! Machines know of their own run alone: a user who was forgotten in this one may be in any shard, and is left out
//! here, as ingest does. Of paid answers those come in that are about users of this run, under its key: what
//! `hkfr forget` would not find is not taken.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use hkfr_events::IngestReport;
use hkfr_events::store::{self, Shard, Store};
use hkfr_fuse::{Answers, FusionMode, KnowledgeStore, PseudonymKey};
use serde::Deserialize;

use super::ingest::{SHARD_ROWS, ShardRows};
use super::prompts::{ORIGIN, Origin, PartFile, part_name};
use super::service::{ANSWERS, close_answers, open_answers};
use super::texts::KNOWLEDGE;
use super::{Session, fuse, ingest, prompts};
use crate::args::{MergeArgs, MergeStage};
use crate::forget::tombstones::{IsForgotten, TOMBSTONES, forgotten};
use crate::key::{self, KEY};
use crate::stage::{MANIFEST, Manifest, Outcome, Spec, StageContext};

/// Why events are skipped, in the words of ingest.
const FORGOTTEN: &str = "events of users who were forgotten";

/// Users of the shards who were forgotten in this run.
struct LeftOut {
    /// Absent: nobody was.
    is_forgotten: Option<IsForgotten>,
    users: RefCell<BTreeSet<String>>,
}

impl LeftOut {
    fn has(&self, user: &str) -> bool {
        let has = self.is_forgotten.as_ref().is_some_and(|f| f(user));
        if has && !self.users.borrow().contains(user) {
            self.users.borrow_mut().insert(user.to_owned());
        }
        has
    }
}

/// Merges what the shards made, if that is not up to date.
pub fn merge(session: &mut Session, args: &MergeArgs) -> Result<Outcome> {
    let spec = match args.stage {
        MergeStage::Ingest => ingest::spec(session)?.0,
        MergeStage::Fuse => fuse::spec(session)?,
        MergeStage::Prompts => prompts::spec(session, &args.prompts)?,
    };
    let run_dir = [session.config.run_dir()];
    let from: &[PathBuf] = if args.from.is_empty() {
        &run_dir
    } else {
        &args.from
    };
    let found = shards(&spec, from)?;
    let all: Vec<Shard> = found.iter().map(|f| f.0).collect();
    Shard::complete(&all).with_context(|| {
        let places: Vec<_> = from.iter().map(|d| d.display().to_string()).collect();
        format!("{} in {}", spec.name, places.join(", "))
    })?;
    let runner = session.runner.clone();
    for (shard, dir) in &found {
        let manifest = Manifest::read(dir)?.expect("looked for");
        // What it was made from: of `ingest` the logs, whose times differ between machines; of the others it is told below.
        let same = match args.stage {
            MergeStage::Fuse => {
                let sharded = runner.clone().of_shard(*shard, &["fuse"]);
                manifest.input_hash == sharded.input_hash(&spec)?
            }
            _ => manifest.config == spec.config,
        };
        ensure!(
            same,
            "{}: made by another config or from other data than those of this run; make shard {shard} again",
            dir.display()
        );
        ensure!(
            manifest.files_are_there(dir),
            "{}: its files are not those of its manifest; copy it again",
            dir.display()
        );
    }
    let dirs: Vec<PathBuf> = found.into_iter().map(|f| f.1).collect();
    let ingested = runner.dir("ingest");
    let left_out = LeftOut {
        is_forgotten: forgotten(&session.config)?,
        users: RefCell::default(),
    };
    let key = key::find(&session.config)?;
    runner.stage(&spec, |ctx| {
        ctx.count("shards", dirs.len());
        match args.stage {
            MergeStage::Ingest => merge_ingest(ctx, &dirs, &left_out)?,
            MergeStage::Fuse => merge_fuse(ctx, &dirs, &ingested, key.as_ref(), &left_out)?,
            MergeStage::Prompts => merge_prompts(ctx, &dirs, &ingested, &left_out)?,
        }
        let n = left_out.users.borrow().len();
        if n > 0 {
            ctx.count("forgotten users left out", n);
        }
        Ok(())
    })
}

/// The finished directories of the stage's shards: those given, or those in what is given.
fn shards(spec: &Spec, from: &[PathBuf]) -> Result<Vec<(Shard, PathBuf)>> {
    let prefix = format!("{}-shard-", spec.name);
    let shard = |dir: &Path| {
        let name = dir.file_name()?.to_str()?;
        let (k, of) = name.strip_prefix(&prefix)?.split_once("-of-")?;
        Shard::new(k.parse().ok()?, of.parse().ok()?).ok()
    };
    let mut found = Vec::new();
    for dir in from {
        let mut dirs = vec![dir.clone()];
        if shard(dir).is_none() {
            let entries = fs_err::read_dir(dir)?.map(|e| Ok(e?.path()));
            dirs = entries.collect::<Result<_>>()?;
        }
        for dir in dirs {
            let Some(shard) = shard(&dir).filter(|_| dir.is_dir()) else {
                continue;
            };
            ensure!(
                dir.join(MANIFEST).exists(),
                "{} is not finished: run shard {shard} again",
                dir.display()
            );
            found.push((shard, dir));
        }
    }
    found.sort();
    Ok(found)
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T> {
    let bytes = fs_err::read(path)?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))
}

fn merge_ingest(ctx: &mut StageContext, dirs: &[PathBuf], left_out: &LeftOut) -> Result<()> {
    let mut log: Option<IngestReport> = None;
    let mut own = IngestReport::default();
    for dir in dirs {
        let rows: ShardRows = read_json(&dir.join(SHARD_ROWS))?;
        own.absorb(&rows.own);
        let log = log.get_or_insert_with(|| rows.log.clone());
        ensure!(
            counts(log) == counts(&rows.log),
            "{} read another log than {} ({} rows, not {}): make the shards from the same files",
            dir.display(),
            dirs[0].display(),
            rows.log.rows_read,
            log.rows_read
        );
    }
    let stop = ctx.stop.clone();
    let progress = ctx.progress("merging", "events", None);
    let is_forgotten = |user: &str| left_out.has(user);
    let merged = store::Merged::without(dirs, &ctx.dir, &is_forgotten, &mut |events| {
        progress.set(events as u64);
        !stop.requested()
    });
    drop(progress);
    ctx.stop.check()?;
    let merged = merged?;
    let mut report = log.context("no shards")?;
    report.absorb(&own);
    if merged.forgotten > 0 {
        let n = merged.forgotten as u64;
        report.rows_kept -= n;
        *report.skipped.entry(FORGOTTEN.into()).or_default() += n;
    }
    for user in left_out.users.borrow().iter() {
        report.first_bad.retain(|row| !row.reason.contains(user));
    }
    ingest::finish(ctx, &report)?;
    ctx.count("users", merged.users);
    ctx.count("items", merged.items);
    ctx.count("events", merged.events);
    ctx.count("kinds of behaviour", merged.kinds);
    Ok(())
}

/// All but the names of files, which differ between machines.
fn counts(report: &IngestReport) -> IngestReport {
    let mut counts = report.clone();
    counts.first_bad.clear();
    counts
}

fn merge_fuse(
    ctx: &mut StageContext,
    dirs: &[PathBuf],
    ingested: &Path,
    key: Option<&PseudonymKey>,
    left_out: &LeftOut,
) -> Result<()> {
    let mut users = store::users_with_prefix(ingested, "")?;
    users.retain(|user| !left_out.has(user));
    let subjects = users.iter().filter_map(|user| Some(key?.user(user)));
    let subjects: BTreeSet<String> = subjects.collect();
    // Before anything is taken from any of them.
    for dir in dirs {
        ctx.stop.check()?;
        same_key(dir, &subjects)?;
    }
    let mut store = KnowledgeStore::open(&ctx.dir.join(KNOWLEDGE))?;
    let mut n = 0;
    for dir in dirs {
        ctx.stop.check()?;
        let mut records = KnowledgeStore::open(&dir.join(KNOWLEDGE))?.all()?;
        records.retain(|record| !left_out.has(&record.user));
        store.put(&records)?;
        let paid = dir.join(ANSWERS);
        if paid.exists() {
            // Of whom nobody noted it, it may be a user who was forgotten.
            let unknown = left_out.is_forgotten.is_none();
            n += open_answers(&ctx.dir)?.absorb(&paid, &subjects, unknown)?;
            close_answers(&ctx.dir)?;
        }
    }
    if n > 0 {
        ctx.count("answers left out, about nobody of this run", n);
    }
    fuse::finish(ctx, &store)
}

/// Whether the answers of a shard are about users of this run, by the pseudonyms that these have under its key.
fn same_key(dir: &Path, subjects: &BTreeSet<String>) -> Result<()> {
    let path = dir.join(ANSWERS);
    let Some(answers) = Answers::open_read_only(&path)? else {
        return Ok(());
    };
    let about = answers.subjects()?;
    if about.is_empty() || !about.is_disjoint(subjects) {
        return Ok(());
    }
    // Those who were asked about may all have left the log; who is in the shard's knowledge has not.
    let records = KnowledgeStore::open(&dir.join(KNOWLEDGE))?.all()?;
    ensure!(
        !records.iter().any(|r| r.mode == FusionMode::Service),
        "{}: its answers were stored under another pseudonym key than that of this run, so that `hkfr forget` would not find them. If all shards have one key, put it here ({KEY} in the run's directory, or [fusion] pseudonym_key_env) while this run has no answers of its own; else copy one {KEY} to every machine and make the shards again",
        path.display()
    );
    Ok(())
}

fn merge_prompts(
    ctx: &mut StageContext,
    dirs: &[PathBuf],
    ingested: &Path,
    left_out: &LeftOut,
) -> Result<()> {
    let store = Store::open(ingested)?;
    let origins = dirs.iter().map(|dir| read_json(&dir.join(ORIGIN)));
    let mut origins: Vec<Origin> = origins.collect::<Result<_>>()?;
    origins.iter_mut().for_each(|o| o.shard = None);
    for (dir, origin) in dirs.iter().zip(&origins) {
        ensure!(
            origin.log == store.log_id(),
            "{}: made from another log than {}, or before a user was forgotten whose places went, too; make the shards from this log, with this run's {KEY} and {TOMBSTONES} beside them",
            dir.display(),
            ingested.display()
        );
        ensure!(
            *origin == origins[0],
            "{}: written as of another time or by other templates than {}",
            dir.display(),
            dirs[0].display()
        );
    }
    let mut n = 0;
    for p in 0..store.partitions() {
        n += merge_part(ctx, p, dirs, left_out)?;
    }
    crate::atomic::write_json(&ctx.dir.join(ORIGIN), &origins[0])?;
    ctx.count("prompts", n);
    ctx.count("users", store.n_users());
    Ok(())
}

/// Lines by user, each as it is.
fn merge_part(ctx: &StageContext, p: usize, dirs: &[PathBuf], left_out: &LeftOut) -> Result<usize> {
    let mut readers = Vec::new();
    for dir in dirs {
        let path = dir.join(part_name(p));
        let lines = BufReader::with_capacity(1 << 16, fs_err::File::open(&path)?);
        readers.push((path, lines));
    }
    let mut heads = Vec::new();
    for (path, lines) in &mut readers {
        heads.push(next_line(path, lines)?);
    }
    let mut out = PartFile::create(&ctx.dir.join(part_name(p)))?;
    let mut n = 0;
    loop {
        let there = heads.iter().enumerate();
        let there = there.filter_map(|(i, h)| Some((&h.as_ref()?.0, i)));
        let Some((_, i)) = there.min() else { break };
        let (path, lines) = &mut readers[i];
        let (user, line) =
            std::mem::replace(&mut heads[i], next_line(path, lines)?).expect("a head");
        if heads[i].as_ref().is_some_and(|h| h.0 <= user) {
            bail!(
                "{}: user {user} is out of order; make it again",
                path.display()
            );
        }
        if !left_out.has(&user) {
            out.raw(&line)?;
            n += 1;
        }
        ctx.stop.check()?;
    }
    out.finish()?;
    Ok(n)
}

#[derive(Deserialize)]
struct UserOnly {
    user: String,
}

/// A user and the whole line.
fn next_line(path: &Path, lines: &mut impl BufRead) -> Result<Option<(String, Vec<u8>)>> {
    let mut line = Vec::new();
    if lines.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    let user: UserOnly = serde_json::from_slice(&line)
        .with_context(|| format!("{}: a line is damaged", path.display()))?;
    Ok(Some((user.user, line)))
}
