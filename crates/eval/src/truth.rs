//! The truth: what the users did next, the segments they belong to, and what could have been
//! recommended at all.
//!
//! In and out: a JSONL file of a header, the catalogue, and one case a line:
//! ```text
//! {"format":"hkfr-truth","version":1,"task":"item","n_cases":1}
//! {"catalogue":["bread","eggs","milk"]}
//! {"case":"u1","targets":["milk"],"segment":"cold","in_overall":true}
//! ```
//! The catalogue's line may also hold `"popularity"`, and a case `"gains"`, `"labels"` and
//! `"consumed"`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Fault, Result};
use crate::jsonl::{Lines, check_format, write_atomically};
use crate::repeats::Repeats;

const FORMAT: &str = "hkfr-truth";
const VERSION: u32 = 1;

/// The segment of all cases with `in_overall`.
pub const ALL: &str = "all";

/// The answers of one task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Truth {
    /// E.g. `item` or `category`; runs of the same task are measured against it.
    pub task: String,
    pub cases: Vec<TruthCase>,
    /// Every item that may be recommended. Ordered, so that the file is the same every time.
    /// Empty if nobody knows (a TREC file does not say): then no item is invalid.
    pub catalogue: BTreeSet<String>,
    /// Interactions of the items in training; an absent item had none. Empty if nobody knows.
    pub popularity: BTreeMap<String, u64>,
}

/// One question (mostly: one user at one cut-off) and its right answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TruthCase {
    pub case: String,
    /// Distinct.
    pub targets: Vec<String>,
    /// One gain above 0 a target, for NDCG; empty if all are 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gains: Vec<f64>,
    /// What the user consumed before, for [`Repeats::Exclude`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumed: Vec<String>,
    /// E.g. `cold`; empty for none.
    #[serde(default)]
    pub segment: String,
    /// Further segments the case is in, see [`crate::segments`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Whether the case counts in the segment `all`. A simulated cold start asks again about
    /// users who are already there, and does not.
    #[serde(default = "yes")]
    pub in_overall: bool,
}

impl Default for TruthCase {
    fn default() -> Self {
        Self {
            case: String::new(),
            targets: Vec::new(),
            gains: Vec::new(),
            consumed: Vec::new(),
            segment: String::new(),
            labels: Vec::new(),
            in_overall: true,
        }
    }
}

fn yes() -> bool {
    true
}

#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    version: u32,
    task: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n_cases: Option<usize>,
}

#[derive(Deserialize)]
struct CatalogueLine {
    catalogue: BTreeSet<String>,
    #[serde(default)]
    popularity: BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct CatalogueRef<'a> {
    catalogue: &'a BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    popularity: &'a BTreeMap<String, u64>,
}

impl TruthCase {
    /// Checks that targets are distinct, that their gains fit, and that the labels are free.
    pub fn check(&self) -> std::result::Result<(), Fault> {
        let (targets, gains) = (self.targets.len(), self.gains.len());
        if gains > 0 && gains != targets {
            return Err(Fault::Gains { targets, gains });
        }
        if let Some(i) = self.gains.iter().position(|g| !g.is_finite() || *g <= 0.0) {
            let target = self.targets[i].clone();
            return Err(Fault::Gain { target });
        }
        let mut seen = HashSet::new();
        if let Some(target) = self.targets.iter().find(|t| !seen.insert(t.as_str())) {
            return Err(Fault::DuplicateTarget {
                target: target.clone(),
            });
        }
        if self.segment == ALL || self.labels.iter().any(|l| l == ALL) {
            return Err(Fault::ReservedSegment);
        }
        Ok(())
    }
}

impl Truth {
    /// Checks every case and that none is given twice.
    pub fn check(&self) -> Result<()> {
        if self.cases.is_empty() {
            return Err(Error::NoCases {
                task: self.task.clone(),
            });
        }
        let mut seen = HashSet::with_capacity(self.cases.len());
        for case in &self.cases {
            let twice = !seen.insert(case.case.as_str());
            let duplicate = || Fault::DuplicateCase {
                case: case.case.clone(),
                first_line: None,
            };
            let checked = if twice {
                Err(duplicate())
            } else {
                case.check()
            };
            checked.map_err(|fault| Error::Case {
                task: self.task.clone(),
                case: case.case.clone(),
                fault,
            })?;
        }
        Ok(())
    }

