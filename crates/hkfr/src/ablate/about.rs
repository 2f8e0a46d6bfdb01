//! `ablate.json`: what each system is, which model it asked, which seeds it had, and on what processor it ran.

use std::path::Path;

use anyhow::Result;
use hkfr_eval::{Metric, MetricAt, Report, SystemCost, TaskReport};
use hkfr_events::{DatasetInfo, store};
use serde::Serialize;

use super::plan::{Kind, Plan};
use crate::config::{Config, RepeatPolicy, SplitConfig};
use crate::stages::n_threads;

/// Of the file.
pub const VERSION: u32 = 1;

#[derive(Serialize)]
pub struct About<'a> {
    version: u32,
    hkfr_version: &'static str,
    name: &'a str,
    pub data: Data,
    split: &'a SplitConfig,
    repeats: RepeatPolicy,
    /// `None`: the system does not tell.
    processor: Option<String>,
    threads: usize,
    #[serde(flatten)]
    plan: &'a Plan,
    /// Of the report HR and NDCG at the deepest cut-off.
    results: Vec<TaskReport>,
    costs: &'a [SystemCost],
}

#[derive(Serialize)]
pub struct Data {
    pub name: String,
    pub licence: String,
}

impl<'a> About<'a> {
    pub fn new(
        config: &'a Config,
        plan: &'a Plan,
        run_dir: &Path,
        report: &'a Report,
    ) -> Result<Self> {
        let DatasetInfo { name, licence, .. } = store::read(&run_dir.join("ingest"))?.info;
        Ok(Self {
            version: VERSION,
            hkfr_version: env!("CARGO_PKG_VERSION"),
            name: &config.name,
            data: Data { name, licence },
            split: &config.split,
            repeats: config.recommend.repeats,
            processor: processor(),
            threads: n_threads(),
            plan,
            results: headline(report),
            costs: &report.costs,
        })
    }

    /// For people.
    pub fn notes(&self) -> Vec<String> {
        let of = |kind: Kind| self.plan.systems.iter().filter(move |s| s.kind == kind);
        let once: Vec<&str> = (self.plan.systems.iter().filter(|s| !s.is_random))
            .map(|s| s.name.as_str())
            .collect();
        let seeds: Vec<String> = self.plan.seeds.iter().map(u64::to_string).collect();
        let mut notes = vec![
            format!(
                "Times of {}, {} thread{}.",
                self.processor
                    .as_deref()
                    .unwrap_or("a processor whose name is not known"),
                self.threads,
                if self.threads > 1 { "s" } else { "" }
            ),
            format!("Seeds: {}.", seeds.join(", ")),
        ];
        if !once.is_empty() {
            notes.push(format!(
                "Nothing of these is drawn, so that they have one seed: {}.",
                once.join(", ")
            ));
        }
        if of(Kind::WithOwn).next().is_some() {
            notes.push(
                "RIVAL+own: HKFR's ranker with that rival as its only source, and the user's own choices as its only further features."
                    .into(),
            );
        }
        notes
    }
}

fn headline(report: &Report) -> Vec<TaskReport> {
    let deepest = report.config.ks.last().copied();
    let kept =
        |at: MetricAt| Some(at.k) == deepest && matches!(at.metric, Metric::Hr | Metric::Ndcg);
    let mut tasks = report.tasks.clone();
    let rows = tasks.iter_mut().flat_map(|t| &mut t.segments);
    for row in rows.flat_map(|s| &mut s.systems) {
        row.metrics.retain(|m| kept(m.at));
        row.versus_reference.retain(|d| kept(d.at));
        row.lists.clear();
    }
    tasks
}

/// Its name, where the system tells.
fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
