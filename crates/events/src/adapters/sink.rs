//! Where an adapter's events go: counts duplicates and disorder, drops the former, refuses an
//! empty result.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use super::join;
use crate::dataset::{Dataset, DatasetBuilder, DatasetInfo, Event, UserIdx};
use crate::error::{Error, Result};
use crate::order::{Fine, FineOrder};
use crate::report::{IngestReport, Joined};

/// Where rows that name their user go: into memory or, however many, into a store.
pub(super) trait Target {
    fn report(&mut self) -> &mut IngestReport;

    /// Items, kinds and places.
    fn names(&mut self) -> &mut DatasetBuilder;

    /// Whether a user's events are taken from a log only to be dropped: nothing that they name is kept.
    fn is_forgotten(&self, _user: &str) -> bool {
        false
    }

    /// The event of one row; its `user` and `row` are of no account. `fine` orders events of one second.
    fn event(&mut self, user: &str, event: Event, fine: Fine) -> Result<()>;

    /// What a row (file and line) says of a user; a second one is bad.
    fn profile(
        &mut self,
        at: (&Path, u64),
        user: &str,
        attributes: BTreeMap<String, String>,
    ) -> Result<()>;

    /// Ids of users of the log, to be held against a table: all, or some of very many.
    fn some_users(&self) -> HashSet<String>;

    /// All profiles are read, from this table: how many of the log's users it knows goes into the report.
    fn users_are_from(&mut self, table: &Path);
}

pub(super) struct Sink<'r> {
    pub builder: DatasetBuilder,
    pub report: &'r mut IngestReport,
    order: TimeOrder,
    fine: FineOrder,
    seen: Seen,
    /// Users whose profile is known.
    described: HashSet<UserIdx>,
}

impl Target for Sink<'_> {
    fn report(&mut self) -> &mut IngestReport {
        self.report
    }

    fn names(&mut self) -> &mut DatasetBuilder {
        &mut self.builder
    }

    fn event(&mut self, user: &str, event: Event, fine: Fine) -> Result<()> {
        let user = self.builder.user(user);
        self.push(Event { user, ..event }, fine);
        Ok(())
    }

    fn profile(
        &mut self,
        at: (&Path, u64),
        user: &str,
        attributes: BTreeMap<String, String>,
    ) -> Result<()> {
        let index = self.builder.user(user);
        if !self.described.insert(index) {
            return self
                .report
                .bad_row(at.0, at.1, "id is described twice", user);
        }
        self.report.rows_kept += 1;
        self.builder.profile_mut(index).attributes = attributes;
        Ok(())
    }

    fn some_users(&self) -> HashSet<String> {
        join::sample(self.builder.user_names())
    }

    fn users_are_from(&mut self, table: &Path) {
        let mut has_events = HashSet::new();
        has_events.extend(self.builder.users_of_events());
        let known = self.described.intersection(&has_events).count();
        self.report.joins.push(Joined {
            table: PathBuf::from(table),
            what: "users".into(),
            of: has_events.len() as u64,
            known: known as u64,
        });
    }
}

impl<'r> Sink<'r> {
    pub fn new(info: DatasetInfo, report: &'r mut IngestReport) -> Self {
        Self {
            builder: DatasetBuilder::new(info),
            report,
            order: TimeOrder::default(),
            fine: FineOrder::default(),
            seen: Seen::default(),
            described: HashSet::new(),
        }
    }

    /// Adds the event of one row; an exact duplicate is counted and dropped (`false`). `fine` orders events of one second.
    pub fn push(&mut self, event: Event, fine: Fine) -> bool {
        self.order.see(event.user, (event.ts, fine), self.report);
        if !self.seen.insert(fingerprint(&(&event, fine))) {
            self.report.repeated();
            return false;
        }
        self.report.rows_kept += 1;
        self.fine.push(self.builder.n_events() as u32, fine);
        self.builder.push(event);
        true
    }

    /// Has this very line been seen before? For rows that make several events.
    pub fn is_repeated(&mut self, line: &str) -> bool {
        let repeated = !self.seen.insert(fingerprint(&line));
        if repeated {
            self.report.repeated();
        }
        repeated
    }

    /// Notes the time of a row whose events are pushed one by one.
    pub fn see_time(&mut self, user: UserIdx, ts: i64) {
        self.order.see(user, (ts, Fine::default()), self.report);
    }

    /// # Errors
    /// [`Error::BadFile`] if no event was kept.
    pub fn finish(mut self, log: &Path) -> Result<Dataset> {
        if self.builder.n_events() == 0 {
            return Err(no_events(self.report, log));
        }
        if !self.fine.is_empty() {
            let fine = &self.fine;
            self.builder.sort_events_by(|a, b| fine.compare(a, b));
        }
        Ok(self.builder.build())
    }
}

/// No event was kept: because there was none, or because every row is bad?
pub(super) fn no_events(report: &IngestReport, log: &Path) -> Error {
    let why = match report.first_bad.first() {
        Some(b) => {
            let notes: String = report.notes.iter().map(|n| format!("; {n}")).collect();
            format!(
                "no usable event: all rows are bad, the first at {}:{}: {}{notes}",
                b.path.display(),
                b.line,
                b.reason
            )
        }
        None => "the log holds no events; is this the right file?".into(),
    };
    Error::BadFile {
        path: log.to_owned(),
        reason: why,
    }
}

/// Counts rows that are not later than the user's row before.
#[derive(Default)]
pub(super) struct TimeOrder {
    /// By user: time of the row before.
    last: Vec<Option<(i64, Fine)>>,
}

impl TimeOrder {
    pub fn see(&mut self, user: UserIdx, ts: (i64, Fine), report: &mut IngestReport) {
        let u = user as usize;
        if self.last.len() <= u {
            self.last.resize(u + 1, None);
        }
        if let Some(before) = self.last[u].replace(ts) {
            report.out_of_order += u64::from(ts < before);
            report.equal_timestamps += u64::from(ts == before);
        }
    }
}

/// Fingerprints that were seen.
pub(super) type Seen = HashSet<u128, foldhash::fast::FixedState>;

/// 128 bits, because a row that is dropped for a collision would be lost: at 10⁹ rows the chance is 10⁻²¹.
pub(super) fn fingerprint<T: Fingerprint + ?Sized>(x: &T) -> u128 {
    let half = |seed: u64| {
        let mut h = foldhash::quality::FixedState::with_seed(seed).build_hasher();
        x.feed(&mut h);
        h.finish()
    };
    u128::from(half(0)) << 64 | u128::from(half(1))
}

pub(super) trait Fingerprint {
    fn feed(&self, h: &mut impl Hasher);
}

impl Fingerprint for (&Event, Fine) {
    /// Everything but the row number.
    fn feed(&self, h: &mut impl Hasher) {
        let (e, fine) = self;
        let value = e.value.map(f32::to_bits);
        (e.user, e.item, e.kind, e.ts, value, e.place, &e.text).hash(h);
        fine.hash(h);
    }
}

impl Fingerprint for &str {
    fn feed(&self, h: &mut impl Hasher) {
        self.hash(h);
    }
}
