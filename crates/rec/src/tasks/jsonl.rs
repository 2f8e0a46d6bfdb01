//! Instruction rows as JSON lines, in the three layouts that tuning tools read.
//!
//! Alpaca: `{"instruction", "input", "output", …}`. Messages: `{"messages": [{"role", "content"}, …], …}`
//! with the input as system, the instruction as user and the output as assistant message. ShareGPT:
//! `{"conversations": [{"from", "value"}, …], …}` with the same as system, human and gpt. All carry `id`, `task`,
//! `user`, `as_of` and, if set, `keep_last`. [`super::dataset_info`] tells other programs of them.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::InstructionRow;
use crate::error::{Error, Result};

/// The roles of a row's turns, in their order.
const ROLES: [&str; 3] = ["system", "user", "assistant"];
const SHAREGPT_ROLES: [&str; 3] = ["system", "human", "gpt"];

#[derive(Serialize, Deserialize)]
struct Head {
    id: String,
    task: String,
    user: String,
    as_of: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keep_last: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct MessagesRow {
    #[serde(flatten)]
    head: Head,
    messages: [Message; 3],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    role: String,
    content: String,
}

#[derive(Serialize, Deserialize)]
struct SharegptRow {
    #[serde(flatten)]
    head: Head,
    conversations: [Turn; 3],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Turn {
    from: String,
    value: String,
}

/// A row as its head and its turns (role, text).
type Turns = (Head, [(String, String); 3]);

fn turns(row: &InstructionRow, roles: [&str; 3]) -> Turns {
    let r = row.clone();
    let head = Head {
        id: r.id,
        task: r.task,
        user: r.user,
        as_of: r.as_of,
        keep_last: r.keep_last,
    };
    let [system, user, assistant] = roles.map(str::to_owned);
    let turns = [
        (system, r.input),
        (user, r.instruction),
        (assistant, r.output),
    ];
    (head, turns)
}

fn row((head, turns): Turns, roles: [&str; 3]) -> std::result::Result<InstructionRow, String> {
    let found = turns.each_ref().map(|t| t.0.as_str());
    if found != roles {
        return Err(format!(
            "the turns have the roles {found:?}, expected {roles:?}"
        ));
    }
    let [input, instruction, output] = turns.map(|t| t.1);
    Ok(InstructionRow {
        id: head.id,
        task: head.task,
        user: head.user,
        as_of: head.as_of,
        keep_last: head.keep_last,
        instruction,
        input,
        output,
    })
}

/// # Errors
/// I/O errors (a full disk among them); an old file of this name is untouched then.
pub fn write_alpaca(path: &Path, rows: &[InstructionRow]) -> Result<()> {
    write(path, rows.iter())
}

/// # Errors
/// As [`write_alpaca`].
pub fn write_messages(path: &Path, rows: &[InstructionRow]) -> Result<()> {
    let row = |r| {
        let (head, turns) = turns(r, ROLES);
        let messages = turns.map(|(role, content)| Message { role, content });
        MessagesRow { head, messages }
    };
    write(path, rows.iter().map(row))
}

/// # Errors
/// As [`write_alpaca`].
pub fn write_sharegpt(path: &Path, rows: &[InstructionRow]) -> Result<()> {
    let row = |r| {
        let (head, turns) = turns(r, SHAREGPT_ROLES);
        let conversations = turns.map(|(from, value)| Turn { from, value });
        SharegptRow {
            head,
            conversations,
        }
    };
    write(path, rows.iter().map(row))
}

/// # Errors
/// [`Error::BadRow`] names file and line.
pub fn read_alpaca(path: &Path) -> Result<Vec<InstructionRow>> {
    read(path, Ok)
}

/// # Errors
/// [`Error::BadRow`] names file and line.
pub fn read_messages(path: &Path) -> Result<Vec<InstructionRow>> {
    read(path, |r: MessagesRow| {
        row((r.head, r.messages.map(|m| (m.role, m.content))), ROLES)
    })
}

/// # Errors
/// [`Error::BadRow`] names file and line.
pub fn read_sharegpt(path: &Path) -> Result<Vec<InstructionRow>> {
    read(path, |r: SharegptRow| {
        row(
            (r.head, r.conversations.map(|t| (t.from, t.value))),
            SHAREGPT_ROLES,
        )
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
