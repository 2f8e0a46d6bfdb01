//! Runs and truth → `report.json`, the table, and `report.html`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use hkfr_eval::html::{ReportPage, StageRow};
use hkfr_eval::{EvalConfig, Repeats, Truth, TruthCase, evaluate, html, segments, table};
use hkfr_events::{Case, Dataset, Segment, Split};
use hkfr_rec::baselines::{Entities, RepeatPolicy};
use serde_json::json;

use super::{ORDER, Session, cut_offs, page, read_runs};
use crate::compare::cost;
use crate::config::Config;
use crate::stage::{Manifest, Outcome, Runner, Spec};

pub const REPORT: &str = "report.html";
const TABLE: &str = "table.txt";

pub(super) fn run(session: &mut Session) -> Result<Outcome> {
    let spec = Spec {
        name: "evaluate",
        inputs: &["ingest", "split", "fuse", "tune", "recommend"],
        config: json!({ "evaluate": session.config.evaluate }),
        seed: session.config.seed,
        outside: Vec::new(),
        keep: &[],
    };
    let runner = session.runner.clone();
    runner.stage(&spec, |ctx| {
        let dataset = session.dataset()?;
        let split = session.split()?;
        let records = page::knowledge(session)?;
        cut_offs::check(&session.config, &dataset, &split, &records)?;
        let mut truths = truths(&dataset, &split, session.config.recommend.repeats);
        truths.retain(|t| session.config.recommend.tasks.contains(&t.task));
        for truth in &truths {
            truth.write(&ctx.dir.join(format!("truth.{}.jsonl", truth.task)))?;
        }
        let config = &session.config;
        let mut runs = read_runs(&session.dir("recommend"))?;
        runs.sort_by_key(|run| config.systems().position(|s| s == run.system));
        let eval = eval_config(config);
        let mut report = evaluate(&truths, &runs, &eval)?;
        report.costs = cost::read(&session.dir("recommend"), &runs)?;
        report.write(&ctx.dir.join("report.json"))?;
        crate::atomic::write(&ctx.dir.join(TABLE), table::text(&report).as_bytes())?;
        ctx.count("runs", runs.len());
        ctx.count("cases", split.cases.len());
        let page = ReportPage {
            title: format!("hkfr: {}", config.name),
            subtitle: dataset.info.licence.clone(),
            facts: facts(&dataset, &split),
            config: config_facts(config),
            report,
            stages: stage_rows(&runner)?,
            loss_curves: page::loss_curves(session)?,
            length_histograms: page::length_histograms(&records, &session.config),
            notes: page::notes(&dataset, &records, &session.config)?,
            samples: page::samples(&dataset, &split, &records, &runs),
        };
        html::write(&page, &ctx.dir.join(REPORT))?;
        Ok(())
    })
}

/// How a run is judged.
pub(crate) fn eval_config(config: &Config) -> EvalConfig {
    EvalConfig {
        ks: config.evaluate.ks.iter().map(|&k| k as usize).collect(),
        resamples: config.evaluate.resamples as usize,
        draws: config.evaluate.draws as usize,
        seed: config.seed,
        reference: config
            .systems()
            .find(|s| *s == config.evaluate.reference)
            .map(str::to_owned),
        segment_order: segment_order(),
        repeats: match config.recommend.repeats {
            RepeatPolicy::Allow => Repeats::Allow,
            RepeatPolicy::Exclude => Repeats::Exclude,
        },
        ..EvalConfig::default()
    }
}

/// Prints the table and where the report lies.
pub(super) fn show(session: &Session) -> Result<()> {
    let dir = session.dir("evaluate");
    print!("{}", fs_err::read_to_string(dir.join(TABLE))?);
    println!("\nreport: {}", dir.join(REPORT).display());
    Ok(())
}

/// Segments that come first in tables, and short histories before long ones.
pub fn segment_order() -> Vec<String> {
    let of_history = [0].into_iter().chain(HISTORY_BOUNDS);
    let of_history = of_history.map(|n| segments::history(n, &HISTORY_BOUNDS));
    let first = ["cold-start", "warm"].map(str::to_owned);
    first.into_iter().chain(of_history).collect()
}

/// The name of a segment in runs, tables and reports.
pub(super) fn segment_name(segment: Segment) -> String {
    match segment {
        Segment::ColdStart => "cold-start".into(),
        Segment::Warm => "warm".into(),
        Segment::SimulatedColdStart(n) => format!("cut to {n}"),
    }
}

/// Events of the history at which a segment begins.
const HISTORY_BOUNDS: [usize; 2] = [20, 100];

