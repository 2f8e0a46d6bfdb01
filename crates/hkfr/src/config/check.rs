//! What a config may not say although its types are right: each finding names section and key, so
//! that the loader can add the line.

use std::path::Path;

use hkfr_rec::method::{System, WITH_OWN, rival_with_own};
use hkfr_rec::systems::recipe;
use hkfr_rec::tasks::TASKS as INSTRUCTION_TASKS;

use super::outcome::{SYSTEMS, SystemsConfig, TASKS};
use super::{Config, FusionConfig};

/// A value that cannot be meant: where it stands and what to do.
#[derive(Debug, PartialEq)]
pub(super) struct Finding {
    /// Empty for the top level.
    pub section: String,
    pub key: String,
    pub reason: String,
}

fn bad(section: &str, key: &str, reason: &str) -> Result<(), Finding> {
    Err(Finding {
        section: section.to_owned(),
        key: key.to_owned(),
        reason: reason.to_owned(),
    })
}

/// A list of `[recommend]`: not empty, each name once and without a fault.
fn among(
    key: &str,
    noun: &str,
    names: &[String],
    fault: impl Fn(&str) -> Option<String>,
) -> Result<(), Finding> {
    let bad = |reason: String| bad("recommend", key, &reason);
    if names.is_empty() {
        return bad(format!("names no {noun}: nothing would be ranked"));
    }
    for (i, name) in names.iter().enumerate() {
        if let Some(fault) = fault(name) {
            return bad(fault);
        }
        if names[..i].contains(name) {
            return bad(format!("names \"{name}\" twice"));
        }
    }
    Ok(())
}

/// Why a name is none of a system; `None`: it is one.
fn fault_of_system(name: &str) -> Option<String> {
    let known = || SYSTEMS.into_iter().chain(System::ALL.map(|s| s.0));
    if known().any(|k| k == name) || rival_with_own(name).is_some() {
        return None;
    }
    let unknown = format!("unknown system \"{name}\"");
    let Some((rival, _)) = name.split_once('+') else {
        return Some(unknown + &super::hint::nearest(name, known()));
    };
    let with_own = format!("{rival}{WITH_OWN}");
    if rival_with_own(&with_own).is_some() {
        return Some(format!("{unknown}; did you mean \"{with_own}\"?"));
    }
    Some(if known().any(|k| k == rival) {
        format!(
            "{unknown}: own choices are added to rankers that are neither HKFR nor a language model; write \"{rival}\""
        )
    } else {
        unknown + &super::hint::nearest(rival, SYSTEMS.into_iter())
    })
}

/// The settings of systems; `prefix` stands before the names of their sections.
pub(super) fn systems(c: &SystemsConfig, prefix: &str) -> Result<(), Finding> {
    for (task, systems) in c.tasks() {
        for (system, settings) in systems {
            let section = format!("{prefix}{task}.{system}");
            if let Some(rival) = rival_with_own(system) {
                let reason = format!(
                    "its settings are those of {rival} and of hkfr: set [{prefix}{task}.{rival}] and [{prefix}{task}.hkfr]"
                );
                return bad(&format!("{prefix}{task}.\"{system}\""), "", &reason);
            }
            if !SYSTEMS.contains(&system.as_str()) {
                let hint = super::hint::nearest(system, SYSTEMS.iter().copied());
                return bad(
                    &section,
                    "",
                    &format!("no system of this name has settings{hint}"),
                );
            }
            if let Err(e) = recipe(system, settings, 0) {
                let (mut key, reason) = super::hint::option_error(&e.to_string(), system);
                if key.is_empty() {
                    let about = settings.keys().find(|k| reason.starts_with(k.as_str()));
                    key = about.cloned().unwrap_or_default();
                }
                return bad(&section, &key, &reason);
            }
        }
    }
    Ok(())
}

