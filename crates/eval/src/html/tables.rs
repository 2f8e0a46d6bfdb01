//! The tables of the page: results with intervals, and the stages.
//!
//! In: parts of a [`Report`](crate::Report). Out: `<table>` markup.

use maud::{Markup, html};

use super::StageRow;
use crate::report::{Report, SegmentReport};
use crate::table::{is_best, last, p_text, shown, signed, thousands};

/// One segment: a row a system, a column a metric, the interval under the value.
pub(super) fn results(report: &Report, segment: &SegmentReport) -> Markup {
    let at_last = last(report);
    let compared = segment
        .systems
        .iter()
        .any(|row| !row.versus_reference.is_empty());
    let invalid = segment
        .systems
        .iter()
        .any(|row| row.n_invalid + row.n_missing > 0);
    let reference = report.config.reference.as_deref();
    html! {
        div class="scroll" {
            table class="results" {
                thead { tr {
                    th { "System" }
                    @for at in shown(report) { th class="num" { (at) } }
                    @if compared { th class="num" { "Δ " (at_last) } }
                    @if invalid { th class="num" { "Invalid" } th class="num" { "Missing" } }
                } }
                tbody {
                    @for row in &segment.systems {
                        tr class=[(reference == Some(row.system.as_str())).then_some("reference")] {
                            td { (row.system) }
                            @for v in shown(report).iter().filter_map(|at| row.value(at.metric, at.k)) {
                                @let best = is_best(segment, v.at, v.mean);
                                td class=(if best { "num best" } else { "num" }) {
                                    span class="value" { (format!("{:.4}", v.mean)) }
                                    span class="interval" {
                                        (format!("{:.4} – {:.4}", v.interval.lo, v.interval.hi))
                                    }
                                }
                            }
                            @if compared {
                                @match row.difference(at_last.metric, at_last.k) {
                                    Some(d) => {
                                        @let class = match d.diff {
                                            _ if d.p_holm >= 0.05 => "num",
                                            x if x > 0.0 => "num above",
                                            _ => "num below",
                                        };
                                        td class=(class) {
                                            span class="value" { (signed(d.diff)) }
                                            span class="interval" { (p_text(d.p_holm)) }
                                        }
                                    }
                                    None => td class="num" { span class="interval" { "reference" } },
                                }
                            }
                            @if invalid {
                                td class="num" { (thousands(row.n_invalid)) }
                                td class="num" { (thousands(row.n_missing)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Stages with their share of the time as a bar.
pub(super) fn stages(stages: &[StageRow]) -> Markup {
    let total: f64 = stages.iter().map(|s| s.wall_seconds).sum();
    let peak = stages
        .iter()
        .filter_map(|s| s.peak_mb)
        .max_by(f64::total_cmp);
    html! {
        div class="scroll" {
            table class="stages" {
                thead { tr {
                    th { "Stage" } th class="num" { "Wall time" } th class="share" { "Share" }
                    th class="num" { "Peak memory" } th { "Counts" }
                } }
                tbody {
                    @for s in stages {
                        tr {
                            td { (s.name) }
                            td class="num" { (seconds(s.wall_seconds)) }
                            td class="share" {
                                @let share = if total > 0.0 { 100.0 * s.wall_seconds / total } else { 0.0 };
                                div class="bar" { div style=(format!("width:{share:.1}%")) {} }
                            }
                            td class="num" { (megabytes(s.peak_mb)) }
                            td class="counts" {
                                @for (name, n) in &s.counts {
                                    span { b { (thousands(*n as usize)) } " " (name) }
                                }
                            }
                        }
                    }
                }
                tfoot { tr {
                    td { "Total" } td class="num" { (seconds(total)) } td {}
                    td class="num" { (megabytes(peak)) } td {}
                } }
            }
        }
    }
}

fn seconds(s: f64) -> String {
    match s {
        s if s < 10.0 => format!("{s:.2} s"),
        s if s < 120.0 => format!("{s:.1} s"),
        s => format!("{} min {:02.0} s", (s / 60.0).floor(), s % 60.0),
    }
}

fn megabytes(mb: Option<f64>) -> String {
    mb.map_or("–".into(), |mb| {
        format!("{} MB", thousands(mb.max(0.0).round() as usize))
    })
}
