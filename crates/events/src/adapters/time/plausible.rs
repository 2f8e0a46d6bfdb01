//! A unit that is wrong is the worst fault of a log, since nothing fails: milliseconds read as seconds are the year
//! 50,000, seconds read as milliseconds are January 1970. So the times of a file are looked at once they are read.

use std::path::Path;

use chrono::DateTime;

use super::Moment;
use super::suggest::{EARLIEST, suggest};
use crate::error::{Error, Result};
use crate::report::IngestReport;

const DAY: i64 = 86_400;
/// 2100-01-01, where the caller has no clock.
const NO_CLOCK: i64 = 4_102_444_800;
/// Cells that are kept to find the format that fits.
const KEPT: usize = 64;

/// The times of one file.
pub(in crate::adapters) struct Times {
    /// The first moment that is after tomorrow.
    latest: i64,
    n: u64,
    n_implausible: u64,
    first: Option<(u64, Moment)>,
    /// Of implausible times, and of those that the format does not read.
    cells: Vec<String>,
    n_unread: u64,
    /// The config says how times are read, and not the type of the column.
    is_configured: bool,
}

impl Times {
    /// `now`: seconds since 1970. `is_configured`: another `time_format` could mend what is wrong.
    pub fn new(now: Option<i64>, is_configured: bool) -> Self {
        Self {
            latest: now.map_or(NO_CLOCK, |now| now.saturating_add(2 * DAY)),
            n: 0,
            n_implausible: 0,
            first: None,
            cells: Vec::new(),
            n_unread: 0,
            is_configured,
        }
    }

    pub fn see(&mut self, line: u64, cell: &str, moment: Moment) {
        self.n += 1;
        if !(EARLIEST..self.latest).contains(&moment.seconds) {
            self.n_implausible += 1;
            self.first.get_or_insert((line, moment));
            self.keep(cell);
        }
    }

    pub fn see_unread(&mut self, cell: &str) {
        self.n_unread += 1;
        self.keep(cell);
    }

    fn keep(&mut self, cell: &str) {
        if self.cells.len() < KEPT {
            self.cells.push(cell.trim().to_owned());
        }
    }

    fn suggest(&self) -> Option<String> {
        suggest(&self.cells, self.latest).filter(|_| self.is_configured)
    }

    /// Notes times that are implausible. `meant`: the config says that they are.
    ///
    /// # Errors
    /// Most times are implausible, or none is in the format; with the one that would fit.
    pub fn judge(&self, path: &Path, meant: bool, report: &mut IngestReport) -> Result<()> {
        let bad = |reason| {
            Err(Error::BadFile {
                path: path.to_owned(),
                reason,
            })
        };
        if self.n == 0 && self.n_unread > 0 {
            return match self.suggest() {
                Some(fits) => bad(format!(
                    "no time is read: all are like `{}`. Set `time_format = \"{fits}\"`",
                    IngestReport::excerpt(&self.cells[0])
                )),
                // The first bad row tells what is wrong.
                None => Ok(()),
            };
        }
        let Some((line, moment)) = self.first.filter(|_| !meant) else {
            return Ok(());
        };
        let (n, of) = (self.n_implausible, self.n);
        let example = format!("line {line} is of {}", date(moment.seconds));
        if 2 * n <= of {
            report.notes.push(format!(
                "{}: {n} of {of} times are before 1990 or in the future, and kept: {example}",
                path.display()
            ));
            return Ok(());
        }
        let remedy = match self.suggest() {
            Some(fits) => {
                format!("Set `time_format = \"{fits}\"`, which reads them as plausible times")
            }
            None if !self.is_configured => {
                "The type of the column says so: was it made with another unit?".into()
            }
            None => "No unit makes them plausible: is this the column of times?".into(),
        };
        bad(format!(
            "{n} of {of} times are before 1990 or in the future: `{}` on {example}. {remedy}; or set \
             `any_time = true` if they are meant",
            IngestReport::excerpt(self.cells.first().map_or("", String::as_str))
        ))
    }
}

fn date(seconds: i64) -> String {
    let time = DateTime::from_timestamp(seconds, 0);
    time.map_or_else(
        || format!("{seconds} seconds since 1970"),
        |t| t.format("%Y-%m-%d").to_string(),
    )
}
