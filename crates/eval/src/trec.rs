//! TREC files, as trec_eval, ranx and Anserini read and write them. Fields are separated by white
//! space; gzip is read as it is.
//!
//! - run: `qid Q0 docid rank score tag`. Becomes a [`Run`] whose system is the tag. As in trec_eval the score
//!   orders a query and the rank is ignored; equal scores keep the order of the file here, and stand where
//!   [`Ties`](crate::Ties) says when they are measured. The depth is that of the longest list. Rows with the score of a
//!   masked item (-inf, or the lowest that a float has) are no candidates: they are left out and counted in
//!   [`Run::notes`].
//! - qrels: `qid iteration docid relevance`. Becomes a [`Truth`] without catalogue: what has a
//!   relevance of 1 or more is a target, and the relevance its gain. A query without a target stays
//!   in the denominator, as in ranx. What was consumed before is given in the same form, and then
//!   any relevance will do.

use std::collections::HashMap;
use std::path::Path;

use crate::error::{Error, Fault, Result};
use crate::jsonl::{Lines, write_atomically};
use crate::masked::{self, is_masked};
use crate::run::{RankedList, Run};
use crate::truth::{Truth, TruthCase};

/// Documents by query, each with a number and the line it is from.
#[derive(Default)]
pub(crate) struct Grouped {
    index: HashMap<String, usize>,
    pub queries: Vec<(String, Vec<Entry>)>,
    last: usize,
}

/// A document that is given twice for a query, and the lines of both.
pub(crate) struct Twice {
    pub item: String,
    pub first: usize,
    pub second: usize,
}

pub(crate) struct Entry {
    pub doc: String,
    pub value: f64,
    pub line: usize,
}

impl Grouped {
    pub fn push(&mut self, query: &str, doc: &str, value: f64, line: usize) {
        // The lines of a query mostly follow one another.
        if self.queries.get(self.last).is_none_or(|q| q.0 != query) {
            self.last = match self.index.get(query) {
                Some(&i) => i,
                None => {
                    self.index.insert(query.to_owned(), self.queries.len());
                    self.queries.push((query.to_owned(), Vec::new()));
                    self.queries.len() - 1
                }
            };
        }
        let doc = doc.to_owned();
        self.queries[self.last].1.push(Entry { doc, value, line });
    }

    /// Lists by falling score, without masked items.
    ///
    /// # Errors
    /// A document that is given twice for a query.
    pub fn into_run(
        self,
        path: &Path,
        system: String,
        task: &str,
    ) -> std::result::Result<Run, Twice> {
        let (mut depth, mut n_masked) = (0, 0);
        let list = |(case, mut entries): (String, Vec<Entry>)| {
            unique(&entries)?;
            // What is masked was asked for too: such a list is whole, not cut off.
            depth = entries.len().max(depth);
            let n = entries.len();
            entries.retain(|e| !is_masked(e.value));
            n_masked += n - entries.len();
            entries.sort_by(|a, b| b.value.total_cmp(&a.value));
            let (items, scores) = entries.into_iter().map(|e| (e.doc, e.value)).unzip();
            Ok(RankedList {
                case,
                items,
                scores,
            })
        };
        let lists = self.queries.into_iter().map(list);
        let lists = lists.collect::<std::result::Result<_, Twice>>()?;
        Ok(Run {
            notes: Vec::from_iter(masked::note(path, &system, n_masked)),
            system,
            task: task.to_owned(),
            depth,
            seed: None,
            lists,
        })
    }

    /// Cases whose targets are graded 1 or more.
    ///
    /// # Errors
    /// As [`Grouped::into_run`].
    pub fn into_cases(self) -> std::result::Result<Vec<TruthCase>, Twice> {
        let case = |(case, entries): (String, Vec<Entry>)| {
            unique(&entries)?;
            let relevant = entries.into_iter().filter(|e| e.value >= 1.0);
            let (targets, mut gains): (Vec<_>, Vec<_>) = relevant.map(|e| (e.doc, e.value)).unzip();
            if gains.iter().all(|&g| g == 1.0) {
                gains.clear();
            }
            Ok(TruthCase {
                case,
                targets,
                gains,
                ..TruthCase::default()
            })
        };
        self.queries.into_iter().map(case).collect()
    }

