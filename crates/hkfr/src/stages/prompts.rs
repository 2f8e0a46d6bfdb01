//! Events → `prompts/part-NNN.jsonl`: the fusion prompt of every user, read user by user from the store, so that
//! memory does not grow with the log. What a fleet of models or a batch service is fed with.
//!
//! A thread takes a partition at a time; a part that is whole stays when the stage is resumed.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, anyhow};
use hkfr_events::AsOf;
use hkfr_events::store::{Shard, Store};
use hkfr_fuse::Wording;
use hkfr_lm::Tokenizer;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::histories::{facts_config, fusion};
use super::{Session, n_threads, open_tokenizer};
use crate::args::PromptsOptions;
use crate::config::Config;
use crate::progress::Progress;
use crate::stage::{Outcome, Spec};
use crate::stop::Stop;

/// What the prompts were made from, for their merging.
pub(super) const ORIGIN: &str = "origin.json";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Origin {
    /// Absent: all users.
    pub shard: Option<Shard>,
    pub log: String,
    pub as_of: AsOf,
    pub templates: String,
}

/// A line.
#[derive(Serialize)]
struct Line<'a> {
    user: &'a str,
    as_of: AsOf,
    /// Events before `as_of`, and those of them that the prompt does not write out.
    n_events: usize,
    events_not_written: u32,
    n_tokens: usize,
    prompt: &'a str,
}

pub(super) fn part_name(p: usize) -> String {
    format!("part-{p:03}.jsonl")
}

pub(super) fn spec(session: &Session, args: &PromptsOptions) -> Result<Spec> {
    let mut outside = vec![session.templates()?.hash().to_owned()];
    if !args.count_bytes {
        outside.push(session.llm_fingerprint()?);
    }
    Ok(Spec {
        name: "prompts",
        inputs: &["ingest"],
        config: json!({
            "fusion": session.config.fusion.decisive(),
            "as_of": args.as_of,
            "count_bytes": args.count_bytes,
        }),
        seed: 0,
        outside,
        keep: &[],
    })
}

/// Writes the prompts, if they are not up to date.
pub fn prompts(session: &mut Session, args: &PromptsOptions) -> Result<Outcome> {
    let spec = spec(session, args)?;
    let tokenizer = match args.count_bytes {
        true => None,
        false => Some(open_tokenizer(&session.llm_path()?)?),
    };
    let templates = session.templates()?;
    let runner = session.runner.clone();
    runner.stage(&spec, |ctx| {
        let store = Store::open(&runner.dir("ingest"))?;
        let as_of = args.as_of.map(AsOf::new).or(store.end());
        let as_of = as_of.context("no event tells when the log ends: give --as-of")?;
        let wording = Wording::new(store.catalogue(), &templates);
        let progress = ctx.progress("writing prompts", "users", Some(store.n_users() as u64));
        let worker = Worker {
            store: &store,
            wording: &wording,
            config: &session.config,
            tokenizer: tokenizer.as_ref(),
            as_of,
            progress: &progress,
            stop: &ctx.stop,
        };
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..n_threads().min(store.partitions()))
                .map(|_| {
                    scope.spawn(|| -> Result<()> {
                        loop {
                            let p = next.fetch_add(1, Ordering::Relaxed);
                            if p >= store.partitions() {
                                return Ok(());
                            }
                            let n = worker.part(p, &ctx.dir.join(part_name(p)))?;
                            done.fetch_add(n, Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            let mut joined = threads.into_iter().map(|t| t.join());
            joined.try_for_each(|r| r.expect("no panic"))
        })?;
        drop(progress);
        let origin = Origin {
            shard: store.shard(),
            log: store.log_id(),
            as_of,
            templates: templates.hash().to_owned(),
        };
        crate::atomic::write_json(&ctx.dir.join(ORIGIN), &origin)?;
        ctx.count("prompts", done.into_inner());
        ctx.count("users", store.n_users());
        Ok(())
    })
}

struct Worker<'a> {
    store: &'a Store,
    wording: &'a Wording<'a>,
    config: &'a Config,
    /// Absent: four bytes are a token.
    tokenizer: Option<&'a Tokenizer>,
    as_of: AsOf,
    progress: &'a Progress,
    stop: &'a Stop,
}

impl Worker<'_> {
    /// Writes a part, unless it is there; the number of its prompts.
    fn part(&self, p: usize, path: &Path) -> Result<usize> {
        if path.exists() {
            return count_lines(path);
        }
        let facts = facts_config(self.config);
        let count = |text: &str| match self.tokenizer {
            Some(tokenizer) => tokenizer.count(text),
            None => text.len().div_ceil(4),
        };
        let fusion = fusion(self.config, self.wording, &facts, &count);
        let mut out = PartFile::create(path)?;
        let mut n = 0;
        let mut users = self.store.users(p)?;
        while let Some(user) = users.next_user()? {
            self.stop.check()?;
            self.progress.inc(1);
            let history = user.history(self.as_of);
            // Nothing is known, and nothing need be asked.
            if history.is_empty() {
                continue;
            }
            let prompt = fusion.prompt(&history);
            let (_, behaviour, prompt) =
                prompt.with_context(|| format!("user {}", user.profile().id))?;
            out.line(&Line {
                user: &user.profile().id,
                as_of: self.as_of,
                n_events: history.events().len(),
                events_not_written: behaviour.cut.events_not_written,
                n_tokens: behaviour.n_tokens,
                prompt: &prompt,
            })?;
            n += 1;
        }
        out.finish()?;
        Ok(n)
    }
}

fn count_lines(path: &Path) -> Result<usize> {
    let mut lines = BufReader::new(fs_err::File::open(path)?);
    let (mut n, mut line) = (0, Vec::new());
    while lines.read_until(b'\n', &mut line)? > 0 {
        n += 1;
        line.clear();
    }
    Ok(n)
}

/// A part under a temporary name, which takes its own when it is whole.
pub(super) struct PartFile {
    path: PathBuf,
    temporary: PathBuf,
    out: BufWriter<fs_err::File>,
}

impl PartFile {
    pub fn create(path: &Path) -> Result<Self> {
        let temporary = path.with_extension("jsonl.tmp");
        let file = fs_err::File::create(&temporary)?;
        Ok(Self {
            path: path.to_owned(),
            temporary,
            out: BufWriter::with_capacity(1 << 18, file),
        })
    }

    fn line(&mut self, line: &Line) -> Result<()> {
        serde_json::to_writer(&mut self.out, line)?;
        Ok(self.out.write_all(b"\n")?)
    }

    /// A line as it is, with its end.
    pub fn raw(&mut self, line: &[u8]) -> Result<()> {
        Ok(self.out.write_all(line)?)
    }

    pub fn finish(self) -> Result<()> {
        let file = self.out.into_inner().map_err(|e| anyhow!(e.into_error()))?;
        file.sync_all()?;
        Ok(fs_err::rename(&self.temporary, &self.path)?)
    }
}
