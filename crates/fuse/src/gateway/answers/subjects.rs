//! Whom answers are about, as pseudonyms: noted beside an answer, counted, forgotten, and taken into another file.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Transaction, params};

use super::format::WITH_CHECKSUMS;
use super::{Answers, Result, count};
use crate::checksum;
use crate::gateway::error::GatewayError;

impl Answers {
    /// An answer that is there is about this subject too.
    pub fn note_subject(&self, hash: &str, subject: &str) -> Result<()> {
        let sql = "SELECT 1 FROM subjects WHERE hash = ?1 AND subject = ?2";
        if self.read(|db| db.prepare_cached(sql)?.exists(params![hash, subject]))? {
            return Ok(());
        }
        let noted = || {
            let db = &mut self.writer().db;
            let transaction = db.transaction()?;
            insert_subject(&transaction, hash, subject)?;
            transaction.commit()
        };
        noted().map_err(|e| self.error(e))
    }

    /// Answers about this subject, and answers of which nobody noted whom they are about.
    pub fn about(&self, subject: &str) -> Result<(u64, u64)> {
        if self.version < WITH_CHECKSUMS {
            let n = self.read(|db| count(db, "SELECT count(*) FROM answers", &[]))?;
            return Ok((0, n));
        }
        self.read(|db| {
            let about = "SELECT count(*) FROM subjects WHERE subject = ?1";
            let unknown =
                "SELECT count(*) FROM answers WHERE hash NOT IN (SELECT hash FROM subjects)";
            Ok((count(db, about, &[subject])?, count(db, unknown, &[])?))
        })
    }

    /// All whom answers are about. It tells whether the file was written under the key at hand: under another one no
    /// user's pseudonym is among them.
    pub fn subjects(&self) -> Result<BTreeSet<String>> {
        if self.version < WITH_CHECKSUMS {
            return Ok(BTreeSet::new());
        }
        self.read(|db| {
            let mut statement = db.prepare("SELECT DISTINCT subject FROM subjects")?;
            let subjects = statement.query_map([], |row| row.get(0))?;
            subjects.collect()
        })
    }

    /// Answers that are about none of these subjects; those of which nobody noted it are not among them.
    pub fn about_others(&self, subjects: &BTreeSet<String>) -> Result<u64> {
        if self.version < WITH_CHECKSUMS {
            return Ok(0);
        }
        self.read(|db| {
            let mut statement = db.prepare("SELECT hash, subject FROM subjects ORDER BY hash")?;
            let mut rows = statement.query([])?;
            let (mut n, mut last, mut of_others) = (0, String::new(), false);
            while let Some(row) = rows.next()? {
                let (hash, subject): (String, String) = (row.get(0)?, row.get(1)?);
                if hash != last {
                    n += u64::from(of_others);
                    (last, of_others) = (hash, true);
                }
                of_others &= !subjects.contains(&subject);
            }
            Ok(n + u64::from(of_others))
        })
    }

    /// Deletes what was answered about a subject and about nobody else, and its bytes from file and log.
    /// Returns how many answers went.
    pub fn forget(&self, subject: &str) -> Result<usize> {
        let forgotten = || {
            let db = &mut self.writer().db;
            db.execute_batch("PRAGMA secure_delete = ON;")?;
            let transaction = db.transaction()?;
            let n = transaction.execute(
                "DELETE FROM answers WHERE hash IN (SELECT hash FROM subjects WHERE subject = ?1)
                 AND hash NOT IN (SELECT hash FROM subjects WHERE subject <> ?1)",
                params![subject],
            )?;
            transaction.execute("DELETE FROM subjects WHERE subject = ?1", params![subject])?;
            let without_answer = "DELETE FROM endings WHERE hash NOT IN (SELECT hash FROM answers)";
            transaction.execute(without_answer, [])?;
            transaction.commit()?;
            crate::forget::compact(db)?;
            Ok(n)
        };
        forgotten().map_err(|e| self.error(e))
    }

    /// Takes what another such file has about these subjects and this one has not; with `unknown` also that of which
    /// nobody noted whom it is about. Returns how many of the other's answers were left there.
    pub fn absorb(&self, other: &Path, subjects: &BTreeSet<String>, unknown: bool) -> Result<u64> {
        // Brings an older file to this version.
        drop(Self::open(other)?);
        let taken = (|| {
            let db = &mut self.writer().db;
            db.execute("ATTACH DATABASE ?1 AS other", [other.to_string_lossy()])?;
            let transaction = db.transaction()?;
            let taken = take_from_other(transaction, subjects, unknown);
            db.execute("DETACH DATABASE other", [])?;
            taken
        })();
        taken.map_err(|source| GatewayError::Answers {
            path: other.into(),
            source,
        })
    }
}

fn take_from_other(
    transaction: Transaction,
    subjects: &BTreeSet<String>,
    unknown: bool,
) -> rusqlite::Result<u64> {
    transaction.execute_batch(
        "CREATE TEMP TABLE taken (subject TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID",
    )?;
    {
        let mut insert = transaction.prepare("INSERT INTO taken VALUES (?1)")?;
        for subject in subjects {
            insert.execute([subject])?;
        }
    }
    let taken =
        "hash IN (SELECT hash FROM other.subjects WHERE subject IN (SELECT subject FROM taken))";
    let taken = if unknown {
        format!("({taken} OR hash NOT IN (SELECT hash FROM other.subjects))")
    } else {
        taken.to_owned()
    };
    let left = format!("SELECT count(*) FROM other.answers WHERE NOT {taken}");
    let left = count(&transaction, &left, &[])?;
    transaction.execute_batch(&format!(
        "INSERT OR IGNORE INTO answers SELECT * FROM other.answers WHERE {taken};
         INSERT OR IGNORE INTO subjects SELECT * FROM other.subjects
             WHERE subject IN (SELECT subject FROM taken);
         INSERT OR IGNORE INTO endings SELECT * FROM other.endings WHERE {taken};
         INSERT OR IGNORE INTO unread SELECT * FROM other.unread;
         INSERT OR IGNORE INTO batch_files SELECT * FROM other.batch_files;
         DROP TABLE taken;"
    ))?;
    transaction.commit()?;
    Ok(left)
}

pub(super) fn insert_subject(
    transaction: &Transaction,
    hash: &str,
    subject: &str,
) -> rusqlite::Result<()> {
    let values = vec![Value::Text(hash.into()), Value::Text(subject.into())];
    checksum::insert(transaction, "INSERT OR IGNORE", "subjects", values)
}
