//! Log files → Parquet events, catalogue and profiles, with a report of every row.

use std::rc::Rc;

use anyhow::{Result, ensure};
use hkfr_events::{IngestReport, adapters, store};
use serde_json::json;

use super::{Session, fingerprint_path};
use crate::config::DataConfig;
use crate::forget::tombstones;
use crate::progress::{Progress, Unit};
use crate::stage::{Outcome, Spec};

/// What was read, kept, skipped and bad.
const ROWS: &str = "rows.json";

pub(super) fn run(session: &mut Session) -> Result<Outcome> {
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
    let config = DataConfig {
        path: None,
        ..data.clone()
    };
    let spec = Spec {
        name: "ingest",
        inputs: &[],
        config: json!({ "data": config }),
        // Adapters that sample have a seed among their options.
        seed: 0,
        outside,
        keep: &[],
    };
    let adapter = data.adapter_config(&path)?;
    let runner = session.runner.clone();
    runner.stage(&spec, |ctx| {
        let mut report = IngestReport::new(data.strict);
        let spinner = Progress::new("reading the logs", Unit::Seconds, None);
        let mut dataset = adapters::load(&adapter, &mut report)?;
        drop(spinner);
        let forgotten = tombstones::leave_out(&session.config, &mut dataset, &mut report)?;
        eprint!("{}", indent(&report.to_string()));
        ensure!(
            dataset.n_events() > 0,
            "the log holds no usable event: {} rows read, {} bad, {} skipped",
            report.rows_read,
            report.n_bad(),
            report.n_skipped()
        );
        ctx.stop.check()?;
        store::write(&dataset, &ctx.dir)?;
        crate::atomic::write_json(&ctx.dir.join(ROWS), &report)?;
        ctx.count("users", dataset.n_users());
        ctx.count("items", dataset.n_items());
        ctx.count("events", dataset.n_events());
        ctx.count("kinds of behaviour", dataset.kinds.len());
        ctx.count("bad rows", report.n_bad());
        if forgotten > 0 {
            ctx.count("forgotten users left out", forgotten);
        }
        session.dataset = Some(Rc::new(dataset));
        Ok(())
    })
}

fn indent(text: &str) -> String {
    text.lines().map(|l| format!("  {l}\n")).collect()
}
