//! GGUF files: metadata and tensors, dequantised to `f32`.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>. The header is read once;
//! a tensor is read from its place in the file when it is asked for, so that loading a model never
//! holds the file beside it. Block formats are in `blocks.rs`.

mod blocks;
mod header;
mod value;

use std::collections::HashMap;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use self::blocks::Block;
use self::header::{Budget, Parsed, Reader};
pub use self::value::Value;
use crate::error::{Error, Result};

/// Bytes of a table's slot, its spare slots and the table it grew from: about 3.5 slots an entry.
const METADATA_ENTRY: u64 = 200;
const TENSOR_ENTRY: u64 = 280;
/// Bytes that are read and dequantised at a time; a whole number of blocks of any format.
const CHUNK_BLOCKS: usize = 1024;

#[derive(Debug)]
struct Entry {
    /// Row-major: the slowest dimension first (GGUF lists them the other way round).
    shape: Vec<usize>,
    kind: u32,
    /// From the beginning of the data.
    offset: u64,
}

impl Entry {
    fn n_weights(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
    }

    /// Format and bytes in the file; `None` for formats that are not read.
    fn block(&self, name: &str) -> Parsed<Option<(Block, u64)>> {
        let too_large = || format!("the tensor {name:?} has more weights than memory");
        let n = self.n_weights().ok_or_else(too_large)?;
        let Some(block) = Block::from_ggml(self.kind) else {
            return Ok(None);
        };
        if !n.is_multiple_of(block.weights()) {
            return Err(format!(
                "the tensor {name:?} has {n} weights, not a multiple of {}",
                block.weights()
            ));
        }
        let size = ((n / block.weights()) as u64).checked_mul(block.bytes() as u64);
        Ok(Some((block, size.ok_or_else(too_large)?)))
    }
}

trait ReadSeek: Read + Seek + Send {}
impl<T: Read + Seek + Send> ReadSeek for T {}

/// An open file. Whatever its bytes are, it takes less than ten times its size in memory, with all
/// its tensors dequantised, and never panics.
pub struct Gguf {
    path: PathBuf,
    file: Mutex<Box<dyn ReadSeek>>,
    data_start: u64,
    metadata: HashMap<String, Value>,
    entries: HashMap<String, Entry>,
    budget: Budget,
}

impl Gguf {
    /// Reads the header. A file that is cut short, or damaged in its header, is an error that says where.
    pub fn open(path: &Path) -> Result<Self> {
        let file = fs_err::File::open(path)?;
        let len = file.metadata()?.len();
        Self::read(path, Box::new(file), len)
    }

    /// A file that is in memory already; `name` stands for its path in errors.
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self> {
        let len = bytes.len() as u64;
        Self::read(Path::new(name), Box::new(std::io::Cursor::new(bytes)), len)
    }

    fn read(path: &Path, mut file: Box<dyn ReadSeek>, len: u64) -> Result<Self> {
        let (metadata, entries, data_start, budget) =
            read_header(&mut file, len).map_err(|reason| Error::BadFile {
                path: path.into(),
                reason: format!(
                    "{reason}; the file is damaged or not a GGUF model: fetch it again"
                ),
            })?;
        Ok(Self {
            path: path.into(),
            file: Mutex::new(file),
            data_start,
            metadata,
            entries,
            budget,
        })
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
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

    /// Shape of a tensor, the slowest dimension first.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|e| &e.shape[..])
    }

    /// Whether `bytes` more fit into ten times the size of the file, all tensors counted.
    pub(crate) fn affords(&self, bytes: u64) -> bool {
        bytes <= self.budget.0
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
        let block = entry.block(name).map_err(|reason| self.bad(reason))?;
        let (block, size) = block.ok_or_else(|| {
            self.bad(format!(
                "the tensor {name:?} has GGML type {}; {} are read: convert the model",
                entry.kind,
                Block::NAMES
            ))
        })?;
        let mut out = Vec::with_capacity(size as usize / block.bytes() * block.weights());
        let mut file = self.file.lock().unwrap_or_else(|e| e.into_inner());
        file.seek(SeekFrom::Start(self.data_start + entry.offset))?;
        let mut left = size as usize;
        let mut chunk = vec![0; left.min(CHUNK_BLOCKS * block.bytes())];
        while left > 0 {
            let n = chunk.len().min(left);
            file.read_exact(&mut chunk[..n])?;
            block.dequantise(&chunk[..n], &mut out);
            left -= n;
        }
        Ok(out)
    }