    /// The documents of each query, whatever their number.
    pub fn into_pairs(self) -> HashMap<String, Vec<String>> {
        let docs = |entries: Vec<Entry>| entries.into_iter().map(|e| e.doc).collect();
        let queries = self.queries.into_iter();
        queries.map(|(q, entries)| (q, docs(entries))).collect()
    }
}

fn unique(entries: &[Entry]) -> std::result::Result<(), Twice> {
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_unstable_by(|&a, &b| (&entries[a].doc, a).cmp(&(&entries[b].doc, b)));
    let twice = order
        .windows(2)
        .filter(|w| entries[w[0]].doc == entries[w[1]].doc);
    match twice.min_by_key(|w| w[1]) {
        None => Ok(()),
        Some(w) => Err(Twice {
            item: entries[w[1]].doc.clone(),
            first: entries[w[0]].line,
            second: entries[w[1]].line,
        }),
    }
}

fn fields<'a, const N: usize>(
    text: &'a str,
    expected: &'static str,
) -> std::result::Result<[&'a str; N], Fault> {
    let mut found = [""; N];
    let mut n = 0;
    for field in text.split_ascii_whitespace() {
        if n < N {
            found[n] = field;
        }
        n += 1;
    }
    if n == N {
        Ok(found)
    } else {
        Err(Fault::TrecFields { expected, found: n })
    }
}

fn number(field: &'static str, text: &str) -> std::result::Result<f64, Fault> {
    let value = text.parse::<f64>().ok().filter(|v| v.is_finite());
    value.ok_or_else(|| Fault::TrecNumber {
        field,
        text: text.to_owned(),
    })
}

/// A number, or −∞.
fn score_of(text: &str) -> std::result::Result<f64, Fault> {
    match text.parse::<f64>() {
        Ok(score) if score.is_nan() || score == f64::INFINITY => Err(Fault::NoRank {
            text: text.to_owned(),
        }),
        Ok(score) => Ok(score),
        Err(_) => number("score", text),
    }
}

const RUN: &str = "6 fields `qid Q0 docid rank score tag`";
const QRELS: &str = "4 fields `qid iteration docid relevance`";

/// Reads a run of one system as a run of `task`. Cases keep the order of their first line.
///
/// # Errors
/// [`Error::Line`] for a file without rows, a wrong number of fields, a score that is NaN, +∞ or no number, a
/// document given twice for a query, or a second tag.
pub fn read_run(path: &Path, task: &str) -> Result<Run> {
    let mut lines = Lines::open(path)?;
    let mut tag: Option<String> = None;
    let mut grouped = Grouped::default();
    while let Some(text) = lines.next()? {
        let [qid, _, docid, rank, score, line_tag] =
            fields(&text, RUN).map_err(|f| lines.fault(f))?;
        number("rank", rank).map_err(|f| lines.fault(f))?;
        let score = score_of(score).map_err(|f| lines.fault(f))?;
        let first = tag.get_or_insert_with(|| line_tag.to_owned());
        if first != line_tag {
            let fault = Fault::TrecTag {
                found: line_tag.to_owned(),
                first: first.clone(),
            };
            return Err(lines.fault(fault));
        }
        grouped.push(qid, docid, score, lines.line());
    }
    let system = tag.ok_or_else(|| lines.fault(Fault::NoRows { expected: RUN }))?;
    let run = grouped.into_run(path, system, task);
    run.map_err(|at| placed(path, at))
}

/// Reads qrels as the truth of `task`.
///
/// # Errors
/// [`Error::Line`] for a wrong number of fields, a relevance that is not a finite number, or a
/// document given twice for a query; [`Error::NoQrels`].
pub fn read_qrels(path: &Path, task: &str) -> Result<Truth> {
    let mut lines = Lines::open(path)?;
    let mut grouped = Grouped::default();
    while let Some(text) = lines.next()? {
        let [qid, _, docid, relevance] = fields(&text, QRELS).map_err(|f| lines.fault(f))?;
        let relevance = number("relevance", relevance).map_err(|f| lines.fault(f))?;
        grouped.push(qid, docid, relevance, lines.line());
    }
    let truth = Truth {
        task: task.to_owned(),
        cases: grouped.into_cases().map_err(|at| placed(path, at))?,
        ..Truth::default()
    };
    checked(truth, path)
}

