//! Paid answers on disk: one SQLite file (WAL, `synchronous = FULL`), a row for the hash of a model
//! and a request. An answer is on the disk before anyone sees it, so that what was paid once is not
//! paid again, however the process ends.
//!
//! Threads that store at the same time share a transaction: the first one to hold the file commits
//! what all others have queued, since it is the disk's flush that takes the time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::chat::{ChatAnswer, Usage};
use super::error::GatewayError;

/// `user_version` of the file.
const VERSION: i64 = 1;

type Result<T> = std::result::Result<T, GatewayError>;

pub struct Answers {
    path: PathBuf,
    writer: Mutex<Writer>,
    /// So that reading does not wait for the disk; absent for a store in memory.
    reader: Option<Mutex<Connection>>,
    queue: Mutex<Queue>,
}

struct Writer {
    db: Connection,
    /// Rows before this number are on the disk.
    committed: u64,
}

#[derive(Default)]
struct Queue {
    rows: Vec<StoredAnswer>,
    /// Number of the next row.
    next: u64,
}

/// An answer under its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// [`crate::ChatRequest::hash`].
    pub hash: String,
    /// The model that was asked, whose price holds.
    pub model: String,
    pub answer: ChatAnswer,
    /// As reported, or estimated where `answer.usage` is `None`.
    pub usage: Usage,
    /// Seconds since 1970-01-01 UTC.
    pub answered_at: i64,
}

impl Answers {
    /// Opens or creates the file.
    pub fn open(path: &Path) -> Result<Self> {
        let error = |source| GatewayError::Answers {
            path: path.into(),
            source,
        };
        let writer = connect(path, OpenFlags::default())?;
        let reader = connect(path, OpenFlags::default())?;
        writer
            .execute_batch("PRAGMA journal_mode = WAL;")
            .map_err(error)?;
        Self::with(path, writer, Some(reader))
    }

