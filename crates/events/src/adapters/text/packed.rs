//! Packed files: what unpacks them, by their first bytes.

use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::{BLOCK, Text};
use crate::error::{Error, Result};

/// The file's bytes, unpacked, and what they were packed with.
pub(super) fn open(path: &Path) -> Result<(Text, Option<&'static str>)> {
    let mut file = fs_err::File::open(path)?;
    let mut magic = Vec::new();
    file.by_ref().take(4).read_to_end(&mut magic)?;
    file.seek(SeekFrom::Start(0))?;
    let packed = BufReader::with_capacity(BLOCK, file);
    let is = |start: &[u8]| magic.starts_with(start);
    let (bytes, name): (Box<dyn Read>, _) = if is(b"\x1f\x8b") {
        // Log shippers append one gzip member to another.
        let bytes = flate2::bufread::MultiGzDecoder::new(packed);
        (Box::new(bytes), Some("gzip"))
    } else if is(b"\x28\xb5\x2f\xfd") {
        let bytes = zstd::stream::read::Decoder::with_buffer(packed)?;
        (Box::new(bytes), Some("zstd"))
    } else if is(b"BZh") {
        let bytes = bzip2::bufread::MultiBzDecoder::new(packed);
        (Box::new(bytes), Some("bzip2"))
    } else if is(b"PK\x03\x04") {
        (zipped(path)?, Some("a zip archive"))
    } else {
        (Box::new(packed), None)
    };
    Ok((BufReader::with_capacity(BLOCK, bytes), name))
}

/// The only file of a zip archive.
fn zipped(path: &Path) -> Result<Box<dyn Read>> {
    let bad = |reason: String| Error::BadFile {
        path: path.to_owned(),
        reason,
    };
    let broken = |e: zip::result::ZipError| bad(format!("not a whole zip archive ({e})"));
    let mut file = fs_err::File::open(path)?;
    let mut archive = zip::ZipArchive::new(&mut file).map_err(broken)?;
    // Macs add a folder of their own to every archive.
    let is_data =
        |name: &str| !name.ends_with('/') && !name.starts_with("__MACOSX/") && !name.is_empty();
    let names: Vec<String> = archive
        .file_names()
        .filter(|n| is_data(n))
        .map(str::to_owned)
        .collect();
    let [name] = &names[..] else {
        let is_sheet = names.iter().any(|n| n == "[Content_Types].xml");
        return Err(bad(match is_sheet {
            true => "a spreadsheet; save the table as CSV".into(),
            false => format!(
                "a zip archive of {} files; unpack it, and name the file or the directory",
                names.len()
            ),
        }));
    };
    let entry = archive.by_name(name).map_err(broken)?;
    let (method, size) = (entry.compression(), entry.compressed_size());
    let start = entry
        .data_start()
        .ok_or_else(|| bad("a zip archive without data; pack it again".into()))?;
    drop(entry);
    drop(archive);
    file.seek(SeekFrom::Start(start))?;
    let data = BufReader::with_capacity(BLOCK, file.take(size));
    match method {
        zip::CompressionMethod::Stored => Ok(Box::new(data)),
        zip::CompressionMethod::Deflated => {
            Ok(Box::new(flate2::bufread::DeflateDecoder::new(data)))
        }
        other => Err(bad(format!(
            "a zip archive packed with {other}; unpack it, or pack it with deflate"
        ))),
    }
}
