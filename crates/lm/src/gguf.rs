//! GGUF files: metadata and tensors, dequantised to `f32`.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>. Blocks of 32 weights: Q4_0
//! (d·(q−8)), Q4_1 (d·q+m), Q8_0 (d·q). K-quants are not read; the error says so.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use half::f16;

use crate::error::{Error, Result};

/// A metadata value; integers are widened to `i64`, floats to `f64`.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Int(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    List(Vec<Value>),
}

impl Value {
    pub fn as_int(&self) -> Option<i64> {
        if let Self::Int(v) = self {
            Some(*v)
        } else {
            None
        }
    }

    pub fn as_float(&self) -> Option<f64> {
        if let Self::Float(v) = self {
            Some(*v)
        } else {
            None
        }
    }

    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(v) = self {
            Some(v)
        } else {
            None
        }
    }

    pub fn as_list(&self) -> Option<&[Self]> {
        if let Self::List(v) = self {
            Some(v)
        } else {
            None
        }
    }
}

struct Entry {
    /// Row-major: the slowest dimension first (GGUF lists them the other way round).
    shape: Vec<usize>,
    kind: u32,
    offset: usize,
}

pub struct Gguf {
    path: PathBuf,
    bytes: Vec<u8>,
    data_start: usize,
    metadata: HashMap<String, Value>,
    entries: HashMap<String, Entry>,
}

impl Gguf {
    /// Reads a whole file. A file that is cut short or damaged in its header is an error that says where.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = fs_err::read(path)?;
        let bad = |reason: String| Error::BadFile {
            path: path.into(),
            reason: format!("{reason}; the file is damaged or not a GGUF model: fetch it again"),
        };
        let mut r = Reader {
            bytes: &bytes,
            at: 0,
        };
        if r.take(4).map_err(&bad)? != b"GGUF" {
            return Err(bad("does not begin with \"GGUF\"".into()));
        }
        let version = r.u32().map_err(&bad)?;
        if !(2..=3).contains(&version) {
            return Err(bad(format!(
                "GGUF version {version}, of which only 2 and 3 are read"
            )));
        }
        let n_tensors = r.u64().map_err(&bad)?;
        let n_metadata = r.u64().map_err(&bad)?;
        let mut metadata = HashMap::new();
        for _ in 0..n_metadata {
            let key = r.text().map_err(&bad)?;
            let kind = r.u32().map_err(&bad)?;
            metadata.insert(key, r.value(kind, 0).map_err(&bad)?);
        }
        let mut entries = HashMap::new();
        for _ in 0..n_tensors {
            let name = r.text().map_err(&bad)?;
            let n_dims = r.u32().map_err(&bad)?;
            let mut shape = Vec::new();
            for _ in 0..n_dims {
                shape.push(r.len().map_err(&bad)?);
            }
            shape.reverse();
            let kind = r.u32().map_err(&bad)?;
            let offset = r.len().map_err(&bad)?;
            entries.insert(
                name,
                Entry {
                    shape,
                    kind,
                    offset,
                },
            );
        }
        let align = metadata
            .get("general.alignment")
            .and_then(Value::as_int)
            .unwrap_or(32)
            .max(1) as usize;
        let data_start = r.at.div_ceil(align) * align;
        Ok(Self {
            path: path.into(),
            data_start,
            metadata,
            entries,
            bytes,
        })
    }

    pub fn metadata(&self, key: &str) -> Result<&Value> {
        self.metadata
            .get(key)
            .ok_or_else(|| self.bad(format!("metadata lacks {key:?}")))
    }

    pub fn int(&self, key: &str) -> Result<usize> {
        let value = self
            .metadata(key)?
            .as_int()
            .and_then(|v| usize::try_from(v).ok());
        value.ok_or_else(|| self.bad(format!("metadata {key:?} is not a whole number")))
    }

    pub fn float(&self, key: &str) -> Result<f32> {
        let value = self.metadata(key)?.as_float();
        value
            .map(|v| v as f32)
            .ok_or_else(|| self.bad(format!("metadata {key:?} is not a number")))
    }

    pub fn has(&self, tensor: &str) -> bool {
        self.entries.contains_key(tensor)
    }

    /// A tensor as `f32`, checked against `shape`.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let entry = self
            .entries
            .get(name)
            .ok_or_else(|| self.bad(format!("lacks the tensor {name:?}")))?;
        if entry.shape != shape {
            return Err(Error::Shape {
                name: name.into(),
                expected: shape.into(),
                found: entry.shape.clone(),
            });
        }
        let n: usize = shape.iter().product();
        let (block, size) = match entry.kind {
            0 => (1, 4),
            1 | 30 => (1, 2),
            2 => (32, 18),
            3 => (32, 20),
            8 => (32, 34),
            other => {
                return Err(self.bad(format!(
                    "the tensor {name:?} has GGML type {other}; F32, F16, BF16, Q4_0, Q4_1 and Q8_0 are read: convert the model"
                )));
            }
        };
        let start = self.data_start + entry.offset;
        let bytes = start
            .checked_add(n / block * size)
            .and_then(|end| self.bytes.get(start..end));
        let bytes = bytes
            .ok_or_else(|| self.bad(format!("ends inside the tensor {name:?}; fetch it again")))?;
        if !n.is_multiple_of(block) {
            return Err(self.bad(format!(
                "the tensor {name:?} has {n} weights, not a multiple of {block}"
            )));
        }
        Ok(dequantise(entry.kind, bytes, n, size))
    }

    fn bad(&self, reason: String) -> Error {
        Error::BadFile {
            path: self.path.clone(),
            reason,
        }
    }
}

