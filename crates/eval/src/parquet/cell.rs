//! A cell as an id or a number, whatever type holds it.
//!
//! | type | id |
//! |---|---|
//! | text of any layout, dictionaries too | as it is |
//! | integers of any width | all digits |
//! | floats, decimals | no zeros at the end: `1000.0` is `1000`; NaN is missing; a float too large to have kept all digits is refused |
//! | binary of any layout | its text if it is UTF-8 without control characters (zeros at the end of fixed sizes cut), else hexadecimal |
//! | UUID | `8-4-4-4-12` |
//!
//! The same as in logs, so that lists and truth join what was ingested.

use std::fmt::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DecimalType, Float16Type,
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

/// A float that other ids may have been rounded to.
pub(super) struct Rounded;

pub(super) fn is_id(ty: &DataType) -> bool {
    is_number(ty)
        || matches!(
            ty,
            DataType::Utf8
                | DataType::LargeUtf8
                | DataType::Utf8View
                | DataType::Binary
                | DataType::LargeBinary
                | DataType::BinaryView
                | DataType::FixedSizeBinary(_)
        )
}

pub(super) fn is_number(ty: &DataType) -> bool {
    ty.is_numeric()
}

macro_rules! cell {
    ($column:expr, $i:expr, $($kind:ident $ty:ident),*) => {
        match $column.data_type() {
            $(DataType::$kind => Some($column.as_primitive::<$ty>().value($i)).map(|v| v as _),)*
            _ => None,
        }
    };
}

fn integer(column: &ArrayRef, i: usize) -> Option<i128> {
    cell!(column, i, Int8 Int8Type, Int16 Int16Type, Int32 Int32Type, Int64 Int64Type,
        UInt8 UInt8Type, UInt16 UInt16Type, UInt32 UInt32Type, UInt64 UInt64Type)
}

fn decimal(column: &ArrayRef, i: usize) -> Option<String> {
    fn text<T: DecimalType>(column: &ArrayRef, i: usize) -> String {
        column.as_primitive::<T>().value_as_string(i)
    }
    Some(match column.data_type() {
        DataType::Decimal32(..) => text::<Decimal32Type>(column, i),
        DataType::Decimal64(..) => text::<Decimal64Type>(column, i),
        DataType::Decimal128(..) => text::<Decimal128Type>(column, i),
        DataType::Decimal256(..) => text::<Decimal256Type>(column, i),
        _ => return None,
    })
}

/// A number; `None` where there is none.
pub(super) fn float(column: &ArrayRef, i: usize) -> Option<f64> {
    if column.is_null(i) {
        return None;
    }
    if *column.data_type() == DataType::Float16 {
        return Some(column.as_primitive::<Float16Type>().value(i).to_f64());
    }
    cell!(column, i, Float32 Float32Type, Float64 Float64Type)
        .or_else(|| integer(column, i).map(|v| v as f64))
        .or_else(|| decimal(column, i)?.parse().ok())
}

/// An id; `None` where there is none.
pub(super) fn id(column: &ArrayRef, i: usize, is_uuid: bool) -> Result<Option<String>, Rounded> {
    if column.is_null(i) {
        return Ok(None);
    }
    // From the first number on that the next whole number is rounded to.
    let all_digits = match column.data_type() {
        DataType::Float16 => 2f64.powi(11),
        DataType::Float32 => 2f64.powi(24),
        _ => 2f64.powi(53),
    };
    Ok(Some(match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(i).to_owned(),
        DataType::LargeUtf8 => column.as_string::<i64>().value(i).to_owned(),
        DataType::Utf8View => column.as_string_view().value(i).to_owned(),
        DataType::Binary => text_of_bytes(column.as_binary::<i32>().value(i)),
        DataType::LargeBinary => text_of_bytes(column.as_binary::<i64>().value(i)),
        DataType::BinaryView => text_of_bytes(column.as_binary_view().value(i)),
        DataType::FixedSizeBinary(_) => {
            let bytes = column.as_fixed_size_binary().value(i);
            if is_uuid {
                uuid(bytes)
            } else {
                text_of_fixed(bytes)
            }
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            return match float(column, i) {
                Some(x) if x.is_nan() => Ok(None),
                Some(x) if x.abs() >= all_digits => Err(Rounded),
                // A 32-bit float has fewer digits than the 64-bit one of the same value.
                Some(x) if *column.data_type() == DataType::Float32 => {
                    Ok(Some((x as f32).to_string()))
                }
                x => Ok(x.map(|x| x.to_string())),
            };
        }
        _ => match integer(column, i) {
            Some(number) => number.to_string(),
            None => return Ok(decimal(column, i).map(|text| without_zeros(&text))),
        },
    }))
}

/// `1000` for `1000.00`.
fn without_zeros(text: &str) -> String {
    let short = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    };
    short.to_owned()
}

/// UTF-8 as it is; what is not, or would be control characters, in hexadecimal digits.
fn text_of_bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => text.to_owned(),
        _ => hexadecimal(bytes),
    }
}

/// numpy fills texts of a fixed size up with zeros.
fn text_of_fixed(bytes: &[u8]) -> String {
    let n = bytes
        .iter()
        .rposition(|b| *b != 0)
        .map_or(0, |last| last + 1);
    match std::str::from_utf8(&bytes[..n]) {
        Ok(text) if !text.is_empty() && !text.contains(char::is_control) => text.to_owned(),
        _ => hexadecimal(bytes),
    }
}

fn uuid(bytes: &[u8]) -> String {
    let hex = hexadecimal(bytes);
    let ends = [8, 12, 16, 20, hex.len()];
    let starts = [0].into_iter().chain(ends);
    let parts: Vec<&str> = starts.zip(ends).map(|(a, b)| &hex[a..b]).collect();
    parts.join("-")
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(out, "{byte:02x}").expect("a string takes all");
    }
    out
}
