//! Rows → store, however many: they pass through the external sort, so that memory holds the catalogue, a buffer
//! and one user's events. What a data set in memory does row by row (duplicates, disorder, profiles)
//! is done user by user, and with the same result.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::sink::{Target, fingerprint, no_events};
use super::{FORGOTTEN, IngestLimits, IngestStep, Ingested};
use crate::dataset::{DatasetBuilder, DatasetInfo, Event, Profile};
use crate::error::{Error, Result};
use crate::report::{IngestReport, MAX_SHOWN};
use crate::store::sort::{Group, Sorter};
use crate::store::{PARTITIONS, StreamWriter};

pub(super) struct IntoStore<'r, 'l> {
    /// Of the catalogue; users pass by.
    names: DatasetBuilder,
    report: &'r mut IngestReport,
    limits: &'r mut IngestLimits<'l>,
    sorter: Sorter,
    /// Rows that became events, those of other shards included: the next event's id.
    n_rows: u32,
    /// Those of this shard.
    n_mine: u64,
    last_ts: Option<i64>,
    forgotten: HashSet<String>,
    /// For messages about profiles.
    users_path: PathBuf,
}

impl<'r, 'l> IntoStore<'r, 'l> {
    pub fn new(
        info: DatasetInfo,
        dir: &Path,
        limits: &'r mut IngestLimits<'l>,
        report: &'r mut IngestReport,
    ) -> Self {
        Self {
            names: DatasetBuilder::new(info),
            report,
            sorter: Sorter::new(dir.join("sorting"), PARTITIONS, limits.memory),
            limits,
            n_rows: 0,
            n_mine: 0,
            last_ts: None,
            forgotten: HashSet::new(),
            users_path: PathBuf::new(),
        }
    }

    /// Sorts, and writes the store into `dir`.
    ///
    /// # Errors
    /// [`Error::BadFile`] if no event was kept; I/O errors.
    pub fn finish(self, log: &Path, dir: &Path) -> Result<Ingested> {
        if self.n_rows == 0 {
            return Err(no_events(self.report, log));
        }
        let names = self.names.build();
        let mut writer = StreamWriter::create(dir, &names)?;
        let mut own = IngestReport::new(self.report.strict);
        let (limits, spilled, n_mine) = (self.limits, self.sorter.spilled(), self.n_mine);
        let mut tidy = Tidy::default();
        self.sorter.finish(|p, mut group| {
            tidy.events(&mut group, &mut own);
            let profile = profile(&group, &self.users_path, &mut own)?;
            writer.user(p, profile, &group.events)?;
            let step = IngestStep::Wrote(writer.n_events() as u64, n_mine);
            match (limits.go_on)(step) {
                true => Ok(()),
                false => Err(Error::Stopped),
            }
        })?;
        let ingested = Ingested {
            dataset: None,
            users: writer.n_users(),
            items: names.n_items(),
            events: writer.n_events(),
            kinds: names.kinds.len(),
            forgotten: self.forgotten.len(),
            spilled,
            own,
        };
        writer.finish(self.last_ts, limits.shard)?;
        Ok(ingested)
    }
}

impl Target for IntoStore<'_, '_> {
    fn report(&mut self) -> &mut IngestReport {
        self.report
    }

    fn names(&mut self) -> &mut DatasetBuilder {
        &mut self.names
    }

    fn is_forgotten(&self, user: &str) -> bool {
        self.limits
            .forgotten
            .is_some_and(|forgotten| forgotten(user))
    }

    fn event(&mut self, user: &str, event: Event) -> Result<()> {
        let row = self.n_rows;
        self.n_rows = row.checked_add(1).ok_or_else(|| {
            Error::Config("the log has more than 4,294,967,295 events: ingest it in parts".into())
        })?;
        self.last_ts = self.last_ts.max(Some(event.ts));
        if row.is_multiple_of(4096) && !(self.limits.go_on)(IngestStep::Read(row.into())) {
            return Err(Error::Stopped);
        }
        if self.is_forgotten(user) {
            self.forgotten.insert(user.to_owned());
            self.report.skip(FORGOTTEN);
            return Ok(());
        }
        match self.limits.shard {
            Some(shard) if !shard.holds(user) => Ok(()),
            _ => {
                self.n_mine += 1;
                self.sorter.event(user, Event { row, ..event })
            }
        }
    }

    fn profile(
        &mut self,
        at: (&Path, u64),
        user: &str,
        attributes: BTreeMap<String, String>,
    ) -> Result<()> {
        if self.users_path != at.0 {
            self.users_path = at.0.to_owned();
        }
        if self.is_forgotten(user) || self.limits.shard.is_some_and(|shard| !shard.holds(user)) {
            return Ok(());
        }
        let line = u32::try_from(at.1).unwrap_or(u32::MAX);
        let json = serde_json::to_string(&attributes).expect("a map of texts");
        self.sorter.profile(user, line, json.into_boxed_str())
    }
}

/// The first description of a user counts; others are bad rows.
fn profile(group: &Group, path: &Path, report: &mut IngestReport) -> Result<Profile> {
    let mut attributes = BTreeMap::new();
    for (i, (line, json)) in group.profiles.iter().enumerate() {
        if i == 0 {
            attributes = serde_json::from_str(json).expect("a map of texts, as written");
            report.rows_kept += 1;
        } else {
            let line = u64::from(*line);
            // Users do not come in the order of lines: the first lines are shown all the same.
            report.first_bad.sort_by_key(|b| b.line);
            let full = report.first_bad.len() == MAX_SHOWN;
            report.first_bad.pop_if(|b| full && b.line > line);
            report.bad_row(path, line, "id is described twice", &group.user)?;
        }
    }
    Ok(Profile {
        id: group.user.clone(),
        attributes,
    })
}

/// Counts disorder and drops duplicates of a user's events.
#[derive(Default)]
struct Tidy {
    by_row: Vec<(u32, i64)>,
    seen: HashSet<u128>,
}

impl Tidy {
    fn events(&mut self, group: &mut Group, report: &mut IngestReport) {
        let events = &mut group.events;
        self.by_row.clear();
        self.by_row.extend(events.iter().map(|e| (e.row, e.ts)));
        self.by_row.sort_unstable();
        for pair in self.by_row.windows(2) {
            report.out_of_order += u64::from(pair[1].1 < pair[0].1);
            report.equal_timestamps += u64::from(pair[1].1 == pair[0].1);
        }
        let n = events.len();
        if events.windows(2).any(|w| w[0].ts == w[1].ts) {
            let mut ts = None;
            events.retain(|e| {
                // Only events of one time can be equal.
                if ts.replace(e.ts) != Some(e.ts) {
                    self.seen.clear();
                }
                self.seen.insert(fingerprint(&Event {
                    user: 0,
                    text: e.text.clone(),
                    ..*e
                }))
            });
        }
        report.rows_kept += events.len() as u64;
        for _ in events.len()..n {
            report.repeated();
        }
    }
}
