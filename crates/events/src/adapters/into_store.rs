//! Rows → store, however many: they pass through the external sort, so that memory holds the catalogue, a buffer
//! and one user's events. What a data set in memory does row by row (duplicates, disorder, profiles)
//! is done user by user, and with the same result.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::join;
use super::sink::{Seen, Target, fingerprint, no_events};
use super::{FORGOTTEN, IngestLimits, IngestStep, Ingested};
use crate::dataset::{DatasetBuilder, DatasetInfo, Event, Profile};
use crate::error::{Error, Result};
use crate::order::Fine;
use crate::report::{IngestReport, Joined, MAX_SHOWN};
use crate::store::sort::{Group, Sorter};
use crate::store::{PARTITIONS, StreamWriter};

/// Size of the cache of is-forgotten answers.
const MAX_ASKED: usize = 1 << 16;

/// What a set may hold room for, whatever was in it last.
const SMALL: usize = 1 << 10;

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
    /// Cache of is-forgotten answers: a keyed hash of an id costs more than a row's other work.
    asked: RefCell<HashMap<String, bool>>,
    /// For messages about profiles.
    users_path: PathBuf,
    /// The table of users, once it is read.
    users_table: Option<PathBuf>,
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
            asked: RefCell::default(),
            users_path: PathBuf::new(),
            users_table: None,
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
        let (mut n_users, mut n_known) = (0, 0);
        self.sorter.finish(|p, mut group| {
            n_users += u64::from(!group.events.is_empty());
            n_known += u64::from(!group.events.is_empty() && !group.profiles.is_empty());
            tidy.events(&mut group, &mut own);
            let profile = profile(&group, &self.users_path, &mut own)?;
            writer.user(p, profile, &group.events)?;
            let step = IngestStep::Wrote(writer.n_events() as u64 + own.duplicates, n_mine);
            match (limits.go_on)(step) {
                true => Ok(()),
                false => Err(Error::Stopped),
            }
        })?;
        if let Some(table) = self.users_table {
            own.joins.push(Joined {
                table,
                what: "users".into(),
                of: n_users,
                known: n_known,
            });
        }
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
        let Some(forgotten) = self.limits.forgotten else {
            return false;
        };
        let mut asked = self.asked.borrow_mut();
        if let Some(&known) = asked.get(user) {
            return known;
        }
        // Memory is bounded, however many users a log has.
        if asked.len() == MAX_ASKED {
            asked.clear();
        }
        let is_forgotten = forgotten(user);
        asked.insert(user.to_owned(), is_forgotten);
        is_forgotten
    }

    fn event(&mut self, user: &str, event: Event, fine: Fine) -> Result<()> {
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
                self.sorter.event(user, Event { row, ..event }, fine)
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

    fn some_users(&self) -> HashSet<String> {
        join::sample(self.sorter.some_users())
    }

    fn users_are_from(&mut self, table: &Path) {
        self.users_table = Some(table.to_owned());
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
    by_row: Vec<(u32, i64, Fine)>,
    seen: Seen,
}

impl Tidy {
    fn events(&mut self, group: &mut Group, report: &mut IngestReport) {
        let events = &mut group.events;
        self.by_row.clear();
        let fine = &group.fine;
        let times = events.iter().map(|e| (e.row, e.ts, fine.of(e.row)));
        self.by_row.extend(times);
        self.by_row.sort_unstable();
        for pair in self.by_row.windows(2) {
            let [before, now] = [&pair[0], &pair[1]].map(|t| (t.1, t.2));
            report.out_of_order += u64::from(now < before);
            report.equal_timestamps += u64::from(now == before);
        }
        let n = events.len();
        if events.windows(2).any(|w| w[0].ts == w[1].ts) {
            let mut ts = None;
            events.retain(|e| {
                // Only events of one time can be equal.
                if ts.replace(e.ts) != Some(e.ts) {
                    self.empty();
                }
                let plain = Event {
                    user: 0,
                    text: e.text.clone(),
                    ..*e
                };
                self.seen.insert(fingerprint(&(&plain, fine.of(e.row))))
            });
        }
        report.rows_kept += events.len() as u64;
        for _ in events.len()..n {
            report.repeated();
        }
    }

    /// Emptying a set costs its capacity: after a time with many events that would be paid at every later time.
    fn empty(&mut self) {
        let capacity = self.seen.capacity();
        if capacity > SMALL && capacity / 16 > self.seen.len() {
            self.seen = Seen::default()
        } else {
            self.seen.clear()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::adapters::mapping::{self, MappingConfig};
    use crate::order::FineOrder;

    fn event(row: u32, ts: i64) -> Event {
        Event {
            user: 0,
            item: Some(row),
            kind: 0,
            ts,
            value: None,
            place: None,
            text: None,
            row,
        }
    }

    #[test]
    fn a_set_that_a_huge_group_left_large_is_not_emptied_for_every_later_one() {
        let (mut tidy, mut report) = (Tidy::default(), IngestReport::default());
        let mut huge = Group {
            user: "a".into(),
            profiles: Vec::new(),
            events: (0..100_000).map(|n| event(n, 1)).collect(),
            fine: FineOrder::default(),
        };
        tidy.events(&mut huge, &mut report);
        assert!(tidy.seen.capacity() >= 100_000);
        let mut small = Group {
            user: "b".into(),
            profiles: Vec::new(),
            events: (0..6).map(|n| event(n / 2 * 2, i64::from(n) / 2)).collect(),
            fine: FineOrder::default(),
        };
        tidy.events(&mut small, &mut report);
        assert_eq!((huge.events.len(), small.events.len()), (100_000, 3));
        assert!(tidy.seen.capacity() <= SMALL, "{}", tidy.seen.capacity());
    }

    #[test]
    fn whether_a_user_was_forgotten_is_asked_once_a_user_and_not_once_a_row() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = "user,item,at,where\n".to_owned();
        for n in 0..300 {
            log += &format!("u{},i{n},{n},street {}\n", n % 3, n % 3);
        }
        fs_err::write(dir.path().join("log.csv"), log).unwrap();
        let config = r#"
            name = "log"
            target_actions = ["buy"]
            [[events]]
            any_time = true
            path = "log.csv"
            user = "user"
            item = "item"
            time = "at"
            place = "where"
            subject = "product"
            action = "buy"
            scenario = "shop"
        "#;
        let config = MappingConfig {
            dir: dir.path().into(),
            ..toml::from_str(config).unwrap()
        };
        let asked = Cell::new(0);
        let is_forgotten = |user: &str| {
            asked.set(asked.get() + 1);
            user == "u1"
        };
        let mut limits = IngestLimits {
            memory: 1 << 20,
            shard: None,
            now: None,
            forgotten: Some(&is_forgotten),
            go_on: &mut |_| true,
        };
        let mut report = IngestReport::default();
        let out = dir.path().join("out");
        let ingested = mapping::ingest(&config, &out, &mut limits, &mut report).unwrap();
        assert_eq!(asked.get(), 3);
        let counts = (ingested.users, ingested.events, ingested.forgotten);
        assert_eq!(counts, (2, 200, 1));
        let info = fs_err::read_to_string(out.join("info.json")).unwrap();
        assert!(
            info.contains("street 2") && !info.contains("street 1"),
            "{info}"
        );
    }
}
