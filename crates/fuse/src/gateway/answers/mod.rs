//! Paid answers on disk: one SQLite file (WAL, `synchronous = FULL`), a row for the hash of a model
//! and a request, with its checksum. An answer is on the disk before anyone sees it, so that what was paid
//! once is not paid again, however the process ends. Beside it stands whom it is about, as a
//! pseudonym, so that it can be forgotten: of users with the same behaviour an answer is about each.
//!
//! Threads that store at the same time share a transaction: the first one to hold the file commits
//! what all others have queued, since it is the disk's flush that takes the time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};
use sha2::{Digest, Sha256};

use crate::gateway::answer::{ChatAnswer, Usage};
use crate::gateway::chat::Bill;
use crate::gateway::error::GatewayError;
use crate::gateway::reply::{Finish, Place};
use crate::gateway::spend::Spend;
use crate::{checksum, integrity};

mod format;
mod subjects;

use format::{VERSION, WITH_CHECKSUMS, bring_up_to_date, connect, known_version};
use subjects::insert_subject;

type Result<T> = std::result::Result<T, GatewayError>;

pub struct Answers {
    path: PathBuf,
    writer: Mutex<Writer>,
    /// So that reading does not wait for the disk; absent for a store in memory.
    reader: Option<Mutex<Connection>>,
    queue: Mutex<Queue>,
    /// Of the file.
    version: i64,
}

struct Writer {
    db: Connection,
    /// Rows before this number are on the disk.
    committed: u64,
}

