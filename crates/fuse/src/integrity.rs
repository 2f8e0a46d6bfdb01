//! Is a SQLite file what was written to it? In: a file at rest. Out: what is wrong, for people; nothing is
//! changed, and nothing is left beside it.
//!
//! Three checks, each for what the others cannot see: SQLite's own of the structure, the checksum of each
//! row ([`crate::KnowledgeStore`] and [`crate::Answers`] write one), and the checksums of the frames
//! of a log that a killed process left. A flip in pages that no table uses shows in none of them: that
//! takes a hash of the whole file.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::checksum;

/// `<file>-wal`: what was committed and is not in the file yet.
pub fn wal_of(path: &Path) -> PathBuf {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    wal.into()
}

/// Whether a log with anything in it lies beside a file.
pub fn has_wal(path: &Path) -> bool {
    std::fs::metadata(wal_of(path)).is_ok_and(|m| m.len() > 0)
}

/// Opens a file for reading. Without a log or its index beside it nobody else has it open, and the file alone
/// is read, which leaves no trace; with one SQLite needs the index, and may leave that.
pub(crate) fn open_at_rest(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let address = path.to_string_lossy();
    let address = address
        .replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23");
    let mut index = path.as_os_str().to_owned();
    index.push("-shm");
    let address = match has_wal(path) || Path::new(&index).exists() {
        true => format!("file:{address}"),
        false => format!("file:{address}?immutable=1"),
    };
    Connection::open_with_flags(address, flags)
}

/// What is wrong with the structure and the rows of a SQLite file; empty: nothing. Copy a file with a log,
/// and check the copy.
pub fn damages(path: &Path) -> Vec<String> {
    let found = (|| -> rusqlite::Result<Vec<String>> {
        let db = open_at_rest(path)?;
        let mut found = structure(&db)?;
        for table in checked_tables(&db)? {
            let n = damaged_rows(&db, &table)?;
            if n > 0 {
                found.push(format!("{n} rows of {table} are not what was written"));
            }
        }
        Ok(found)
    })();
    found.unwrap_or_else(|e| vec![e.to_string()])
}

fn structure(db: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = db.prepare("PRAGMA integrity_check(5)")?;
    let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
    let mut lines: Vec<String> = lines.collect::<rusqlite::Result<_>>()?;
    lines.retain(|l| l != "ok");
    Ok(lines)
}

/// The tables whose last column is a checksum.
fn checked_tables(db: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut names = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let names: Vec<String> = names
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut checked = Vec::new();
    for name in names {
        let mut columns = db.prepare("SELECT name FROM pragma_table_info(?1) ORDER BY cid DESC")?;
        let last: Option<String> = columns
            .query_map([&name], |row| row.get(0))?
            .next()
            .transpose()?;
        if last.as_deref() == Some(checksum::COLUMN) {
            checked.push(name);
        }
    }
    Ok(checked)
}

fn damaged_rows(db: &Connection, table: &str) -> rusqlite::Result<usize> {
    let mut statement = db.prepare(&format!("SELECT * FROM {table}"))?;
    let rows = statement.query_map([], checksum::holds)?;
    let mut n = 0;
    for whole in rows {
        n += usize::from(!whole?);
    }
    Ok(n)
}

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// What is wrong with a write-ahead log (the format is at sqlite.org/walformat.html). SQLite itself reads up to
/// the first frame whose checksum fails and takes the rest for what a crash cut off, so that a flip
/// would lose commits without a word. Here it counts as damage if a frame of the same log comes after
/// it. One in the very last frame cannot be told from a write that a kill cut off.
pub fn wal_damage(path: &Path) -> std::io::Result<Option<String>> {
    let bytes = match std::fs::read(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    if bytes.len() < HEADER {
        return Ok(None);
    }
    let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
    let magic = word(0);
    let big_endian = magic == 0x377f_0683;
    let page = word(8) as usize;
    let sum = checksum_words(&bytes[..24], (0, 0), big_endian);
    let is_header = (big_endian || magic == 0x377f_0682)
        && (word(24), word(28)) == sum
        && (512..=65_536).contains(&page);
    if !is_header {
        return Ok(Some("the header of the log is damaged".into()));
    }
    let salts = (word(16), word(20));
    let frames = (bytes.len() - HEADER) / (FRAME_HEADER + page);
    let (mut sum, mut damaged) = (sum, None);
    for n in 0..frames {
        let at = HEADER + n * (FRAME_HEADER + page);
        let of_this_log = (word(at + 8), word(at + 12)) == salts;
        match damaged {
            // The frames of an older log may lie behind those of this one.
            Some(first) if of_this_log => {
                return Ok(Some(format!(
                    "frame {} of {frames} of the log is damaged",
                    first + 1
                )));
            }
            Some(_) => {}
            None => {
                sum = checksum_words(&bytes[at..at + 8], sum, big_endian);
                let data = &bytes[at + FRAME_HEADER..at + FRAME_HEADER + page];
                sum = checksum_words(data, sum, big_endian);
                if !of_this_log || (word(at + 16), word(at + 20)) != sum {
                    damaged = Some(n);
                }
            }
        }
    }
    Ok(None)
}

fn checksum_words(bytes: &[u8], (mut s0, mut s1): (u32, u32), big_endian: bool) -> (u32, u32) {
    let word = |four: &[u8]| -> u32 {
        let four = four.try_into().expect("4 bytes");
        match big_endian {
            true => u32::from_be_bytes(four),
            false => u32::from_le_bytes(four),
        }
    };
    for pair in bytes.chunks_exact(8) {
        s0 = s0.wrapping_add(word(&pair[..4])).wrapping_add(s1);
        s1 = s1.wrapping_add(word(&pair[4..])).wrapping_add(s0);
    }
    (s0, s1)
}
