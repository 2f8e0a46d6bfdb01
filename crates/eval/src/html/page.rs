//! The page from top to bottom.
//!
//! In: a [`ReportPage`]. Out: the whole document as markup.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::plots::{self, colour};
use super::{ReportPage, tables};
use crate::error::Result;
use crate::report::{Report, TaskReport};
use crate::table::{reading, thousands};
use crate::verdict::verdicts;

const CSS: &str = include_str!("report.css");

pub(super) fn page(page: &ReportPage) -> Result<Markup> {
    let report = &page.report;
    Ok(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (page.title) }
                style { (PreEscaped(CSS)) }
            }
            body {
                header {
                    h1 { (page.title) }
                    @if !page.subtitle.is_empty() { p class="subtitle" { (page.subtitle) } }
                }
                main {
                    @if !page.facts.is_empty() {
                        section class="facts" {
                            (facts("Data", &page.facts))
                        }
                    }
                    @for task in &report.tasks { (results(report, task)?) }
                    @if report.tasks.iter().any(|t| t.segments.len() > 1) {
                        (segments(report)?)
                    }
                    @if !page.loss_curves.is_empty() { (losses(page)?) }
                    @if !page.length_histograms.is_empty() { (lengths(page)?) }
                    @if !page.stages.is_empty() || !report.costs.is_empty() {
                        section {
                            h2 { "What it took" }
                            @for task in &report.tasks { (tables::costs(report, &task.task)) }
                            @if !page.stages.is_empty() { (tables::stages(&page.stages)) }
                        }
                    }
                    @if !page.config.is_empty() {
                        section {
                            details {
                                summary { "Every key of the configuration" }
                                (facts("Configuration", &page.config))
                            }
                        }
                    }
                    (notes(page))
                    @if !page.samples.is_empty() { (samples(page)) }
                }
            }
        }
    })
}

fn facts(title: &str, facts: &[(String, String)]) -> Markup {
    html! {
        @if !facts.is_empty() {
            div {
                h2 { (title) }
                dl { @for (name, value) in facts { dt { (name) } dd { (value) } } }
            }
        }
    }
}

fn results(report: &Report, task: &TaskReport) -> Result<Markup> {
    let Some(overall) = task.segments.first() else {
        return Ok(html! {});
    };
    Ok(html! {
        section {
            h2 { "Results: " (task.task) }
            p class="lead" {
                (thousands(overall.n_cases)) " cases; a catalogue of "
                (thousands(task.n_catalogue)) ". " (how_measured(report))
            }
            (tables::results(report, overall))
            @let verdicts = verdicts(report, task);
            @if !verdicts.is_empty() {
                ul class="verdicts" { @for verdict in &verdicts { li { (verdict) } } }
            }
            figure {
                (PreEscaped(plots::metrics(report, overall)?))
                figcaption {
                    "Mean and " (confidence(report)) " interval of each metric."
                    @if report.config.reference.is_some() {
                        " The vertical line is the reference."
                    }
                }
            }
            (tables::lists(report, overall))
        }
    })
}

fn confidence(report: &Report) -> String {
    format!("{} %", (report.config.confidence * 100.0).round())
}

fn how_measured(report: &Report) -> Markup {
    html! {
        "Intervals: " (confidence(report)) ", bootstrap over cases with "
        (thousands(report.config.resamples)) " resamples; " (reading(&report.config)) "."
        @if report.has_seeds() {
            " Systems with several seeds: means over the seeds, whose standard deviation stands apart."
        }
        @if let Some(reference) = &report.config.reference {
            " Δ: paired difference to " b { (reference) }
            ", p of the randomisation test corrected by Holm's method; coloured where p < .05. d"
            sub { "z" } ": mean difference in standard deviations of the differences."
        }
    }
}

fn segments(report: &Report) -> Result<Markup> {
    Ok(html! {
        section {
            h2 { "By segment" }
            @for task in report.tasks.iter().filter(|t| t.segments.len() > 1) {
                h3 { (task.task) ", " (report.config.main()) }
                figure { (PreEscaped(plots::segments(report, task)?)) }
                @for segment in &task.segments[1..] {
                    details {
                        summary {
                            (task.task) ", " b { (segment.segment) } ": "
                            (thousands(segment.n_cases)) " cases"
                        }
                        (tables::results(report, segment))
                    }
                }
            }
        }
    })
}

fn losses(page: &ReportPage) -> Result<Markup> {
    Ok(html! {
        section {
            h2 { "Tuning" }
            figure {
                div class="legend" {
                    @for (i, series) in page.loss_curves.iter().enumerate() {
                        span {
                            i style=(format!("background:{}", colour::css(colour::series(i)))) {}
                            (series.name)
                        }
                    }
                }
                (PreEscaped(plots::losses(&page.loss_curves)?))
                figcaption {
                    "Training loss by step: every step faint, smoothed in full colour."
                    @if page.loss_curves.iter().any(|s| !s.validation.is_empty()) {
                        " Circles: loss on held-out rows."
                    }
                }
            }
        }
    })
}

fn lengths(page: &ReportPage) -> Result<Markup> {
    Ok(html! {
        section {
            h2 { "Lengths" }
            div class="pair" {
                @for histogram in &page.length_histograms {
                    figure {
                        h3 { (histogram.title) }
                        (PreEscaped(plots::histogram(histogram)?))
                        figcaption { (plots::summary(histogram)) }
                    }
                }
            }
        }
    })
}

fn notes(page: &ReportPage) -> Markup {
    let report = &page.report;
    html! {
        section {
            h2 { "What to know before believing this" }
            ul class="notes" {
                @for note in page.notes.iter().chain(&report.warnings) { li { (note) } }
                @for task in &report.tasks {
                    @let share = 100.0 * task.n_unreachable_targets as f64
                        / task.n_targets.max(1) as f64;
                    li {
                        "Task " b { (task.task) } ": " (format!("{share:.1} %")) " of the targets ("
                        (thousands(task.n_unreachable_targets)) " of " (thousands(task.n_targets))
                        ") are outside the catalogue; "
                        (thousands(task.segments.first().map_or(0, |s| {
                            s.systems.iter().map(|r| r.n_invalid).sum()
                        })))
                        " listed items of all systems are invalid, "
                        (thousands(task.segments.first().map_or(0, |s| {
                            s.systems.iter().map(|r| r.n_missing).sum()
                        })))
                        " lists are missing. All of them stay in the denominator."
                    }
                }
                li {
                    "Equal scores: " (report.config.ties) ", never by index. Intervals cover \
                     the choice of cases, not the seed of the training; where several seeds were run, \
                     how far they lie apart is told beside."
                }
            }
        }
    }
}

fn samples(page: &ReportPage) -> Markup {
    html! {
        section {
            h2 { "Sample cases" }
            @for sample in &page.samples {
                article {
                    h3 { (sample.title) }
                    @for (name, text) in &sample.blocks {
                        h4 { (name) }
                        pre { (text) }
                    }
                }
            }
        }
    }
}
