//! A table of items or users joins a log by its ids. How many of the log's ids does it know? If hardly any: why, and
//! which key mends it?
//!
//! A join that matches nothing fails in silence: items without titles, users without attributes. The usual reasons are
//! a program that read ids as numbers (`1000.0`, lost zeros), another case, or a prefix.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::ids::{IdRule, by_rules, written};
use crate::error::{Error, Result};
use crate::report::{IngestReport, Joined};
use crate::store::sort::SAMPLE;

/// A table that knows a smaller share of the log's ids than this hardly matches.
const LEAST: f64 = 0.1;
/// In fewer ids a reason cannot be told from chance.
const FEWEST: usize = 3;
/// A log of fewer ids says nothing about a table.
const FEW_IDS: usize = 5;

/// The set of ids of a log that are held against a table: all, or the first of many.
pub(super) fn sample<'i>(ids: impl Iterator<Item = &'i str>) -> HashSet<String> {
    ids.take(SAMPLE).map(str::to_owned).collect()
}

/// Where a config mends a join: for messages.
pub(super) struct Keys {
    /// The key with the rules of the log's ids and the one with the table's, each with its place; `None`: the adapter has
    /// no rules.
    pub rules: Option<[(&'static str, &'static str); 2]>,
    /// Where `few_match` stands.
    pub place: &'static str,
}

pub(super) const ITEMS: Keys = Keys {
    rules: Some([
        ("item_ids", "[[data.options.events]]"),
        ("ids", "[data.options.items]"),
    ]),
    place: "[data.options.items]",
};

pub(super) const USERS: Keys = Keys {
    rules: Some([
        ("user_ids", "[[data.options.events]]"),
        ("ids", "[data.options.users]"),
    ]),
    place: "[data.options.users]",
};

/// Of an adapter whose files are written by one program.
pub(super) const NO_RULES: Keys = Keys {
    rules: None,
    place: "[data.options]",
};

/// One way in which ids may differ.
struct Way {
    what: &'static str,
    rules: Vec<IdRule>,
    /// Ids of the log by these rules, with one that makes each.
    log: HashMap<String, String>,
    matched: usize,
    example: Option<(String, String)>,
    /// Rules change ids of the log, of the table.
    changes: [bool; 2],
}

/// A table whose rows have indices in the data set: how many of the log's are among them is known exactly.
pub(super) struct Indexed {
    join: Join,
    n_of_log: usize,
    known: HashSet<u32>,
}

impl Indexed {
    /// After the log and before the table. `ids`: of the log, in the order of their indices.
    pub fn new<'i>(ids: impl ExactSizeIterator<Item = &'i str>) -> Self {
        Self {
            n_of_log: ids.len(),
            join: Join::new(sample(ids)),
            known: HashSet::new(),
        }
    }

    pub fn see(&mut self, id: &str, index: u32) {
        self.join.see(id);
        if (index as usize) < self.n_of_log {
            self.known.insert(index);
        }
    }

    /// Into the report, and as [`Join::judge`].
    ///
    /// # Errors
    /// As [`Join::judge`].
    pub fn finish(
        self,
        report: &mut IngestReport,
        table: &Path,
        nouns: &str,
        keys: &Keys,
        meant: bool,
    ) -> Result<()> {
        report.joins.push(Joined {
            table: table.to_owned(),
            what: nouns.to_owned(),
            of: self.n_of_log as u64,
            known: self.known.len() as u64,
        });
        self.join.judge(table, nouns, keys, meant)
    }
}

/// A table that is being read, held against a log's ids.
pub(super) struct Join {
    log: HashSet<String>,
    /// Ids of the sample that the table holds.
    known: HashSet<String>,
    ways: Vec<Way>,
    n_rows: u64,
    /// The first ids of the table that the log does not have.
    unknown: Vec<String>,
}

impl Join {
    pub fn new(log: HashSet<String>) -> Self {
        let way = |what, rules: Vec<IdRule>| Way {
            what,
            log: HashMap::new(),
            rules,
            matched: 0,
            example: None,
            changes: [false, false],
        };
        use IdRule::{Integer, Lowercase, NoLeadingZeros, NoSpaces};
        let mut ways = vec![
            way(
                "one side writes numbers with a point, as a column with gaps is written",
                vec![Integer],
            ),
            way(
                "one side lost its leading zeros, as a column that was read as numbers has",
                vec![NoLeadingZeros],
            ),
            way("upper and lower case differ", vec![Lowercase]),
            way("white space differs", vec![NoSpaces]),
            way(
                "a point and leading zeros differ",
                vec![Integer, NoLeadingZeros],
            ),
            way("case and white space differ", vec![Lowercase, NoSpaces]),
        ];
        for way in &mut ways {
            for id in &log {
                let by = by_rules(id, &way.rules);
                way.changes[0] |= by != id.as_str();
                way.log.insert(by.into_owned(), id.clone());
            }
        }
        Self {
            log,
            known: HashSet::new(),
            ways,
            n_rows: 0,
            unknown: Vec::new(),
        }
    }

