//! What the report page shows beside the table: loss curves, lengths of the texts, people.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use hkfr_eval::Run;
use hkfr_eval::html::{Histogram, Sample, Series};
use hkfr_events::{Dataset, Split};
use hkfr_fuse::{FusionMode, KnowledgeRecord, KnowledgeStore};
use hkfr_lm::log::{METRICS, read_metrics};
use serde_json::{Map, Value};

use super::Session;
use super::texts::KNOWLEDGE;
use crate::config::Config;
use hkfr_rec::method::{Input, System};

/// People whose knowledge and recommendations are shown.
const SAMPLES: usize = 4;
/// Places of a list that are shown.
const SHOWN: usize = 10;

/// One curve a loss and input: tokens of the answers, items of the next order; in nats.
pub(super) fn loss_curves(session: &Session) -> Result<Vec<Series>> {
    let mut curves = Vec::new();
    for input in Input::ALL {
        let path = session.dir("tune").join(input.name()).join(METRICS);
        if !path.exists() {
            continue;
        }
        let steps = read_metrics(&path).context("run with --force tune")?;
        let curve = |name: &str, loss: &str| Series {
            name: format!("{name}, {}", input.name()),
            train: steps.iter().filter_map(|s| point(s, loss)).collect(),
            ..Series::default()
        };
        curves.push(curve("answer token", "token_loss"));
        if input.has_item_head() {
            curves.push(curve("next items", "item_loss"));
        }
    }
    Ok(curves)
}

fn point(step: &Map<String, Value>, loss: &str) -> Option<(u64, f64)> {
    Some((step.get("step")?.as_u64()?, step.get(loss)?.as_f64()?))
}

/// All records of the stage `fuse`.
pub(super) fn knowledge(session: &Session) -> Result<Vec<KnowledgeRecord>> {
    let path = session.dir("fuse").join(KNOWLEDGE);
    Ok(KnowledgeStore::open(&path)?.all()?)
}

pub(super) fn length_histograms(records: &[KnowledgeRecord], config: &Config) -> Vec<Histogram> {
    let histogram = |title: &str, values: Vec<usize>, limit: u32| Histogram {
        title: title.into(),
        unit: "tokens".into(),
        values: values.into_iter().map(|v| v as u32).collect(),
        limit: Some(limit),
    };
    let of = |fused: bool| {
        records
            .iter()
            .filter(move |r| (r.mode != FusionMode::None) == fused)
    };
    let limit = config.fusion.knowledge_tokens;
    let mut histograms = vec![
        histogram("knowledge", of(true).map(|r| r.n_tokens).collect(), limit),
        histogram(
            "behaviour text without fusion",
            of(false).map(|r| r.n_tokens).collect(),
            limit,
        ),
    ];
    histograms.retain(|h| !h.values.is_empty());
    histograms
}

/// What a reader must know to judge the numbers.
///
/// # Errors
/// Settings that a system refuses.
pub(super) fn notes(
    dataset: &Dataset,
    records: &[KnowledgeRecord],
    config: &Config,
) -> Result<Vec<String>> {
    let cut: u64 = records
        .iter()
        .map(|r| u64::from(r.cut.events_not_written))
        .sum();
    let mut notes = vec![
        "Every list ranks the whole catalogue. Targets outside it stay in the denominator.".into(),
        "Intervals and p-values are over the cases; seeds of the tuning are not varied.".into(),
        format!(
            "{} texts were written; {cut} events did not fit their budgets and stand in them only as counts, or not at all.",
            records.len()
        ),
        format!(
            "Repeated choices may be recommended: {}.",
            if config.recommend.repeats == crate::config::RepeatPolicy::Allow {
                "yes"
            } else {
                "no"
            }
        ),
        format!(
            "Simulated cold starts are not part of \"all\". Data: {}.",
            dataset.info.licence
        ),
    ];
    notes.extend(who_asked(config));
    let fitted = super::fitted::fitted(config)?;
    for (refit, what) in [
        (
            true,
            "These stop by the last order of each user and then learn again from everything, for as many epochs as were best",
        ),
        (
            false,
            "These stop by the last order of each user and never learn from it",
        ),
    ] {
        let such = fitted.values().flatten();
        let such: BTreeSet<&str> = such
            .filter(|(_, settings)| settings.get("refit") == Some(&refit.into()))
            .map(|(system, _)| *system)
            .collect();
        if !such.is_empty() {
            let such: Vec<&str> = such.into_iter().collect();
            notes.push(format!("{what}: {}.", such.join(", ")));
        }
    }
    Ok(notes)
}

/// Which systems asked a language model, and which rank without the semantic features that they have otherwise.
pub(crate) fn who_asked(config: &Config) -> Vec<String> {
    let (mut asked, mut without) = (Vec::new(), Vec::new());
    for system in config.systems() {
        match config.llm(system) {
            Some(llm) => asked.push(format!("{system} ({})", llm.name())),
            None if System::named(system).is_some_and(|s| s.llm().is_some()) => {
                without.push(system);
            }
            None => {}
        }
    }
    let mut told = vec![if asked.is_empty() {
        "No system asked a language model.".to_owned()
    } else {
        format!("These asked a language model: {}.", asked.join(", "))
    }];
    if !without.is_empty() {
        told.push(format!(
            "These have no semantic features, since no language model was tuned ([tuning] mode = \"none\"): {}.",
            without.join(", ")
        ));
    }
    told
}

/// Some cases with what was known, what was recommended and what came.
pub(super) fn samples(
    dataset: &Dataset,
    split: &Split,
    records: &[KnowledgeRecord],
    runs: &[Run],
) -> Vec<Sample> {
    let mut samples = Vec::new();
    for case in split.cases.iter().take(SAMPLES) {
        let instance = &case.instance;
        let id = &dataset.users[instance.user as usize].id;
        let may_be_told = records.iter().filter(|r| {
            r.mode != FusionMode::None
                && r.user == *id
                && r.as_of <= instance.as_of.seconds()
                && r.keep_last == instance.keep_last
        });
        let record = may_be_told.max_by_key(|r| r.as_of);
        let mut blocks = Vec::new();
        blocks.extend(record.map(|r| ("knowledge".to_owned(), r.text.clone())));
        for run in runs.iter().filter(|r| r.system == "hkfr") {
            if let Some(list) = run.lists.iter().find(|l| l.case == case.case_id) {
                let names: Vec<String> = list
                    .items
                    .iter()
                    .take(SHOWN)
                    .map(|i| display_name(dataset, &run.task, i))
                    .collect();
                blocks.push((format!("recommended, {}", run.task), names.join(" · ")));
            }
        }
        let titles: Vec<_> = instance.targets.iter().map(|&i| dataset.title(i)).collect();
        blocks.push(("what came next".into(), titles.join(" · ")));
        samples.push(Sample {
            title: format!("{} {}", dataset.info.user_noun, case.case_id),
            blocks,
        });
    }
    samples
}

/// The title of an item id; a category is its own name.
fn display_name(dataset: &Dataset, task: &str, id: &str) -> String {
    let item = (task == "item")
        .then(|| dataset.items.iter().position(|i| i.id == id))
        .flatten();
    item.map_or_else(|| id.to_owned(), |i| dataset.title(i as u32).into_owned())
}
