//! What the instruction rows are made of, as a value that is written to a file and read by people.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::{Candidate, Dropped, InstructionRow, LABEL_TASKS, TASKS};

/// Answers of a task that are listed, the most common first.
const LISTED: usize = 20;

/// Tokens of rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lengths {
    pub min: usize,
    pub median: usize,
    pub p95: usize,
    pub max: usize,
}

impl Lengths {
    /// Of the lower of two medians; all 0 of no rows.
    pub fn of(lengths: impl Iterator<Item = usize>) -> Self {
        let mut all: Vec<usize> = lengths.collect();
        all.sort_unstable();
        let at = |percent: usize| {
            let rank = (all.len() * percent).div_ceil(100).max(1);
            all.get(rank - 1).copied().unwrap_or(0)
        };
        Self {
            min: all.first().copied().unwrap_or(0),
            median: at(50),
            p95: at(95),
            max: at(100),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskReport {
    pub rows: usize,
    /// Instances that the data have no answer for.
    pub without_answer: usize,
    pub dropped: Dropped,
    /// Rows of each wording, the served one first.
    pub wordings: Vec<usize>,
    pub n_labels: usize,
    /// Of the rows, that of the most common answer.
    pub largest_share: f64,
    /// The most common answers, with their rows.
    pub labels: Vec<(String, usize)>,
    pub tokens: Lengths,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub rows: usize,
    /// Training instances, those that no row is about among them.
    pub instances: usize,
    /// The limit that rows had to keep.
    pub max_tokens: usize,
    pub tokens: Lengths,
    /// In the order of the tasks.
    pub tasks: Vec<(String, TaskReport)>,
}

/// The answers of a task.
struct Labels {
    n: usize,
    largest_share: f64,
    listed: Vec<(String, usize)>,
}

impl Labels {
    fn of<'a>(answers: impl Iterator<Item = &'a str>) -> Self {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        answers.for_each(|a| *counts.entry(a).or_default() += 1);
        let (n, rows) = (counts.len(), counts.values().sum::<usize>());
        let mut listed: Vec<(String, usize)> =
            counts.into_iter().map(|(l, n)| (l.to_owned(), n)).collect();
        listed.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        listed.truncate(LISTED);
        let largest = listed.first().map_or(0, |l| l.1);
        Self {
            n,
            largest_share: largest as f64 / rows.max(1) as f64,
            listed,
        }
    }
}

impl Report {
    /// `answered`: of how many instances a task had an answer, before anything was dropped.
    pub fn new(
        rows: &[Candidate],
        (n_instances, answered): (usize, &HashMap<&'static str, usize>),
        dropped: &BTreeMap<&'static str, Dropped>,
        (asked, max_tokens): (&[String], usize),
    ) -> Self {
        let asked = TASKS.iter().filter(|t| asked.iter().any(|a| a == *t));
        let task = |task: &&'static str| {
            let own: Vec<&Candidate> = rows.iter().filter(|c| c.answer.task == *task).collect();
            let labels = Labels::of(own.iter().map(|c| c.answer.output.as_str()));
            let mut wordings = Vec::new();
            for c in &own {
                if wordings.len() <= c.answer.wording {
                    wordings.resize(c.answer.wording + 1, 0);
                }
                wordings[c.answer.wording] += 1;
            }
            let report = TaskReport {
                rows: own.len(),
                without_answer: n_instances - answered.get(task).copied().unwrap_or(0),
                dropped: dropped.get(task).copied().unwrap_or_default(),
                wordings,
                n_labels: labels.n,
                largest_share: labels.largest_share,
                labels: labels.listed,
                tokens: Lengths::of(own.iter().map(|c| c.tokens)),
            };
            ((*task).to_owned(), report)
        };
        Self {
            rows: rows.len(),
            instances: n_instances,
            max_tokens,
            tokens: Lengths::of(rows.iter().map(|c| c.tokens)),
            tasks: asked.map(task).collect(),
        }
    }

    /// Counts rows and answers anew, after some rows were taken out; their lengths stay as they were.
    pub fn recount(&mut self, rows: &[InstructionRow]) {
        self.rows = rows.len();
        for (task, report) in &mut self.tasks {
            let of_task = rows.iter().filter(|r| r.task == *task);
            let labels = Labels::of(of_task.clone().map(|r| r.output.as_str()));
            report.rows = of_task.count();
            report.n_labels = labels.n;
            report.largest_share = labels.largest_share;
            report.labels = labels.listed;
        }
    }

    /// A line a task.
    pub fn table(&self) -> String {
        let Lengths {
            min,
            median,
            p95,
            max,
        } = self.tokens;
        let mut out = format!(
            "{} rows of {} instances; tokens {min} to {max}, median {median}, 95 % up to {p95}, limit {}\n",
            self.rows, self.instances, self.max_tokens
        );
        let _ = writeln!(
            out,
            "{:<17} {:>6}  {:<14} {:>7}  {:<34} {:>18}  left out",
            "task", "rows", "by wording", "answers", "most common answer", "tokens (med., max)"
        );
        for (name, task) in &self.tasks {
            if task.rows == 0 {
                let why = if task.without_answer == self.instances {
                    "skipped: the data have no answer".to_owned()
                } else {
                    left_out(task)
                };
                let _ = writeln!(out, "{name:<17} {:>6}  {why}", 0);
                continue;
            }
            let wordings: Vec<String> = task.wordings.iter().map(usize::to_string).collect();
            let common: String = task.labels[0].0.chars().take(24).collect();
            let common = format!("{:.0} % {common}", 100.0 * task.largest_share);
            let lengths = format!("{} {}", task.tokens.median, task.tokens.max);
            let line = format!(
                "{name:<17} {:>6}  {:<14} {:>7}  {common:<34} {lengths:>18}  {}",
                task.rows,
                wordings.join(" "),
                task.n_labels,
                left_out(task)
            );
            out += line.trim_end();
            out.push('\n');
        }
        let drawn = self.tasks.iter().any(|t| t.1.dropped.not_drawn > 0);
        if drawn {
            let ranks = LABEL_TASKS.join(" and ");
            let _ = writeln!(
                out,
                "Every instance is asked {ranks}; of the others some are drawn."
            );
        }
        out
    }
}

fn left_out(task: &TaskReport) -> String {
    let d = &task.dropped;
    let mut parts = Vec::new();
    for (n, what) in [
        (task.without_answer, "without an answer"),
        (d.duplicates, "twice"),
        (d.too_long, "too long"),
        (d.too_common, "too common"),
        (d.not_drawn, "not drawn"),
    ] {
        if n > 0 {
            parts.push(format!("{n} {what}"));
        }
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::Lengths;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let of = |n: usize| Lengths::of((1..=n).rev());
        let lengths = |min, median, p95, max| Lengths {
            min,
            median,
            p95,
            max,
        };
        assert_eq!(of(100), lengths(1, 50, 95, 100));
        assert_eq!(of(3), lengths(1, 2, 3, 3));
        assert_eq!(of(0), lengths(0, 0, 0, 0));
    }
}
