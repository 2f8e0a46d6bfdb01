//! Tables for people: aligned plain text for a terminal (at most 120 columns with two cut-offs),
//! and Markdown.
//!
//! In: a [`Report`]. Out: text, one table a task on the segment `all`, one of what the lists are like
//! (see [`crate::beyond`]), then one of the segments a dimension. In plain text the best value of a column is marked `*`, `±` is half the width of the
//! interval; in Markdown the best is bold and the interval is given in full.

use std::fmt::Write;

use crate::beyond::ListMetrics;
use crate::metrics::{Metric, MetricAt};
use crate::report::{Report, SegmentReport, SystemRow, TaskReport};
use crate::segments::dimension;

/// Longer system names are cut with `…` so that a line fits a terminal.
const NAME_WIDTH: usize = 28;

/// All tables as plain text.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    for task in &report.tasks {
        if let Some(overall) = task.segments.first() {
            let _ = writeln!(out, "{}", heading(task, overall));
            out += &align(&overall_rows(report, overall));
            out.push('\n');
        }
        if let Some(rows) = list_rows(report, task, shorten) {
            let _ = writeln!(out, "{}: lists at {}", task.task, last(report).k);
            out += &align(&rows);
            out.push('\n');
        }
        for (dimension, segments) in by_dimension(task) {
            let _ = writeln!(out, "{}", segment_title(report, task, dimension));
            out += &align(&segment_rows(report, &segments, "*", ""));
            out.push('\n');
        }
    }
    let share = (report.config.confidence * 100.0).round();
    let _ = write!(
        out,
        "* best of the column · ± half of the {share} % bootstrap interval ({} resamples)",
        thousands(report.config.resamples)
    );
    if let Some(reference) = &report.config.reference {
        let _ = write!(
            out,
            "\nΔ paired difference to {}, p of the randomisation test after Holm's correction",
            shorten(reference)
        );
    }
    out.push('\n');
    for warning in &report.warnings {
        let _ = writeln!(out, "! {warning}");
    }
    out
}

/// All tables as Markdown.
pub fn markdown(report: &Report) -> String {
    let mut out = String::new();
    for task in &report.tasks {
        if let Some(overall) = task.segments.first() {
            let _ = writeln!(out, "### {}\n", escape_md(&heading(task, overall)));
            out += &markdown_table(&overall_rows_md(report, overall));
        }
        if let Some(rows) = list_rows(report, task, str::to_owned) {
            let title = format!("{}: lists at {}", task.task, last(report).k);
            let _ = writeln!(out, "#### {}\n", escape_md(&title));
            out += &markdown_table(&rows);
        }
        for (dimension, segments) in by_dimension(task) {
            let title = segment_title(report, task, dimension);
            let _ = writeln!(out, "#### {}\n", escape_md(&title));
            out += &markdown_table(&segment_rows(report, &segments, "**", "**"));
        }
    }
    for warning in &report.warnings {
        let _ = writeln!(out, "- {}", escape_md(warning));
    }
    out
}

/// The metrics that tables show, in column order.
pub(crate) fn shown(report: &Report) -> Vec<MetricAt> {
    MetricAt::grid(&Metric::SHOWN, &report.config.ks)
}

/// NDCG at the deepest cut-off: the one number where only one fits.
pub(crate) fn last(report: &Report) -> MetricAt {
    let k = report.config.ks.last().copied().unwrap_or(10);
    MetricAt {
        metric: Metric::Ndcg,
        k,
    }
}

pub(crate) fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `p .012`, `p <.001`.
pub(crate) fn p_text(p: f64) -> String {
    match p {
        p if p < 0.001 => "p <.001".into(),
        p if p >= 0.9995 => "p 1".into(),
        p => format!("p {}", format!("{p:.3}").trim_start_matches('0')),
    }
}

