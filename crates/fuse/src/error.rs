//! What can go wrong between a history and its knowledge.

use std::path::PathBuf;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user's template is wrong: the message names the file, the line and the remedy.
    #[error(transparent)]
    Template(#[from] crate::mistake::Mistake),
    #[error("{0}")]
    Config(String),
    /// The embedded model could not score.
    #[error("language model: {0}")]
    Model(String),
    #[error(
        "{path}: format version {found} is newer than {known}, the newest this build reads; upgrade hkfr"
    )]
    Version {
        path: PathBuf,
        found: i64,
        known: i64,
    },
    #[error(
        "{path}: {source}; the knowledge written before is safe: free disk space or remove a stale lock, then run again"
    )]
    Store {
        path: PathBuf,
        source: rusqlite::Error,
    },
    #[error(
        "the knowledge of user {user} is as of {}, later than {}, for which it was asked: it may hold what was not known then, and is refused; run with --force fuse",
        date(*cut_off),
        date(*as_of)
    )]
    LaterKnowledge {
        user: String,
        cut_off: i64,
        as_of: i64,
    },
    #[error(
        "the knowledge of user {user}, as of {}, rests on event {row}, which is not one of the events before that time; run with --force fuse",
        date(*cut_off)
    )]
    Evidence {
        user: String,
        cut_off: i64,
        row: u32,
    },
    #[error(
        "{path}: a row is not what was written (its checksum differs); run with --force fuse: the knowledge is made again, and paid answers are kept"
    )]
    Damaged { path: PathBuf },
    #[error(transparent)]
    Gateway(#[from] crate::gateway::GatewayError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Of local seconds; those that no calendar has are told as they are.
fn date(seconds: i64) -> String {
    match chrono::DateTime::from_timestamp(seconds, 0) {
        Some(t) => t.format("%Y-%m-%d %H:%M:%S").to_string(),
        None => seconds.to_string(),
    }
}
