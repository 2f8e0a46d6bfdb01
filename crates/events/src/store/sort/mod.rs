//! More events than memory holds, sorted by (partition, user, time, fine order, row): an external merge sort.
//!
//! In: users' events and profiles in any order. They gather in a [`Buffer`](buffer) of so many bytes; when it is
//! full it is sorted and written out as a [`run`]; [`FAN_IN`] runs are merged into a longer one. Out:
//! partition by partition, one user at a time, so that memory holds the buffers and one user's events. Where
//! all fits into the buffer, nothing is written out.

mod buffer;
mod run;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use self::buffer::{Buffer, Sorted};
use self::run::{Reader, Run, RunWriter};
use crate::dataset::Event;
use crate::error::Result;
use crate::order::{Fine, FineOrder};

/// Runs that are read at once: each is an open file and 64 KiB.
const FAN_IN: usize = 32;

/// Users that are remembered of a buffer: enough to hold a table against the log.
pub(crate) const SAMPLE: usize = 10_000;

/// One user's rows: what the log said, oldest first.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Group {
    pub user: String,
    /// Attributes as JSON, and the row that says so; more than one if the user is described twice.
    pub profiles: Vec<(u32, Box<str>)>,
    /// By (time, fine order, row).
    pub events: Vec<Event>,
    pub fine: FineOrder,
}

impl Group {
    /// Takes the rows of the same user from another run.
    fn absorb(&mut self, other: Self) {
        self.profiles.extend(other.profiles);
        self.events.extend(other.events);
        self.fine.absorb(other.fine);
    }

    fn sort(&mut self) {
        self.profiles.sort_unstable_by_key(|p| p.0);
        self.fine.sort();
        let fine = &self.fine;
        self.events.sort_unstable_by(|a, b| fine.compare(a, b));
    }
}

pub(crate) struct Sorter {
    scratch: Scratch,
    partitions: usize,
    buffer: Buffer,
    /// Level n holds runs that were merged n times.
    levels: Vec<Vec<Run>>,
    spilled: u64,
    /// Users of the buffer that was written out last.
    some_users: Vec<Rc<str>>,
}

impl Sorter {
    /// `memory`: bytes of the buffer, about. Runs lie in `scratch`, which is made when it is needed and removed at the
    /// end, whatever that is.
    pub fn new(scratch: PathBuf, partitions: usize, memory: usize) -> Self {
        Self {
            scratch: Scratch::new(scratch),
            partitions,
            buffer: Buffer::new(memory),
            levels: Vec::new(),
            spilled: 0,
            some_users: Vec::new(),
        }
    }

    /// Users whose rows came last.
    pub fn some_users(&self) -> impl Iterator<Item = &str> {
        let users = self.buffer.users().iter().chain(&self.some_users);
        users.map(|u| &**u)
    }

    /// `event.user` is of no account. Events must come by ascending `row`.
    pub fn event(&mut self, user: &str, event: Event, fine: Fine) -> Result<()> {
        self.buffer.event(user, event, fine);
        self.spill_if_full()
    }

    pub fn profile(&mut self, user: &str, row: u32, attributes: Box<str>) -> Result<()> {
        self.buffer.profile(user, row, attributes);
        self.spill_if_full()
    }

    fn spill_if_full(&mut self) -> Result<()> {
        if !self.buffer.is_full() {
            return Ok(());
        }
        let users = self.buffer.users().iter().take(SAMPLE);
        self.some_users = users.cloned().collect();
        let sorted = self.buffer.sorted(self.partitions);
        let mut writer = RunWriter::create(self.scratch.next()?)?;
        let mut sources = vec![Source::Memory(sorted)];
        for p in 0..self.partitions {
            writer.partition();
            merge(&mut sources, p, &mut |group| writer.group(&group))?;
        }
        let run = writer.finish()?;
        self.spilled += run.bytes();
        self.add(0, run)
    }

    fn add(&mut self, level: usize, run: Run) -> Result<()> {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        self.levels[level].push(run);
        if self.levels[level].len() < FAN_IN {
            return Ok(());
        }
        let runs = std::mem::take(&mut self.levels[level]);
        let mut writer = RunWriter::create(self.scratch.next()?)?;
        for p in 0..self.partitions {
            writer.partition();
            let mut sources = open(&runs, p)?;
            merge(&mut sources, p, &mut |group| writer.group(&group))?;
        }
        for run in runs {
            run.remove()?;
        }
        let run = writer.finish()?;
        self.add(level + 1, run)
    }

    /// Bytes of the runs that were written out first.
    pub fn spilled(&self) -> u64 {
        self.spilled
    }

    /// Everything by (partition, user id): one user after another to `take`.
    pub fn finish(mut self, mut take: impl FnMut(usize, Group) -> Result<()>) -> Result<()> {
        let mut memory = Some(Source::Memory(self.buffer.sorted(self.partitions)));
        let runs: Vec<Run> = self.levels.drain(..).flatten().collect();
        for p in 0..self.partitions {
            let mut sources = open(&runs, p)?;
            sources.extend(memory.take());
            merge(&mut sources, p, &mut |group| take(p, group))?;
            memory = sources.pop().filter(|s| matches!(s, Source::Memory(_)));
        }
        Ok(())
    }
}

enum Source {
    Memory(Sorted),
    Run(Reader),
}

impl Source {
    /// The next user of partition `p`.
    fn next(&mut self, p: usize) -> Result<Option<Group>> {
        match self {
            Self::Memory(sorted) => Ok(sorted.next(p)),
            Self::Run(reader) => reader.next(),
        }
    }
}

fn open(runs: &[Run], p: usize) -> Result<Vec<Source>> {
    runs.iter().map(|r| Ok(Source::Run(r.open(p)?))).collect()
}

/// Users of all sources by id, each once.
fn merge(
    sources: &mut [Source],
    p: usize,
    take: &mut dyn FnMut(Group) -> Result<()>,
) -> Result<()> {
    let heads = sources.iter_mut().map(|s| s.next(p));
    let mut heads: Vec<Option<Group>> = heads.collect::<Result<_>>()?;
    loop {
        let least = heads.iter().flatten().map(|g| g.user.as_str()).min();
        let Some(user) = least.map(str::to_owned) else {
            return Ok(());
        };
        let mut all = Group::default();
        for (head, source) in heads.iter_mut().zip(sources.iter_mut()) {
            if head.as_ref().is_some_and(|g| g.user == user) {
                let group = std::mem::replace(head, source.next(p)?).expect("a head");
                match all.user.is_empty() && all.events.is_empty() && all.profiles.is_empty() {
                    true => all = group,
                    false => all.absorb(group),
                }
            }
        }
        all.sort();
        take(all)?;
    }
}

/// A directory for runs that is gone when the sort is.
struct Scratch {
    dir: PathBuf,
    n: usize,
}

impl Scratch {
    fn new(dir: PathBuf) -> Self {
        Self { dir, n: 0 }
    }

    fn next(&mut self) -> Result<PathBuf> {
        if self.n == 0 {
            remove(&self.dir)?;
            fs_err::create_dir_all(&self.dir)?;
        }
        self.n += 1;
        Ok(self.dir.join(format!("run-{:05}", self.n)))
    }
}

/// What a killed process left.
pub(super) fn remove(dir: &Path) -> Result<()> {
    match fs_err::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.into()),
        _ => Ok(()),
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.n > 0 {
            // An error that ended the sort is the one to report.
            let _ = remove(&self.dir);
        }
    }
}
