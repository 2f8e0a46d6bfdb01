//! The file of answers: its tables, and how older ones are brought up to date.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::Result;
use crate::checksum;
use crate::gateway::error::GatewayError;

/// `user_version` of the file. Version 1 had neither checksums nor subjects, version 2 neither endings nor unread
/// answers: they are read as they are, and brought up to date when they are opened for writing.
pub(super) const VERSION: i64 = 3;
pub(super) const WITH_CHECKSUMS: i64 = 2;

pub(super) fn connect(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let error = |source| GatewayError::Answers {
        path: path.into(),
        source,
    };
    let db = Connection::open_with_flags(path, flags).map_err(error)?;
    db.busy_timeout(Duration::from_secs(10)).map_err(error)?;
    Ok(db)
}

pub(super) fn known_version(db: &Connection, path: &Path) -> Result<i64> {
    let found: i64 = db
        .query_row("PRAGMA user_version", [], |r| r.get(0))
        .map_err(|source| GatewayError::Answers {
            path: path.into(),
            source,
        })?;
    if found > VERSION {
        return Err(GatewayError::Version {
            path: path.into(),
            found,
            known: VERSION,
        });
    }
    Ok(found)
}

pub(super) fn bring_up_to_date(db: &mut Connection, found: i64) -> rusqlite::Result<()> {
    let transaction = db.transaction()?;
    match found {
        0 => transaction.execute_batch(
            "CREATE TABLE IF NOT EXISTS answers (
                 hash TEXT NOT NULL PRIMARY KEY, model TEXT NOT NULL, text TEXT NOT NULL,
                 prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
                 tokens_reported INTEGER NOT NULL, reported_model TEXT, answered_at INTEGER NOT NULL,
                 sha256 BLOB NOT NULL
             ) WITHOUT ROWID;",
        )?,
        1 => checksum::add_column(&transaction, "answers")?,
        _ => {}
    }
    if found < WITH_CHECKSUMS {
        transaction.execute_batch(
            "CREATE TABLE subjects (
                 hash TEXT NOT NULL, subject TEXT NOT NULL, sha256 BLOB NOT NULL,
                 PRIMARY KEY (hash, subject)
             ) WITHOUT ROWID;
             CREATE TABLE batch_files (path TEXT NOT NULL PRIMARY KEY, sha256 BLOB NOT NULL) WITHOUT ROWID;",
        )?;
    }
    transaction.execute_batch(&format!(
        "CREATE TABLE endings (
             hash TEXT NOT NULL PRIMARY KEY, place TEXT NOT NULL, finish TEXT NOT NULL, sha256 BLOB NOT NULL
         ) WITHOUT ROWID;
         CREATE TABLE unread (
             name TEXT NOT NULL PRIMARY KEY, model TEXT NOT NULL, prompt_tokens INTEGER NOT NULL,
             completion_tokens INTEGER NOT NULL, tokens_reported INTEGER NOT NULL,
             answered_at INTEGER NOT NULL, sha256 BLOB NOT NULL
         ) WITHOUT ROWID;
         PRAGMA user_version = {VERSION};"
    ))?;
    transaction.commit()
}
