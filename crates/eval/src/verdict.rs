//! What the tests say of each system, in a sentence.
//!
//! `sasrec is above popularity in NDCG@10 by .0123 (95 % .0041 to .0203), p .003 after Holm, d_z .21.`

use crate::report::{Report, SystemRow, TaskReport};
use crate::table::{p_text, short};

/// One sentence a system that is compared with the reference, on all cases and the deciding metric.
pub fn verdicts(report: &Report, task: &TaskReport) -> Vec<String> {
    let (Some(all), Some(reference)) = (task.segments.first(), &report.config.reference) else {
        return Vec::new();
    };
    let sentence = |row: &SystemRow| verdict(report, row, reference);
    all.systems.iter().filter_map(sentence).collect()
}

fn verdict(report: &Report, row: &SystemRow, reference: &str) -> Option<String> {
    let at = report.config.main();
    let d = row.difference(at.metric, at.k)?;
    let share = (report.config.confidence * 100.0).round();
    let interval = format!(
        "{share} % {} to {}",
        short(d.interval.lo, 4),
        short(d.interval.hi, 4)
    );
    let effect = d.effect.map(|e| format!(", d_z {}", short(e, 2)));
    let test = format!(
        "{} after Holm{}",
        p_text(d.p_holm, d.p_is_floor),
        effect.unwrap_or_default()
    );
    let system = &row.system;
    Some(if d.is_significant() {
        let side = if d.diff > 0.0 { "above" } else { "below" };
        let by = short(d.diff.abs(), 4);
        format!("{system} is {side} {reference} in {at} by {by} ({interval}), {test}.")
    } else {
        let diff = short(d.diff, 4);
        format!(
            "{system}: no significant difference to {reference} in {at}: {diff} ({interval}), {test}."
        )
    })
}
