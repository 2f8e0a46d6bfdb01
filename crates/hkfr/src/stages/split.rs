//! Events → `split.json`: training instances and evaluation cases, each with its as-of.

use std::rc::Rc;

use anyhow::{Result, ensure};
use hkfr_events::{Segment, Split, split};
use serde_json::json;

use super::Session;
use crate::stage::{Outcome, Spec};

pub const SPLIT_FILE: &str = "split.json";

pub(super) fn run(session: &mut Session) -> Result<Outcome> {
    let spec = Spec {
        name: "split",
        inputs: &["ingest"],
        config: json!({ "split": session.config.split }),
        // The split has a seed of its own.
        seed: session.config.split.seed,
        outside: Vec::new(),
        keep: &[],
    };
    let runner = session.runner.clone();
    runner.stage(&spec, |ctx| {
        let dataset = session.dataset()?;
        let config = &session.config.split;
        let split = split::build(&dataset, config)?;
        ensure!(
            !split.cases.is_empty(),
            "no case to evaluate: nobody has a target event in the test period after [split] min_history = {} earlier ones; widen horizon_days ({}) or use more users",
            config.min_history,
            config.horizon_days
        );
        split.save(&ctx.dir.join(SPLIT_FILE))?;
        count(ctx, &split);
        session.split = Some(Rc::new(split));
        Ok(())
    })
}

fn count(ctx: &mut crate::stage::StageContext, split: &Split) {
    let of =
        |wanted: fn(&Segment) -> bool| split.cases.iter().filter(|c| wanted(&c.segment)).count();
    ctx.count("catalogue items", split.catalogue.items.len());
    ctx.count("catalogue categories", split.catalogue.categories.len());
    ctx.count("training instances", split.train.len());
    ctx.count("cold-start cases", of(|s| matches!(s, Segment::ColdStart)));
    ctx.count("warm cases", of(|s| matches!(s, Segment::Warm)));
    ctx.count(
        "simulated cold-start cases",
        of(|s| matches!(s, Segment::SimulatedColdStart(_))),
    );
}