/// What a service is asked by, and what it may cost.
fn service(f: &FusionConfig) -> Result<(), Finding> {
    let bad = |key: &str, reason: &str| bad("fusion", key, reason);
    if f.service_models().any(str::is_empty) {
        return bad("model", "names no model");
    }
    for (key, value) in [
        ("tokens_per_minute", f.tokens_per_minute),
        ("max_tokens_total", f.max_tokens_total),
    ] {
        if value == Some(0) {
            return bad(key, "must be at least 1");
        }
    }
    for fallback in &f.fallbacks {
        if fallback.requests_per_minute == Some(0) || fallback.tokens_per_minute == Some(0) {
            return bad("fallbacks", "limits must be at least 1");
        }
    }
    for (model, price) in &f.prices {
        if ![price.input, price.output]
            .iter()
            .all(|p| p.is_finite() && *p >= 0.0)
        {
            let reason = format!("the price of \"{model}\" must be finite and not below 0");
            return bad("prices", &reason);
        }
    }
    let Some(cap) = f.max_cost else { return Ok(()) };
    if !(cap.is_finite() && cap > 0.0) {
        return bad("max_cost", "must be a finite number above 0");
    }
    match f.service_models().find(|m| !f.prices.contains_key(*m)) {
        Some(model) => {
            let hint = super::hint::nearest(model, f.prices.keys().map(String::as_str));
            let reason = format!("cannot be held: prices has none of model \"{model}\"{hint}");
            bad("max_cost", &reason)
        }
        None => Ok(()),
    }
}

