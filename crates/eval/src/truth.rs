//! The truth: what the users did next, the segments they belong to, and what could have been
//! recommended at all.
//!
//! In and out: a JSONL file of a header, the catalogue, and one case a line:
//! ```text
//! {"format":"hkfr-truth","version":1,"task":"item","n_cases":1}
//! {"catalogue":["bread","eggs","milk"]}
//! {"case":"u1","targets":["milk"],"segment":"cold","in_overall":true}
//! ```

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Fault, Result};
use crate::jsonl::{Lines, check_format, write_atomically};
use crate::report::ALL;

const FORMAT: &str = "hkfr-truth";
const VERSION: u32 = 1;

/// The answers of one task.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// E.g. `item` or `category`; runs of the same task are measured against it.
    pub task: String,
    pub cases: Vec<TruthCase>,
    /// Every item that may be recommended. Ordered, so that the file is the same every time.
    pub catalogue: BTreeSet<String>,
}

/// One question (mostly: one user at one cut-off) and its right answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TruthCase {
    pub case: String,
    /// At least one, distinct.
    pub targets: Vec<String>,
    /// E.g. `cold`; empty for none.
    #[serde(default)]
    pub segment: String,
    /// Whether the case counts in the segment `all`. A simulated cold start asks again about
    /// users who are already there, and does not.
    #[serde(default = "yes")]
    pub in_overall: bool,
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
}

#[derive(Serialize)]
struct CatalogueRef<'a> {
    catalogue: &'a BTreeSet<String>,
}

impl TruthCase {
    /// Checks that there are targets, that they are distinct, and that the label is free.
    pub fn check(&self) -> std::result::Result<(), Fault> {
        if self.targets.is_empty() {
            return Err(Fault::NoTargets);
        }
        let mut seen = HashSet::new();
        if let Some(target) = self.targets.iter().find(|t| !seen.insert(t.as_str())) {
            return Err(Fault::DuplicateTarget {
                target: target.clone(),
            });
        }
        if self.segment == ALL {
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

    /// Writes the truth after checking it; an existing file is replaced in one step.
    pub fn write(&self, path: &Path) -> Result<()> {
        self.check()?;
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
        let catalogue = match lines.next_json::<CatalogueLine>()? {
            Some(line) if !line.catalogue.is_empty() => line.catalogue,
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
        })
    }
}
