//! Log files → Parquet events, catalogue and profiles, with a report of every row.

use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Result, ensure};
use hkfr_events::IngestReport;
use hkfr_events::adapters::{self, IngestLimits, IngestStep};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Session, fingerprint_path};
use crate::config::DataConfig;
use crate::forget::tombstones;
use crate::stage::{Outcome, Spec, StageContext};

/// What was read, kept, skipped and bad.
const ROWS: &str = "rows.json";

/// What a shard counted: of the whole log, and of its own users.
pub(super) const SHARD_ROWS: &str = "shard-rows.json";

#[derive(Serialize, Deserialize)]
pub(super) struct ShardRows {
    pub log: IngestReport,
    pub own: IngestReport,
}

/// What the stage depends on, and the directory or file that it reads.
pub(super) fn spec(session: &mut Session) -> Result<(Spec, PathBuf)> {
    let data = session.config.data.clone();
    let mut outside = Vec::new();
    let path = match (&data.path, data.adapter.asset()) {
        (Some(path), _) => {
            outside.push(fingerprint_path(path)?);
            path.clone()
        }
        (None, Some(asset)) => {
            outside.push(session.asset_fingerprint(asset)?);
            session.asset_dir(asset)?
        }
        (None, None) => anyhow::bail!("[data] path is required by this adapter"),
    };
    // Paths differ between machines; what they hold is in `outside`.
    let config = DataConfig { path: None, ..data };
    let spec = Spec {
        name: "ingest",
        inputs: &[],
        config: json!({ "data": config }),
        // Adapters that sample have a seed among their options.
        seed: 0,
        outside,
        keep: &[],
    };
    Ok((spec, path))
}

pub(super) fn run(session: &mut Session) -> Result<Outcome> {
    let (spec, path) = spec(session)?;
    let data = &session.config.data;
    let adapter = data.adapter_config(&path)?;
    let (strict, memory) = (data.strict, data.memory_mb as usize * 1_000_000);
    let runner = session.runner.clone();
    runner.stage(&spec, |ctx| {
        let mut report = IngestReport::new(strict);
        let mut progress = ctx.progress("reading the logs", "rows", None);
        let mut sorts = false;
        let shard = runner.shard("ingest");
        let stop = ctx.stop.clone();
        let forgotten = tombstones::forgotten(&session.config)?;
        let limits = IngestLimits {
            memory,
            shard,
            forgotten: forgotten.as_deref(),
            go_on: &mut |step| {
                match step {
                    IngestStep::Read(rows) => progress.set(rows),
                    IngestStep::Wrote(events, of) => {
                        if !std::mem::replace(&mut sorts, true) {
                            progress = ctx.progress("sorting by user", "events", Some(of));
                        }
                        progress.set(events);
                    }
                }
                !stop.requested()
            },
        };
        let ingested = adapters::ingest(&adapter, &ctx.dir, limits, &mut report);
        drop(progress);
        ctx.stop.check()?;
        let ingested = ingested?;
        if shard.is_some() {
            let rows = ShardRows {
                log: report.clone(),
                own: ingested.own.clone(),
            };
            crate::atomic::write_json(&ctx.dir.join(SHARD_ROWS), &rows)?;
        }
        report.absorb(&ingested.own);
        finish(ctx, &report)?;
        ctx.count("users", ingested.users);
        ctx.count("items", ingested.items);
        ctx.count("events", ingested.events);
        ctx.count("kinds of behaviour", ingested.kinds);
        if ingested.forgotten > 0 {
            ctx.count("forgotten users left out", ingested.forgotten);
        }
        if ingested.spilled > 0 {
            ctx.count(
                "MB written out for sorting",
                ingested.spilled.div_ceil(1_000_000),
            );
        }
        ensure!(
            shard.is_some() || ingested.events > 0,
            "the log holds no usable event: {} rows read, {} bad, {} skipped",
            report.rows_read,
            report.n_bad(),
            report.n_skipped()
        );
        session.dataset = ingested.dataset.map(Rc::new);
        Ok(())
    })
}

/// Shows and keeps what became of every row.
pub(super) fn finish(ctx: &mut StageContext, report: &IngestReport) -> Result<()> {
    eprint!("{}", indent(&report.to_string()));
    crate::atomic::write_json(&ctx.dir.join(ROWS), report)?;
    ctx.count("bad rows", report.n_bad());
    Ok(())
}

fn indent(text: &str) -> String {
    text.lines().map(|l| format!("  {l}\n")).collect()
}