/// `+0.0123` or `−0.0123`, with a true minus sign.
pub(crate) fn signed(x: f64) -> String {
    let digits = format!("{:.4}", x.abs());
    match x {
        _ if digits == "0.0000" => digits,
        x if x < 0.0 => format!("−{digits}"),
        _ => format!("+{digits}"),
    }
}

fn heading(task: &TaskReport, segment: &SegmentReport) -> String {
    format!(
        "{} · {} · {} cases · {} in the catalogue",
        task.task,
        segment.segment,
        thousands(segment.n_cases),
        thousands(task.n_catalogue)
    )
}

/// Whether some row is compared with the reference.
fn has_differences(segment: &SegmentReport) -> bool {
    segment
        .systems
        .iter()
        .any(|row| !row.versus_reference.is_empty())
}

fn header(report: &Report, segment: &SegmentReport) -> Vec<String> {
    let mut header = vec!["system".to_owned()];
    header.extend(shown(report).iter().map(MetricAt::to_string));
    if has_differences(segment) {
        header.push(format!("Δ{}", last(report)));
    }
    header
}

fn difference(report: &Report, row: &SystemRow) -> String {
    let at = last(report);
    match row.difference(at.metric, at.k) {
        Some(d) => format!("{} {:>7}", signed(d.diff), p_text(d.p_holm)),
        None => "reference".into(),
    }
}

pub(crate) fn is_best(segment: &SegmentReport, at: MetricAt, mean: f64) -> bool {
    // Shown to four digits, so equal to four digits is equally best.
    segment
        .best(at)
        .is_some_and(|best| format!("{best:.4}") == format!("{mean:.4}"))
}

fn overall_rows(report: &Report, segment: &SegmentReport) -> Vec<Vec<String>> {
    let mut rows = vec![header(report, segment)];
    for cell in rows[0].iter_mut().skip(1).take(shown(report).len()) {
        cell.push(' '); // above the column of marks
    }
    for row in &segment.systems {
        let mut cells = vec![shorten(&row.system)];
        for at in shown(report) {
            let Some(v) = row.value(at.metric, at.k) else {
                continue;
            };
            let half = format!("{:.4}", v.interval.half());
            let mark = if is_best(segment, at, v.mean) {
                '*'
            } else {
                ' '
            };
            cells.push(format!(
                "{:.4} ±{}{mark}",
                v.mean,
                half.trim_start_matches('0')
            ));
        }
        if has_differences(segment) {
            cells.push(difference(report, row));
        }
        rows.push(cells);
    }
    rows
}

fn overall_rows_md(report: &Report, segment: &SegmentReport) -> Vec<Vec<String>> {
    let mut rows = vec![header(report, segment)];
    for row in &segment.systems {
        let mut cells = vec![row.system.clone()];
        for at in shown(report) {
            let Some(v) = row.value(at.metric, at.k) else {
                continue;
            };
            let b = if is_best(segment, at, v.mean) {
                "**"
            } else {
                ""
            };
            let (lo, hi) = (v.interval.lo, v.interval.hi);
            cells.push(format!("{b}{:.4}{b} [{lo:.4}, {hi:.4}]", v.mean));
        }
        if has_differences(segment) {
            cells.push(difference(report, row));
        }
        rows.push(cells);
    }
    rows
}

fn segment_title(report: &Report, task: &TaskReport, dimension: &str) -> String {
    let by = if dimension.is_empty() {
        "segment"
    } else {
        dimension
    };
    format!("{}: {} by {by} (cases)", task.task, last(report))
}

/// The segments of each dimension after that of all cases; none where there is only that.
fn by_dimension(task: &TaskReport) -> Vec<(&str, Vec<&SegmentReport>)> {
    let Some((all, others)) = task.segments.split_first() else {
        return Vec::new();
    };
    let mut groups: Vec<(&str, Vec<&SegmentReport>)> = Vec::new();
    for segment in others {
        let of = dimension(&segment.segment);
        match groups.iter_mut().find(|g| g.0 == of) {
            Some(group) => group.1.push(segment),
            None => groups.push((of, vec![all, segment])),
        }
    }
    groups
}

