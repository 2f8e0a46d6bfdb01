//! A text file line by line, each either UTF-8 or a bad row with its line number. LF and CRLF
//! ends, and a last line without an end are all legal.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use super::{Encoding, Text, likely_encoding, open, read_error};
use crate::error::Result;
use crate::report::IngestReport;

/// Rows of a file that are not UTF-8: each is bad, and together they tell the encoding that may fit.
#[derive(Default)]
pub(in crate::adapters) struct NotUtf8(Vec<u8>);

/// Bytes that tell an encoding.
const ENOUGH: usize = 1 << 14;

impl NotUtf8 {
    pub fn row(
        &mut self,
        report: &mut IngestReport,
        path: &Path,
        line: u64,
        row: &[u8],
    ) -> Result<()> {
        if self.0.len() < ENOUGH {
            self.0.extend(row);
            self.0.push(b'\n');
        }
        report.bad_row(path, line, "not UTF-8", &String::from_utf8_lossy(row))
    }

    /// At the end of the file.
    pub fn note(&mut self, report: &mut IngestReport, path: &Path) {
        if !self.0.is_empty() {
            report.note(format!(
                "{} has rows that are not UTF-8: `encoding = \"{}\"` may fit",
                path.display(),
                likely_encoding(&std::mem::take(&mut self.0))
            ));
        }
    }
}

pub(in crate::adapters) struct Lines {
    path: PathBuf,
    line: u64,
    reader: Text,
    buffer: Vec<u8>,
    not_utf8: NotUtf8,
}

impl Lines {
    /// # Errors
    /// As [`open`].
    pub fn open(path: &Path, encoding: Option<Encoding>) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            line: 0,
            reader: open(path, encoding)?,
            buffer: Vec::new(),
            not_utf8: NotUtf8::default(),
        })
    }

    /// The next non-empty line and its number (1 = first); a line that is not UTF-8 is reported and passed over.
    pub fn next_line(&mut self, report: &mut IngestReport) -> Result<Option<(u64, &str)>> {
        loop {
            self.buffer.clear();
            let n = self.reader.read_until(b'\n', &mut self.buffer);
            if n.map_err(|e| read_error(&self.path, e))? == 0 {
                self.not_utf8.note(report, &self.path);
                return Ok(None);
            }
            self.line += 1;
            while self
                .buffer
                .last()
                .is_some_and(|b| matches!(b, b'\n' | b'\r'))
            {
                self.buffer.pop();
            }
            if self.buffer.is_empty() {
                continue;
            }
            if std::str::from_utf8(&self.buffer).is_err() {
                report.rows_read += 1;
                self.not_utf8
                    .row(report, &self.path, self.line, &self.buffer)?;
                continue;
            }
            // Checked above; borrowing inside the loop and returning is what the checker refuses.
            break;
        }
        let line = self.line;
        Ok(std::str::from_utf8(&self.buffer)
            .ok()
            .map(|text| (line, text)))
    }
}
