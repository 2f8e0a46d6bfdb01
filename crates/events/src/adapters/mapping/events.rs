//! Files of events.

use std::collections::HashMap;
use std::path::Path;

use super::config::EventsMapping;
use super::number;
use crate::adapters::ids::{ROUNDED, by_rules, is_rounded};
use crate::adapters::sink::Target;
use crate::adapters::table::{Columns, InputFile, Rows, TimeType, Use};
use crate::adapters::time::plausible::Times;
use crate::adapters::time::{Clock, Local, TimeFormat, Unit, tie_breaker};
use crate::dataset::Event;
use crate::error::{Error, Result};
use crate::order::Fine;

/// Kinds of behaviour that a mapping may make: each may need a template.
const MAX_KINDS: usize = 1_000;
/// A file with at least this many rows is refused if fewer than one row in ten is good.
const MANY_ROWS: u64 = 20;

/// A cell: constant for the file, or column of the row.
enum Source {
    Constant(String),
    Column(usize),
}

impl Source {
    fn new(
        what: &str,
        constant: &Option<String>,
        column: &Option<String>,
        columns: &mut Columns,
    ) -> Result<Self> {
        match (constant, column) {
            (Some(value), None) => Ok(Self::Constant(value.clone())),
            (None, Some(name)) => Ok(Self::Column(columns.add(name))),
            _ => Err(Error::Config(format!(
                "[[events]] needs either `{what}` (the same for every row) or `{what}_column`"
            ))),
        }
    }

    fn of<'r>(&'r self, row: &'r [Option<String>]) -> Option<&'r str> {
        match self {
            Self::Constant(value) => Some(value),
            Self::Column(i) => row[*i].as_deref(),
        }
    }
}

/// Reads the files of one mapping.
pub(super) struct Reader<'m> {
    mapping: &'m EventsMapping,
    /// `None`: what the column says, else seconds.
    format: Option<TimeFormat>,
    local: Local,
    now: Option<i64>,
    columns: Columns,
    user: usize,
    time: usize,
    utc_offset: Option<usize>,
    tie_breaker: Option<usize>,
    subject: Source,
    action: Source,
    scenario: Source,
    item: Option<usize>,
    text: Option<usize>,
    value: Option<usize>,
    place: Option<usize>,
}

impl<'m> Reader<'m> {
    /// # Errors
    /// A mapping that contradicts itself.
    pub fn new(mapping: &'m EventsMapping, now: Option<i64>) -> Result<Self> {
        let mut columns = Columns::default();
        let (subject, subject_column) = (&mapping.subject, &mapping.subject_column);
        let (action, action_column) = (&mapping.action, &mapping.action_column);
        let (scenario, scenario_column) = (&mapping.scenario, &mapping.scenario_column);
        let local = Local::new(mapping.utc_offset_minutes, mapping.time_zone.as_deref())?;
        if mapping.utc_offset_column.is_some() && local != Local::AsWritten {
            return Err(Error::Config(
                "utc_offset_column stands beside utc_offset_minutes or time_zone: leave one out"
                    .into(),
            ));
        }
        Ok(Self {
            mapping,
            format: mapping
                .time_format
                .as_deref()
                .map(TimeFormat::parse)
                .transpose()?,
            local,
            now,
            user: columns.add_as(&mapping.user, Use::Id),
            time: columns.add_as(&mapping.time, Use::Time),
            utc_offset: columns.add_if(&mapping.utc_offset_column),
            tie_breaker: columns.add_if(&mapping.tie_breaker),
            subject: Source::new("subject", subject, subject_column, &mut columns)?,
            action: Source::new("action", action, action_column, &mut columns)?,
            scenario: Source::new("scenario", scenario, scenario_column, &mut columns)?,
            item: mapping.item.as_ref().map(|i| columns.add_as(i, Use::Id)),
            text: columns.add_if(&mapping.text),
            value: columns.add_if(&mapping.value),
            place: columns.add_if(&mapping.place),
            columns,
        })
    }