#[derive(Default)]
struct Queue {
    rows: Vec<(StoredAnswer, Option<String>)>,
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
        let error = |source| GatewayError::Answers {
            path: path.into(),
            source,
        };
        let db = integrity::open_at_rest(path).map_err(error)?;
        db.busy_timeout(Duration::from_secs(10)).map_err(error)?;
        // The process that made it was killed before it had a table.
        let version = known_version(&db, path)?;
        if version == 0 {
            return Ok(None);
        }
        Ok(Some(Self {
            path: path.into(),
            writer: Mutex::new(Writer { db, committed: 0 }),
            reader: None,
            queue: Mutex::default(),
            version,
        }))
    }

    /// Forgets with the process: for tests, and for callers that store elsewhere.
    pub fn in_memory() -> Result<Self> {
        let path = Path::new(":memory:");
        Self::with(path, connect(path, OpenFlags::default())?, None)
    }

    fn with(path: &Path, mut db: Connection, reader: Option<Connection>) -> Result<Self> {
        let error = |source| GatewayError::Answers {
            path: path.into(),
            source,
        };
        let found = known_version(&db, path)?;
        db.execute_batch("PRAGMA synchronous = FULL;")
            .map_err(error)?;
        if found < VERSION {
            bring_up_to_date(&mut db, found).map_err(error)?;
        }
        Ok(Self {
            path: path.into(),
            writer: Mutex::new(Writer { db, committed: 0 }),
            reader: reader.map(Mutex::new),
            queue: Mutex::default(),
            version: VERSION,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// # Errors
    /// [`GatewayError::Damaged`] if the row is not what was written.
    pub fn get(&self, hash: &str) -> Result<Option<StoredAnswer>> {
        let sql = "SELECT * FROM answers WHERE hash = ?1";
        let read = self.read(|db| {
            db.prepare_cached(sql)?
                .query_row(params![hash], |row| {
                    let whole = self.version < WITH_CHECKSUMS || checksum::holds(row)?;
                    whole.then(|| stored(row)).transpose()
                })
                .optional()
        })?;
        let read = match read {
            Some(Some(answer)) if self.version >= VERSION => Some(self.with_ending(answer)?),
            read => read,
        };
        match read {
            Some(None) => Err(GatewayError::Damaged {
                path: self.path.clone(),
            }),
            Some(answer) => Ok(answer),
            None => Ok(None),
        }
    }

    /// How an answer ended and where it stood, if it is not as most; `None` if that is damaged.
    fn with_ending(&self, mut stored: StoredAnswer) -> Result<Option<StoredAnswer>> {
        let sql = "SELECT * FROM endings WHERE hash = ?1";
        let ending = self.read(|db| {
            db.prepare_cached(sql)?
                .query_row(params![stored.hash], |row| {
                    let ending = (row.get::<_, String>(1)?, row.get::<_, String>(2)?);
                    Ok(checksum::holds(row)?.then_some(ending))
                })
                .optional()
        })?;
        let Some(ending) = ending else {
            return Ok(Some(stored));
        };
        Ok(ending.map(|(place, finish)| {
            stored.answer.place = Place::named(&place);
            stored.answer.finish = Finish::named(&finish);
            stored
        }))
    }

    pub fn contains(&self, hash: &str) -> Result<bool> {
        let sql = "SELECT 1 FROM answers WHERE hash = ?1";
        self.read(|db| db.prepare_cached(sql)?.exists(params![hash]))
    }

    /// What was paid by model, unread answers included; the cost is left at 0.
    pub fn usage(&self) -> Result<BTreeMap<String, Spend>> {
        let mut tables = vec![("answers", false)];
        tables.extend((self.version >= VERSION).then_some(("unread", true)));
        let mut by_model: BTreeMap<String, Spend> = BTreeMap::new();
        for (table, unread) in tables {
            let sql = format!(
                "SELECT model, count(*), sum(prompt_tokens), sum(completion_tokens), sum(tokens_reported)
                 FROM {table} GROUP BY model"
            );
            let rows: Vec<(String, Spend)> = self.read(|db| {
                let mut statement = db.prepare(&sql)?;
                let rows = statement.query_map([], |row| {
                    let n = |column| Ok::<_, rusqlite::Error>(row.get::<_, i64>(column)? as u64);
                    let answers = n(1)?;
                    let spend = Spend {
                        answers,
                        unread: if unread { answers } else { 0 },
                        estimated: answers - n(4)?,
                        usage: Usage {
                            prompt_tokens: n(2)?,
                            completion_tokens: n(3)?,
                        },
                        cost: 0.0,
                    };
                    Ok((row.get(0)?, spend))
                })?;
                rows.collect()
            })?;
            for (model, spend) in rows {
                by_model.entry(model).or_default().add(&spend);
            }
        }
        Ok(by_model)
    }

    /// An answer that cannot be read is paid all the same: its tokens, under a name that says nothing of what was asked.
    pub fn put_unread(&self, hash: &str, model: &str, bill: Bill, answered_at: i64) -> Result<()> {
        let put = || {
            let db = &mut self.writer().db;
            let transaction = db.transaction()?;
            let n = count(&transaction, "SELECT count(*) FROM unread", &[])?;
            let name = Sha256::digest(format!("{hash} {answered_at} {n}").as_bytes());
            let name: String = name[..16].iter().map(|b| format!("{b:02x}")).collect();
            let values = vec![
                Value::Text(name),
                Value::Text(model.to_owned()),
                Value::Integer(bill.usage.prompt_tokens as i64),
                Value::Integer(bill.usage.completion_tokens as i64),
                Value::Integer(bill.reported.into()),
                Value::Integer(answered_at),
            ];
            checksum::insert(&transaction, "INSERT OR IGNORE", "unread", values)?;
            transaction.commit()
        };
        put().map_err(|e| self.error(e))
    }

    /// Returns when the answer is on the disk. One that is there already stays as it is.
    /// `subject`: whom it is about.
    pub fn put(&self, answer: StoredAnswer, subject: Option<&str>) -> Result<()> {
        self.put_all(vec![(answer, subject.map(str::to_owned))])
    }

    /// In one transaction.
    pub fn put_all(&self, answers: Vec<(StoredAnswer, Option<String>)>) -> Result<()> {
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

    /// A batch file that was written or read: whoever is forgotten may be in it.
    pub fn note_batch_file(&self, path: &str) -> Result<()> {
        let noted = || {
            let db = &mut self.writer().db;
            let transaction = db.transaction()?;
            let values = vec![Value::Text(path.to_owned())];
            checksum::insert(&transaction, "INSERT OR REPLACE", "batch_files", values)?;
            transaction.commit()
        };
        noted().map_err(|e| self.error(e))
    }

    pub fn batch_files(&self) -> Result<Vec<PathBuf>> {
        if self.version < WITH_CHECKSUMS {
            return Ok(Vec::new());
        }
        self.read(|db| {
            let mut statement = db.prepare("SELECT path FROM batch_files ORDER BY path")?;
            let paths = statement.query_map([], |row| row.get::<_, String>(0))?;
            paths.map(|p| p.map(PathBuf::from)).collect()
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

fn stored(row: &Row) -> rusqlite::Result<StoredAnswer> {
    let usage = Usage {
        prompt_tokens: row.get::<_, i64>(3)? as u64,
        completion_tokens: row.get::<_, i64>(4)? as u64,
    };
    Ok(StoredAnswer {
        hash: row.get(0)?,
        model: row.get(1)?,
        answer: ChatAnswer {
            text: row.get(2)?,
            usage: row.get::<_, bool>(5)?.then_some(usage),
            model: row.get(6)?,
            ..ChatAnswer::default()
        },
        usage,
        answered_at: row.get(7)?,
    })
}

fn count(db: &Connection, sql: &str, params: &[&str]) -> rusqlite::Result<u64> {
    let n: i64 = db.query_row(sql, rusqlite::params_from_iter(params), |row| row.get(0))?;
    Ok(n as u64)
}

fn insert(db: &mut Connection, rows: &[(StoredAnswer, Option<String>)]) -> rusqlite::Result<()> {
    let transaction = db.transaction()?;
    for (row, subject) in rows {
        let values = vec![
            Value::Text(row.hash.clone()),
            Value::Text(row.model.clone()),
            Value::Text(row.answer.text.clone()),
            Value::Integer(row.usage.prompt_tokens as i64),
            Value::Integer(row.usage.completion_tokens as i64),
            Value::Integer(row.answer.usage.is_some().into()),
            row.answer.model.clone().map_or(Value::Null, Value::Text),
            Value::Integer(row.answered_at),
        ];
        checksum::insert(&transaction, "INSERT OR IGNORE", "answers", values)?;
        let (place, finish) = (row.answer.place, row.answer.finish);
        if (place, finish) != Default::default() {
            let names = [row.hash.as_str(), place.name(), finish.name()];
            let values = names.map(|name| Value::Text(name.to_owned())).to_vec();
            checksum::insert(&transaction, "INSERT OR IGNORE", "endings", values)?;
        }
        if let Some(subject) = subject {
            insert_subject(&transaction, &row.hash, subject)?;
        }
    }
    transaction.commit()
}
