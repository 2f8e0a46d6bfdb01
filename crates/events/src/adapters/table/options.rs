//! How a file is read, where its name does not say it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::text::Encoding;
use crate::error::{Error, Result};

/// How a file is read; by default what its extension says (`.csv`, `.tsv`, `.jsonl`/`.ndjson`/`.json`, `.parquet`), that of
/// packing (`.gz`, `.zst`, `.bz2`, `.zip`) left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    Csv,
    Tsv,
    Jsonl,
    Parquet,
}

impl FileFormat {
    /// # Errors
    /// An extension that is none of these, of a file that is not Parquet.
    pub(super) fn of(path: &Path) -> Result<Self> {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        let packed = [".gz", ".gzip", ".zst", ".zstd", ".bz2", ".zip"];
        let name = packed
            .iter()
            .find_map(|p| name.strip_suffix(p))
            .unwrap_or(&name);
        match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("csv") => Ok(Self::Csv),
            Some("tsv" | "tab") => Ok(Self::Tsv),
            Some("jsonl" | "ndjson" | "json") => Ok(Self::Jsonl),
            Some("parquet" | "pq" | "parq") => Ok(Self::Parquet),
            _ if starts_as_parquet(path)? => Ok(Self::Parquet),
            _ => Err(Error::Config(format!(
                "{}: the extension tells no format; set `format` to csv, tsv, jsonl or parquet",
                path.display()
            ))),
        }
    }
}

/// Spark and Hive write files without an extension.
fn starts_as_parquet(path: &Path) -> Result<bool> {
    use std::io::Read;
    let mut start = Vec::new();
    fs_err::File::open(path)?.take(4).read_to_end(&mut start)?;
    Ok(start == b"PAR1")
}

/// How a file of a mapping is read. All but `format` and `encoding` are of text with separators.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileOptions {
    pub format: Option<FileFormat>,
    /// What separates columns: a character, several (`"::"`), `"tab"`, or `"whitespace"` (any run of it). Absent: a comma, in
    /// `tsv` a tab; where the names of the columns are only found with `;`, a tab or `|`, that one.
    pub delimiter: Option<String>,
    /// Does the first line hold the names of the columns? Absent: yes, unless `columns` is given.
    pub header: Option<bool>,
    /// Names of the columns, in order; with `header = true` in place of those in the file. A file without a header and
    /// without these has columns `1`, `2`, ….
    pub columns: Vec<String>,
    /// What is around a cell that holds separators or line ends. Absent: `"`, and none in `tsv`. Empty: none.
    pub quote: Option<String>,
    /// What makes the next character literal within quotes, such as `\` in files that Spark and MySQL write. Absent: a
    /// quotation mark within quotes is doubled.
    pub escape: Option<String>,
    /// Lines that begin with it are left out.
    pub comment: Option<String>,
    /// `utf-8`, `latin-1`, `windows-1252`, `utf-16le`, `gbk`, `shift_jis`, …. Absent: what a byte-order mark says, else
    /// UTF-8.
    pub encoding: Option<Encoding>,
}

impl FileOptions {
    /// # Errors
    /// Keys of text with separators on another format.
    pub(super) fn check(&self, format: FileFormat) -> Result<()> {
        if matches!(format, FileFormat::Csv | FileFormat::Tsv) {
            return Ok(());
        }
        let given = [
            ("delimiter", self.delimiter.is_some()),
            ("header", self.header.is_some()),
            ("columns", !self.columns.is_empty()),
            ("quote", self.quote.is_some()),
            ("escape", self.escape.is_some()),
            ("comment", self.comment.is_some()),
            (
                "encoding",
                self.encoding.is_some() && format == FileFormat::Parquet,
            ),
        ];
        match given.iter().find(|(_, is_given)| *is_given) {
            None => Ok(()),
            Some((key, _)) => Err(Error::Config(format!(
                "`{key}` is of CSV files, and this one is {}: leave it out, or set `format`",
                match format {
                    FileFormat::Jsonl => "JSON lines",
                    _ => "Parquet",
                }
            ))),
        }
    }
}

/// A key that holds one character of ASCII.
pub(super) fn one_byte(key: &str, value: &str) -> Result<u8> {
    match value.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err(Error::Config(format!(
            "`{key} = \"{value}\"` must be one character"
        ))),
    }
}