    pub(crate) fn catalogue_set(&self) -> HashSet<&str> {
        self.catalogue.iter().map(String::as_str).collect()
    }

    /// The truth under a policy: with [`Repeats::Exclude`] no target was consumed before, and
    /// cases that have lost all of theirs are gone. A case that never had one stays, as under any policy.
    pub(crate) fn under(&self, repeats: Repeats) -> Result<Cow<'_, Self>> {
        let consumed = self.cases.iter().any(|c| !c.consumed.is_empty());
        if repeats == Repeats::Allow || !consumed {
            return Ok(Cow::Borrowed(self));
        }
        let mut truth = self.clone();
        truth.cases.retain_mut(|case| {
            let asked = !case.targets.is_empty();
            let seen: HashSet<&String> = case.consumed.iter().collect();
            let keep: Vec<bool> = case.targets.iter().map(|t| !seen.contains(t)).collect();
            let (mut of_target, mut of_gain) = (keep.iter(), keep.iter());
            case.targets.retain(|_| of_target.next() == Some(&true));
            case.gains.retain(|_| of_gain.next() == Some(&true));
            !asked || !case.targets.is_empty()
        });
        let has_target = |t: &Self| t.cases.iter().any(|c| !c.targets.is_empty());
        if has_target(self) && !has_target(&truth) {
            let task = truth.task;
            return Err(Error::AllConsumed { task });
        }
        Ok(Cow::Owned(truth))
    }

    /// Writes the truth after checking it; an existing file is replaced in one step.
    pub fn write(&self, path: &Path) -> Result<()> {
        self.check()?;
        if let Some(case) = self.cases.iter().find(|c| c.targets.is_empty()) {
            return Err(Error::Case {
                task: self.task.clone(),
                case: case.case.clone(),
                fault: Fault::NoTargets,
            });
        }
        let header = Header {
            format: FORMAT.to_owned(),
            version: VERSION,
            task: self.task.clone(),
            n_cases: Some(self.cases.len()),
        };
        write_atomically(path, |out| {
            serde_json::to_writer(&mut *out, &header)?;
            out.write_all(b"\n")?;
            serde_json::to_writer(
                &mut *out,
                &CatalogueRef {
                    catalogue: &self.catalogue,
                    popularity: &self.popularity,
                },
            )?;
            out.write_all(b"\n")?;
            for case in &self.cases {
                serde_json::to_writer(&mut *out, case)?;
                out.write_all(b"\n")?;
            }
            Ok(())
        })
    }

    /// Reads a truth file; every fault names file and line.
    pub fn read(path: &Path) -> Result<Self> {
        let mut lines = Lines::open(path)?;
        let header: Header = lines
            .next_json()?
            .ok_or_else(|| lines.fault(Fault::NoHeader))?;
        check_format((&header.format, header.version), (FORMAT, VERSION))
            .map_err(|f| lines.fault(f))?;
        let (catalogue, popularity) = match lines.next_json::<CatalogueLine>()? {
            Some(line) if !line.catalogue.is_empty() => (line.catalogue, line.popularity),
            _ => return Err(lines.fault(Fault::NoCatalogue)),
        };
        let mut cases = Vec::new();
        let mut first_lines = HashMap::new();
        while let Some(case) = lines.next_json::<TruthCase>()? {
            if let Some(first) = first_lines.insert(case.case.clone(), lines.line()) {
                let fault = Fault::DuplicateCase {
                    case: case.case,
                    first_line: Some(first),
                };
                return Err(lines.fault(fault));
            }
            case.check().map_err(|f| lines.fault(f))?;
            if case.targets.is_empty() {
                return Err(lines.fault(Fault::NoTargets));
            }
            cases.push(case);
        }
        if let Some(announced) = header.n_cases.filter(|&n| n != cases.len()) {
            return Err(lines.fault(Fault::CutShort {
                announced,
                found: cases.len(),
            }));
        }
        if cases.is_empty() {
            return Err(Error::NoCases { task: header.task });
        }
        Ok(Self {
            task: header.task,
            cases,
            catalogue,
            popularity,
        })
    }
}
