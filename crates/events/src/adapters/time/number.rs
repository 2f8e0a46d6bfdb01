//! Decimal numbers of a time unit since 1970 → whole seconds and nanoseconds, without rounding.

use super::Moment;

/// Digits behind the point that count: a billionth of a nanosecond's unit is none of a log's.
const SCALE: u32 = 12;

/// `1700000000`, `1700000000.25`, `1.7E9` as units of which `per_second` make a second. `None`: no number, or beyond
/// what an `i64` of seconds holds.
pub(super) fn moment(cell: &str, per_second: i64) -> Option<Moment> {
    // Nearly all cells are whole numbers.
    if let Ok(whole) = cell.parse::<i64>() {
        return Some(Moment {
            seconds: whole.div_euclid(per_second),
            nanos: (whole.rem_euclid(per_second) * (1_000_000_000 / per_second)) as u32,
        });
    }
    let scaled = decimal(cell)?;
    let per_second = i128::from(per_second) * 10_i128.pow(SCALE);
    let seconds = i64::try_from(scaled.div_euclid(per_second)).ok()?;
    let rest = scaled.rem_euclid(per_second);
    // Nanoseconds are a billionth of a second, and the rest is at most 10⁹ · 10¹² of those: 10³⁰ fits.
    let nanos = rest * 1_000_000_000 / per_second;
    Some(Moment {
        seconds,
        nanos: nanos as u32,
    })
}

/// A decimal number with or without an exponent, times 10¹².
fn decimal(cell: &str) -> Option<i128> {
    let (mantissa, exponent) = match cell.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (cell, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if digits().next().is_none() || !digits().all(|d| d.is_ascii_digit()) {
        return None;
    }
    // Digits before the point once the exponent has moved it, and those that are kept behind it.
    let before = i32::try_from(whole.len()).ok()?.checked_add(exponent)?;
    let kept = before.checked_add(SCALE as i32)?.max(0);
    let mut value: i128 = 0;
    for digit in digits()
        .chain(std::iter::repeat(b'0'))
        .take(usize::try_from(kept).ok().filter(|n| *n <= 60)?)
    {
        value = value
            .checked_mul(10)?
            .checked_add(i128::from(digit - b'0'))?;
    }
    Some(if negative { -value } else { value })
}
