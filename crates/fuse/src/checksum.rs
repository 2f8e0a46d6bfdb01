//! A checksum in every row: the last column, `sha256`, is the hash of the values before it, each with its
//! type and its length. A flipped bit shows when the row is read, wherever it came from.

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Row, Transaction};
use sha2::{Digest, Sha256};

/// Name of the column, the last one of its table.
pub(crate) const COLUMN: &str = "sha256";

/// `INSERT … INTO table` of the values and their checksum.
pub(crate) fn insert(
    transaction: &Transaction,
    verb: &str,
    table: &str,
    mut values: Vec<Value>,
) -> rusqlite::Result<()> {
    values.push(Value::Blob(of(values.iter().map(ValueRef::from)).to_vec()));
    let places = vec!["?"; values.len()].join(", ");
    let sql = format!("{verb} INTO {table} VALUES ({places})");
    let mut statement = transaction.prepare_cached(&sql)?;
    statement.execute(rusqlite::params_from_iter(values))?;
    Ok(())
}

/// Gives every row of a table that has none its checksum.
pub(crate) fn add_column(transaction: &Transaction, table: &str) -> rusqlite::Result<()> {
    transaction.execute_batch(&format!(
        "ALTER TABLE {table} ADD COLUMN {COLUMN} BLOB NOT NULL DEFAULT x''"
    ))?;
    let rows: Vec<Vec<Value>> = {
        let mut statement = transaction.prepare(&format!("SELECT * FROM {table}"))?;
        let n = statement.column_count() - 1;
        let values = statement.query_map([], |row| (0..n).map(|i| row.get(i)).collect())?;
        values.collect::<rusqlite::Result<_>>()?
    };
    rows.into_iter()
        .try_for_each(|row| insert(transaction, "INSERT OR REPLACE", table, row))
}

/// Whether a row of `SELECT *` is what was written.
pub(crate) fn holds(row: &Row) -> rusqlite::Result<bool> {
    let n = row.as_ref().column_count() - 1;
    let values: Vec<ValueRef> = (0..n)
        .map(|i| row.get_ref(i))
        .collect::<rusqlite::Result<_>>()?;
    let ValueRef::Blob(kept) = row.get_ref(n)? else {
        return Ok(false);
    };
    Ok(kept == of(values.into_iter()))
}

fn of<'v>(values: impl Iterator<Item = ValueRef<'v>>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for value in values {
        let (kind, bytes) = match value {
            ValueRef::Null => (0, Vec::new()),
            ValueRef::Integer(i) => (1, i.to_le_bytes().to_vec()),
            ValueRef::Real(x) => (2, x.to_le_bytes().to_vec()),
            ValueRef::Text(text) => (3, text.to_vec()),
            ValueRef::Blob(blob) => (4, blob.to_vec()),
        };
        hasher.update([kind]);
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    }
    hasher.finalize().into()
}
