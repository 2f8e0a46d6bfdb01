//! Instruction rows as JSON lines, in the two layouts that tuning tools read.
//!
//! Alpaca: `{"instruction", "input", "output", …}`. Messages: `{"messages": [system, user,
//! assistant], …}` with the input as system, the instruction as user and the output as assistant
//! message. Both carry `id`, `task`, `user`, `as_of` and, if set, `keep_last`.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::InstructionRow;
use crate::error::{Error, Result};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MessagesRow {
    id: String,
    task: String,
    user: String,
    as_of: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keep_last: Option<u32>,
    messages: Vec<Message>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    role: String,
    content: String,
}

const ROLES: [&str; 3] = ["system", "user", "assistant"];

/// # Errors
/// I/O errors (a full disk among them); an old file of this name is untouched then.
pub fn write_alpaca(path: &Path, rows: &[InstructionRow]) -> Result<()> {
    write(path, rows.iter())
}

/// # Errors
/// As [`write_alpaca`].
pub fn write_messages(path: &Path, rows: &[InstructionRow]) -> Result<()> {
    write(
        path,
        rows.iter().cloned().map(|r| MessagesRow {
            id: r.id,
            task: r.task,
            user: r.user,
            as_of: r.as_of,
            keep_last: r.keep_last,
            messages: ROLES
                .into_iter()
                .zip([r.input, r.instruction, r.output])
                .map(|(role, content)| Message {
                    role: role.into(),
                    content,
                })
                .collect(),
        }),
    )
}

/// # Errors
/// [`Error::BadRow`] names file and line.
pub fn read_alpaca(path: &Path) -> Result<Vec<InstructionRow>> {
    read(path, Ok)
}

/// # Errors
/// [`Error::BadRow`] names file and line.
pub fn read_messages(path: &Path) -> Result<Vec<InstructionRow>> {
    read(path, |row: MessagesRow| {
        let roles: Vec<&str> = row.messages.iter().map(|m| m.role.as_str()).collect();
        if roles != ROLES {
            return Err(format!(
                "messages have the roles {roles:?}, expected {ROLES:?}"
            ));
        }
        let mut contents = row.messages.into_iter().map(|m| m.content);
        let mut next = || contents.next().expect("three messages");
        let (input, instruction, output) = (next(), next(), next());
        Ok(InstructionRow {
            id: row.id,
            task: row.task,
            user: row.user,
            as_of: row.as_of,
            keep_last: row.keep_last,
            instruction,
            input,
            output,
        })
    })
}

/// Bytes go to a temporary name, reach the disk, then take the target's name.
fn write<T: Serialize>(path: &Path, rows: impl Iterator<Item = T>) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let tmp = path.with_file_name(name);
    let written = (|| -> std::io::Result<()> {
        let mut out = BufWriter::new(fs_err::File::create(&tmp)?);
        for row in rows {
            serde_json::to_writer(&mut out, &row)?;
            out.write_all(b"\n")?;
        }
        out.into_inner()
            .map_err(std::io::IntoInnerError::into_error)?
            .sync_all()?;
        fs_err::rename(&tmp, path)
    })();
    if written.is_err() {
        // The first error is the one to report; a leftover temporary file does no harm.
        let _ = fs_err::remove_file(&tmp);
    }
    Ok(written?)
}

fn read<T: DeserializeOwned>(
    path: &Path,
    convert: impl Fn(T) -> std::result::Result<InstructionRow, String>,
) -> Result<Vec<InstructionRow>> {
    let mut reader = BufReader::new(fs_err::File::open(path)?);
    let mut rows = Vec::new();
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        let row = serde_json::from_slice(&bytes)
            .map_err(|e| e.to_string())
            .and_then(&convert);
        rows.push(row.map_err(|reason| Error::BadRow {
            path: path.into(),
            line,
            reason,
        })?);
    }
    Ok(rows)
}
