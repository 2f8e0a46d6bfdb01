//! Rows of a user in the files of a stage, whatever stage it is: lines of JSON that name the user, rows of Parquet
//! with a `user_id`, rows of SQLite with a `user`. All other rows keep their bytes.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hkfr_eval::Run;
use hkfr_events::store;
use hkfr_fuse::forget;
use serde::Deserialize;

use crate::atomic;

/// By what rows name a user.
pub struct Who<'a> {
    pub id: &'a str,
    /// Users whose id looks like a case of this one (`id@3`), and who stay.
    pub others: Vec<String>,
}

#[derive(Deserialize)]
struct Line {
    user: Option<String>,
    user_id: Option<String>,
    case: Option<String>,
    /// Knowledge that a later run may take (`fuse/earlier.jsonl`).
    record: Option<serde_json::Value>,
}

impl<'a> Who<'a> {
    /// `ingest`: the directory of the data set, which may no longer hold the user.
    pub fn new(id: &'a str, ingest: &Path) -> Result<Self> {
        let others = store::users_with_prefix(ingest, &format!("{id}@"))?;
        Ok(Self { id, others })
    }

    /// A case is named by its user, or by `user@n`.
    pub fn is_case(&self, case: &str) -> bool {
        let rest = case.strip_prefix(self.id);
        let cut = rest.and_then(|r| r.strip_prefix('@'));
        let is_number = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
        let is_cut = cut.is_some_and(is_number) && !self.others.iter().any(|o| o == case);
        case == self.id || is_cut
    }

    /// Whether a line is about the user; one that is no such JSON is not.
    fn is_in(&self, line: &[u8]) -> bool {
        let Ok(line) = serde_json::from_slice::<Line>(line) else {
            return false;
        };
        let is_id = |id: Option<String>| id.is_some_and(|id| id == self.id);
        let of_record = line.record.is_some_and(|r| r["user"] == self.id);
        is_id(line.user)
            || is_id(line.user_id)
            || of_record
            || line.case.is_some_and(|c| self.is_case(&c))
    }

    /// Rows about the user.
    pub fn count(&self, path: &Path) -> Result<u64> {
        let n: Result<u64> = match extension(path) {
            "jsonl" => {
                let mut n = 0;
                lines(path, |line| {
                    n += u64::from(self.is_in(line));
                })?;
                Ok(n)
            }
            "parquet" => Ok(store::count_rows(path, self.id)?),
            "sqlite" => Ok(forget::rows_of_user(path, self.id)? as u64),
            _ => return Ok(0),
        };
        n.with_context(|| path.display().to_string())
    }

    /// Takes the rows out; doing it again changes nothing.
    pub fn take_out(&self, path: &Path) -> Result<()> {
        let done = match extension(path) {
            "jsonl" if self.count(path)? > 0 => self.take_out_lines(path),
            "parquet" => store::forget_rows(path, self.id).map_err(Into::into),
            // Rows that an interrupted call deleted may still be in the log.
            "sqlite" => forget::forget_user(path, self.id)
                .map(|_| ())
                .map_err(Into::into),
            _ => return Ok(()),
        };
        done.with_context(|| path.display().to_string())
    }

    fn take_out_lines(&self, path: &Path) -> Result<()> {
        let first = first_line(path)?;
        // A run's header counts its lists.
        if first.windows(8).any(|w| w == b"hkfr-run") {
            let mut run = Run::read(path)?;
            run.lists.retain(|list| !self.is_case(&list.case));
            return Ok(run.write(path)?);
        }
        let mut kept = Vec::new();
        lines(path, |line| {
            if !self.is_in(line) {
                kept.extend_from_slice(line);
            }
        })?;
        atomic::write(path, &kept)
    }
}

fn extension(path: &Path) -> &str {
    path.extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default()
}

fn lines(path: &Path, mut each: impl FnMut(&[u8])) -> Result<()> {
    let mut reader = BufReader::new(fs_err::File::open(path)?);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        each(&line);
        line.clear();
    }
    Ok(())
}

fn first_line(path: &Path) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    BufReader::new(fs_err::File::open(path)?).read_until(b'\n', &mut line)?;
    Ok(line)
}

/// All files below a directory, by name.
pub fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs_err::read_dir(&dir)? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => todo.push(entry.path()),
                false => files.push(entry.path()),
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of `fuse/earlier.jsonl` once named their user in the record alone.
    #[test]
    fn a_line_is_about_the_user_of_its_record() {
        let who = Who {
            id: "u1",
            others: Vec::new(),
        };
        for (line, is_in) in [
            (r#"{"prompt":"p","record":{"user":"u1","as_of":3}}"#, true),
            (r#"{"prompt":"p","record":{"user":"u12","as_of":3}}"#, false),
            (r#"{"user":"u1","prompt":"p","record":{}}"#, true),
            (r#"{"case":"u1@2","record":7}"#, true),
            (r#"{"version":1,"settings":"u1"}"#, false),
        ] {
            assert_eq!(who.is_in(line.as_bytes()), is_in, "{line}");
        }
    }
}
