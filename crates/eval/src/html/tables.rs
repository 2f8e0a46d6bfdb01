//! The tables of the page: results with intervals, what lists are like, costs, and the stages.
//!
//! In: parts of a [`Report`](crate::Report). Out: `<table>` markup.

use maud::{Markup, html};

use super::StageRow;
use crate::report::{Report, SegmentReport};
use crate::table::{
    cost_columns, is_best, list_columns, megabytes, p_text, seconds, short, shown, signed,
    thousands,
};

/// One segment: a row a system, a column a metric, the interval under the value.
pub(super) fn results(report: &Report, segment: &SegmentReport) -> Markup {
    let main = report.config.main();
    let compared = segment.is_compared();
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
                    @if compared { th class="num" { "Δ " (main) } }
                    @if invalid { th class="num" { "Invalid" } th class="num" { "Missing" } }
                } }
                tbody {
                    @for row in &segment.systems {
                        tr class=[(reference == Some(row.system.as_str())).then_some("reference")] {
                            td {
                                (row.system)
                                @if row.n_seeds > 1 {
                                    span class="interval" { (row.n_seeds) " seeds" }
                                }
                            }
                            @for v in shown(report).iter().filter_map(|at| row.value(at.metric, at.k)) {
                                @let best = is_best(segment, v.at, v.mean);
                                td class=(if best { "num best" } else { "num" }) {
                                    span class="value" { (format!("{:.4}", v.mean)) }
                                    span class="interval" {
                                        (format!("{:.4} – {:.4}", v.interval.lo, v.interval.hi))
                                    }
                                    @if let Some(sd) = v.seed_sd {
                                        span class="interval" { "seeds ±" (short(sd, 4)) }
                                    }
                                }
                            }
                            @if compared {
                                @match row.difference(main.metric, main.k) {
                                    Some(d) => {
                                        @let class = match d.diff {
                                            _ if !d.is_significant() => "num",
                                            x if x > 0.0 => "num above",
                                            _ => "num below",
                                        };
                                        td class=(class) {
                                            span class="value" { (signed(d.diff)) }
                                            span class="interval" { (p_text(d.p_holm, d.p_is_floor)) }
                                            @if let Some(effect) = d.effect {
                                                span class="interval" {
                                                    "d" sub { "z" } " " (short(effect, 2))
                                                }
                                            }
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
                            td class="num" { (s.peak_mb.map_or("–".into(), megabytes)) }
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
                    td class="num" { (peak.map_or("–".into(), megabytes)) } td {}
                } }
            }
        }
    }
}

/// What the lists are like at the deepest cut-off: a row a system.
pub(super) fn lists(report: &Report, segment: &SegmentReport) -> Markup {
    let k = report.config.ks.last().copied().unwrap_or(10);
    let columns = list_columns(segment, k);
    html! {
        @if !columns.is_empty() {
            h3 { "What the lists are like at " (k) }
            div class="scroll" {
                table {
                    thead { tr {
                        th { "System" }
                        @for column in &columns { th class="num" { (column.0) } }
                    } }
                    tbody {
                        @for row in &segment.systems {
                            tr {
                                td { (row.system) }
                                @for column in &columns {
                                    td class="num" { (row.lists_at(k).and_then(column.1).unwrap_or("–".into())) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What each system took for a task.
pub(super) fn costs(report: &Report, task: &str) -> Markup {
    let columns = cost_columns(report, task);
    html! {
        @if !columns.is_empty() {
            h3 { (task) }
            div class="scroll" {
                table {
                    thead { tr {
                        th { "System" }
                        @for column in &columns { th class="num" { (column.0) } }
                    } }
                    tbody {
                        @for cost in report.costs.iter().filter(|c| c.task == task) {
                            tr {
                                td { (cost.system) }
                                @for column in &columns {
                                    td class="num" { (column.1(cost).unwrap_or("–".into())) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
