//! The TREC run format: lines `qid Q0 docid rank score tag`, separated by white space.
//!
//! In: such a file, as trec_eval, ranx or Anserini write it. Out: a [`Run`] whose system is the
//! tag. Like trec_eval it orders each query by score and ignores the rank field; the depth is the
//! length of the longest list.

use std::collections::HashMap;
use std::path::Path;

use crate::error::{Fault, Result};
use crate::jsonl::Lines;
use crate::run::{RankedList, Run};

/// Reads a TREC run of one system as a run of `task`. Cases keep the order of their first line.
///
/// # Errors
/// [`crate::Error::Line`] for a wrong number of fields, a score that is not a finite number, a
/// document given twice for a query, or a second tag.
pub fn read_trec(path: &Path, task: &str) -> Result<Run> {
    let mut lines = Lines::open(path)?;
    let mut tag: Option<String> = None;
    let mut case_idx: HashMap<String, usize> = HashMap::new();
    let mut cases: Vec<(String, Vec<(String, f32)>)> = Vec::new();
    let mut ranks: Vec<HashMap<String, usize>> = Vec::new();
    while let Some(text) = lines.next()? {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let &[qid, _, docid, rank, score, line_tag] = fields.as_slice() else {
            return Err(lines.fault(Fault::TrecFields {
                found: fields.len(),
            }));
        };
        let number = |field, text: &str| Fault::TrecNumber {
            field,
            text: text.to_owned(),
        };
        rank.parse::<i64>()
            .map_err(|_| lines.fault(number("rank", rank)))?;
        let value: f32 = score
            .parse()
            .map_err(|_| lines.fault(number("score", score)))?;
        if !value.is_finite() {
            return Err(lines.fault(number("score", score)));
        }
        let first = tag.get_or_insert_with(|| line_tag.to_owned());
        if first != line_tag {
            let fault = Fault::TrecTag {
                found: line_tag.to_owned(),
                first: first.clone(),
            };
            return Err(lines.fault(fault));
        }
        let idx = *case_idx.entry(qid.to_owned()).or_insert_with(|| {
            cases.push((qid.to_owned(), Vec::new()));
            ranks.push(HashMap::new());
            cases.len() - 1
        });
        let second = cases[idx].1.len() + 1;
        if let Some(first) = ranks[idx].insert(docid.to_owned(), second) {
            let item = docid.to_owned();
            return Err(lines.fault(Fault::DuplicateItem {
                item,
                first,
                second,
            }));
        }
        cases[idx].1.push((docid.to_owned(), value));
    }
    let system = tag.ok_or_else(|| lines.fault(Fault::TrecFields { found: 0 }))?;
    let lists: Vec<RankedList> = cases
        .into_iter()
        .map(|(case, mut scored)| {
            scored.sort_by(|a, b| b.1.total_cmp(&a.1));
            let (items, scores) = scored.into_iter().unzip();
            RankedList {
                case,
                items,
                scores,
            }
        })
        .collect();
    let depth = lists.iter().map(|l| l.items.len()).max().unwrap_or(0);
    Ok(Run {
        system,
        task: task.to_owned(),
        depth,
        seed: None,
        lists,
    })
}
