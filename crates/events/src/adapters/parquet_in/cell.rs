//! A cell of any Arrow column as text: what an id, a name or a number is called, whatever type holds it.
//!
//! | type | text |
//! |---|---|
//! | text of any layout | as it is |
//! | integers, `uint64` too | all digits |
//! | floats, decimals | no zeros at the end: `1000.0` is `1000`; NaN is null |
//! | boolean | `true`, `false` |
//! | binary of any layout | its text if it is UTF-8 without control characters (zeros at the end of fixed sizes cut), else hexadecimal |
//! | UUID | `8-4-4-4-12` |
//! | dictionary, run-end | the value that it stands for |
//! | timestamp, date, time | ISO 8601; [`raw`] gives the number |
//! | list of any of these | its values, with a mark between |
//! | struct, map, union, duration, interval | none: refused by name |

use std::fmt::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowDictionaryKeyType, ByteArrayType, Date32Type, Date64Type, Decimal32Type, Decimal64Type,
    Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, RunEndIndexType, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrowPrimitiveType};
use arrow_schema::{DataType, Field, TimeUnit};
use chrono::{DateTime, NaiveTime};

/// Can cells of this type be written as text?
pub(crate) fn is_readable(of: &DataType) -> bool {
    match of {
        DataType::List(f)
        | DataType::LargeList(f)
        | DataType::ListView(f)
        | DataType::LargeListView(f)
        | DataType::FixedSizeList(f, _) => is_readable(f.data_type()) && !is_list(f.data_type()),
        DataType::Dictionary(_, value) => is_readable(value),
        DataType::RunEndEncoded(_, value) => is_readable(value.data_type()),
        DataType::Struct(_)
        | DataType::Map(..)
        | DataType::Union(..)
        | DataType::Duration(_)
        | DataType::Interval(_) => false,
        _ => true,
    }
}

pub(crate) fn is_list(of: &DataType) -> bool {
    matches!(
        of,
        DataType::List(_)
            | DataType::LargeList(_)
            | DataType::ListView(_)
            | DataType::LargeListView(_)
            | DataType::FixedSizeList(..)
    )
}

/// The type behind dictionaries and run ends.
pub(crate) fn plain(of: &DataType) -> &DataType {
    match of {
        DataType::Dictionary(_, value) => plain(value),
        DataType::RunEndEncoded(_, value) => plain(value.data_type()),
        other => other,
    }
}

