//! A cell → a moment in the local time of the log.
//!
//! | `time_format` | reads |
//! |---|---|
//! | absent | what the type of a Parquet column says; `seconds` elsewhere |
//! | `seconds`, `millis`, `micros`, `nanos` | a number since 1970 |
//! | `iso` | `2024-05-31T18:30:00.25+02:00` and its shorter forms; `… UTC` |
//! | a pattern | `%d/%m/%Y %H:%M:%S`, in the notation of `strftime` |
//!
//! An hour is to be the user's hour. A time with a written offset other than zero is local already, and stays as it is
//! written. All other times are UTC as soon as the config says what is to be added: `utc_offset_minutes`, a column of
//! offsets, or `time_zone`, which turns times with an offset too. Where the config says nothing, times stay as they are.

mod iso;
mod local;
mod number;
pub(super) mod plausible;
mod suggest;

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, NaiveDate, NaiveDateTime, Offset};

use crate::error::{Error, Result};

pub(super) use local::Local;

/// A moment in local time: seconds since 1970, and the nanoseconds within the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub seconds: i64,
    pub nanos: u32,
}

/// Some 260,000 years around 1970, which calendars can name.
const MAX_SECONDS: i64 = 8_200_000_000_000;

/// A unit of numbers since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Millis,
    Micros,
    Nanos,
}

impl Unit {
    pub const ALL: [Self; 4] = [Self::Seconds, Self::Millis, Self::Micros, Self::Nanos];

    fn per_second(self) -> i64 {
        match self {
            Self::Seconds => 1,
            Self::Millis => 1_000,
            Self::Micros => 1_000_000,
            Self::Nanos => 1_000_000_000,
        }
    }

    /// As `time_format` says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Millis => "millis",
            Self::Micros => "micros",
            Self::Nanos => "nanos",
        }
    }
}

/// How times are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TimeFormat {
    Number(Unit),
    Iso,
    Pattern(String),
}

impl TimeFormat {
    /// # Errors
    /// A name that is none of the table above.
    pub fn parse(name: &str) -> Result<Self> {
        if let Some(unit) = Unit::ALL.into_iter().find(|u| u.name() == name) {
            return Ok(Self::Number(unit));
        }
        match name {
            "iso" => Ok(Self::Iso),
            pattern
                if pattern.contains('%')
                    && !StrftimeItems::new(pattern).any(|i| i == Item::Error) =>
            {
                Ok(Self::Pattern(pattern.into()))
            }
            other => Err(Error::Config(format!(
                "time_format = \"{other}\": use seconds, millis, micros, nanos, iso or a pattern like \
                 %d/%m/%Y %H:%M:%S"
            ))),
        }
    }

    /// Ends the sentence "time is not …".
    pub fn name(&self) -> String {
        match self {
            Self::Number(Unit::Seconds) => "a number of seconds".into(),
            Self::Number(Unit::Millis) => "a number of milliseconds".into(),
            Self::Number(Unit::Micros) => "a number of microseconds".into(),
            Self::Number(Unit::Nanos) => "a number of nanoseconds".into(),
            Self::Iso => "like 2024-05-31T18:30:00".into(),
            Self::Pattern(pattern) => format!("like {pattern}"),
        }
    }

    /// As `time_format` says it.
    pub fn key(&self) -> &str {
        match self {
            Self::Number(unit) => unit.name(),
            Self::Iso => "iso",
            Self::Pattern(pattern) => pattern,
        }
    }

    pub fn reads(&self, cell: &str) -> bool {
        self.written(cell).is_some()
    }

    /// The time as it is written, before any offset of the config.
    fn written(&self, cell: &str) -> Option<(Moment, Option<i32>)> {
        let cell = cell.trim();
        let written = match self {
            Self::Number(unit) => return Some((number::moment(cell, unit.per_second())?, None)),
            Self::Iso => iso::parse(cell)?,
            Self::Pattern(pattern) => by_pattern(cell, pattern)?,
        };
        let wall = written.wall.and_utc();
        let moment = Moment {
            seconds: wall.timestamp(),
            // A leap second has more.
            nanos: wall.timestamp_subsec_nanos().min(999_999_999),
        };
        Some((moment, written.offset))
    }
}

/// A wall time and its offset from UTC in seconds, where one is written.
struct Written {
    wall: NaiveDateTime,
    offset: Option<i32>,
}

fn by_pattern(cell: &str, pattern: &str) -> Option<Written> {
    if pattern.contains('z')
        && let Ok(time) = DateTime::parse_from_str(cell, pattern)
    {
        return Some(Written {
            wall: time.naive_local(),
            offset: Some(time.offset().fix().local_minus_utc()),
        });
    }
    let time = NaiveDateTime::parse_from_str(cell, pattern);
    let midnight = || {
        NaiveDate::parse_from_str(cell, pattern)
            .ok()?
            .and_hms_opt(0, 0, 0)
    };
    Some(Written {
        wall: time.ok().or_else(midnight)?,
        offset: None,
    })
}

/// Reads cells of one format into local time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Clock {
    pub format: TimeFormat,
    pub local: Local,
}

impl Clock {
    pub fn read(&self, cell: &str) -> Option<Moment> {
        self.read_at(cell, self.local)
    }

    /// With an offset of the row's own.
    pub fn read_at(&self, cell: &str, local: Local) -> Option<Moment> {
        let (moment, written) = self.format.written(cell)?;
        let seconds = local.seconds(moment.seconds, written)?;
        (-MAX_SECONDS..MAX_SECONDS)
            .contains(&seconds)
            .then_some(Moment { seconds, ..moment })
    }
}

