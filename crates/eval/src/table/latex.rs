//! Tables as LaTeX for a paper: `\usepackage{booktabs}` and nothing else.

use std::fmt::Write;

use super::contents::{overall, systems};
use super::model::{Cell, Table};
use super::numbers::{short, signed, thousands};
use super::reading;
use crate::report::{Report, SegmentReport, TaskReport};

/// One `table` a task on all cases, and one of seeds, effect sizes and costs where there are any. The captions
/// say cases, catalogue, seeds, intervals, test and correction.
pub fn latex(report: &Report) -> String {
    let mut out = String::from("% needs \\usepackage{booktabs}\n");
    for task in &report.tasks {
        let Some(all) = task.segments.first() else {
            continue;
        };
        let caption = caption(report, task, all);
        write(&mut out, &overall(report, task, all), &caption);
        if let Some(table) = systems(report, task, all) {
            write(&mut out, &table, &format!("{}.", escape(&table.title)));
        }
    }
    out
}

fn caption(report: &Report, task: &TaskReport, all: &SegmentReport) -> String {
    let cfg = &report.config;
    let share = (cfg.confidence * 100.0).round();
    let mut text = format!("Task {}, {} cases", task.task, thousands(all.n_cases));
    if task.n_catalogue > 0 {
        let _ = write!(text, ", catalogue of {}", thousands(task.n_catalogue));
    }
    let seeded: Vec<String> = all
        .systems
        .iter()
        .filter(|row| row.n_seeds > 1)
        .map(|row| format!("{}: {}", row.system, row.n_seeds))
        .collect();
    text += match seeded.is_empty() {
        true => ", one seed a system".to_owned(),
        false => format!(
            ", means over seeds where there are several ({})",
            seeded.join(", ")
        ),
    }
    .as_str();
    let _ = write!(
        text,
        ". In brackets the {share} % bootstrap interval over cases ({} resamples); the best of a column is bold; {}.",
        thousands(cfg.resamples),
        reading(cfg)
    );
    let mut out = escape(&text);
    if let Some(reference) = cfg.reference.as_ref().filter(|_| all.is_compared()) {
        let n = all.systems.len() - 1;
        let _ = write!(
            out,
            " $\\dagger$: differs from {}, $p < .05$ in a paired randomisation test after Holm's correction over {n} comparison{}.",
            escape(reference),
            if n == 1 { "" } else { "s" }
        );
    }
    out
}

fn write(out: &mut String, table: &Table, caption: &str) {
    let columns = "r".repeat(table.header.len() - 1);
    let header = table
        .header
        .iter()
        .map(|h| escape(h).replace("d\\_z", "$d_z$"));
    let header: Vec<String> = header.collect();
    let _ = write!(
        out,
        "\n\\begin{{table}}\n\\centering\n\\caption{{{caption}}}\n\\begin{{tabular}}{{l{columns}}}\n\\toprule\n{} \\\\\n\\midrule\n",
        header.join(" & ")
    );
    for row in &table.rows {
        let cells: Vec<String> = row.iter().map(cell).collect();
        let _ = writeln!(out, "{} \\\\", cells.join(" & "));
    }
    *out += "\\bottomrule\n\\end{tabular}\n\\end{table}\n";
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Name(text) | Cell::Text(text) => escape(text),
        Cell::Mean {
            mean,
            interval,
            best,
            significant,
        } => {
            let mut text = match best {
                true => format!("\\textbf{{{mean:.4}}}"),
                false => format!("{mean:.4}"),
            };
            if *significant {
                text += "$^\\dagger$";
            }
            if let Some(i) = interval {
                let _ = write!(text, " {{\\scriptsize [{:.4}, {:.4}]}}", i.lo, i.hi);
            }
            text
        }
        Cell::Difference {
            diff,
            p,
            p_is_floor,
        } => {
            let p = match p {
                p if *p < 0.001 => "p < .001".into(),
                p if *p_is_floor => format!("p \\le {}", short(*p, 3)),
                p => format!("p = {}", short(*p, 3)),
            };
            format!("{} (${p}$)", escape(&signed(*diff)))
        }
    }
}

/// Text that LaTeX prints as it is, whoever wrote it.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // At the beginning of a row these belong to the line break before it.
    if text.starts_with(['[', '*']) {
        out += "{}";
    }
    for c in text.chars() {
        match c {
            c if c.is_control() => out.push(' '),
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => out.extend(['\\', c]),
            '~' => out += "\\textasciitilde{}",
            '^' => out += "\\textasciicircum{}",
            '\\' => out += "\\textbackslash{}",
            '<' => out += "\\textless{}",
            '>' => out += "\\textgreater{}",
            '|' => out += "\\textbar{}",
            'Δ' => out += "$\\Delta$",
            '−' => out += "$-$",
            '–' => out += "--",
            '·' => out += "$\\cdot$",
            c => out.push(c),
        }
    }
    out
}
