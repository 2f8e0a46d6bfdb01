//! What can go wrong between a log file and a history, with what a person needs to act on it.

use std::path::PathBuf;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user's file is wrong: the message says what, where and how to mend it.
    #[error("{}", printable(&format!("{}:{line}: {reason}", path.display())))]
    BadRow {
        path: PathBuf,
        line: u64,
        reason: String,
    },
    #[error("{}", printable(&format!("{}: {reason}", path.display())))]
    BadFile { path: PathBuf, reason: String },
    #[error("{}", printable(.0))]
    Config(String),
    /// The caller asked for it.
    #[error("stopped")]
    Stopped,
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("{path}: {source}")]
    Parquet {
        path: PathBuf,
        source: parquet::errors::ParquetError,
    },
    #[error(
        "{path}: format version {found} is newer than {known}, the newest this build reads; upgrade hkfr"
    )]
    Version {
        path: PathBuf,
        found: u32,
        known: u32,
    },
}

/// Names of files and columns are a stranger's: no control character of them reaches a terminal.
pub(crate) fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
    text.chars().map(shown).collect()
}