/// The answers of the item task and of the category task. A case without a target in the task
/// (items that have no category) is not asked in it.
pub(crate) fn truths(dataset: &Dataset, split: &Split, repeats: RepeatPolicy) -> Vec<Truth> {
    // A scenario that all cases share says nothing.
    let scenarios: BTreeSet<&str> = split
        .cases
        .iter()
        .map(|c| c.instance.target_scenario.as_str())
        .collect();
    let labels = |c: &Case| {
        let n_events = c.instance.history(dataset).events().len();
        let mut labels = vec![segments::history(n_events, &HISTORY_BOUNDS)];
        if scenarios.len() > 1 && !c.instance.target_scenario.is_empty() {
            labels.push(segments::scenario(&c.instance.target_scenario));
        }
        labels
    };
    let truth = |task: &str, entities: Entities, repeats: RepeatPolicy| {
        let id = |e: u32| entities.id(e).to_owned();
        let case = |c: &Case| {
            let names = c.instance.targets.iter();
            let names: BTreeSet<&str> = names.filter_map(|&i| entities.name(dataset, i)).collect();
            let history = c.instance.history(dataset);
            let consumed = repeats.excluded(dataset, &entities, &history);
            TruthCase {
                case: c.case_id.clone(),
                targets: names.into_iter().map(str::to_owned).collect(),
                segment: segment_name(c.segment),
                labels: labels(c),
                consumed: consumed.unwrap_or_default().into_iter().map(id).collect(),
                gains: Vec::new(),
                in_overall: !matches!(c.segment, Segment::SimulatedColdStart(_)),
            }
        };
        let cases = split.cases.iter().map(case);
        Truth {
            task: task.into(),
            popularity: popularity(dataset, split, &entities),
            cases: cases.filter(|c| !c.targets.is_empty()).collect(),
            catalogue: (0..entities.n() as u32).map(id).collect(),
        }
    };
    let categories = Entities::categories(dataset, &split.catalogue);
    let items = Entities::items(dataset, &split.catalogue);
    // A category is never used up.
    let mut truths = vec![
        truth("category", categories, RepeatPolicy::Allow),
        truth("item", items, repeats),
    ];
    truths.iter_mut().for_each(segments::label_targets);
    truths
}

/// In how many orders each is in the training histories.
fn popularity(dataset: &Dataset, split: &Split, entities: &Entities) -> BTreeMap<String, u64> {
    let mut counts = vec![0u64; entities.n()];
    for user in 0..dataset.n_users() as u32 {
        if let Some(history) = split.training_history(dataset, user) {
            let choices = entities.choices(dataset, &history);
            choices.iter().for_each(|c| counts[c.entity as usize] += 1);
        }
    }
    let named = |(i, n): (usize, u64)| (entities.id(i as u32).to_owned(), n);
    counts.into_iter().enumerate().map(named).collect()
}

fn facts(dataset: &Dataset, split: &Split) -> Vec<(String, String)> {
    [
        ("data set", dataset.info.name.clone()),
        ("users", dataset.n_users().to_string()),
        ("items", dataset.n_items().to_string()),
        ("events", dataset.n_events().to_string()),
        ("kinds of behaviour", dataset.kinds.len().to_string()),
        ("catalogue", split.catalogue.items.len().to_string()),
        ("categories", split.catalogue.categories.len().to_string()),
        ("cases", split.cases.len().to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Every key of the config, as `section.key`.
fn config_facts(config: &Config) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    let shown = |value: toml::Value| match value {
        // The config holds f32: its shortest form is what the user wrote.
        toml::Value::Float(x) => (x as f32).to_string(),
        value => value.to_string(),
    };
    let Ok(toml::Value::Table(top)) = toml::Value::try_from(config) else {
        return facts;
    };
    for (key, value) in top {
        match value {
            toml::Value::Table(section) => facts.extend(
                section
                    .into_iter()
                    .map(|(k, v)| (format!("{key}.{k}"), shown(v))),
            ),
            value => facts.push((key, shown(value))),
        }
    }
    facts
}

/// What each finished stage took.
fn stage_rows(runner: &Runner) -> Result<Vec<StageRow>> {
    let mut rows = Vec::new();
    for stage in &ORDER[1..] {
        let manifest = Manifest::read(&runner.dir(stage)).context("a manifest of this run")?;
        rows.extend(manifest.map(|m| {
            StageRow {
                name: m.stage,
                wall_seconds: m.wall_seconds,
                peak_mb: m.peak_memory_mb,
                counts: m
                    .counts
                    .into_iter()
                    .filter_map(|(name, n)| Some((name, n.as_u64()?)))
                    .collect(),
            }
        }));
    }
    Ok(rows)
}
