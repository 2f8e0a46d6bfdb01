//! Means with their intervals: a row a system, a panel a metric or a segment.
//!
//! In: rows of the report. Out: an SVG of up to four panels side by side that share the names at
//! the left; the reference is coloured, and a line through all rows shows where it stands.

use plotters::style::Color;
use plotters::style::text_anchor::HPos;

use super::canvas::{Canvas, Scale, draw, round_step};
use super::colour::{ACCENT, INK, PLAIN};
use crate::error::Result;
use crate::metric::MetricAt;
use crate::report::{MetricValue, Report, SegmentReport, TaskReport};
use crate::table::{shown, thousands};

const WIDTH: i32 = 1040;
const ROW: i32 = 24;
const HEAD: i32 = 30;
const FOOT: i32 = 30;
const GAP: i32 = 34;
const PER_LINE: usize = 4;

struct Panel {
    title: String,
    /// One a system; `None` where the segment has no such row.
    values: Vec<Option<MetricValue>>,
    hi: f64,
}

/// One panel a metric, each with its own scale.
pub(in crate::html) fn metrics(report: &Report, segment: &SegmentReport) -> Result<String> {
    let names = names(segment);
    let panels = shown(report)
        .into_iter()
        .map(|at| panel(at.to_string(), segment, &names, at));
    plot(&names, report.config.reference.as_deref(), panels.collect())
}

/// One panel a segment for the deciding metric, all with the same scale.
pub(in crate::html) fn segments(report: &Report, task: &TaskReport) -> Result<String> {
    let names = names(&task.segments[0]);
    let at = report.config.main();
    let title = |s: &SegmentReport| format!("{} (n = {})", s.segment, thousands(s.n_cases));
    let mut panels: Vec<Panel> = task
        .segments
        .iter()
        .map(|s| panel(title(s), s, &names, at))
        .collect();
    let hi = panels.iter().map(|p| p.hi).fold(0.0, f64::max);
    panels.iter_mut().for_each(|p| p.hi = hi);
    plot(&names, report.config.reference.as_deref(), panels)
}

fn names(segment: &SegmentReport) -> Vec<String> {
    segment
        .systems
        .iter()
        .map(|row| row.system.clone())
        .collect()
}

fn panel(title: String, segment: &SegmentReport, names: &[String], at: MetricAt) -> Panel {
    let value = |name: &String| segment.system(name)?.value(at.metric, at.k).copied();
    let values: Vec<_> = names.iter().map(value).collect();
    let highest = values
        .iter()
        .flatten()
        .map(|v| v.interval.hi.max(v.mean))
        .fold(0.0, f64::max);
    let hi = if highest > 0.0 {
        highest * 1.04
    } else {
        round_step(0.01)
    };
    Panel { title, values, hi }
}

fn plot(names: &[String], reference: Option<&str>, panels: Vec<Panel>) -> Result<String> {
    let reference = names.iter().position(|n| Some(n.as_str()) == reference);
    let labels: Vec<String> = names.iter().map(|n| label(n)).collect();
    let longest = labels.iter().map(|l| l.chars().count()).max().unwrap_or(0) as i32;
    let left = longest * 7 + 20;
    let across = panels.len().clamp(1, PER_LINE);
    let width = (WIDTH - left - GAP * (across as i32 - 1) - 10) / across as i32;
    let line_height = HEAD + ROW * names.len() as i32 + FOOT;
    let n_lines = panels.len().div_ceil(PER_LINE) as i32;
    draw(
        (WIDTH as u32, (line_height * n_lines.max(1)) as u32),
        |canvas| {
            for (l, line) in panels.chunks(PER_LINE).enumerate() {
                let top = line_height * l as i32 + HEAD;
                for (row, label) in labels.iter().enumerate() {
                    let at = (left - 14, top + row_middle(row));
                    match reference == Some(row) {
                        true => canvas.bold(label, at, 13.0, HPos::Right)?,
                        false => canvas.text(label, at, 13.0, HPos::Right, 0.85)?,
                    }
                }
                for (c, panel) in line.iter().enumerate() {
                    let x0 = left + c as i32 * (width + GAP);
                    let scale = Scale {
                        lo: 0.0,
                        hi: panel.hi,
                        from: x0,
                        to: x0 + width,
                    };
                    draw_panel(canvas, panel, scale, top, reference)?;
                }
            }
            Ok(())
        },
    )
}

fn row_middle(row: usize) -> i32 {
    row as i32 * ROW + ROW / 2
}

fn draw_panel(
    canvas: &Canvas,
    panel: &Panel,
    scale: Scale,
    top: i32,
    reference: Option<usize>,
) -> Result<()> {
    let bottom = top + ROW * panel.values.len() as i32;
    canvas.bold(
        &shorten(&panel.title, 30),
        (scale.from, top - 14),
        13.0,
        HPos::Left,
    )?;
    for (x, text) in scale.ticks(5) {
        let px = scale.px(x);
        canvas.line(&[(px, top), (px, bottom)], INK.mix(0.12), 1)?;
        canvas.text(&text, (px, bottom + 14), 11.0, HPos::Center, 0.65)?;
    }
    canvas.line(
        &[(scale.from, bottom), (scale.to, bottom)],
        INK.mix(0.35),
        1,
    )?;
    if let Some(v) = reference.and_then(|r| panel.values[r]) {
        let px = scale.px(v.mean);
        canvas.dashed((px, top), (px, bottom), ACCENT.mix(0.8))?;
    }
    for (row, value) in panel.values.iter().enumerate() {
        let Some(v) = value else { continue };
        let colour = if reference == Some(row) {
            ACCENT
        } else {
            PLAIN
        };
        let y = top + row_middle(row);
        let (lo, hi) = (scale.px(v.interval.lo), scale.px(v.interval.hi));
        canvas.line(&[(lo, y), (hi, y)], colour, 2)?;
        canvas.line(&[(lo, y - 4), (lo, y + 4)], colour, 2)?;
        canvas.line(&[(hi, y - 4), (hi, y + 4)], colour, 2)?;
        canvas.dot((scale.px(v.mean), y), 5, colour)?;
    }
    Ok(())
}

fn label(name: &str) -> String {
    shorten(name, 32)
}

fn shorten(text: &str, width: usize) -> String {
    match text.chars().count() > width {
        true => text.chars().take(width - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}
