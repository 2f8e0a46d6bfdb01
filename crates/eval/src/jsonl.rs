//! Line files: reading with line numbers, writing so that a reader never sees half a file.
//!
//! In: a path. Out: `(line number, text)` pairs, or a file that is either the old or the new one.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use serde::de::DeserializeOwned;

use crate::error::{Error, Fault, Result};

/// Writes `path` through a temporary file beside it and a rename: a full disk or a stop in the
/// middle leaves what was there before. Missing parent directories are made.
pub fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        fs_err::create_dir_all(parent)?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let tmp = PathBuf::from(name);
    let written = (|| {
        let mut out = BufWriter::new(fs_err::File::create(&tmp)?);
        fill(&mut out)?;
        out.flush()?;
        // Without this a power cut after the rename can leave an empty file under the new name.
        out.get_ref().sync_all()?;
        fs_err::rename(&tmp, path)
    })();
    if let Err(source) = written {
        // The first error is the one to tell; a temporary that cannot be removed changes nothing.
        let _ = fs_err::remove_file(&tmp);
        return Err(source.into());
    }
    Ok(())
}

/// The non-blank lines of a file, which may be compressed with gzip, with their 1-based numbers, without the mark that
/// some editors put before the first (a UTF-8 BOM), which would become part of an id.
pub struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead>,
    gzip: bool,
    line: usize,
}

/// First bytes of files that are not read.
const COMPRESSED: [(&[u8], &str); 4] = [
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"PK\x03\x04", "zip"),
    (b"\xfd7zXZ", "xz"),
];

impl Lines {
    /// # Errors
    /// A file that cannot be opened; [`Fault::Compressed`] by anything but gzip, [`Fault::Utf16`].
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = BufReader::new(fs_err::File::open(path)?);
        let first = file.fill_buf()?;
        let gzip = first.starts_with(b"\x1f\x8b");
        let utf16 = [b"\xff\xfe", b"\xfe\xff"]
            .iter()
            .any(|m| first.starts_with(*m));
        let other = COMPRESSED.iter().find(|c| first.starts_with(c.0));
        let lines = Self {
            path: path.to_owned(),
            reader: if gzip {
                Box::new(BufReader::new(MultiGzDecoder::new(file)))
            } else {
                Box::new(file)
            },
            gzip,
            line: 0,
        };
        match other {
            Some((_, with)) => Err(lines.fault(Fault::Compressed { with })),
            None if utf16 => Err(lines.fault(Fault::Utf16)),
            None => Ok(lines),
        }
    }

    /// The next line that is not blank, without its line break; `None` at the end.
    ///
    /// # Errors
    /// [`Fault::Utf8`] and [`Fault::Gzip`] on their lines; a file that cannot be read.
    // Not an iterator: what it gives may fail, and the line number is asked between two.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<String>> {
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            match self.reader.read_until(b'\n', &mut bytes) {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(e) if self.gzip => return Err(self.fault(Fault::Gzip(e))),
                Err(e) => return Err(e.into()),
            }
            self.line += 1;
            if self.line == 1 && bytes.starts_with(b"\xef\xbb\xbf") {
                bytes.drain(..3);
            }
            if !bytes.iter().all(u8::is_ascii_whitespace) {
                break;
            }
        }
        let text = String::from_utf8(bytes).map_err(|_| self.fault(Fault::Utf8))?;
        Ok(Some(text.trim_end_matches(['\n', '\r']).to_owned()))
    }

    pub(crate) fn next_json<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        let Some(text) = self.next()? else {
            return Ok(None);
        };
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|e| self.fault(Fault::Json(e)))
    }

    /// Number of the line read last.
    pub fn line(&self) -> usize {
        self.line
    }

    /// `fault`, placed on the line read last.
    pub fn fault(&self, fault: Fault) -> Error {
        Error::Line {
            path: self.path.clone(),
            line: self.line.max(1),
            fault,
        }
    }
}

/// Checks a header's format name and version.
pub(crate) fn check_format(
    found: (&str, u32),
    expected: (&'static str, u32),
) -> std::result::Result<(), Fault> {
    if found.0 != expected.0 {
        return Err(Fault::Format {
            found: found.0.to_owned(),
            expected: expected.0,
        });
    }
    if found.1 != expected.1 {
        return Err(Fault::Version {
            found: found.1,
            supported: expected.1,
        });
    }
    Ok(())
}