fn dequantise(kind: u32, bytes: &[u8], n: usize, size: usize) -> Vec<f32> {
    let f = |b: &[u8]| f16::from_le_bytes([b[0], b[1]]).to_f32();
    let mut out = Vec::with_capacity(n);
    for b in bytes.chunks_exact(size) {
        match kind {
            0 => out.push(f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
            1 => out.push(f(b)),
            30 => out.push(half::bf16::from_le_bytes([b[0], b[1]]).to_f32()),
            2 => {
                let d = f(b);
                out.extend(b[2..].iter().map(|q| d * (f32::from(q & 15) - 8.0)));
                out.extend(b[2..].iter().map(|q| d * (f32::from(q >> 4) - 8.0)));
            }
            3 => {
                let (d, m) = (f(b), f(&b[2..]));
                out.extend(b[4..].iter().map(|q| d * f32::from(q & 15) + m));
                out.extend(b[4..].iter().map(|q| d * f32::from(q >> 4) + m));
            }
            _ => {
                let d = f(b);
                out.extend(b[2..].iter().map(|q| d * f32::from(*q as i8)));
            }
        }
    }
    out
}

type Read<T> = std::result::Result<T, String>;

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Read<&'a [u8]> {
        let end = self
            .at
            .checked_add(n)
            .filter(|&end| end <= self.bytes.len());
        let end = end.ok_or_else(|| {
            format!(
                "ends at byte {} where {n} more are due at byte {}",
                self.bytes.len(),
                self.at
            )
        })?;
        let bytes = &self.bytes[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("take returns N bytes"))
    }

    fn u32(&mut self) -> Read<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Read<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn len(&mut self) -> Read<usize> {
        usize::try_from(self.u64()?).map_err(|e| e.to_string())
    }

    fn text(&mut self) -> Read<String> {
        let n = self.len()?;
        Ok(String::from_utf8_lossy(self.take(n)?).into_owned())
    }

    fn value(&mut self, kind: u32, depth: u8) -> Read<Value> {
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
                let n = self.len()?;
                let mut list = Vec::with_capacity(n.min(self.bytes.len()));
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
                    "metadata value of unknown type {other} at byte {}",
                    self.at
                ));
            }
        })
    }
}
