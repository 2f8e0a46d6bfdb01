//! The files that a path names: itself, those of a directory, or those that fit a pattern such as `2024-*/part-*.csv.gz`.

use std::path::{Component, Path, PathBuf};

use super::bad_file;
use crate::error::{Error, Result};

/// A file of a table, and what its path says of all its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InputFile {
    pub path: PathBuf,
    /// `day` and `2024-05-31` of `…/day=2024-05-31/part-0.parquet`, as Hive and Spark write them.
    partitions: Vec<(String, Option<String>)>,
}

impl InputFile {
    fn new(path: PathBuf, below: &Path) -> Self {
        let inner = path.strip_prefix(below).unwrap_or(Path::new(""));
        let folders = inner.parent().unwrap_or(Path::new("")).components();
        let partitions = folders
            .filter_map(|folder| match folder {
                Component::Normal(name) => name.to_str()?.split_once('='),
                _ => None,
            })
            .map(|(name, value)| {
                let value = (value != "__HIVE_DEFAULT_PARTITION__").then(|| decoded(value));
                (name.to_owned(), value)
            })
            .collect();
        Self { path, partitions }
    }

    /// The value of a column that the path gives.
    pub fn partition(&self, column: &str) -> Option<Option<&str>> {
        let found = self.partitions.iter().find(|(name, _)| name == column)?;
        Some(found.1.as_deref())
    }
}

/// Spark writes `%3A` for a colon.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&first, left)) = rest.split_first() {
        let code = (first == b'%').then(|| left.get(..2)).flatten();
        let code = code.and_then(|c| u8::from_str_radix(std::str::from_utf8(c).ok()?, 16).ok());
        match code {
            Some(code) => {
                bytes.push(code);
                rest = &left[2..];
            }
            None => {
                bytes.push(first);
                rest = left;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| value.to_owned())
}

/// The files of a path, by name.
///
/// # Errors
/// No such file, an empty directory, or a pattern that nothing fits.
pub(crate) fn files(path: &Path) -> Result<Vec<InputFile>> {
    if path.is_dir() {
        let mut found = Vec::new();
        walk(path, &mut found)?;
        found.sort();
        if found.is_empty() {
            return Err(bad_file(path, "the directory holds no file"));
        }
        let files = found.into_iter().map(|f| InputFile::new(f, path));
        return Ok(files.collect());
    }
    let text = path.to_string_lossy();
    if path.exists() || !text.contains(['*', '?', '[']) {
        // Opening it reports that it is missing.
        return Ok(vec![InputFile::new(path.to_owned(), path)]);
    }
    let fitting = glob::glob(&text)
        .map_err(|e| Error::Config(format!("{}: not a pattern of paths ({e})", path.display())))?;
    // What stands before the first folder with a pattern is above all files.
    let fixed: PathBuf = path
        .components()
        .take_while(|c| !c.as_os_str().to_string_lossy().contains(['*', '?', '[']))
        .collect();
    let mut found = Vec::new();
    for entry in fitting {
        let entry = entry.map_err(|e| Error::Io(e.into()))?;
        match entry.is_dir() {
            true => walk(&entry, &mut found)?,
            false if is_kept(&entry) => {}
            false => found.push(entry),
        }
    }
    found.sort();
    found.dedup();
    if found.is_empty() {
        return Err(bad_file(path, "no file fits this pattern"));
    }
    let files = found.into_iter().map(|f| InputFile::new(f, &fixed));
    Ok(files.collect())
}

/// Do Spark, Hadoop, Delta or a file system keep this for themselves?
fn is_kept(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(['_', '.']) && !name.contains('=')
}

/// All files below `dir` that hold rows.
fn walk(dir: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs_err::read_dir(dir)? {
        let path = entry?.path();
        if is_kept(&path) {
            continue;
        }
        if path.is_dir() {
            walk(&path, found)?
        } else {
            found.push(path)
        }
    }
    Ok(())
}