    fn bad(&self, reason: String) -> Error {
        Error::BadFile {
            path: self.path.clone(),
            reason,
        }
    }
}

type Header = (HashMap<String, Value>, HashMap<String, Entry>, u64, Budget);

fn read_header(file: &mut Box<dyn ReadSeek>, len: u64) -> Parsed<Header> {
    let mut r = Reader::new(BufReader::new(file), len);
    if r.array()? != *b"GGUF" {
        return Err("does not begin with \"GGUF\"".into());
    }
    let version = r.u32()?;
    if !(2..=3).contains(&version) {
        return Err(format!(
            "GGUF version {version}, of which only 2 and 3 are read"
        ));
    }
    let n_tensors = r.u64()?;
    let n_metadata = r.u64()?;
    let mut metadata = HashMap::new();
    for _ in 0..n_metadata {
        r.budget.charge(METADATA_ENTRY)?;
        let key = r.text()?;
        let kind = r.u32()?;
        let value = r.value(kind, 0)?;
        if metadata.insert(key.clone(), value).is_some() {
            return Err(format!("has the metadata {key:?} twice"));
        }
    }
    let mut entries = HashMap::new();
    for _ in 0..n_tensors {
        r.budget.charge(TENSOR_ENTRY)?;
        let name = r.text()?;
        let n_dims = r.u32()?;
        if n_dims > 4 {
            return Err(format!("the tensor {name:?} has {n_dims} dimensions"));
        }
        let mut shape = Vec::new();
        for _ in 0..n_dims {
            shape.push(usize::try_from(r.u64()?).map_err(|e| e.to_string())?);
        }
        shape.reverse();
        let kind = r.u32()?;
        let offset = r.u64()?;
        let entry = Entry {
            shape,
            kind,
            offset,
        };
        if entries.insert(name.clone(), entry).is_some() {
            return Err(format!("has the tensor {name:?} twice"));
        }
    }
    let align = metadata
        .get("general.alignment")
        .map_or(Some(32), |v| v.as_int().and_then(|v| u64::try_from(v).ok()));
    let align = align.filter(|a| a.is_power_of_two() && *a <= 1 << 30);
    let align = align.ok_or("has an alignment that is no power of two")?;
    let data_start = r.at.next_multiple_of(align);
    check_places(&entries, data_start, len, &mut r.budget)?;
    Ok((metadata, entries, data_start, r.budget))
}

/// Every tensor lies within the file, and no two share a byte: otherwise a small file could hold a
/// large model.
fn check_places(
    entries: &HashMap<String, Entry>,
    data_start: u64,
    len: u64,
    budget: &mut Budget,
) -> Parsed<()> {
    let mut places = Vec::with_capacity(entries.len());
    for (name, entry) in entries {
        let Some((block, size)) = entry.block(name)? else {
            continue;
        };
        let start = data_start.checked_add(entry.offset);
        let end = start.and_then(|s| s.checked_add(size));
        let (Some(start), Some(end)) = (start, end.filter(|e| *e <= len)) else {
            return Err(format!("ends inside the tensor {name:?}"));
        };
        budget.charge(size / block.bytes() as u64 * block.weights() as u64 * 4)?;
        places.push((start, end, name));
    }
    places.sort_unstable();
    match places.windows(2).find(|pair| pair[0].1 > pair[1].0) {
        Some(pair) => Err(format!("{:?} lies across {:?}", pair[0].2, pair[1].2)),
        None => Ok(()),
    }
}
