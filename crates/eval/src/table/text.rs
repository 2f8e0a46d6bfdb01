//! Tables as aligned plain text.

use std::fmt::Write;

use super::contents::tables;
use super::model::{Cell, Table};
use super::numbers::{p_text, signed, thousands};
use crate::printable;
use crate::report::Report;

/// Longer system names are cut with `…` so that a line fits a terminal.
const NAME_WIDTH: usize = 28;

/// All tables as plain text.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    for table in report.tasks.iter().flat_map(|task| tables(report, task)) {
        let _ = writeln!(out, "{}", table.title);
        out += &align(&cells(&table));
        out.push('\n');
    }
    let share = (report.config.confidence * 100.0).round();
    let _ = write!(
        out,
        "* best of the column · ± half of the {share} % bootstrap interval ({} resamples) · {}\n= {}",
        thousands(report.config.resamples),
        report.config.repeats,
        report.config.ties
    );
    if let Some(reference) = &report.config.reference {
        let _ = write!(
            out,
            "\nΔ paired difference to {}, p of the randomisation test after Holm's correction; † p < .05",
            shorten(reference)
        );
    }
    out.push('\n');
    for warning in &report.warnings {
        let _ = writeln!(out, "! {warning}");
    }
    printable(&out)
}

/// Marks stand in a column of their own, which is as wide as that of the most marks.
fn cells(table: &Table) -> Vec<Vec<String>> {
    let width = |c: usize| {
        let marks = table.rows.iter().filter_map(|row| row.get(c)).map(mark);
        marks.map(|m| m.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..table.header.len()).map(width).collect();
    let padded = |(c, text): (usize, String), mark: &str| {
        format!("{text}{mark:<w$}", w = widths.get(c).copied().unwrap_or(0))
    };
    let header = table.header.iter().cloned().enumerate();
    let mut rows = vec![header.map(|cell| padded(cell, "")).collect()];
    rows.extend(table.rows.iter().map(|row| {
        let cells = row.iter().enumerate();
        cells
            .map(|(c, cell)| padded((c, plain(cell)), mark(cell)))
            .collect()
    }));
    rows
}

fn mark(cell: &Cell) -> &'static str {
    match cell {
        Cell::Mean {
            best, significant, ..
        } => match (best, significant) {
            (true, true) => "*†",
            (true, false) => "*",
            (false, true) => "†",
            (false, false) => "",
        },
        _ => "",
    }
}

fn plain(cell: &Cell) -> String {
    match cell {
        Cell::Name(name) => shorten(name),
        Cell::Mean { mean, interval, .. } => match interval {
            Some(interval) => {
                let half = format!("{:.4}", interval.half());
                format!("{mean:.4} ±{}", half.trim_start_matches('0'))
            }
            None => format!("{mean:.4}"),
        },
        Cell::Difference {
            diff,
            p,
            p_is_floor,
        } => format!("{} {:>8}", signed(*diff), p_text(*p, *p_is_floor)),
        Cell::Text(text) => text.clone(),
    }
}

/// On one line.
fn shorten(name: &str) -> String {
    let clean: Vec<char> = name
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if clean.len() <= NAME_WIDTH {
        return clean.into_iter().collect();
    }
    clean[..NAME_WIDTH - 1].iter().chain(['…'].iter()).collect()
}

/// First column to the left, the others to the right, a rule under the header.
fn align(rows: &[Vec<String>]) -> String {
    let n_cols = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| {
        rows.iter()
            .filter_map(|r| r.get(c))
            .map(|s| s.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..n_cols).map(width).collect();
    let mut out = String::new();
    for (i, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (c, cell) in row.iter().enumerate() {
            let w = widths[c];
            let _ = match c {
                0 => write!(line, "{cell:<w$}"),
                _ => write!(line, "  {cell:>w$}"),
            };
        }
        out += line.trim_end();
        out.push('\n');
        if i == 0 {
            out += &"─".repeat(widths.iter().sum::<usize>() + 2 * n_cols.saturating_sub(1));
            out.push('\n');
        }
    }
    out
}
