//! `hkfr check-leaks CONFIG`: does anything that ranks see the future, and what is order worth?
//!
//! The stages from the split on are walked twice more, on altered events, below `<run>/check-leaks/`: with
//! another future, where no list may change by a bit; and with every user's visits shuffled
//! in time, where a system loses what it had from order. Systems that need the language model are
//! left out: tuning twice more would take longer than the run.

use std::fmt::Write;
use std::rc::Rc;

use anyhow::{Context, Result, bail, ensure};
use hkfr_eval::{EvalConfig, OrderWorth, Truth, changed_lists, worth_of_order};
use hkfr_events::{Dataset, mark_future, shuffle_time, store};
use serde_json::json;

use super::{STAGES, Session, evaluate, read_runs};
use crate::config::Config;
use crate::stage::{Manifest, Spec};

/// Decides the order in which visits are shuffled.
const SHUFFLE_SEED: u64 = 20_230;

/// What is printed; an error if a list changed with the future. `open` starts a walk with a config.
pub fn check(config: Config, open: impl Fn(Config) -> Result<Session>) -> Result<String> {
    let mut scratch = config.clone();
    scratch.out = config.run_dir().join("check-leaks");
    scratch.recommend.systems = config
        .systems()
        .filter(|s| config.llm(s).is_none())
        .map(str::to_owned)
        .collect();
    ensure!(
        !scratch.recommend.systems.is_empty(),
        "no system without the language model is in [recommend] systems; add one, such as \"popularity\""
    );
    let mut logged = open(config)?;
    logged.walk_quietly("evaluate")?;
    let (dataset, split) = (logged.dataset()?, logged.split()?);
    let ingested = Manifest::read(&logged.dir("ingest"))?
        .context("ingest is not finished")?
        .output_hash;
    let walk = |name: &str, altered: Dataset| -> Result<Session> {
        eprintln!("── {name}");
        let mut session = open(Config {
            name: name.into(),
            ..scratch.clone()
        })?;
        session.adopt(name, altered, &ingested)?;
        session.walk_stages(&STAGES[1..])?;
        Ok(session)
    };
    let marked = walk("another-future", mark_future(&dataset, &split))?;
    let shuffled = walk("shuffled", shuffle_time(&dataset, SHUFFLE_SEED))?;
    let mut before = read_runs(&logged.dir("recommend"))?;
    before.retain(|run| scratch.systems().any(|s| s == run.system));
    let after = read_runs(&marked.dir("recommend"))?;
    if let Some(what) = changed_lists(&before, &after) {
        bail!(
            "LEAK: when only the future changes, {what}; this is a bug of hkfr, please report it"
        );
    }
    let n_lists: usize = after.iter().map(|run| run.lists.len()).sum();
    let mut out = format!(
        "Another future: {n_lists} lists of {} runs are the same, bit by bit.\n\n",
        after.len()
    );
    for task in &scratch.recommend.tasks {
        out += &order(&logged, &shuffled, task)?;
    }
    out += "A system that reads no order loses nothing, or gains: shuffled, a last order is like any other, while in a log\n\
            tastes drift. What a system loses beyond those that read no order is what order was worth to it. One that\n\
            should read order and loses nothing beyond them has its numbers from elsewhere: from what users like at any\n\
            time, or from a leak that survives the shuffling, such as ids that were given in order of the sequences.\n";
    Ok(out)
}

/// The table of what order is worth.
fn order(logged: &Session, shuffled: &Session, task: &str) -> Result<String> {
    let truth = |s: &Session| -> Result<Truth> {
        let path = s.dir("evaluate").join(format!("truth.{task}.jsonl"));
        Ok(Truth::read(&path)?)
    };
    let (a, b) = (truth(logged)?, truth(shuffled)?);
    let (runs_a, runs_b) = (
        read_runs(&logged.dir("recommend"))?,
        read_runs(&shuffled.dir("recommend"))?,
    );
    let cfg = EvalConfig {
        reference: None,
        ..evaluate::eval_config(&logged.config)
    };
    let rows = worth_of_order((&a, &runs_a), (&b, &runs_b), &cfg)?;
    let mut out = format!(
        "{task}: {} as logged, and with every user's visits shuffled in time\n",
        cfg.main()
    );
    let _ = writeln!(
        out,
        "{:<28}  {:>9}  {:>8}  {:>7}  {:>18}  {:>7}",
        "system", "as logged", "shuffled", "lost", "95 % interval", "p"
    );
    for row in &rows {
        let OrderWorth {
            system,
            logged,
            shuffled,
            interval,
            p_holm,
            p_is_floor,
        } = row;
        let bound = if *p_is_floor { "≤ " } else { "" };
        let _ = writeln!(
            out,
            "{system:<28}  {logged:>9.4}  {shuffled:>8.4}  {:>+7.4}  {:>18}  {:>7}{}",
            logged - shuffled,
            format!("{:+.4} to {:+.4}", interval.lo, interval.hi),
            format!("{bound}{p_holm:.3}"),
            if *p_holm < 0.05 { " †" } else { "" }
        );
    }
    out.push('\n');
    Ok(out)
}

impl Session {
    /// Puts altered events where `ingest` would have put those of the log with output hash `ingested`.
    fn adopt(&mut self, name: &str, dataset: Dataset, ingested: &str) -> Result<()> {
        let spec = Spec {
            name: "ingest",
            inputs: &[],
            config: json!({ "altered": name, "split": self.config.split }),
            seed: SHUFFLE_SEED,
            outside: vec![ingested.to_owned()],
            keep: &[],
        };
        let runner = self.runner.clone();
        runner.stage(&spec, |ctx| {
            store::write(&dataset, &ctx.dir)?;
            ctx.count("events", dataset.n_events());
            Ok(())
        })?;
        self.dataset = Some(Rc::new(dataset));
        Ok(())
    }
}
