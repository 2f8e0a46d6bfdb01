//! A text file line by line, each either UTF-8 or a bad row with its line number. LF and CRLF
//! ends, a UTF-8 byte-order mark, and a last line without an end are all legal.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::report::IngestReport;

pub(super) const NOT_UTF8: &str = "not UTF-8";

pub(super) struct Lines {
    path: PathBuf,
    line: u64,
    reader: BufReader<fs_err::File>,
    buffer: Vec<u8>,
}

impl Lines {
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            line: 0,
            reader: BufReader::with_capacity(1 << 18, fs_err::File::open(path)?),
            buffer: Vec::new(),
        })
    }

    /// The next non-empty line and its number (1 = first); a line that is not UTF-8 is reported and passed over.
    pub fn next_line(&mut self, report: &mut IngestReport) -> Result<Option<(u64, &str)>> {
        loop {
            self.buffer.clear();
            if self.reader.read_until(b'\n', &mut self.buffer)? == 0 {
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
            if self.line == 1 && self.buffer.starts_with(b"\xef\xbb\xbf") {
                self.buffer.drain(..3);
            }
            if self.buffer.is_empty() {
                continue;
            }
            if std::str::from_utf8(&self.buffer).is_err() {
                let lossy = String::from_utf8_lossy(&self.buffer).into_owned();
                report.rows_read += 1;
                report.bad_row(&self.path, self.line, NOT_UTF8, &lossy)?;
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
