//! What a system took: `SYSTEM.TASK.cost.json` beside its lists, where the stage that made them wrote one.
//!
//! `{"fit_seconds": 12.5, "score_seconds": 0.8, "peak_mb": 410.0}`; any of these may be absent.

use std::path::Path;

use anyhow::{Context, Result};
use hkfr_eval::{Run, SystemCost};
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    fit_seconds: Option<f64>,
    score_seconds: Option<f64>,
    peak_mb: Option<f64>,
}

/// The costs of `runs` that are told in `dir`.
pub fn read(dir: &Path, runs: &[Run]) -> Result<Vec<SystemCost>> {
    let mut costs: Vec<SystemCost> = Vec::new();
    for Run { system, task, .. } in runs {
        let path = dir.join(format!("{system}.{task}.cost.json"));
        if !path.exists() {
            continue;
        }
        let file: File = serde_json::from_slice(&fs_err::read(&path)?)
            .with_context(|| format!("{} is damaged; delete it", path.display()))?;
        costs.push(SystemCost {
            system: system.clone(),
            task: task.clone(),
            fit_seconds: file.fit_seconds,
            score_seconds: file.score_seconds,
            peak_mb: file.peak_mb,
        });
    }
    Ok(costs)
}

/// One cost a system and task: of several seeds the mean of the times and the highest peak.
pub fn mean(costs: impl Iterator<Item = SystemCost>) -> Vec<SystemCost> {
    let mut seeds: Vec<Vec<SystemCost>> = Vec::new();
    for cost in costs {
        let same =
            |s: &&mut Vec<SystemCost>| (&s[0].system, &s[0].task) == (&cost.system, &cost.task);
        match seeds.iter_mut().find(same) {
            Some(known) => known.push(cost),
            None => seeds.push(vec![cost]),
        }
    }
    let of_seeds = |costs: Vec<SystemCost>| {
        let known = |get: fn(&SystemCost) -> Option<f64>| -> Vec<f64> {
            costs.iter().filter_map(get).collect()
        };
        let mean = |get| {
            let known = known(get);
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
        };
        SystemCost {
            fit_seconds: mean(|c| c.fit_seconds),
            score_seconds: mean(|c| c.score_seconds),
            peak_mb: known(|c| c.peak_mb).into_iter().max_by(f64::total_cmp),
            ..costs[0].clone()
        }
    };
    seeds.into_iter().map(of_seeds).collect()
}
