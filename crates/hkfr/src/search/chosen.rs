//! The best trial of each system, as a table to read and as settings to use.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Result;
use hkfr_rec::systems::Settings;

use super::trials::Trial;
use crate::config::Config;

/// All trials of a system and task, the best one first.
pub struct Chosen(Vec<Trial>);

impl Chosen {
    /// The highest NDCG@10; of equals the earlier.
    pub fn of(mut trials: Vec<Trial>) -> Self {
        trials.sort_by(|a, b| {
            let order = b.accuracy.ndcg_at_10.total_cmp(&a.accuracy.ndcg_at_10);
            order.then(a.number.cmp(&b.number))
        });
        Self(trials)
    }
}

/// `[task.system]` tables, with what they achieved and how they were found.
pub fn toml(config: &Config, budget: &str, all: &[Chosen]) -> Result<String> {
    let mut text = format!(
        "# Settings of \"{}\", chosen on validation by `hkfr search`: {budget}, seed {}.\n",
        config.name, config.seed
    );
    for chosen in all {
        let Some(best) = chosen.0.first() else {
            continue;
        };
        let sum: f64 = chosen.0.iter().map(|t| t.seconds).sum();
        write!(
            text,
            "\n# NDCG@10 {:.4}, HR@10 {:.4}; trial {} of {}, {sum:.0} s in all\n",
            best.accuracy.ndcg_at_10,
            best.accuracy.hr_at_10,
            best.number + 1,
            chosen.0.len(),
        )?;
        let table = BTreeMap::from([(
            best.task.as_str(),
            BTreeMap::from([(best.system.as_str(), &best.settings)]),
        )]);
        text += &toml::to_string(&table)?;
    }
    Ok(text)
}

/// The tables of a file with settings whose systems were not searched now, with the comments above them.
pub fn kept(before: &str, now: &[Chosen]) -> String {
    let searched = |header: &str| {
        let names = header.trim_start_matches('[').trim_end_matches(']');
        let mut names = names.split('.');
        let (task, system) = (names.next(), names.next());
        let mut best = now.iter().filter_map(|c| c.0.first());
        best.any(|b| Some(b.task.as_str()) == task && Some(b.system.as_str()) == system)
    };
    // What stands above the first table is about the file.
    let Some(first) = before.find("\n\n") else {
        return String::new();
    };
    let (mut text, mut above, mut keep) = (String::new(), String::new(), false);
    for line in before[first + 1..].lines() {
        if line.starts_with('[') {
            keep = !searched(line);
        } else if line.is_empty() || line.starts_with('#') {
            above += &format!("{line}\n");
            continue;
        }
        if keep {
            text += &format!("{above}{line}\n");
        }
        above.clear();
    }
    text
}

/// A line a system: the best, the default, the spread, the time.
pub fn table(all: &[Chosen]) -> String {
    let mut text = format!(
        "{:<10} {:<18} {:>8} {:>8} {:>8} {:>7} {:>7}  {}\n",
        "task", "system", "NDCG@10", "default", "worst", "trials", "seconds", "chosen"
    );
    for Chosen(trials) in all {
        let [best, ..] = &trials[..] else { continue };
        let worst = &trials[trials.len() - 1];
        let default = trials.iter().find(|t| t.number == 0).unwrap_or(best);
        let seconds: f64 = trials.iter().map(|t| t.seconds).sum();
        let _ = writeln!(
            text,
            "{:<10} {:<18} {:>8.4} {:>8.4} {:>8.4} {:>7} {:>7.0}  {}",
            best.task,
            best.system,
            best.accuracy.ndcg_at_10,
            default.accuracy.ndcg_at_10,
            worst.accuracy.ndcg_at_10,
            trials.len(),
            seconds,
            described(&best.settings)
        );
    }
    text
}

fn described(settings: &Settings) -> String {
    let pairs: Vec<String> = settings.iter().map(|(k, v)| format!("{k} = {v}")).collect();
    pairs.join(", ")
}
