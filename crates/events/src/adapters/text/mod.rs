//! Text files as users have them: packed or not, in any encoding, read as UTF-8.
//!
//! [`open`] looks at the first bytes of a file, not at its name: gzip, zstd, bzip2 and a zip archive of one file are
//! unpacked while they are read, a byte-order mark decides the encoding, and whatever else cannot be text (Parquet, a
//! spreadsheet, a tar archive) is refused by name. A file without a mark is UTF-8 unless the caller names another
//! encoding; [`likely_encoding`] guesses one for a message.

mod encoding;
pub(super) mod lines;
mod packed;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

pub use encoding::Encoding;
use encoding::likely_encoding;

use crate::error::{Error, Result};

/// Bytes that are read from a file at once.
const BLOCK: usize = 1 << 18;

/// Bytes of a file whose content is UTF-8, without a byte-order mark.
pub(in crate::adapters) type Text = BufReader<Box<dyn Read>>;

/// Opens a text file. `encoding`: what the config says; `None`: what the byte-order mark says, else UTF-8.
///
/// # Errors
/// I/O errors, an archive of several files, or a file that is no text.
pub(in crate::adapters) fn open(path: &Path, encoding: Option<Encoding>) -> Result<Text> {
    let (mut bytes, packed) = packed::open(path)?;
    let start = peek(path, &mut bytes)?;
    if let Some(what) = not_text(start) {
        let inside = packed.map_or_else(String::new, |p| format!(" (inside {p})"));
        return Err(Error::BadFile {
            path: path.to_owned(),
            reason: format!("{what}{inside}"),
        });
    }
    Ok(encoding::decoded(bytes, encoding))
}

/// The first bytes, which stay in the reader.
fn peek<'r>(path: &Path, bytes: &'r mut Text) -> Result<&'r [u8]> {
    bytes.fill_buf().map_err(|e| read_error(path, e))
}

/// A failed read of a file: a packed one that is cut off or damaged is the file's fault.
pub(in crate::adapters) fn read_error(path: &Path, e: std::io::Error) -> Error {
    use std::io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    match e.kind() {
        UnexpectedEof | InvalidData | InvalidInput | Other => Error::BadFile {
            path: path.to_owned(),
            reason: format!(
                "unreadable ({e}); it may be cut off or damaged: copy or fetch it again"
            ),
        },
        _ => e.into(),
    }
}

/// Why these first bytes cannot be text.
fn not_text(start: &[u8]) -> Option<&'static str> {
    let is = |magic: &[u8]| start.starts_with(magic);
    if is(b"PAR1") {
        return Some("a Parquet file; unpack it if it is packed, and set `format = \"parquet\"`");
    }
    if is(b"ORC") || is(b"Obj\x01") || is(b"ARROW1") {
        return Some("an ORC, Avro or Arrow file; write it as Parquet, CSV or JSON lines");
    }
    if is(b"\xd0\xcf\x11\xe0") || is(b"PK\x03\x04") {
        return Some(
            "a spreadsheet or an archive within an archive; save the table as CSV, or unpack it",
        );
    }
    if start.get(257..262) == Some(b"ustar") {
        return Some("a tar archive; unpack it and name the file in it");
    }
    if is(b"SQLite format 3\0") {
        return Some("an SQLite database; export the table as CSV");
    }
    None
}