    /// Reads a file that another process may not be writing, and leaves no trace beside it.
    /// `None`: there is none yet.
    pub fn open_read_only(path: &Path) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let mut wal = path.as_os_str().to_owned();
        wal.push("-wal");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        // What a killed process left in the log counts; without a log the file alone is read, which
        // needs no index of the log beside it.
        let immutable = std::fs::metadata(&wal).map_or(0, |m| m.len()) == 0;
        let address = path.to_string_lossy();
        let address = address
            .replace('%', "%25")
            .replace('?', "%3f")
            .replace('#', "%23");
        let address = match immutable {
            true => format!("file:{address}?immutable=1"),
            false => format!("file:{address}"),
        };
        let db = connect(Path::new(&address), flags)?;
        // The process that made it was killed before it had a table.
        if known_version(&db, path)? == 0 {
            return Ok(None);
        }
        Ok(Some(Self {
            path: path.into(),
            writer: Mutex::new(Writer { db, committed: 0 }),
            reader: None,
            queue: Mutex::default(),
        }))
    }

    /// Forgets with the process: for tests, and for callers that store elsewhere.
    pub fn in_memory() -> Result<Self> {
        let path = Path::new(":memory:");
        Self::with(path, connect(path, OpenFlags::default())?, None)
    }

    fn with(path: &Path, db: Connection, reader: Option<Connection>) -> Result<Self> {
        let error = |source| GatewayError::Answers {
            path: path.into(),
            source,
        };
        known_version(&db, path)?;
        db.execute_batch(&format!(
            "PRAGMA synchronous = FULL;
             CREATE TABLE IF NOT EXISTS answers (
                 hash TEXT NOT NULL PRIMARY KEY, model TEXT NOT NULL, text TEXT NOT NULL,
                 prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
                 tokens_reported INTEGER NOT NULL, reported_model TEXT, answered_at INTEGER NOT NULL
             ) WITHOUT ROWID;
             PRAGMA user_version = {VERSION};"
        ))
        .map_err(error)?;
        Ok(Self {
            path: path.into(),
            writer: Mutex::new(Writer { db, committed: 0 }),
            reader: reader.map(Mutex::new),
            queue: Mutex::default(),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn get(&self, hash: &str) -> Result<Option<StoredAnswer>> {
        let sql = "SELECT model, text, prompt_tokens, completion_tokens, tokens_reported,
                   reported_model, answered_at FROM answers WHERE hash = ?1";
        self.read(|db| {
            db.prepare_cached(sql)?
                .query_row(params![hash], |row| {
                    let usage = Usage {
                        prompt_tokens: row.get::<_, i64>(2)? as u64,
                        completion_tokens: row.get::<_, i64>(3)? as u64,
                    };
                    Ok(StoredAnswer {
                        hash: hash.to_owned(),
                        model: row.get(0)?,
                        answer: ChatAnswer {
                            text: row.get(1)?,
                            usage: row.get::<_, bool>(4)?.then_some(usage),
                            model: row.get(5)?,
                        },
                        usage,
                        answered_at: row.get(6)?,
                    })
                })
                .optional()
        })
    }

    pub fn contains(&self, hash: &str) -> Result<bool> {
        let sql = "SELECT 1 FROM answers WHERE hash = ?1";
        self.read(|db| db.prepare_cached(sql)?.exists(params![hash]))
    }

    /// Answers and their tokens, by model.
    pub fn usage(&self) -> Result<BTreeMap<String, (u64, Usage)>> {
        let sql = "SELECT model, count(*), sum(prompt_tokens), sum(completion_tokens)
                   FROM answers GROUP BY model";
        self.read(|db| {
            let mut statement = db.prepare(sql)?;
            let rows = statement.query_map([], |row| {
                let n = |column| Ok::<_, rusqlite::Error>(row.get::<_, i64>(column)? as u64);
                let usage = Usage {
                    prompt_tokens: n(2)?,
                    completion_tokens: n(3)?,
                };
                Ok((row.get(0)?, (n(1)?, usage)))
            })?;
            rows.collect()
        })
    }

    /// Returns when the answer is on the disk. One that is there already stays as it is.
    pub fn put(&self, answer: StoredAnswer) -> Result<()> {
        self.put_all(vec![answer])
    }

    /// In one transaction.
    pub fn put_all(&self, answers: Vec<StoredAnswer>) -> Result<()> {
        let end = {
            let mut queue = self.queue.lock().expect("no panic under the lock");
            queue.next += answers.len() as u64;
            queue.rows.extend(answers);
            queue.next
        };
        let mut writer = self.writer.lock().expect("no panic under the lock");
        if writer.committed >= end {
            return Ok(());
        }
        let (rows, upto) = {
            let mut queue = self.queue.lock().expect("no panic under the lock");
            (std::mem::take(&mut queue.rows), queue.next)
        };
        if let Err(source) = insert(&mut writer.db, &rows) {
            // Whoever waits for one of them tries again, and learns the reason.
            let mut queue = self.queue.lock().expect("no panic under the lock");
            queue.rows.splice(0..0, rows);
            return Err(self.error(source));
        }
        writer.committed = upto;
        Ok(())
    }

    /// Takes all answers of another such file that are not here yet.
    pub fn absorb(&self, other: &Path) -> Result<()> {
        let writer = self.writer();
        let taken = (|| {
            let db = &writer.db;
            db.execute("ATTACH DATABASE ?1 AS other", [other.to_string_lossy()])?;
            let taken = db.execute(
                "INSERT OR IGNORE INTO answers SELECT * FROM other.answers",
                [],
            );
            db.execute("DETACH DATABASE other", [])?;
            taken
        })();
        taken.map(|_| ()).map_err(|source| GatewayError::Answers {
            path: other.into(),
            source,
        })
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let result = match &self.reader {
            Some(reader) => read(&reader.lock().expect("no panic under the lock")),
            None => read(&self.writer().db),
        };
        result.map_err(|e| self.error(e))
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().expect("no panic under the lock")
    }

    fn error(&self, source: rusqlite::Error) -> GatewayError {
        GatewayError::Answers {
            path: self.path.clone(),
            source,
        }
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let error = |source| GatewayError::Answers {
        path: path.into(),
        source,
    };
    let db = Connection::open_with_flags(path, flags).map_err(error)?;
    db.busy_timeout(Duration::from_secs(10)).map_err(error)?;
    Ok(db)
}

fn known_version(db: &Connection, path: &Path) -> Result<i64> {
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

fn insert(db: &mut Connection, rows: &[StoredAnswer]) -> rusqlite::Result<()> {
    let transaction = db.transaction()?;
    {
        let mut statement = transaction.prepare_cached(
            "INSERT OR IGNORE INTO answers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        for row in rows {
            statement.execute(params![
                row.hash,
                row.model,
                row.answer.text,
                row.usage.prompt_tokens as i64,
                row.usage.completion_tokens as i64,
                row.answer.usage.is_some(),
                row.answer.model,
                row.answered_at
            ])?;
        }
    }
    transaction.commit()
}