/// Appends cell `i`; `false`: it is null. `mark` goes between the values of a list; `as_number`: times are written as
/// the number that the file holds, dates as seconds.
pub(crate) fn write(
    a: &dyn Array,
    i: usize,
    mark: char,
    as_number: bool,
    out: &mut String,
) -> bool {
    if a.is_null(i) {
        return false;
    }
    match a.data_type() {
        DataType::Utf8 => out.push_str(a.as_string::<i32>().value(i)),
        DataType::LargeUtf8 => out.push_str(a.as_string::<i64>().value(i)),
        DataType::Utf8View => out.push_str(a.as_string_view().value(i)),
        DataType::Boolean => show(a.as_boolean().value(i), out),
        DataType::Int8 => number::<Int8Type>(a, i, out),
        DataType::Int16 => number::<Int16Type>(a, i, out),
        DataType::Int32 => number::<Int32Type>(a, i, out),
        DataType::Int64 => number::<Int64Type>(a, i, out),
        DataType::UInt8 => number::<UInt8Type>(a, i, out),
        DataType::UInt16 => number::<UInt16Type>(a, i, out),
        DataType::UInt32 => number::<UInt32Type>(a, i, out),
        DataType::UInt64 => number::<UInt64Type>(a, i, out),
        DataType::Float16 => return float(a.as_primitive::<Float16Type>().value(i).to_f32(), out),
        DataType::Float32 => return float(a.as_primitive::<Float32Type>().value(i), out),
        DataType::Float64 => return float(a.as_primitive::<Float64Type>().value(i), out),
        DataType::Decimal32(..) => {
            decimal(&a.as_primitive::<Decimal32Type>().value_as_string(i), out)
        }
        DataType::Decimal64(..) => {
            decimal(&a.as_primitive::<Decimal64Type>().value_as_string(i), out)
        }
        DataType::Decimal128(..) => {
            decimal(&a.as_primitive::<Decimal128Type>().value_as_string(i), out);
        }
        DataType::Decimal256(..) => {
            decimal(&a.as_primitive::<Decimal256Type>().value_as_string(i), out);
        }
        DataType::Binary => binary(bytes::<arrow_array::types::BinaryType>(a, i), out),
        DataType::LargeBinary => binary(bytes::<arrow_array::types::LargeBinaryType>(a, i), out),
        DataType::BinaryView => binary(a.as_binary_view().value(i), out),
        DataType::FixedSizeBinary(_) => fixed(a.as_fixed_size_binary().value(i), out),
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => {
            time(a, i, as_number, out);
        }
        DataType::Time32(_) | DataType::Time64(_) => time_of_day(a, i, out),
        DataType::List(_) => list(a.as_list::<i32>().value(i).as_ref(), mark, out),
        DataType::LargeList(_) => list(a.as_list::<i64>().value(i).as_ref(), mark, out),
        DataType::ListView(_) => list(a.as_list_view::<i32>().value(i).as_ref(), mark, out),
        DataType::LargeListView(_) => list(a.as_list_view::<i64>().value(i).as_ref(), mark, out),
        DataType::FixedSizeList(..) => list(a.as_fixed_size_list().value(i).as_ref(), mark, out),
        DataType::Dictionary(key, _) => {
            let at = match key.as_ref() {
                DataType::Int8 => key_at::<Int8Type>(a, i),
                DataType::Int16 => key_at::<Int16Type>(a, i),
                DataType::Int32 => key_at::<Int32Type>(a, i),
                DataType::Int64 => key_at::<Int64Type>(a, i),
                DataType::UInt8 => key_at::<UInt8Type>(a, i),
                DataType::UInt16 => key_at::<UInt16Type>(a, i),
                DataType::UInt32 => key_at::<UInt32Type>(a, i),
                _ => key_at::<UInt64Type>(a, i),
            };
            let values = a.as_any_dictionary().values();
            return write(values.as_ref(), at, mark, as_number, out);
        }
        DataType::RunEndEncoded(ends, _) => {
            return match ends.data_type() {
                DataType::Int16 => run_end::<Int16Type>(a, i, mark, as_number, out),
                DataType::Int32 => run_end::<Int32Type>(a, i, mark, as_number, out),
                _ => run_end::<Int64Type>(a, i, mark, as_number, out),
            };
        }
        // Callers ask `is_readable` first.
        _ => return false,
    }
    true
}

fn show(x: impl std::fmt::Display, out: &mut String) {
    write!(out, "{x}").expect("a string takes all");
}

fn number<T: ArrowPrimitiveType<Native: std::fmt::Display>>(
    a: &dyn Array,
    i: usize,
    out: &mut String,
) {
    show(a.as_primitive::<T>().value(i), out);
}

fn float(x: impl Into<f64> + std::fmt::Display + Copy, out: &mut String) -> bool {
    if x.into().is_nan() {
        return false;
    }
    show(x, out);
    true
}

/// A float from the first number on that the next whole number is rounded to, as `1.5e+20`; `false`: it has all digits.
pub(crate) fn write_rounded(a: &dyn Array, i: usize, out: &mut String) -> bool {
    let (number, digits) = match a.data_type() {
        DataType::Float16 => (a.as_primitive::<Float16Type>().value(i).to_f64(), 11),
        DataType::Float32 => (f64::from(a.as_primitive::<Float32Type>().value(i)), 24),
        DataType::Float64 => (a.as_primitive::<Float64Type>().value(i), 53),
        _ => return false,
    };
    if a.is_null(i) || !number.is_finite() || number.abs() < 2f64.powi(digits) {
        return false;
    }
    let text = format!("{number:.1e}");
    out.push_str(&text.replace('e', "e+"));
    true
}

/// Without zeros at the end: an id of a column with two decimals is `1000`, and not `1000.00`.
fn decimal(text: &str, out: &mut String) {
    let short = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    };
    out.push_str(if short == "-0" { "0" } else { short });
}

fn bytes<T: ByteArrayType<Native = [u8]>>(a: &dyn Array, i: usize) -> &[u8] {
    a.as_bytes::<T>().value(i)
}

fn binary(bytes: &[u8], out: &mut String) {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => out.push_str(text),
        _ => bytes
            .iter()
            .for_each(|b| write!(out, "{b:02x}").expect("a string takes all")),
    }
}

