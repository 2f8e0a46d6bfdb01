//! Small runs and truths written by hand or drawn from a seed.

use hkfr_eval::{EvalConfig, RankedList, Run, Truth, TruthCase};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub fn list(case: &str, items: &[&str], scores: &[f64]) -> RankedList {
    RankedList {
        case: case.into(),
        items: items.iter().map(|s| s.to_string()).collect(),
        scores: scores.to_vec(),
    }
}

pub fn run(system: &str, task: &str, lists: Vec<RankedList>) -> Run {
    Run {
        system: system.into(),
        task: task.into(),
        depth: 10,
        seed: Some(7),
        lists,
        ..Run::default()
    }
}

pub fn case(case: &str, targets: &[&str], segment: &str) -> TruthCase {
    TruthCase {
        case: case.into(),
        targets: targets.iter().map(|s| s.to_string()).collect(),
        segment: segment.into(),
        ..TruthCase::default()
    }
}

pub fn truth(task: &str, cases: Vec<TruthCase>, catalogue: &[&str]) -> Truth {
    let catalogue = catalogue.iter().map(|s| s.to_string()).collect();
    Truth {
        task: task.into(),
        cases,
        catalogue,
        ..Truth::default()
    }
}

pub fn config(reference: Option<&str>) -> EvalConfig {
    EvalConfig {
        resamples: 500,
        draws: 500,
        reference: reference.map(String::from),
        ..EvalConfig::default()
    }
}

/// One target a case; each system ranks it at a place drawn around its skill (lower is better).
pub fn drawn(task: &str, n_cases: usize, systems: &[(&str, f64)], seed: u64) -> (Truth, Vec<Run>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let items: Vec<String> = (0..40).map(|i| format!("i{i:02}")).collect();
    let mut cases = Vec::new();
    let mut runs: Vec<Run> = systems
        .iter()
        .map(|(s, _)| run(s, task, Vec::new()))
        .collect();
    for c in 0..n_cases {
        let target = rng.random_range(0..items.len());
        let segment = ["cold", "warm"][usize::from(rng.random_bool(0.7))];
        let name = format!("u{c}");
        cases.push(case(&name, &[&items[target]], segment));
        let luck: f64 = rng.random_range(0.0..1.0);
        for (run, (_, skill)) in runs.iter_mut().zip(systems) {
            let place = ((luck + rng.random_range(-0.2..0.2)).max(0.0) * skill) as usize;
            let mut listed: Vec<String> = items
                .iter()
                .enumerate()
                .filter(|(i, _)| *i != target)
                .map(|(_, s)| s.clone())
                .collect();
            listed.insert(place.min(items.len() - 1), items[target].clone());
            listed.truncate(10);
            let scores = (0..listed.len()).map(|i| 1.0 - i as f64 * 0.05).collect();
            run.lists.push(RankedList {
                case: name.clone(),
                items: listed,
                scores,
            });
        }
    }
    let refs: Vec<&str> = items.iter().map(String::as_str).collect();
    (truth(task, cases, &refs), runs)
}