pub(super) fn check(c: &Config) -> Result<(), Finding> {
    let is_name = |s: &str| {
        !s.is_empty()
            && !s.starts_with('.')
            && s.chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    if !is_name(&c.name) {
        return bad(
            "",
            "name",
            "is a directory's name: letters, digits, '-', '_' and '.' only",
        );
    }
    if c.data.path.is_none() && c.data.adapter.asset().is_none() {
        return bad(
            "data",
            "path",
            "is required by this adapter: the directory or file to read",
        );
    }
    let adapter = format!("adapter \"{}\"", c.data.adapter.name());
    if let Err(e) = c.data.adapter_config(Path::new("")) {
        let (key, reason) = super::hint::option_error(e.message(), &adapter);
        return bad("data.options", &key, &reason);
    }
    for (section, key, value) in [
        ("data", "memory_mb", Some(c.data.memory_mb)),
        ("split", "horizon_days", Some(c.split.horizon_days)),
        ("fusion", "budget_tokens", Some(c.fusion.budget_tokens)),
        ("fusion", "max_events", Some(c.fusion.max_events)),
        ("fusion", "cohort_min", Some(c.fusion.cohort_min)),
        ("fusion", "concurrency", Some(c.fusion.concurrency)),
        ("fusion", "max_claims", Some(c.fusion.max_claims)),
        ("fusion", "repeats", Some(c.fusion.repeats)),
        ("fusion", "report_users", Some(c.fusion.report_users)),
        ("fusion", "timeout_seconds", Some(c.fusion.timeout_seconds)),
        (
            "fusion",
            "deadline_seconds",
            Some(c.fusion.deadline_seconds),
        ),
        (
            "fusion",
            "breaker_failures",
            Some(c.fusion.breaker_failures),
        ),
        ("fusion", "breaker_seconds", Some(c.fusion.breaker_seconds)),
        (
            "fusion",
            "requests_per_minute",
            c.fusion.requests_per_minute,
        ),
        (
            "fusion",
            "knowledge_tokens",
            Some(c.fusion.knowledge_tokens),
        ),
        (
            "instructions",
            "labels_per_task",
            Some(c.instructions.labels_per_task),
        ),
        ("instructions", "wordings", Some(c.instructions.wordings)),
        (
            "instructions",
            "max_tokens",
            Some(c.instructions.max_tokens),
        ),
        ("tuning", "rank", Some(c.tuning.rank)),
        ("tuning", "batch_size", Some(c.tuning.batch_size)),
        (
            "tuning",
            "checkpoint_steps",
            Some(c.tuning.checkpoint_steps),
        ),
        ("recommend", "depth", Some(c.recommend.depth)),
    ] {
        if value == Some(0) {
            return bad(section, key, "must be at least 1");
        }
    }
    for (section, key, value) in [
        ("fusion", "cohort_strength", c.fusion.cohort_strength),
        ("tuning", "alpha", c.tuning.alpha),
        ("tuning", "learning_rate", c.tuning.learning_rate),
        ("tuning", "head_learning_rate", c.tuning.head_learning_rate),
        ("tuning", "epochs", c.tuning.epochs),
        ("tuning", "max_grad_norm", c.tuning.max_grad_norm),
    ] {
        if !(value.is_finite() && value > 0.0) {
            return bad(section, key, "must be a finite number above 0");
        }
    }
    let weight = c.recommend.evidence_weight;
    if !(weight.is_finite() && weight >= 0.0) {
        let reason = "must be a finite number, at least 0";
        return bad("recommend", "evidence_weight", reason);
    }
    for (key, value) in [
        ("warmup_ratio", c.tuning.warmup_ratio),
        ("dropout", c.tuning.dropout),
    ] {
        if !(0.0..1.0).contains(&value) {
            return bad("tuning", key, "must lie in [0, 1)");
        }
    }
    if c.tuning.targets.is_empty() {
        return bad(
            "tuning",
            "targets",
            "names no projection: nothing would be tuned; mode = \"none\" says that",
        );
    }
    if ![4, 8, 32].contains(&c.models.decoder_bits) {
        return bad("models", "decoder_bits", "must be 4, 8 or 32");
    }
    for (key, model) in [("llm", &c.models.llm), ("encoder", &c.models.encoder)] {
        if model.is_empty() {
            return bad("models", key, "names no model: give an asset or a path");
        }
    }
    let share = c.instructions.max_label_share;
    if !(share > 0.0 && share <= 1.0) {
        return bad("instructions", "max_label_share", "must lie in (0, 1]");
    }
    for (i, task) in c.instructions.tasks.iter().enumerate() {
        if c.instructions.tasks[..i].contains(task) {
            let reason = format!("names \"{task}\" twice");
            return bad("instructions", "tasks", &reason);
        }
        if !INSTRUCTION_TASKS.contains(&task.as_str()) {
            let hint = super::hint::nearest(task, INSTRUCTION_TASKS.iter().copied());
            return bad(
                "instructions",
                "tasks",
                &format!("unknown task \"{task}\"{hint}"),
            );
        }
    }
    let sets = hkfr_fuse::TemplateSet::builtin_sets();
    if !sets.contains(&c.fusion.templates.as_str()) {
        let hint = super::hint::nearest(&c.fusion.templates, sets.iter().copied());
        return bad(
            "fusion",
            "templates",
            &format!("unknown template set \"{}\"{hint}", c.fusion.templates),
        );
    }
    if !(0.0..=1.0).contains(&c.fusion.refresh_threshold) {
        return bad("fusion", "refresh_threshold", "must lie in [0, 1]");
    }
    if !(0.0..=1.0).contains(&c.fusion.min_useful) {
        return bad("fusion", "min_useful", "must lie in [0, 1]");
    }
    service(&c.fusion)?;
    if c.split.simulated_cold_start.contains(&0) {
        return bad(
            "split",
            "simulated_cold_start",
            "a simulated history has at least 1 target event",
        );
    }
    among("systems", "system", &c.recommend.systems, fault_of_system)?;
    among("tasks", "task", &c.recommend.tasks, |task| {
        let hint = super::hint::nearest(task, TASKS.into_iter());
        (!TASKS.contains(&task)).then(|| format!("unknown task \"{task}\"{hint}"))
    })?;
    self::systems(&c.systems, "systems.")?;
    let ks = &c.evaluate.ks;
    if ks.is_empty() || ks[0] == 0 || !ks.is_sorted_by(|a, b| a < b) {
        return bad(
            "evaluate",
            "ks",
            "must be rising cut-offs of at least 1, e.g. [5, 10]",
        );
    }
    if c.evaluate.resamples < 100 {
        return bad(
            "evaluate",
            "resamples",
            "must be at least 100: the ends of an interval need tails",
        );
    }
    if c.evaluate.draws < 100 {
        return bad(
            "evaluate",
            "draws",
            "must be at least 100: no p-value can be smaller than 1 / (draws + 1)",
        );
    }
    if let Some(k) = c.evaluate.ks.iter().find(|&&k| k > c.recommend.depth) {
        return bad(
            "evaluate",
            "ks",
            &format!(
                "asks for the top {k}, but [recommend] depth = {} writes shorter lists",
                c.recommend.depth
            ),
        );
    }
    if !c.recommend.systems.contains(&c.evaluate.reference) {
        return bad(
            "evaluate",
            "reference",
            &format!(
                "\"{}\" is not among [recommend] systems: nothing to compare with",
                c.evaluate.reference
            ),
        );
    }
    Ok(())
}
