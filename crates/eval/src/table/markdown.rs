//! Tables as Markdown.

use std::fmt::Write;

use super::contents::tables;
use super::model::{Cell, Table};
use super::numbers::{p_text, signed};
use super::reading;
use crate::report::Report;

/// All tables as Markdown: the best of a column bold, intervals in full.
pub fn markdown(report: &Report) -> String {
    let mut out = String::new();
    for table in report.tasks.iter().flat_map(|task| tables(report, task)) {
        let level = if table.leads { "###" } else { "####" };
        let _ = writeln!(out, "{level} {}\n", escape(&table.title));
        out += &write(&table);
    }
    let _ = writeln!(
        out,
        "In brackets: the {} % bootstrap interval; {}.\n",
        (report.config.confidence * 100.0).round(),
        reading(&report.config)
    );
    if let Some(reference) = &report.config.reference {
        let reference = escape(reference);
        let _ = writeln!(
            out,
            "Δ: paired difference to {reference}, p of the randomisation test after Holm's correction; † p < .05.\n"
        );
    }
    for warning in &report.warnings {
        let _ = writeln!(out, "- {}", escape(warning));
    }
    out
}

fn write(table: &Table) -> String {
    let header: Vec<String> = table.header.iter().map(|h| escape(h)).collect();
    let mut out = format!(
        "| {} |\n|---|{}\n",
        header.join(" | "),
        "---:|".repeat(header.len() - 1)
    );
    for row in &table.rows {
        let cells: Vec<String> = row.iter().map(cell).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    out.push('\n');
    out
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Name(name) => escape(name),
        Cell::Mean {
            mean,
            interval,
            best,
            significant,
        } => {
            let b = if *best { "**" } else { "" };
            let dagger = if *significant { "†" } else { "" };
            let interval = interval.map(|i| format!(" [{:.4}, {:.4}]", i.lo, i.hi));
            format!("{b}{mean:.4}{b}{dagger}{}", interval.unwrap_or_default())
        }
        Cell::Difference {
            diff,
            p,
            p_is_floor,
        } => format!("{}, {}", signed(*diff), p_text(*p, *p_is_floor)),
        Cell::Text(text) => escape(text),
    }
}

/// Text that Markdown shows as it is, on one line, whoever wrote it.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() => out.push(' '),
            '|' | '*' | '_' | '<' | '\\' | '[' | '`' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}