/// System × what its lists are like at the deepest cut-off; `None` where nothing of it is known.
fn list_rows(
    report: &Report,
    task: &TaskReport,
    name: impl Fn(&str) -> String,
) -> Option<Vec<Vec<String>>> {
    let k = last(report).k;
    let systems = &task.segments.first()?.systems;
    let lists: Vec<(&SystemRow, &ListMetrics)> = systems
        .iter()
        .filter_map(|row| Some((row, row.lists.iter().find(|l| l.k == k)?)))
        .collect();
    let columns: [(&str, ListColumn); 6] = [
        ("coverage", |l| Some(format!("{:.4}", l.coverage?))),
        ("Gini", |l| Some(format!("{:.4}", l.gini?))),
        ("invalid", |l| Some(format!("{:.4}", l.invalid?))),
        ("novelty (bits)", |l| Some(format!("{:.2}", l.novelty?))),
        ("ARP", |l| Some(format!("{:.1}", l.arp?))),
        ("popularity lift", |l| {
            Some(signed_short(l.popularity_lift?))
        }),
    ];
    let known = |c: &&(&str, ListColumn)| lists.iter().any(|l| (c.1)(l.1).is_some());
    let columns: Vec<_> = columns.iter().filter(known).collect();
    if columns.is_empty() {
        return None;
    }
    let mut rows = vec![vec!["system".to_owned()]];
    rows[0].extend(columns.iter().map(|c| c.0.to_owned()));
    for (row, list) in lists {
        let cells = columns.iter().map(|c| (c.1)(list).unwrap_or("–".into()));
        rows.push(std::iter::once(name(&row.system)).chain(cells).collect());
    }
    Some(rows)
}

type ListColumn = fn(&ListMetrics) -> Option<String>;

fn signed_short(x: f64) -> String {
    format!("{x:+.2}").replace('-', "−")
}

/// System × segment; the best of a column stands between `open` and `close`, or before `open`
/// alone where nothing closes.
fn segment_rows(
    report: &Report,
    segments: &[&SegmentReport],
    open: &str,
    close: &str,
) -> Vec<Vec<String>> {
    let at = last(report);
    let (mark_before, mark_after) = if close.is_empty() {
        ("", open)
    } else {
        (open, close)
    };
    let pad = if close.is_empty() { " " } else { "" };
    let label = |s: &&SegmentReport| {
        let of = dimension(&s.segment);
        let name = if of.is_empty() {
            &s.segment
        } else {
            &s.segment[of.len() + 2..]
        };
        format!("{name} ({}){pad}", thousands(s.n_cases))
    };
    let mut rows = vec![vec!["system".to_owned()]];
    rows[0].extend(segments.iter().map(label));
    for row in &segments[0].systems {
        let name = if close.is_empty() {
            shorten(&row.system)
        } else {
            row.system.clone()
        };
        let cells = segments.iter().map(|s| {
            let mean = s.system(&row.system).and_then(|r| r.value(at.metric, at.k));
            match mean {
                Some(v) if is_best(s, at, v.mean) => {
                    format!("{mark_before}{:.4}{mark_after}", v.mean)
                }
                Some(v) => format!("{:.4}{pad}", v.mean),
                None => format!("–{pad}"),
            }
        });
        rows.push(std::iter::once(name).chain(cells).collect());
    }
    rows
}

/// One line, without control characters (a system name may come from anyone's file).
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

fn markdown_table(rows: &[Vec<String>]) -> String {
    let mut out = String::new();
    for (i, row) in rows.iter().enumerate() {
        let first = escape_md(&row[0]);
        let _ = writeln!(out, "| {first} | {} |", row[1..].join(" | "));
        if i == 0 {
            let _ = writeln!(out, "|---|{}", "---:|".repeat(row.len() - 1));
        }
    }
    out.push('\n');
    out
}

fn escape_md(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() => out.push(' '),
            '|' | '*' | '_' | '<' | '\\' | '[' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}