/// numpy fills texts of a fixed size up with zeros.
fn fixed(bytes: &[u8], out: &mut String) {
    let n = bytes
        .iter()
        .rposition(|b| *b != 0)
        .map_or(0, |last| last + 1);
    match std::str::from_utf8(&bytes[..n]) {
        Ok(text) if !text.is_empty() && !text.contains(char::is_control) => out.push_str(text),
        _ => bytes
            .iter()
            .for_each(|b| write!(out, "{b:02x}").expect("a string takes all")),
    }
}

/// Sixteen bytes as `8-4-4-4-12`.
pub(crate) fn write_uuid(a: &dyn Array, i: usize, out: &mut String) -> bool {
    if a.is_null(i) {
        return false;
    }
    for (n, byte) in a.as_fixed_size_binary().value(i).iter().enumerate() {
        if [4, 6, 8, 10].contains(&n) {
            out.push('-');
        }
        write!(out, "{byte:02x}").expect("a string takes all");
    }
    true
}

/// Does the schema call this field a UUID?
pub(crate) fn is_uuid(field: &Field) -> bool {
    let name = field.metadata().get("ARROW:extension:name");
    name.is_some_and(|n| n == "arrow.uuid") && *field.data_type() == DataType::FixedSizeBinary(16)
}

/// The number in a time column, and how many of them are a second.
fn raw(a: &dyn Array, i: usize) -> (i64, i64) {
    match a.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => {
            (a.as_primitive::<TimestampSecondType>().value(i), 1)
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            (a.as_primitive::<TimestampMillisecondType>().value(i), 1_000)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => (
            a.as_primitive::<TimestampMicrosecondType>().value(i),
            1_000_000,
        ),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => (
            a.as_primitive::<TimestampNanosecondType>().value(i),
            1_000_000_000,
        ),
        DataType::Date64 => (a.as_primitive::<Date64Type>().value(i), 1_000),
        _ => (
            i64::from(a.as_primitive::<Date32Type>().value(i)) * 86_400,
            1,
        ),
    }
}

fn time(a: &dyn Array, i: usize, as_number: bool, out: &mut String) {
    let (number, per_second) = raw(a, i);
    let nanos = number.rem_euclid(per_second) * (1_000_000_000 / per_second);
    let time = DateTime::from_timestamp(number.div_euclid(per_second), nanos as u32);
    let Some(time) = time.filter(|_| !as_number) else {
        return show(number, out);
    };
    let time = time.naive_utc();
    match a.data_type() {
        DataType::Date32 | DataType::Date64 if time.time() == NaiveTime::MIN => {
            show(time.date(), out)
        }
        _ => show(time.format("%Y-%m-%dT%H:%M:%S%.f"), out),
    }
}

fn time_of_day(a: &dyn Array, i: usize, out: &mut String) {
    let nanos = match a.data_type() {
        DataType::Time32(TimeUnit::Second) => {
            i64::from(a.as_primitive::<Time32SecondType>().value(i)) * 1_000_000_000
        }
        DataType::Time32(_) => {
            i64::from(a.as_primitive::<Time32MillisecondType>().value(i)) * 1_000_000
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            a.as_primitive::<Time64MicrosecondType>().value(i) * 1_000
        }
        _ => a.as_primitive::<Time64NanosecondType>().value(i),
    };
    let seconds = u32::try_from(nanos.div_euclid(1_000_000_000)).unwrap_or(u32::MAX);
    let rest = nanos.rem_euclid(1_000_000_000) as u32;
    match NaiveTime::from_num_seconds_from_midnight_opt(seconds, rest) {
        Some(time) => show(time.format("%H:%M:%S%.f"), out),
        None => show(nanos, out),
    }
}

/// Values that are null or empty are left out.
fn list(values: &dyn Array, mark: char, out: &mut String) {
    let begin = out.len();
    for i in 0..values.len() {
        let before = out.len();
        if before > begin {
            out.push(mark);
        }
        let value = out.len();
        if !write(values, i, mark, false, out) || out[value..].trim().is_empty() {
            out.truncate(before);
        }
    }
}

fn key_at<K: ArrowDictionaryKeyType>(a: &dyn Array, i: usize) -> usize {
    a.as_dictionary::<K>().key(i).unwrap_or_default()
}

fn run_end<R: RunEndIndexType>(
    a: &dyn Array,
    i: usize,
    mark: char,
    as_number: bool,
    out: &mut String,
) -> bool {
    let runs = a.as_run::<R>();
    let at = runs.get_physical_index(i);
    write(runs.values().as_ref(), at, mark, as_number, out)
}
