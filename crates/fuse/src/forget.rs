//! A user leaves a SQLite file: rows that name the user go, and then their bytes. What identifies a user is
//! a column `user` with the id, or `subject` with the pseudonym.

use std::path::Path;

use rusqlite::Connection;

/// Where rows about a user are.
const BY_ID: &str = "user";

/// Rows about the user, in all tables.
///
/// # Errors
/// As SQLite has them.
pub fn rows_of_user(path: &Path, user: &str) -> rusqlite::Result<usize> {
    let db = crate::integrity::open_at_rest(path)?;
    let mut n = 0;
    for table in tables_with(&db, BY_ID)? {
        let sql = format!("SELECT count(*) FROM {table} WHERE {BY_ID} = ?1");
        n += db.query_row(&sql, [user], |row| row.get::<_, i64>(0))? as usize;
    }
    Ok(n)
}

/// Deletes the user's rows from all tables, and their bytes from the file and its log. Returns how many.
///
/// # Errors
/// As SQLite has them; then nothing is deleted, or all of it and the same call finishes.
pub fn forget_user(path: &Path, user: &str) -> rusqlite::Result<usize> {
    let mut db = open(path)?;
    let mut n = 0;
    let transaction = db.transaction()?;
    for table in tables_with(&transaction, BY_ID)? {
        n += transaction.execute(&format!("DELETE FROM {table} WHERE {BY_ID} = ?1"), [user])?;
    }
    transaction.commit()?;
    compact(&db)?;
    Ok(n)
}

pub(crate) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open(path)?;
    db.busy_timeout(std::time::Duration::from_secs(10))?;
    db.execute_batch("PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;")?;
    Ok(db)
}

/// Deleted rows leave their bytes in free pages and in the log until both are written anew.
pub(crate) fn compact(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch("VACUUM;")?;
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

fn tables_with(db: &Connection, column: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = db.prepare(
        "SELECT s.name FROM sqlite_schema s, pragma_table_info(s.name) c
         WHERE s.type = 'table' AND c.name = ?1",
    )?;
    let names = statement.query_map([column], |row| row.get(0))?;
    names.collect()
}
