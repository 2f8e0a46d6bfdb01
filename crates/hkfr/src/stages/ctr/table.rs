//! The figures as aligned text, a table a task and segment.

use std::fmt::Write;

use hkfr_eval::binary::{Figure, ModelRow, SegmentRows};

use super::TaskFigures;

pub(super) fn text(tasks: &[TaskFigures]) -> String {
    let mut out = String::new();
    for task in tasks {
        for segment in &task.segments {
            let (name, share) = (&segment.segment, positive_share(segment));
            let _ = writeln!(
                out,
                "{}, {name}: {} rows of {} users, {share:.2} % chosen",
                task.task, segment.n_rows, segment.n_users
            );
            table(&mut out, task, segment);
            out.push('\n');
        }
        let (n, most) = (
            task.train_rows,
            "each difference is from the first row of its model, or of LR",
        );
        let _ = writeln!(
            out,
            "{}: {n} rows learnt from; ± half of the 95 % interval over users; {most}\n",
            task.task
        );
    }
    out
}

fn positive_share(segment: &SegmentRows) -> f64 {
    100.0 * segment.n_positive as f64 / segment.n_rows.max(1) as f64
}

fn table(out: &mut String, task: &TaskFigures, segment: &SegmentRows) {
    let mut rows = vec![
        [
            "model",
            "features",
            "AUC",
            "log-loss",
            "ECE",
            "AUC −",
            "log-loss −",
        ]
        .map(str::to_owned),
    ];
    for (model, fitted) in segment.models.iter().zip(&task.models) {
        rows.push(row(model, fitted.n_features));
    }
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max();
    let widths: Vec<usize> = (0..7).map(|c| width(c).unwrap_or(0)).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).enumerate();
        let padded = cells.map(|(c, (cell, &width))| {
            let space = " ".repeat(width - cell.chars().count());
            if c == 0 {
                format!("{cell}{space}")
            } else {
                format!("{space}{cell}")
            }
        });
        let line: Vec<String> = padded.collect();
        let _ = writeln!(out, "{}", line.join("  ").trim_end());
    }
}

fn row(model: &ModelRow, n_features: usize) -> [String; 7] {
    let of = &model.figures;
    let value = |f: &Figure| format!("{:.4} ±{:.4}", f.value, f.interval.half());
    let difference = |f: &Figure| {
        let excludes_0 = f.interval.lo > 0.0 || f.interval.hi < 0.0;
        let mark = if excludes_0 { "†" } else { " " };
        format!("{:+.4} ±{:.4}{mark}", f.value, f.interval.half())
    };
    let [auc, loss] = match &model.difference {
        Some(d) => [difference(&d.auc), difference(&d.log_loss)],
        None => ["".into(), "".into()],
    };
    [
        model.model.clone(),
        n_features.to_string(),
        value(&of.auc),
        value(&of.log_loss),
        format!("{:.4}", of.calibration_error.value),
        auc,
        loss,
    ]
}
