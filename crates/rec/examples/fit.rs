//! Fits a system on a leave-one-out file (`user item item …` a line) and ranks the whole catalogue for every
//! user: the last item is asked for, the one before it is what networks stop by.
//!
//! `cargo run --release -p hkfr-rec --example fit -- DIR SYSTEM [key=value …]`, DIR with `sequential_data.txt`
//! and `items.tsv`; keys: those of the system's settings, each value as JSON, and `threads`, `repeats`
//! (allow, exclude), `seed` and `ranker`, a file to save the fitted ranker in. Prints every epoch and, as the last
//! line, a JSON object: median seconds of an epoch and of a validation, seconds of the fit, accuracy on validation
//! (the best epoch) and test, and `curve`: seconds since the fit began and NDCG@10, a pair a validation; `ranker`:
//! size, seconds to save and to load it, and milliseconds that the loaded one takes to rank a user alone (median and
//! longest of 1,000).

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use hkfr_events::adapters::{IngestConfig, SequencesConfig, load};
use hkfr_events::split::{SplitKind, build};
use hkfr_events::{Dataset, IngestReport, Phase, Split, SplitConfig};
use hkfr_rec::baselines::{Entities, RepeatPolicy};
use hkfr_rec::systems::{Fitting, Progress, Settings, accuracy, recipe};
use hkfr_rec::{About, Ranker, training_hash};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn median(mut seconds: Vec<f64>) -> Option<f64> {
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied()
}

/// What it costs to save a ranker, to load it, and to rank one user after another.
fn served(ranker: Ranker, path: &Path, ds: &Dataset, split: &Split) -> Result<Value> {
    let clock = Instant::now();
    ranker.save(path)?;
    let save_seconds = clock.elapsed().as_secs_f64();
    drop(ranker);
    let clock = Instant::now();
    let ranker = Ranker::load(path, ds)?;
    let load_seconds = clock.elapsed().as_secs_f64();
    let mut times = Vec::new();
    let step = split.cases.len().div_ceil(1000).max(1);
    for case in split.cases.iter().step_by(step) {
        let clock = Instant::now();
        ranker.rank_one(ds, &case.instance.history(ds), 10)?;
        times.push(clock.elapsed().as_secs_f64() * 1e3);
    }
    Ok(json!({
        "mb": ranker.n_bytes() as f64 / 1e6,
        "save_seconds": save_seconds,
        "load_seconds": load_seconds,
        "longest_ms": times.iter().copied().fold(0.0, f64::max),
        "median_ms": median(times),
    }))
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, system, pairs @ ..] = &args[..] else {
        return Err("usage: fit DIR SYSTEM [key=value …]".into());
    };
    let (mut n_threads, mut repeats, mut seed) = (2, RepeatPolicy::Allow, 1);
    let (mut settings, mut path) = (Settings::new(), None);
    for pair in pairs {
        let (key, value) = pair.split_once('=').ok_or("a setting is key=value")?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        match key {
            "threads" => n_threads = serde_json::from_value(value)?,
            "repeats" => repeats = serde_json::from_value(value)?,
            "seed" => seed = serde_json::from_value(value)?,
            "ranker" => path = Some(serde_json::from_value::<PathBuf>(value)?),
            _ => drop(settings.insert(key.to_owned(), value)),
        }
    }
    let recipe = recipe(system, &settings, seed)?;
    let config = SequencesConfig {
        dir: dir.into(),
        ..SequencesConfig::default()
    };
    let config = IngestConfig::Sequences(config);
    let ds = load(&config, &mut IngestReport::default())?;
    let config = SplitConfig {
        kind: SplitKind::LeaveOneOut,
        phase: Phase::Test,
        min_item_buyers: 1,
        simulated_users: 0,
        ..SplitConfig::default()
    };
    let split = build(&ds, &config)?;
    let entities = Entities::items(&ds, &split.catalogue);
    let from = Fitting::new(&ds, &split, &entities, repeats, n_threads);

    let begun = Instant::now();
    let mut clock = begun;
    let (mut epochs, mut validations) = (Vec::new(), Vec::new());
    let (mut best, mut curve): (Option<(f64, f64, usize)>, _) = (None, Vec::new());
    let scorer = recipe.fit(&from, &mut |progress| {
        let seconds = clock.elapsed().as_secs_f64();
        match progress {
            Progress::Trained { epoch, loss, .. } => {
                epochs.push(seconds);
                print!("epoch {epoch}: {seconds:.2} s, loss {loss:.4}");
            }
            Progress::Validated {
                epoch, accuracy: a, ..
            } => {
                validations.push(seconds);
                curve.push((begun.elapsed().as_secs_f64(), a.ndcg_at_10));
                println!(
                    "; validation {seconds:.2} s, HR@10 {:.4} NDCG@10 {:.4}",
                    a.hr_at_10, a.ndcg_at_10
                );
                if best.is_none_or(|best| a.ndcg_at_10 > best.1) {
                    best = Some((a.hr_at_10, a.ndcg_at_10, epoch));
                }
            }
            Progress::Grown { .. } => {}
        }
        clock = Instant::now();
        ControlFlow::Continue(())
    })?;
    let training_seconds = begun.elapsed().as_secs_f64();
    let clock = Instant::now();
    let test = accuracy(&*scorer, &from)?;
    let test_seconds = clock.elapsed().as_secs_f64();
    let about = About {
        system: system.clone(),
        task: "item".into(),
        fitted_on: training_hash(&ds, &split),
        repeats,
        seed,
    };
    let ranker = Ranker::new(about, &entities, scorer);
    let ranker = path.map(|path| served(ranker, &path, &ds, &split));
    let result = json!({
        "epochs": epochs.len(),
        "epoch_seconds": median(epochs),
        "evaluation_seconds": median(validations),
        "training_seconds": training_seconds,
        "test_seconds": test_seconds,
        "best_epoch": best.map(|b| b.2),
        "accuracy": {
            "validation": best.map(|b| json!({ "hr@10": b.0, "ndcg@10": b.1 })),
            "test": test,
        },
        "curve": curve,
        "ranker": ranker.transpose()?,
    });
    println!("{result}");
    Ok(())
}
