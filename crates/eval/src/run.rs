//! A run: what one system recommended, one ranked list a case, and its file.
//!
//! In and out: `runs/<system>.<task>.jsonl`. The first line is the header, each further line one
//! list, best item first:
//! ```text
//! {"format":"hkfr-run","version":1,"system":"popularity","task":"item","depth":3,"seed":7,"n_lists":1}
//! {"case":"u1","items":["milk","bread","eggs"],"scores":[0.9,0.4,0.4]}
//! ```
//! Another tool may leave out `seed`, `n_lists` and the `scores` (then no two items tie). Items with the score of a
//! masked one are no candidates, and are left out and counted in [`Run::notes`].

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Fault, Result};
use crate::jsonl::{Lines, check_format, write_atomically};
use crate::masked::{self, is_masked};

const FORMAT: &str = "hkfr-run";
const VERSION: u32 = 1;

/// All ranked lists of one system on one task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    pub system: String,
    /// The task the lists answer, e.g. `item` or `category`; names the [`crate::Truth`] to use.
    pub task: String,
    /// How many items the ranker was asked for. A list may be shorter.
    pub depth: usize,
    /// The ranker's seed, where it has one.
    pub seed: Option<u64>,
    pub lists: Vec<RankedList>,
    /// What a reader of the figures must know of how the lists were read. No part of the file.
    pub notes: Vec<String>,
}

/// The items for one case, best first, with falling (or equal) scores.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RankedList {
    pub case: String,
    pub items: Vec<String>,
    /// One finite score an item; equal scores are ties, see [`crate::ranks`].
    pub scores: Vec<f64>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    version: u32,
    system: String,
    task: String,
    depth: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n_lists: Option<usize>,
}

#[derive(Deserialize)]
struct ListLine {
    case: String,
    items: Vec<String>,
    #[serde(default)]
    scores: Option<Vec<f64>>,
}

impl RankedList {
    /// Checks lengths, finiteness, order and uniqueness.
    pub fn check(&self) -> std::result::Result<(), Fault> {
        if self.items.len() != self.scores.len() {
            return Err(Fault::Lengths {
                items: self.items.len(),
                scores: self.scores.len(),
            });
        }
        if let Some(i) = self.scores.iter().position(|s| !s.is_finite()) {
            return Err(Fault::NotFinite {
                rank: i + 1,
                item: self.items[i].clone(),
            });
        }
        if let Some(i) = self.scores.windows(2).position(|w| w[1] > w[0]) {
            let (before, after) = (self.scores[i], self.scores[i + 1]);
            return Err(Fault::Rising {
                rank: i + 2,
                before,
                after,
            });
        }
        let mut seen = HashMap::with_capacity(self.items.len());
        for (i, item) in self.items.iter().enumerate() {
            if let Some(first) = seen.insert(item.as_str(), i + 1) {
                let item = item.clone();
                return Err(Fault::DuplicateItem {
                    item,
                    first,
                    second: i + 1,
                });
            }
        }
        Ok(())
    }
}

impl Run {
    /// `<system>.<task>.jsonl`, with everything but ASCII letters, digits, `+`, `-` and `_`
    /// replaced by `_`. Systems that differ only in such characters share a name.
    pub fn file_name(&self) -> String {
        let plain = |text: &str| -> String {
            let keep = |c: char| c.is_ascii_alphanumeric() || "+-_".contains(c);
            text.chars()
                .map(|c| if keep(c) { c } else { '_' })
                .collect()
        };
        format!("{}.{}.jsonl", plain(&self.system), plain(&self.task))
    }

    /// Checks every list and that no case has two.
    pub fn check(&self) -> Result<()> {
        let mut seen = HashMap::with_capacity(self.lists.len());
        for list in &self.lists {
            let twice = seen.insert(list.case.as_str(), ()).is_some();
            let duplicate = || Fault::DuplicateCase {
                case: list.case.clone(),
                first_line: None,
            };
            let checked = if twice {
                Err(duplicate())
            } else {
                list.check()
            };
            checked.map_err(|fault| Error::List {
                system: self.system.clone(),
                task: self.task.clone(),
                case: list.case.clone(),
                fault,
            })?;
        }
        Ok(())
    }

    /// Writes the run after checking it; an existing file is replaced in one step.
    pub fn write(&self, path: &Path) -> Result<()> {
        self.check()?;
        let header = Header {
            format: FORMAT.to_owned(),
            version: VERSION,
            system: self.system.clone(),
            task: self.task.clone(),
            depth: self.depth,
            seed: self.seed,
            n_lists: Some(self.lists.len()),
        };
        write_atomically(path, |out| {
            serde_json::to_writer(&mut *out, &header)?;
            out.write_all(b"\n")?;
            for list in &self.lists {
                serde_json::to_writer(&mut *out, list)?;
                out.write_all(b"\n")?;
            }
            Ok(())
        })
    }

    /// Reads a run file; every fault names file and line.
    pub fn read(path: &Path) -> Result<Self> {
        let mut lines = Lines::open(path)?;
        let header: Header = lines
            .next_json()?
            .ok_or_else(|| lines.fault(Fault::NoHeader))?;
        check_format((&header.format, header.version), (FORMAT, VERSION))
            .map_err(|f| lines.fault(f))?;
        let (mut lists, mut n_masked) = (Vec::new(), 0);
        let mut first_lines = HashMap::new();
        while let Some(ListLine {
            case,
            items,
            scores,
        }) = lines.next_json()?
        {
            let scores = scores.unwrap_or_else(|| (0..items.len()).map(|i| -(i as f64)).collect());
            if let Some(first) = first_lines.insert(case.clone(), lines.line()) {
                let first_line = Some(first);
                return Err(lines.fault(Fault::DuplicateCase { case, first_line }));
            }
            let mut list = RankedList {
                case,
                items,
                scores,
            };
            list.check().map_err(|f| lines.fault(f))?;
            // The list falls, so that masked items end it.
            let n = list.scores.partition_point(|&s| !is_masked(s));
            n_masked += list.items.len() - n;
            list.items.truncate(n);
            list.scores.truncate(n);
            lists.push(list);
        }
        if let Some(announced) = header.n_lists.filter(|&n| n != lists.len()) {
            return Err(lines.fault(Fault::CutShort {
                announced,
                found: lists.len(),
            }));
        }
        let Header {
            system,
            task,
            depth,
            seed,
            ..
        } = header;
        Ok(Self {
            notes: Vec::from_iter(masked::note(path, &system, n_masked)),
            system,
            task,
            depth,
            seed,
            lists,
        })
    }
}
