//! The file of a fitted ranker: `HKFRRANK`, the format's version (4 bytes, little-endian), the body, and the SHA-256 of
//! all of it. The layout of a body is that of the fitted types: [`VERSION`] is raised with any of them.

use std::io::{BufWriter, Result as IoResult, Write};
use std::path::Path;

use fs_err::File;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

const MAGIC: &[u8; 8] = b"HKFRRANK";
const VERSION: u32 = 1;
const HASH: usize = 32;

/// Bytes that are hashed and written at a time.
const BUFFER: usize = 1 << 18;

type Encode<'a> = &'a dyn Fn(&mut dyn Write) -> IoResult<()>;

pub(super) fn n_bytes(body: impl Fn(&mut dyn Write) -> IoResult<()>) -> u64 {
    let mut counter = Counter(0);
    body(&mut counter).expect("counting does not fail");
    counter.0 + (MAGIC.len() + size_of_val(&VERSION) + HASH) as u64
}

pub(super) fn write(path: &Path, body: impl Fn(&mut dyn Write) -> IoResult<()>) -> Result<()> {
    let temp = path.with_extension("partial");
    write_to(&temp, &body).inspect_err(|_| drop(fs_err::remove_file(&temp)))?;
    fs_err::rename(&temp, path)?;
    Ok(())
}

fn write_to(path: &Path, body: Encode) -> IoResult<()> {
    let hashing = Hashing {
        file: File::create(path)?,
        hasher: Sha256::new(),
    };
    let mut out = BufWriter::with_capacity(BUFFER, hashing);
    out.write_all(MAGIC)?;
    out.write_all(&VERSION.to_le_bytes())?;
    body(&mut out)?;
    let Hashing { mut file, hasher } = out.into_inner().map_err(|e| e.into_error())?;
    file.write_all(&hasher.finalize())?;
    file.sync_all()
}

/// The body of a file.
///
/// # Errors
/// A file that is no ranker, is damaged or of another version.
pub(super) fn body<'a>(path: &Path, file: &'a [u8]) -> Result<&'a [u8]> {
    let bad = |reason: &str| Error::BadRanker {
        path: path.into(),
        reason: reason.into(),
    };
    let rest = file.strip_prefix(MAGIC);
    let rest = rest.ok_or_else(|| bad("is no fitted ranker"))?;
    let damaged = || bad("is damaged: fit the ranker again");
    let (version, rest) = rest.split_first_chunk().ok_or_else(damaged)?;
    let found = u32::from_le_bytes(*version);
    if found != VERSION {
        return Err(Error::RankerVersion {
            path: path.into(),
            found,
            supported: VERSION,
        });
    }
    let (body, hash) = rest.split_last_chunk::<HASH>().ok_or_else(damaged)?;
    let hashed = &file[..file.len() - HASH];
    if Sha256::digest(hashed).as_slice() != hash {
        return Err(damaged());
    }
    Ok(body)
}

struct Hashing {
    file: File,
    hasher: Sha256,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> IoResult<usize> {
        let n = self.file.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> IoResult<()> {
        self.file.flush()
    }
}

struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> IoResult<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> IoResult<()> {
        Ok(())
    }
}
