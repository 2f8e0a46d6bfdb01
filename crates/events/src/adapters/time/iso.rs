//! ISO 8601 times as logs write them: `2024-05-31`, `20240531T183000Z`, `2024-05-31 18:30:00.25 +02:00`, `… UTC`.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};

use super::Written;

/// The wall time as it is written, and its offset if it has one.
pub(super) fn parse(cell: &str) -> Option<Written> {
    if !cell.is_ascii() {
        return None;
    }
    let (wall, offset) = split_offset(cell);
    let (date, time) = match wall.find(['T', 't', ' ']) {
        Some(at) => (&wall[..at], wall[at + 1..].trim()),
        None => (wall, ""),
    };
    let wall = NaiveDateTime::new(day(date)?, time_of_day(time)?);
    Some(Written { wall, offset })
}

/// `2024-05-31` or `20240531`.
fn day(text: &str) -> Option<NaiveDate> {
    let b = text.as_bytes();
    let (year, month, day) = match b {
        [_, _, _, _, b'-', _, _, b'-', _, _] => (&text[..4], &text[5..7], &text[8..]),
        [_, _, _, _, _, _, _, _] => (&text[..4], &text[4..6], &text[6..]),
        _ => return None,
    };
    NaiveDate::from_ymd_opt(number(year)? as i32, number(month)?, number(day)?)
}

/// `18:30`, `18:30:00`, `18:30:00.25`, `183000`; none is midnight.
pub(super) fn time_of_day(text: &str) -> Option<NaiveTime> {
    if text.is_empty() {
        return Some(NaiveTime::MIN);
    }
    if !text.is_ascii() {
        return None;
    }
    let (clock, fraction) = match text.find(['.', ',']) {
        Some(at) => (&text[..at], nanos(&text[at + 1..])?),
        None => (text, 0),
    };
    let (hour, minute, second) = match clock.as_bytes() {
        [_, _, b':', _, _] => (&clock[..2], &clock[3..], "00"),
        [_, _, b':', _, _, b':', _, _] => (&clock[..2], &clock[3..5], &clock[6..]),
        [_, _, _, _] => (&clock[..2], &clock[2..], "00"),
        [_, _, _, _, _, _] => (&clock[..2], &clock[2..4], &clock[4..]),
        _ => return None,
    };
    let (hour, minute, second) = (number(hour)?, number(minute)?, number(second)?);
    // A leap second is the last one of its minute here.
    NaiveTime::from_hms_nano_opt(hour, minute, second.min(59), fraction).filter(|_| second <= 60)
}

fn number(digits: &str) -> Option<u32> {
    let all = digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|_| all)
}

/// Digits behind the point as nanoseconds; those beyond the ninth are cut.
fn nanos(digits: &str) -> Option<u32> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let kept = &digits[..digits.len().min(9)];
    Some(kept.parse::<u32>().ok()? * 10_u32.pow(9 - kept.len() as u32))
}

/// What stands before the offset, and the offset in seconds.
fn split_offset(cell: &str) -> (&str, Option<i32>) {
    for utc in ["Z", "z", "UTC", "GMT"] {
        if let Some(wall) = cell.strip_suffix(utc) {
            return (wall.trim_end(), Some(0));
        }
    }
    // A sign within the date is none of an offset.
    let from = cell.len().min(10);
    let Some(at) = cell[from..].rfind(['+', '-']) else {
        return (cell, None);
    };
    let (wall, signed) = cell.split_at(from + at);
    let mut digits = signed.chars();
    let sign = if digits.next() == Some('+') { 1 } else { -1 };
    let digits = digits.as_str();
    let parts = match digits.as_bytes() {
        [_, _] => Some((digits, "00")),
        [_, _, b':', _, _] => Some((&digits[..2], &digits[3..])),
        [_, _, _, _] => Some((&digits[..2], &digits[2..])),
        _ => None,
    };
    let seconds = parts.and_then(|(hours, minutes)| {
        let (hours, minutes) = (number(hours)?, number(minutes)?);
        (hours < 24 && minutes < 60).then(|| sign * (hours * 3_600 + minutes * 60) as i32)
    });
    match seconds {
        Some(seconds) => (wall.trim_end(), Some(seconds)),
        None => (cell, None),
    }
}
