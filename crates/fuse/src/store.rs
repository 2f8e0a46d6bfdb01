//! Knowledge on disk: one SQLite file (WAL, `synchronous = FULL`), a row for a user, time, template set, model
//! and mode, with its checksum. What was committed stays, whatever happens to the process or the machine
//! afterwards; the flush of a batch costs far less than the model that wrote it.

use std::io::Write;
use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::checksum;
use crate::error::{Error, Result};
use crate::fuser::{FusionMode, KnowledgeRecord};

/// `user_version` of the file. Version 1 had no checksums: it is read, and brought up to date before it is
/// written to.
const VERSION: i64 = 2;

pub struct KnowledgeStore {
    path: PathBuf,
    db: Connection,
    /// Of the file.
    version: i64,
}

/// What identifies a piece of knowledge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnowledgeKey<'a> {
    pub user: &'a str,
    pub as_of: i64,
    pub keep_last: Option<u32>,
    pub template_hash: &'a str,
    pub model: &'a str,
    pub mode: FusionMode,
}

impl KnowledgeStore {
    /// Opens or creates the file.
    pub fn open(path: &Path) -> Result<Self> {
        let error = |source| Error::Store {
            path: path.into(),
            source,
        };
        let db = Connection::open(path).map_err(error)?;
        db.busy_timeout(std::time::Duration::from_secs(10))
            .map_err(error)?;
        let found: i64 = db
            .query_row("PRAGMA user_version", [], |r| r.get(0))
            .map_err(error)?;
        if found > VERSION {
            return Err(Error::Version {
                path: path.into(),
                found,
                known: VERSION,
            });
        }
        db.execute_batch("PRAGMA synchronous = FULL;")
            .map_err(error)?;
        // A file that exists is not written to by opening it: its manifest holds its hash.
        if found > 0 {
            return Ok(Self {
                path: path.into(),
                db,
                version: found,
            });
        }
        db.execute_batch(&format!(
            "PRAGMA journal_mode = WAL;
             BEGIN;
             CREATE TABLE IF NOT EXISTS knowledge (
                 user TEXT NOT NULL, as_of INTEGER NOT NULL, keep_last INTEGER NOT NULL,
                 template_hash TEXT NOT NULL, model TEXT NOT NULL, mode TEXT NOT NULL,
                 text TEXT NOT NULL, claims TEXT NOT NULL, n_tokens INTEGER NOT NULL,
                 prompt_tokens INTEGER NOT NULL, cut TEXT NOT NULL, n_dropped INTEGER NOT NULL,
                 sha256 BLOB NOT NULL,
                 PRIMARY KEY (user, as_of, keep_last, template_hash, model, mode)
             ) WITHOUT ROWID;
             PRAGMA user_version = {VERSION};
             COMMIT;"
        ))
        .map_err(error)?;
        Ok(Self {
            path: path.into(),
            db,
            version: VERSION,
        })
    }

    /// All of them or, on an error, none.
    pub fn put(&mut self, records: &[KnowledgeRecord]) -> Result<()> {
        let path = self.path.clone();
        let error = |source| Error::Store {
            path: path.clone(),
            source,
        };
        let outdated = self.version < VERSION;
        let transaction = self.db.transaction().map_err(error)?;
        if outdated {
            checksum::add_column(&transaction, "knowledge").map_err(error)?;
            let version = format!("PRAGMA user_version = {VERSION}");
            transaction.execute_batch(&version).map_err(error)?;
        }
        for r in records {
            let values = vec![
                Value::Text(r.user.clone()),
                Value::Integer(r.as_of),
                Value::Integer(keep_column(r.keep_last)),
                Value::Text(r.template_hash.clone()),
                Value::Text(r.model.clone()),
                Value::Text(json(&r.mode)),
                Value::Text(r.text.clone()),
                Value::Text(json(&r.claims)),
                Value::Integer(r.n_tokens as i64),
                Value::Integer(r.prompt_tokens as i64),
                Value::Text(json(&r.cut)),
                Value::Integer(r.n_dropped as i64),
            ];
            checksum::insert(&transaction, "INSERT OR REPLACE", "knowledge", values)
                .map_err(error)?;
        }
        transaction.commit().map_err(error)?;
        self.version = VERSION;
        Ok(())
    }

