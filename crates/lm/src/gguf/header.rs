//! The header of a GGUF file, read from a stream of which only the length is trusted.
//!
//! A count or a length in a damaged file can be any number. Nothing is allocated before the file is
//! known to be long enough for it, and what is allocated is charged to a [`Budget`].

use std::io::Read;

use super::Value;

pub(super) type Parsed<T> = std::result::Result<T, String>;

/// Memory that a file may still take: nine times its length, and 64 KiB so that tiny files open.
/// Ten times is promised; the rest is for what is short-lived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget(pub u64);

impl Budget {
    pub fn of_file(len: u64) -> Self {
        Self(len.saturating_mul(9).saturating_add(64 << 10))
    }

    pub fn charge(&mut self, bytes: u64) -> Parsed<()> {
        let left = self.0.checked_sub(bytes);
        self.0 = left.ok_or("would take more than ten times its size in memory")?;
        Ok(())
    }
}

pub(super) struct Reader<R> {
    inner: R,
    pub at: u64,
    pub len: u64,
    pub budget: Budget,
}

impl<R: Read> Reader<R> {
    pub fn new(inner: R, len: u64) -> Self {
        Self {
            inner,
            at: 0,
            len,
            budget: Budget::of_file(len),
        }
    }

    /// Whether `n` elements of at least `size` bytes can still come.
    fn due(&self, n: u64, size: u64) -> Parsed<usize> {
        let fits = n
            .checked_mul(size)
            .is_some_and(|bytes| bytes <= self.len - self.at);
        usize::try_from(n).ok().filter(|_| fits).ok_or_else(|| {
            format!(
                "ends at byte {} where {n} more {} are due at byte {}",
                self.len,
                if size == 1 { "bytes" } else { "values" },
                self.at
            )
        })
    }

    fn take(&mut self, n: u64) -> Parsed<Vec<u8>> {
        let mut bytes = vec![0; self.due(n, 1)?];
        self.inner
            .read_exact(&mut bytes)
            .map_err(|e| e.to_string())?;
        self.at += n;
        Ok(bytes)
    }

    pub fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        self.due(N as u64, 1)?;
        let mut bytes = [0; N];
        self.inner
            .read_exact(&mut bytes)
            .map_err(|e| e.to_string())?;
        self.at += N as u64;
        Ok(bytes)
    }

    pub fn u32(&mut self) -> Parsed<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Parsed<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub fn text(&mut self) -> Parsed<String> {
        let n = self.u64()?;
        let bytes = self.take(n)?;
        self.budget.charge(n)?;
        String::from_utf8(bytes).or_else(|e| {
            // A replacement character is three bytes, and the text grows by doubling.
            self.budget.charge(n.saturating_mul(8))?;
            Ok(String::from_utf8_lossy(e.as_bytes()).into_owned())
        })
    }

    pub fn value(&mut self, kind: u32, depth: u8) -> Parsed<Value> {
        Ok(match kind {
            0 => Value::Int(i64::from(self.array::<1>()?[0])),
            1 => Value::Int(i64::from(self.array::<1>()?[0] as i8)),
            2 => Value::Int(i64::from(u16::from_le_bytes(self.array()?))),
            3 => Value::Int(i64::from(i16::from_le_bytes(self.array()?))),
            4 => Value::Int(i64::from(self.u32()?)),
            5 => Value::Int(i64::from(i32::from_le_bytes(self.array()?))),
            6 => Value::Float(f64::from(f32::from_le_bytes(self.array()?))),
            7 => Value::Bool(self.array::<1>()?[0] != 0),
            8 => Value::Text(self.text()?),
            9 if depth < 4 => {
                let kind = self.u32()?;
                let n = self.u64()?;
                let n = self.due(n, smallest(kind))?;
                self.budget.charge((n * size_of::<Value>()) as u64)?;
                let mut list = Vec::with_capacity(n);
                for _ in 0..n {
                    list.push(self.value(kind, depth + 1)?);
                }
                Value::List(list)
            }
            10 => Value::Int(self.u64()? as i64),
            11 => Value::Int(i64::from_le_bytes(self.array()?)),
            12 => Value::Float(f64::from_le_bytes(self.array()?)),
            other => {
                return Err(format!(
                    "metadata value of unknown type {other}, or lists in lists, at byte {}",
                    self.at
                ));
            }
        })
    }
}

/// Bytes that a value of this type takes at least in a file.
fn smallest(kind: u32) -> u64 {
    match kind {
        2 | 3 => 2,
        4..=6 => 4,
        8 | 10..=12 => 8,
        9 => 12,
        _ => 1,
    }
}