    /// The events of a file.
    pub fn file(&self, file: &InputFile, sink: &mut impl Target) -> Result<()> {
        let path = file.path.as_path();
        let mut rows = Rows::open(file, &self.mapping.file, &self.columns, sink.report())?;
        let time_type = rows.time_type(self.time)?;
        let clock = self.clock(path, &time_type)?;
        if let TimeType::Timestamp(_, Some(zone)) = &time_type
            && !is_utc(zone)
            && self.local == Local::AsWritten
        {
            sink.report().note(format!(
                "column `{}` is shown in {zone}, and its times are kept in UTC: set `time_zone = \"{zone}\"` for the \
                 users\' hours",
                self.mapping.time
            ));
        }
        let mut times = Times::new(self.now, time_type == TimeType::Untyped);
        let (read_before, bad_before) = (sink.report().rows_read, sink.report().n_bad());
        // The kinds that were seen, by their three words.
        let (mut kinds, mut key) = (HashMap::new(), String::new());
        while let Some((line, row)) = rows.next_row(sink.report())? {
            let cell = |at: Option<usize>| at.and_then(|i| row[i].as_deref());
            let (Some(user), Some(time)) = (&row[self.user], &row[self.time]) else {
                sink.report()
                    .bad_row(path, line, "user or time is empty", "")?;
                continue;
            };
            let mut local = self.local;
            if self.utc_offset.is_some() {
                let minutes = cell(self.utc_offset).unwrap_or_default();
                match minutes.parse::<f64>().ok().filter(|m| m.abs() < 1_440.0) {
                    Some(minutes) => local = Local::Offset((minutes * 60.0) as i64),
                    None => {
                        let reason = "offset from UTC is no number of minutes";
                        sink.report().bad_row(path, line, reason, minutes)?;
                        continue;
                    }
                }
            }
            let Some(moment) = clock.read_at(time, local) else {
                times.see_unread(time);
                let reason = format!("time is not {}", clock.format.name());
                sink.report().bad_row(path, line, &reason, time)?;
                continue;
            };
            let tie = match cell(self.tie_breaker) {
                // What has none comes first.
                None if self.tie_breaker.is_some() => i64::MIN,
                None => 0,
                Some(tie) => match tie_breaker(tie) {
                    Some(tie) => tie,
                    None => {
                        let reason = "tie breaker is no whole number, time or time of day";
                        sink.report().bad_row(path, line, reason, tie)?;
                        continue;
                    }
                },
            };
            let (Some(subject), Some(action), Some(scenario)) = (
                self.subject.of(row),
                self.action.of(row),
                self.scenario.of(row),
            ) else {
                sink.report()
                    .bad_row(path, line, "subject, action or scenario is empty", "")?;
                continue;
            };
            let (item, text) = (cell(self.item), cell(self.text));
            if item.is_none() && text.is_none() {
                sink.report()
                    .bad_row(path, line, "neither item nor text", "")?;
                continue;
            }
            if let Some(id) = [Some(user.as_str()), item]
                .into_iter()
                .flatten()
                .find(|id| is_rounded(id))
            {
                sink.report().bad_row(path, line, ROUNDED, id)?;
                continue;
            }
            times.see(line, time, moment);
            let value = number(sink.report(), (path, line), "value", cell(self.value))?;
            let text = text.map(|t| sink.report().clean(t).into_owned().into_boxed_str());
            let [subject, action, scenario] =
                [subject, action, scenario].map(|k| sink.report().clean(k));
            key.clear();
            for part in [&subject, &action, &scenario] {
                key.push_str(part);
                // No text that was cleaned has one.
                key.push('\0');
            }
            let kind = match kinds.get(&key) {
                Some(&kind) => kind,
                None => {
                    let kind = sink.names().kind(&subject, &action, &scenario);
                    kinds.insert(key.clone(), kind);
                    kind
                }
            };
            if sink.names().n_kinds() > MAX_KINDS {
                return Err(Error::Config(format!(
                    "{}:{line}: more than {MAX_KINDS} kinds of behaviour (subject × action × scenario): a \
                     column of identifiers belongs into `place`, not into `scenario_column`",
                    path.display()
                )));
            }
            let user = by_rules(user, &self.mapping.user_ids);
            let event = Event {
                user: 0,
                item: item.map(|i| sink.names().item(&by_rules(i, &self.mapping.item_ids))),
                kind,
                ts: moment.seconds,
                value,
                place: cell(self.place)
                    .filter(|_| !sink.is_forgotten(&user))
                    .map(|p| sink.names().place(p)),
                text,
                row: 0,
            };
            let nanos = moment.nanos;
            sink.event(&user, event, Fine { nanos, tie })?;
        }
        times.judge(path, self.mapping.any_time, sink.report())?;
        self.judge_rows(path, sink, read_before, bad_before)
    }

    /// How the times of a file are read.
    fn clock(&self, path: &Path, of: &TimeType) -> Result<Clock> {
        let unit = match of {
            TimeType::Untyped => None,
            TimeType::Timestamp(unit, _) | TimeType::Date(unit) => Some(*unit),
        };
        let format = match (unit, &self.format) {
            (None, Some(format)) => format.clone(),
            (None, None) => TimeFormat::Number(Unit::Seconds),
            (Some(unit), None | Some(TimeFormat::Iso | TimeFormat::Number(Unit::Seconds))) => {
                TimeFormat::Number(unit)
            }
            (Some(unit), Some(TimeFormat::Number(said))) if *said == unit => {
                TimeFormat::Number(unit)
            }
            (Some(unit), Some(said)) => {
                let what = match of {
                    TimeType::Date(_) => "dates".to_owned(),
                    _ => format!("timestamps in {}", unit.name()),
                };
                return Err(Error::BadFile {
                    path: path.to_owned(),
                    reason: format!(
                        "column `{}` holds {what}, as its type says, and time_format = \"{}\" contradicts it: leave \
                         time_format out, or set \"{}\"",
                        self.mapping.time,
                        said.key(),
                        unit.name()
                    ),
                });
            }
        };
        Ok(Clock {
            format,
            local: self.local,
        })
    }

    /// # Errors
    /// Hardly any row was of use.
    fn judge_rows(
        &self,
        path: &Path,
        sink: &mut impl Target,
        read_before: u64,
        bad_before: u64,
    ) -> Result<()> {
        let report = sink.report();
        let (read, bad) = (report.rows_read - read_before, report.n_bad() - bad_before);
        if read < MANY_ROWS || 10 * bad <= 9 * read {
            return Ok(());
        }
        let of_file = report.first_bad.iter().find(|b| b.path == path);
        let first = of_file.map_or_else(String::new, |b| {
            format!(", the first in line {}: {}", b.line, b.reason)
        });
        let notes: String = report.notes.iter().map(|n| format!(" {n}.")).collect();
        Err(Error::BadFile {
            path: path.to_owned(),
            reason: format!(
                "{bad} of {read} rows are bad{first}. Is the mapping right for this file?{notes}"
            ),
        })
    }
}

fn is_utc(zone: &str) -> bool {
    ["utc", "etc/utc", "gmt", "z", "+00:00", "+0000", "-00:00"]
        .contains(&zone.to_lowercase().as_str())
}
