//! A cell → seconds since 1970 in the local time of the log.

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, NaiveDate, NaiveDateTime};

use crate::error::{Error, Result};

#[derive(Debug)]
pub(super) enum TimeFormat {
    /// (units a second, seconds to add)
    Number(i64, i64),
    Iso,
    Pattern(String),
}

impl TimeFormat {
    pub fn parse(name: &str, utc_offset_minutes: i32) -> Result<Self> {
        let offset = i64::from(utc_offset_minutes) * 60;
        Ok(match name {
            "seconds" => Self::Number(1, offset),
            "millis" => Self::Number(1_000, offset),
            "iso" => Self::Iso,
            pattern
                if pattern.contains('%')
                    && !StrftimeItems::new(pattern).any(|i| i == Item::Error) =>
            {
                Self::Pattern(pattern.into())
            }
            other => {
                return Err(Error::Config(format!(
                    "time_format = \"{other}\": use seconds, millis, iso or a pattern like %d/%m/%Y %H:%M:%S"
                )));
            }
        })
    }

    pub fn name(&self) -> String {
        match self {
            Self::Number(1, _) => "a number of seconds".into(),
            Self::Number(..) => "a number of milliseconds".into(),
            Self::Iso => "like 2024-05-31T18:30:00".into(),
            Self::Pattern(pattern) => format!("like {pattern}"),
        }
    }

    pub fn seconds(&self, cell: &str) -> Option<i64> {
        let cell = cell.trim();
        match self {
            Self::Number(units, offset) => {
                let whole = cell.parse::<i64>().ok();
                // Exporters write whole numbers as `1.7e9` or `1700000000.0`.
                let number = whole.or_else(|| {
                    let x = cell.parse::<f64>().ok()?;
                    (x.abs() < 9e15).then(|| x.floor() as i64)
                })?;
                number.div_euclid(*units).checked_add(*offset)
            }
            Self::Iso => iso(cell),
            Self::Pattern(pattern) => {
                let time = NaiveDateTime::parse_from_str(cell, pattern);
                let midnight = || {
                    NaiveDate::parse_from_str(cell, pattern)
                        .ok()?
                        .and_hms_opt(0, 0, 0)
                };
                Some(time.ok().or_else(midnight)?.and_utc().timestamp())
            }
        }
    }
}

/// With an offset the local time counts: 18:30+02:00 is half past six for the user.
fn iso(cell: &str) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_rfc3339(cell) {
        return Some(time.naive_local().and_utc().timestamp());
    }
    let patterns = [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%d %H:%M",
    ];
    let time = patterns
        .iter()
        .find_map(|p| NaiveDateTime::parse_from_str(cell, p).ok());
    let midnight = || {
        NaiveDate::parse_from_str(cell, "%Y-%m-%d")
            .ok()?
            .and_hms_opt(0, 0, 0)
    };
    Some(time.or_else(midnight)?.and_utc().timestamp())
}

#[cfg(test)]
mod tests {
    use super::TimeFormat;

    #[test]
    fn times_are_read_as_local_seconds() {
        for (format, offset, cell, expected) in [
            ("seconds", 0, "1700000000", Some(1_700_000_000)),
            ("seconds", 60, "1700000000.0", Some(1_700_003_600)),
            ("millis", 0, "1700000000999", Some(1_700_000_000)),
            ("millis", 0, "-1", Some(-1)),
            ("seconds", 0, "yesterday", None),
            ("seconds", 0, "NaN", None),
            ("iso", 0, "1970-01-02", Some(86_400)),
            ("iso", 0, "1970-01-01T02:00:00+02:00", Some(7_200)),
            ("iso", 0, "1970-01-01 00:01:00.5", Some(60)),
            ("iso", 0, "1970-13-01", None),
            ("%d/%m/%Y %H:%M", 0, "02/01/1970 01:00", Some(90_000)),
            ("%d/%m/%Y", 0, "02/01/1970", Some(86_400)),
        ] {
            let parsed = TimeFormat::parse(format, offset).map(|f| f.seconds(cell));
            assert_eq!(parsed.ok(), Some(expected), "{format} {cell}");
        }
        assert!(TimeFormat::parse("minutes", 0).is_err());
        assert!(TimeFormat::parse("%Q%!", 0).is_err());
    }
}