    pub fn get(&self, key: &KnowledgeKey) -> Result<Option<KnowledgeRecord>> {
        let read = self
            .db
            .query_row(
                "SELECT * FROM knowledge WHERE user = ?1 AND as_of = ?2 AND keep_last = ?3
                 AND template_hash = ?4 AND model = ?5 AND mode = ?6",
                params![
                    key.user,
                    key.as_of,
                    keep_column(key.keep_last),
                    key.template_hash,
                    key.model,
                    json(&key.mode)
                ],
                |row| self.checked(row),
            )
            .optional()
            .map_err(|e| self.error(e))?;
        read.map(|record| self.whole(record)).transpose()
    }

    /// All knowledge of a user, latest first.
    pub fn of_user(&self, user: &str) -> Result<Vec<KnowledgeRecord>> {
        self.query(
            "SELECT * FROM knowledge WHERE user = ?1 ORDER BY as_of DESC, keep_last, mode",
            params![user],
        )
    }

    pub fn all(&self) -> Result<Vec<KnowledgeRecord>> {
        self.query("SELECT * FROM knowledge", [])
    }

    /// One JSON object a line.
    pub fn export(&self, out: &mut dyn Write) -> Result<()> {
        for record in self.all()? {
            writeln!(out, "{}", json(&record))?;
        }
        Ok(())
    }

    fn query(&self, sql: &str, params: impl rusqlite::Params) -> Result<Vec<KnowledgeRecord>> {
        let mut statement = self.db.prepare(sql).map_err(|e| self.error(e))?;
        let rows = statement
            .query_map(params, |row| self.checked(row))
            .map_err(|e| self.error(e))?;
        rows.map(|row| self.whole(row.map_err(|e| self.error(e))?))
            .collect()
    }

    /// `None`: the row is not what was written.
    fn checked(&self, row: &Row) -> rusqlite::Result<Option<KnowledgeRecord>> {
        match self.version < VERSION || checksum::holds(row)? {
            true => record(row).map(Some),
            false => Ok(None),
        }
    }

    fn whole(&self, record: Option<KnowledgeRecord>) -> Result<KnowledgeRecord> {
        record.ok_or_else(|| Error::Damaged {
            path: self.path.clone(),
        })
    }

    fn error(&self, source: rusqlite::Error) -> Error {
        Error::Store {
            path: self.path.clone(),
            source,
        }
    }
}

/// A primary key cannot hold NULL: −1 stands for a whole history.
fn keep_column(keep_last: Option<u32>) -> i64 {
    keep_last.map_or(-1, i64::from)
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain data")
}

fn record(row: &Row) -> rusqlite::Result<KnowledgeRecord> {
    fn parse<T: serde::de::DeserializeOwned>(row: &Row, column: usize) -> rusqlite::Result<T> {
        let text: String = row.get(column)?;
        serde_json::from_str(&text).map_err(|e| {
            rusqlite::Error::FromSqlConversionFailure(
                column,
                rusqlite::types::Type::Text,
                Box::new(e),
            )
        })
    }
    Ok(KnowledgeRecord {
        user: row.get(0)?,
        as_of: row.get(1)?,
        keep_last: u32::try_from(row.get::<_, i64>(2)?).ok(),
        template_hash: row.get(3)?,
        model: row.get(4)?,
        mode: parse(row, 5)?,
        text: row.get(6)?,
        claims: parse(row, 7)?,
        n_tokens: row.get::<_, i64>(8)? as usize,
        prompt_tokens: row.get::<_, i64>(9)? as usize,
        cut: parse(row, 10)?,
        n_dropped: row.get::<_, i64>(11)? as usize,
    })
}
