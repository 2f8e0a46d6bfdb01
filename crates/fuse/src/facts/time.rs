//! Calendar words of a local timestamp.

const DAY: i64 = 86_400;

/// `morning` 5–11, `midday` 11–14, `afternoon` 14–18, `evening` 18–22, `night` otherwise.
pub fn daypart(ts: i64) -> &'static str {
    match ts.rem_euclid(DAY) / 3600 {
        5..11 => "morning",
        11..14 => "midday",
        14..18 => "afternoon",
        18..22 => "evening",
        _ => "night",
    }
}

pub fn weekday(ts: i64) -> &'static str {
    // 1970-01-01 was a Thursday.
    [
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
        "Monday",
        "Tuesday",
        "Wednesday",
    ][ts.div_euclid(DAY).rem_euclid(7) as usize]
}

/// Whole days from `from` to `to`.
pub fn days_between(from: i64, to: i64) -> i64 {
    (to - from).div_euclid(DAY)
}
