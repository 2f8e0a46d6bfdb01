//! `hkfr compare RUN…`: runs of one data set → one table, what of it is significant, and the report.
//!
//! In: directories of `hkfr run`, with run files of any tool beside them, or such files with their qrels. Runs
//! of one system with several seeds are averaged user by user; other systems stand beside each other. Out: the
//! text to print, and with `--out` report.html, report.json, table.md and table.tex.

pub mod cost;
mod source;

use std::fmt::Write;
use std::path::Path;

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
    let report = measure(args, found)?;
    let printed = match args.format {
        CompareFormat::Text => table::text(&report) + "\n" + &sentences(&report, ""),
        CompareFormat::Markdown => markdown(&report),
        CompareFormat::Latex => table::latex(&report),
    };
    if let Some(dir) = &args.out {
        write(dir, args, report)?;
        eprintln!("report: {}", dir.join(crate::stages::REPORT).display());
    }
    Ok(printed)
}

fn measure(args: &CompareArgs, found: Vec<Found>) -> Result<Report> {
    let reference = match &args.reference {
        Some(reference) => Some(reference.clone()),
        None => found.iter().find_map(|f| f.reference.clone()),
    };
    let costs = cost::mean(found.iter().flat_map(|f| f.costs.iter().cloned()));
    let mut ks = args.k.clone();
    ks.extend(args.metric.map(|m| m.k));
    ks.sort_unstable();
    ks.dedup();
    let mut sources: Vec<Source> = found.into_iter().map(|f| f.source).collect();
    let told = match args.common_cases {
        true => keep_common(&mut sources)?,
        false => Vec::new(),
    };
    let pooled = pool(sources)?;
    let first = pooled.runs.first().context("the runs hold no lists")?;
    let cfg = EvalConfig {
        ks,
        reference: reference.or_else(|| Some(first.system.clone())),
        main: args.metric,
        segment_order: crate::stages::segment_order(),
        repeats: pooled.repeats,
        ties: args.ties,
        ..EvalConfig::default()
    };
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

fn write(dir: &Path, args: &CompareArgs, report: Report) -> Result<()> {
    ensure!(
        !dir.join(crate::stage::MANIFEST).exists(),
        "{} is a directory of `hkfr run`; give --out another one",
        dir.display()
    );
    fs_err::create_dir_all(dir)?;
    crate::atomic::write(&dir.join("table.md"), markdown(&report).as_bytes())?;
    crate::atomic::write(&dir.join("table.tex"), table::latex(&report).as_bytes())?;
    report.write(&dir.join("report.json"))?;
    let page = ReportPage {
        title: "hkfr: comparison".into(),
        subtitle: args.runs.join(" · "),
        notes: vec![
            "All systems were asked the same cases, with the same targets, catalogue and policy on repeats."
                .into(),
        ],
        report,
        ..ReportPage::default()
    };
    html::write(&page, &dir.join(crate::stages::REPORT))?;
    Ok(())
}
