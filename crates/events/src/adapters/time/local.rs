//! UTC → the users' local time, so that an hour is the user's hour.

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;

use crate::error::{Error, Result};

/// What turns a time into the user's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::adapters) enum Local {
    AsWritten,
    /// Seconds.
    Offset(i64),
    Zone(Tz),
}

impl Local {
    /// # Errors
    /// Both keys, or a zone that is not in the IANA database.
    pub fn new(utc_offset_minutes: i32, time_zone: Option<&str>) -> Result<Self> {
        match (utc_offset_minutes, time_zone) {
            (0, None) => Ok(Self::AsWritten),
            (minutes, None) => Ok(Self::Offset(i64::from(minutes) * 60)),
            (0, Some(name)) => name.parse().map(Self::Zone).map_err(|_| {
                Error::Config(format!(
                    "time_zone = \"{name}\" is no zone of the IANA database; use a name such as America/New_York"
                ))
            }),
            (_, Some(_)) => Err(Error::Config(
                "utc_offset_minutes and time_zone are both set: leave one out".into(),
            )),
        }
    }

    pub(super) fn seconds(self, wall: i64, written: Option<i32>) -> Option<i64> {
        match (self, written) {
            (Self::AsWritten, _) => Some(wall),
            (Self::Offset(_), Some(1..) | Some(..=-1)) => Some(wall),
            (Self::Offset(offset), _) => wall.checked_add(offset),
            (Self::Zone(zone), _) => {
                let utc = wall.checked_sub(written.unwrap_or(0).into())?;
                let time = DateTime::from_timestamp(utc, 0)?.naive_utc();
                let offset = zone.offset_from_utc_datetime(&time).fix();
                utc.checked_add(offset.local_minus_utc().into())
            }
        }
    }
}