/// What breaks ties between events of one time: a sequence number, a second time, or a time of day.
pub(super) fn tie_breaker(cell: &str) -> Option<i64> {
    let cell = cell.trim();
    if let Ok(number) = cell.parse() {
        return Some(number);
    }
    if let Some((time, _)) = TimeFormat::Iso.written(cell) {
        let nanos = time.seconds.checked_mul(1_000_000_000)?;
        return nanos.checked_add(time.nanos.into());
    }
    let time = iso::time_of_day(cell).filter(|_| cell.contains(':'))?;
    (time - chrono::NaiveTime::MIN).num_nanoseconds()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: &str, minutes: i32, zone: Option<&str>, cell: &str) -> Option<(i64, u32)> {
        let clock = Clock {
            format: TimeFormat::parse(format).unwrap(),
            local: Local::new(minutes, zone).unwrap(),
        };
        clock.read(cell).map(|m| (m.seconds, m.nanos))
    }

    #[test]
    fn times_are_read_as_local_seconds() {
        for (format, minutes, cell, expected) in [
            ("seconds", 0, "1700000000", Some((1_700_000_000, 0))),
            ("seconds", 60, "1700000000.0", Some((1_700_003_600, 0))),
            (
                "seconds",
                0,
                "1.7000000005e9",
                Some((1_700_000_000, 500_000_000)),
            ),
            (
                "seconds",
                0,
                "1700000000.123456789",
                Some((1_700_000_000, 123_456_789)),
            ),
            (
                "millis",
                0,
                "1700000000999",
                Some((1_700_000_000, 999_000_000)),
            ),
            (
                "millis",
                0,
                "1.57783680012E12",
                Some((1_577_836_800, 120_000_000)),
            ),
            ("millis", 0, "-1", Some((-1, 999_000_000))),
            (
                "micros",
                0,
                "1700000000999999",
                Some((1_700_000_000, 999_999_000)),
            ),
            ("nanos", 0, "1700000000000000001", Some((1_700_000_000, 1))),
            ("seconds", 0, "yesterday", None),
            ("seconds", 0, "NaN", None),
            ("seconds", 0, "1e400", None),
            ("seconds", 0, "9223372036854775807", None),
            ("iso", 0, "1970-01-02", Some((86_400, 0))),
            ("iso", 0, "19700102T000010", Some((86_410, 0))),
            ("iso", 0, "1970-01-01T02:00:00+02:00", Some((7_200, 0))),
            ("iso", 0, "1970-01-01 00:01:00.5", Some((60, 500_000_000))),
            (
                "iso",
                0,
                "1970-01-01 00:01:00,25 UTC",
                Some((60, 250_000_000)),
            ),
            ("iso", 0, "1970-01-01T00:01Z", Some((60, 0))),
            ("iso", 0, "1970-13-01", None),
            ("iso", 0, "1970-01-01 25:00", None),
            ("iso", 0, "päivä 1970", None),
            ("%d/%m/%Y %H:%M", 0, "02/01/1970 01:00", Some((90_000, 0))),
            ("%d/%m/%Y", 0, "02/01/1970", Some((86_400, 0))),
            (
                "%Y-%m-%d %H:%M:%S%.f",
                0,
                "1970-01-01 00:00:01.5",
                Some((1, 500_000_000)),
            ),
        ] {
            assert_eq!(
                read(format, minutes, None, cell),
                expected,
                "{format} {cell}"
            );
        }
        assert!(TimeFormat::parse("minutes").is_err());
        assert!(TimeFormat::parse("%Q%!").is_err());
    }

    #[test]
    fn what_has_no_offset_of_its_own_is_utc_once_the_config_names_an_offset_or_a_zone() {
        const PATTERN: &str = "%a %b %d %H:%M:%S %z %Y";
        let summer = 1_333_461_609;
        for (format, cell) in [
            ("seconds", "1333476009"),
            ("iso", "2012-04-03 18:00:09"),
            ("iso", "2012-04-03T18:00:09Z"),
            ("iso", "2012-04-03T18:00:09+00:00"),
            (PATTERN, "Tue Apr 03 18:00:09 +0000 2012"),
            ("%d.%m.%Y %H:%M:%S", "03.04.2012 18:00:09"),
        ] {
            assert_eq!(read(format, -240, None, cell), Some((summer, 0)), "{cell}");
            let zone = Some("America/New_York");
            assert_eq!(read(format, 0, zone, cell), Some((summer, 0)), "{cell}");
        }
        // An hour more from UTC in winter.
        let winter = read("iso", 0, Some("America/New_York"), "2012-01-03 18:00:09");
        assert_eq!(winter, read("iso", 0, None, "2012-01-03 13:00:09"));
        // A written offset is the user's own, but a zone says where all are.
        let written = "2012-04-03T20:00:09+02:00";
        assert_eq!(
            read("iso", -240, None, written),
            read("iso", 0, None, "2012-04-03 20:00:09")
        );
        assert_eq!(
            read("iso", 0, Some("America/New_York"), written),
            Some((summer, 0))
        );
        assert!(Local::new(0, Some("Mars/Base")).is_err());
        assert!(Local::new(60, Some("Europe/Berlin")).is_err());
    }

    #[test]
    fn numbers_times_and_times_of_day_break_ties() {
        for (early, late) in [
            ("9", "10"),
            ("2016-05-09", "2016-05-10"),
            ("09:59:59.5", "10:00:00"),
            (
                "2016-05-09 10:00:00.123456788",
                "2016-05-09 10:00:00.123456789",
            ),
        ] {
            assert!(
                tie_breaker(early).unwrap() < tie_breaker(late).unwrap(),
                "{early}"
            );
        }
        assert_eq!(tie_breaker("soon"), None);
    }
}
