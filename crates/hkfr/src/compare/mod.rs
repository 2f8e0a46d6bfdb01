//! `hkfr compare RUN…`: runs of one data set → one table, what of it is significant, and the report.
//!
//! In: directories of `hkfr run`, with run files of any tool beside them, or such files with their qrels. Runs
//! of one system with several seeds are averaged user by user; other systems stand beside each other. Out: the
//! text to print, and with `--out` report.html, report.json, table.md and table.tex.

pub mod cost;
mod source;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use hkfr_eval::html::ReportPage;
use hkfr_eval::{
    EvalConfig, Report, Source, evaluate, html, keep_common, pool, printable, table, verdicts,
};

use crate::args::{CompareArgs, CompareFormat};
use source::{Found, Named};

/// What is printed; the files are written.
pub fn run(args: &CompareArgs) -> Result<String> {
    let named: Vec<Named> = args.runs.iter().map(|r| Named::parse(r)).collect();
    let found = match &args.qrels {
        Some(qrels) => source::files(&named, qrels, args)?,
        None => source::directories(&named, args.task.as_deref())?,
    };
    let report = of_args(args, found)?;
    let printed = match args.format {
        CompareFormat::Text => text(&report),
        CompareFormat::Markdown => markdown(&report),
        CompareFormat::Latex => table::latex(&report),
    };
    if let Some(dir) = &args.out {
        ensure!(
            !dir.join(crate::stage::MANIFEST).exists(),
            "{} is a directory of `hkfr run`; give --out another one",
            dir.display()
        );
        let page = ReportPage {
            title: "hkfr: comparison".into(),
            subtitle: args.runs.join(" · "),
            notes: vec![SAME_QUESTIONS.into()],
            report,
            ..ReportPage::default()
        };
        write(dir, &page)?;
        eprintln!("report: {}", dir.join(crate::stages::REPORT).display());
    }
    Ok(printed)
}

/// What holds of every comparison.
pub const SAME_QUESTIONS: &str = "All systems were asked the same cases, with the same targets, catalogue and policy on repeats.";

/// The table to print, with what is significant.
pub fn text(report: &Report) -> String {
    table::text(report) + "\n" + &sentences(report, "")
}

/// Runs of `hkfr run`, by their directories; `cfg`'s policy on repeats is that of the runs.
pub fn of_runs(dirs: &[PathBuf], cfg: EvalConfig) -> Result<Report> {
    let named: Vec<Named> = dirs.iter().map(|d| Named::of_path(d)).collect();
    measure(source::directories(&named, None)?, false, cfg)
}

fn of_args(args: &CompareArgs, found: Vec<Found>) -> Result<Report> {
    let reference = match &args.reference {
        Some(reference) => Some(reference.clone()),
        None => found.iter().find_map(|f| f.reference.clone()),
    };
    let mut ks = args.k.clone();
    ks.extend(args.metric.map(|m| m.k));
    ks.sort_unstable();
    ks.dedup();
    let cfg = EvalConfig {
        ks,
        reference,
        main: args.metric,
        segment_order: crate::stages::segment_order(),
        ties: args.ties,
        ..EvalConfig::default()
    };
    measure(found, args.common_cases, cfg)
}

/// Without a reference the first system is it.
fn measure(found: Vec<Found>, common_cases: bool, mut cfg: EvalConfig) -> Result<Report> {
    let costs = cost::mean(found.iter().flat_map(|f| f.costs.iter().cloned()));
    let mut sources: Vec<Source> = found.into_iter().map(|f| f.source).collect();
    let told = match common_cases {
        true => keep_common(&mut sources)?,
        false => Vec::new(),
    };
    let pooled = pool(sources)?;
    let first = pooled.runs.first().context("the runs hold no lists")?;
    cfg.reference.get_or_insert_with(|| first.system.clone());
    cfg.repeats = pooled.repeats;
    let mut report = evaluate(&pooled.truths, &pooled.runs, &cfg)?;
    report.costs = costs;
    report.warnings.splice(0..0, told);
    Ok(report)
}

/// What the tests say, a line a system, under the name of each task.
fn sentences(report: &Report, bullet: &str) -> String {
    let mut out = String::new();
    for task in &report.tasks {
        let verdicts = verdicts(report, task);
        if !verdicts.is_empty() {
            let _ = writeln!(out, "{}:", task.task);
        }
        for verdict in verdicts {
            let _ = writeln!(out, "{bullet}{verdict}");
        }
    }
    // A name may come from anyone's file, and this may be a terminal.
    printable(&out)
}

fn markdown(report: &Report) -> String {
    let mut out = table::markdown(report);
    for task in &report.tasks {
        let verdicts = verdicts(report, task);
        if !verdicts.is_empty() {
            let _ = writeln!(
                out,
                "\n#### {}: what is significant\n",
                table::escape_markdown(&task.task)
            );
        }
        for verdict in verdicts {
            let _ = writeln!(out, "- {}", table::escape_markdown(&verdict));
        }
    }
    out
}

/// table.md, table.tex, report.json and report.html.
pub fn write(dir: &Path, page: &ReportPage) -> Result<()> {
    fs_err::create_dir_all(dir)?;
    let report = &page.report;
    crate::atomic::write(&dir.join("table.md"), markdown(report).as_bytes())?;
    crate::atomic::write(&dir.join("table.tex"), table::latex(report).as_bytes())?;
    report.write(&dir.join("report.json"))?;
    html::write(page, &dir.join(crate::stages::REPORT))?;
    Ok(())
}
