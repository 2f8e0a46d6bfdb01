//! Which format would read cells that the configured one does not.

use super::{TimeFormat, Unit};

/// 1990-01-01: older logs than that are none of today's services.
pub(super) const EARLIEST: i64 = 631_152_000;

/// What logs are written with beside ISO: servers, spreadsheets, databases, Twitter and Foursquare, Amazon's reviews.
const PATTERNS: [&str; 24] = [
    "%a %b %d %H:%M:%S %z %Y",
    "%d/%b/%Y:%H:%M:%S %z",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
    "%m/%d/%Y %I:%M:%S %p",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y %H:%M:%S",
    "%d-%m-%Y",
    "%d-%b-%Y",
    "%d %b %Y",
    "%b %d, %Y",
    "%m %d, %Y",
    "%Y%m%d%H%M%S",
    "%Y%m%d %H:%M:%S",
    "%m/%d/%y %H:%M",
    "%m/%d/%y",
];

/// The `time_format` that reads most of these cells, numbers as plausible times before `latest`; `None`: none reads more
/// than half.
pub(in crate::adapters) fn suggest(cells: &[String], latest: i64) -> Option<String> {
    let plausible = EARLIEST..latest;
    let n_read = |format: &TimeFormat| {
        let times = cells.iter().filter_map(|cell| format.written(cell));
        times
            .filter(|(m, _)| plausible.contains(&m.seconds))
            .count()
    };
    let units = Unit::ALL.into_iter().map(TimeFormat::Number);
    let patterns = PATTERNS.iter().map(|p| TimeFormat::Pattern((*p).into()));
    let mut best = (0, None);
    for format in units.chain([TimeFormat::Iso]).chain(patterns) {
        let n = n_read(&format);
        if n > best.0 {
            best = (n, Some(format));
        }
    }
    let (n, format) = best;
    format
        .filter(|_| 2 * n > cells.len())
        .map(|f| f.key().to_owned())
}

#[cfg(test)]
mod tests {
    use super::suggest;

    #[test]
    fn the_format_that_reads_most_cells_as_plausible_times_is_found() {
        let latest = 2_000_000_000;
        for (cells, expected) in [
            (&["1577836800"][..], Some("seconds")),
            (&["1577836800123"], Some("millis")),
            (&["1577836800123456"], Some("micros")),
            (&["1577836800123456789"], Some("nanos")),
            (&["2020-01-01 10:00:00 UTC"], Some("iso")),
            (
                &["Tue Apr 03 18:00:09 +0000 2012"],
                Some("%a %b %d %H:%M:%S %z %Y"),
            ),
            // A day above twelve tells which number is the month.
            (&["03/04/2012", "13/04/2012"], Some("%d/%m/%Y")),
            (&["04/03/2012", "04/13/2012"], Some("%m/%d/%Y")),
            (
                &["1577836800123", "1577836800124", "-62135596800123"],
                Some("millis"),
            ),
            (&["09 13, 2009"], Some("%m %d, %Y")),
            (&["11/13/2019 9:05:58 AM"], Some("%m/%d/%Y %I:%M:%S %p")),
            (&["20191001000459"], Some("%Y%m%d%H%M%S")),
            (&["soon"], None),
            (&["12"], None),
            (&[], None),
        ] {
            let cells: Vec<String> = cells.iter().map(|c| (*c).to_owned()).collect();
            assert_eq!(suggest(&cells, latest).as_deref(), expected, "{cells:?}");
        }
    }
}