    /// The id of a row of the table.
    pub fn see(&mut self, id: &str) {
        self.n_rows += 1;
        if self.matches() {
            return;
        }
        if let Some(known) = self.log.get(id) {
            if !self.known.contains(known) {
                self.known.insert(known.clone());
            }
            return;
        }
        if self.unknown.len() < SAMPLE {
            self.unknown.push(id.to_owned());
        }
        for way in &mut self.ways {
            let by = by_rules(id, &way.rules);
            if let Some(of_log) = way.log.get(&*by) {
                way.matched += 1;
                way.changes[1] |= by != id;
                way.example
                    .get_or_insert_with(|| (of_log.clone(), id.to_owned()));
            }
        }
    }

    /// Enough ids are known: nothing needs to be looked for.
    fn matches(&self) -> bool {
        self.known.len() as f64 >= LEAST * self.log.len() as f64
    }

    /// # Errors
    /// The table knows hardly any id of the log, and that is not `meant`.
    pub fn judge(&self, path: &Path, nouns: &str, keys: &Keys, meant: bool) -> Result<()> {
        let (of, known) = (self.log.len(), self.known.len());
        // A short table of which the log has the rows joins it, and describes few.
        let is_part = known as f64 >= LEAST * self.n_rows as f64;
        if meant || self.n_rows == 0 || of < FEW_IDS || self.matches() || is_part {
            return Ok(());
        }
        // Of ways that explain as much, the simplest.
        let best = self.ways.iter().rev().max_by_key(|w| w.matched);
        let enough = FEWEST.min(of);
        let why = match best.filter(|w| w.matched >= enough && w.matched > known) {
            Some(way) => {
                let (log, row) = way.example.clone().unwrap_or_default();
                format!(
                    "{}: the log has `{log}`, the table `{row}`. {}",
                    way.what,
                    remedy(keys, &way.rules, way.changes)
                )
            }
            None => match prefix(&self.log, &self.unknown) {
                Some((in_log, prefix)) => {
                    let rules = [IdRule::Without(prefix.clone())];
                    let side = if in_log { "the log" } else { "the table" };
                    format!(
                        "ids of {side} begin with `{prefix}`. {}",
                        remedy(keys, &rules, [in_log, !in_log])
                    )
                }
                None => format!(
                    "the log has ids like `{}`, the table like `{}`: is this the right file, and the right column?",
                    self.log.iter().min().map_or("", String::as_str),
                    self.unknown.first().map_or("", String::as_str)
                ),
            },
        };
        Err(Error::BadFile {
            path: path.to_owned(),
            reason: format!(
                "it knows {known} of {of} {nouns} of the log: {why}; or set `few_match = true` under {} if that is meant",
                keys.place
            ),
        })
    }
}

/// Ends a sentence.
fn remedy(keys: &Keys, rules: &[IdRule], changes: [bool; 2]) -> String {
    let Some(places) = keys.rules else {
        return "Write the same ids into both files".into();
    };
    let rules = written(rules);
    let [log, table] = places.map(|(key, place)| format!("`{key} = {rules}` under {place}"));
    match changes {
        [true, false] => format!("Set {log}"),
        [false, _] => format!("Set {table}"),
        [true, true] => format!("Set {log} and {table}"),
    }
}

/// What all ids of one side begin with, without which they are ids of the other; `true`: it is the log's.
fn prefix(log: &HashSet<String>, table: &[String]) -> Option<(bool, String)> {
    let tables: HashSet<&str> = table.iter().map(String::as_str).collect();
    let logs: HashSet<&str> = log.iter().map(String::as_str).collect();
    for (in_log, long, short) in [(true, &logs, &tables), (false, &tables, &logs)] {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for id in long {
            // The longest ending that is an id of the other side.
            let ends = id.char_indices().map(|(at, _)| at).skip(1);
            if let Some(at) = ends.into_iter().find(|at| short.contains(&id[*at..])) {
                *counts.entry(&id[..at]).or_default() += 1;
            }
        }
        let best = counts.into_iter().max_by_key(|(p, n)| (*n, p.len()));
        if let Some((prefix, n)) = best
            && n >= FEWEST.min(long.len())
            && 2 * n >= long.len().min(short.len())
        {
            return Some((in_log, prefix.to_owned()));
        }
    }
    None
}
