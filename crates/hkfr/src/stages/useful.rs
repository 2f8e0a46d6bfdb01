//! The error that ends a run whose answers are of no use: what was sent, what was tried, and which key mends it.

use anyhow::{Result, anyhow};
use hkfr_events::Instance;
use hkfr_fuse::claims::{Fault, Form, ReasonCounts, Unusable, Usefulness};
use hkfr_fuse::{FusionMode, KnowledgeRecord};

use super::fuse_worker::Worker;
use super::histories::{facts_config, fusion};
use super::service::Service;

/// Of all histories whose answers are stored.
pub(super) fn usefulness(records: &[KnowledgeRecord]) -> Usefulness {
    let mut useful = Usefulness::default();
    let counts = records.iter().filter(|r| r.mode == FusionMode::Service);
    for counts in counts.filter_map(|r| r.cut.gate.as_ref()) {
        useful.note(counts, 1 + counts.reasks);
    }
    useful
}

/// Why an answer of these histories was of no use, from what is stored: nobody is asked what was not asked before.
pub(super) fn stored_fault(
    worker: &Worker,
    instances: &[&Instance],
    records: &[KnowledgeRecord],
    service: &Service,
) -> Result<Option<Fault>> {
    let facts = facts_config(worker.config);
    let count = |text: &str| worker.model.tokenizer.count(text);
    let fusion = fusion(worker.config, worker.wording, &facts, &count);
    for instance in instances {
        let user = &worker.dataset.users[instance.user as usize].id;
        let of_it = |r: &&KnowledgeRecord| {
            (&r.user, r.as_of, r.keep_last) == (user, instance.as_of.seconds(), instance.keep_last)
        };
        let gate = records.iter().find(of_it).and_then(|r| r.cut.gate);
        let Some(counts) = gate.filter(|counts| counts.unusable) else {
            continue;
        };
        let mut claims = worker.claims.clone();
        claims.form = counts.form;
        let mut stored = |request: &_| Ok(service.gateway.stored(request)?);
        let history = instance.history(worker.dataset);
        let names = &service.vocabulary;
        let examined = fusion.examine(&history, None, &claims, names, 0, &mut stored)?;
        if let Some(fault) = examined.and_then(|e| e.fault) {
            return Ok(Some(fault));
        }
    }
    Ok(None)
}

/// `records`: what came of the histories so far.
pub(super) fn error(
    useful: &Usefulness,
    fault: Option<&Fault>,
    records: &[KnowledgeRecord],
    worker: &Worker,
    service: &Service,
) -> anyhow::Error {
    let f = &worker.config.fusion;
    let (model, url) = (&f.model, &f.base_url);
    let mut cut = ReasonCounts::default();
    let mut in_lines = f.form == Form::Lines;
    for counts in records.iter().filter_map(|r| r.cut.gate.as_ref()) {
        counts
            .cut
            .ranked()
            .into_iter()
            .for_each(|(reason, n)| cut.add(reason, n));
        in_lines |= counts.form == Form::Lines;
    }
    let cut: Vec<_> = cut
        .ranked()
        .into_iter()
        .take(3)
        .map(|(r, n)| format!("{r} {n}"))
        .collect();
    let (problem, sent, remedy) = match fault {
        Some(fault) => {
            let remedy = match fault.kind {
                Unusable::Form if in_lines => "this model cannot do it: ask another one",
                kind => kind.remedy(),
            };
            (fault.problem.clone(), fault.sent.as_str(), remedy)
        }
        None if cut.is_empty() => (
            "the answers hold no claim and no sentence that can be checked".to_owned(),
            "",
            "ask another model",
        ),
        None => (
            format!(
                "no claim follows from the events that it cites ({})",
                cut.join(", ")
            ),
            "",
            "ask another model, or raise budget_tokens so that it reads more of each user; fuse/knowledge.sqlite has the counts of each history",
        ),
    };
    let of = match useful.useful {
        0 => "none".to_owned(),
        n => format!("only {n}"),
    };
    let sent = match sent {
        "" => String::new(),
        sent => format!("\n  it sent: {sent}"),
    };
    let tried = match (f.form, in_lines) {
        (Form::Lines, _) => "lines",
        (_, true) => "JSON, and then lines",
        (_, false) => "JSON",
    };
    let answers = service.gateway.answers().path().display().to_string();
    anyhow!(
        "of {} histories that were asked about, an answer of {of} was of use (min_useful = {}); paid: {}\n  model {model:?} at {url}: {problem}{sent}\n  asked in: {tried}\n  to mend it in [fusion]: {remedy}\nWhat was answered is kept in {answers}, and the same question is not asked twice: delete that file to ask again. min_useful = 0 goes on with what there is.",
        useful.histories,
        f.min_useful,
        service.gateway.spent(),
    )
}