/// Reads what was consumed before, by query: qrels whose relevance does not matter. No row is needed, and a
/// row may be there twice, as somebody who bought something twice.
///
/// # Errors
/// [`Error::Line`] for a wrong number of fields.
pub fn read_consumed(path: &Path) -> Result<HashMap<String, Vec<String>>> {
    let mut lines = Lines::open(path)?;
    let mut grouped = Grouped::default();
    while let Some(text) = lines.next()? {
        let [qid, _, docid, _] = fields(&text, QRELS).map_err(|f| lines.fault(f))?;
        grouped.push(qid, docid, 1.0, lines.line());
    }
    Ok(grouped.into_pairs())
}

/// A truth read from qrels.
pub(crate) fn checked(truth: Truth, path: &Path) -> Result<Truth> {
    match truth.check() {
        Err(Error::NoCases { .. }) => Err(Error::NoQrels {
            path: path.to_owned(),
        }),
        checked => checked.map(|()| truth),
    }
}

fn placed(path: &Path, twice: Twice) -> Error {
    let Twice {
        item,
        first,
        second,
    } = twice;
    Error::Line {
        path: path.to_owned(),
        line: second,
        fault: Fault::ItemTwice { item, first },
    }
}

/// Writes a run; its system is the tag. An existing file is replaced in one step.
///
/// # Errors
/// A run that breaks its rules, or a name that is empty or holds white space, which the format
/// cannot say.
pub fn write_run(run: &Run, path: &Path) -> Result<()> {
    run.check()?;
    let names = run
        .lists
        .iter()
        .flat_map(|l| l.items.iter().chain([&l.case]));
    words(names.chain([&run.system]))?;
    write_atomically(path, |out| {
        for list in &run.lists {
            for (i, (item, score)) in list.items.iter().zip(&list.scores).enumerate() {
                writeln!(
                    out,
                    "{} Q0 {item} {} {score} {}",
                    list.case,
                    i + 1,
                    run.system
                )?;
            }
        }
        Ok(())
    })
}

/// Writes the targets of a truth as qrels: the gain is the relevance. Catalogue, labels and what was consumed
/// stay behind.
///
/// # Errors
/// As [`write_run`], and [`Error::Case`] for a case that would come back as another: without
/// targets, with a gain below 1, or not in the overall segment.
pub fn write_qrels(truth: &Truth, path: &Path) -> Result<()> {
    truth.check()?;
    can_be_qrels(truth)?;
    words(
        truth
            .cases
            .iter()
            .flat_map(|c| c.targets.iter().chain([&c.case])),
    )?;
    write_atomically(path, |out| {
        for case in &truth.cases {
            for (i, target) in case.targets.iter().enumerate() {
                let gain = case.gains.get(i).unwrap_or(&1.0);
                writeln!(out, "{} 0 {target} {gain}", case.case)?;
            }
        }
        Ok(())
    })
}

/// Refuses cases that would not come back from qrels as they are.
pub(crate) fn can_be_qrels(truth: &Truth) -> Result<()> {
    for case in &truth.cases {
        let fault = match case.gains.iter().position(|&g| g < 1.0) {
            Some(i) => Fault::QrelsGain {
                target: case.targets[i].clone(),
                gain: case.gains[i],
            },
            None if case.targets.is_empty() => Fault::NoTargets,
            None if !case.in_overall => Fault::QrelsOverall,
            None => continue,
        };
        return Err(Error::Case {
            task: truth.task.clone(),
            case: case.case.clone(),
            fault,
        });
    }
    Ok(())
}

fn words<'a>(mut names: impl Iterator<Item = &'a String>) -> Result<()> {
    let wrong = |n: &&String| n.is_empty() || n.chars().any(char::is_whitespace);
    match names.find(wrong) {
        Some(name) => Err(Error::TrecName { name: name.clone() }),
        None => Ok(()),
    }
}
