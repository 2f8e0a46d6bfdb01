//! A sorted run on disk: partition after partition, users by id, in a compact form that only this process
//! reads.
//!
//! A user: length of the id (u32), id, number of profiles (u32) and of events (u32); a profile: row (u32), text;
//! an event: flags, time (i64), row (u32), kind (u16), then item, value, place (4 bytes each), text and the fine order
//! (nanoseconds u32, tie i64), those that the flags name. A text: length (u32), bytes. Little endian.

use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use super::Group;
use crate::dataset::Event;
use crate::error::{Error, Result};
use crate::order::Fine;

const ITEM: u8 = 1;
const VALUE: u8 = 2;
const PLACE: u8 = 4;
const TEXT: u8 = 8;
const FINE: u8 = 16;

/// Bytes that a writer and a reader hold.
const BLOCK: usize = 1 << 16;

pub(super) struct Run {
    path: PathBuf,
    /// Where each partition begins, and the end.
    offsets: Vec<u64>,
}

impl Run {
    pub fn bytes(&self) -> u64 {
        self.offsets.last().copied().unwrap_or(0)
    }

    pub fn open(&self, p: usize) -> Result<Reader> {
        let mut file = fs_err::File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.offsets[p]))?;
        let left = self.offsets[p + 1] - self.offsets[p];
        Ok(Reader {
            path: self.path.clone(),
            input: BufReader::with_capacity(BLOCK, file.take(left)),
        })
    }

    pub fn remove(self) -> Result<()> {
        Ok(fs_err::remove_file(self.path)?)
    }
}

pub(super) struct RunWriter {
    run: Run,
    file: fs_err::File,
    block: Vec<u8>,
    written: u64,
}

impl RunWriter {
    pub fn create(path: PathBuf) -> Result<Self> {
        Ok(Self {
            file: fs_err::File::create(&path)?,
            run: Run {
                path,
                offsets: Vec::new(),
            },
            block: Vec::with_capacity(2 * BLOCK),
            written: 0,
        })
    }

    /// What follows belongs to the next partition.
    pub fn partition(&mut self) {
        self.run
            .offsets
            .push(self.written + self.block.len() as u64);
    }

    pub fn group(&mut self, group: &Group) -> Result<()> {
        self.text(&group.user);
        self.number(group.profiles.len() as u32);
        self.number(group.events.len() as u32);
        for (row, text) in &group.profiles {
            self.number(*row);
            self.text(text);
        }
        for e in &group.events {
            let flag = |is: bool, flag: u8| if is { flag } else { 0 };
            let fine = group.fine.of(e.row);
            let has_fine = fine != Fine::default();
            self.block.push(
                flag(e.item.is_some(), ITEM)
                    | flag(e.value.is_some(), VALUE)
                    | flag(e.place.is_some(), PLACE)
                    | flag(e.text.is_some(), TEXT)
                    | flag(has_fine, FINE),
            );
            self.block.extend(e.ts.to_le_bytes());
            self.number(e.row);
            self.block.extend(e.kind.to_le_bytes());
            for number in [e.item, e.value.map(f32::to_bits), e.place]
                .into_iter()
                .flatten()
            {
                self.number(number);
            }
            if let Some(text) = &e.text {
                self.text(text);
            }
            if has_fine {
                self.number(fine.nanos);
                self.block.extend(fine.tie.to_le_bytes());
            }
            if self.block.len() >= BLOCK {
                self.flush()?;
            }
        }
        if self.block.len() >= BLOCK {
            self.flush()?;
        }
        Ok(())
    }

    fn number(&mut self, n: u32) {
        self.block.extend(n.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u32);
        self.block.extend(text.as_bytes());
    }

    fn flush(&mut self) -> Result<()> {
        self.file.write_all(&self.block)?;
        self.written += self.block.len() as u64;
        self.block.clear();
        Ok(())
    }

    pub fn finish(mut self) -> Result<Run> {
        self.partition();
        self.flush()?;
        Ok(self.run)
    }
}

pub(super) struct Reader {
    path: PathBuf,
    input: BufReader<std::io::Take<fs_err::File>>,
}

impl Reader {
    pub fn next(&mut self) -> Result<Option<Group>> {
        if std::io::BufRead::fill_buf(&mut self.input)?.is_empty() {
            return Ok(None);
        }
        let user = self.text()?.into_string();
        let (n_profiles, n_events) = (self.number()?, self.number()?);
        let mut group = Group {
            user,
            ..Group::default()
        };
        for _ in 0..n_profiles {
            let row = self.number()?;
            group.profiles.push((row, self.text()?));
        }
        for _ in 0..n_events {
            let (event, fine) = self.event()?;
            group.fine.push(event.row, fine);
            group.events.push(event);
        }
        group.fine.sort();
        Ok(Some(group))
    }

    fn event(&mut self) -> Result<(Event, Fine)> {
        let [flags] = self.bytes()?;
        let has = |flag| flags & flag != 0;
        let (ts, row) = (i64::from_le_bytes(self.bytes()?), self.number()?);
        let kind = u16::from_le_bytes(self.bytes()?);
        let item = has(ITEM).then(|| self.number()).transpose()?;
        let value = has(VALUE).then(|| self.number()).transpose()?;
        let place = has(PLACE).then(|| self.number()).transpose()?;
        let text = has(TEXT).then(|| self.text()).transpose()?;
        let mut fine = Fine::default();
        if has(FINE) {
            fine.nanos = self.number()?;
            fine.tie = i64::from_le_bytes(self.bytes()?);
        }
        let event = Event {
            user: 0,
            item,
            kind,
            ts,
            value: value.map(f32::from_bits),
            place,
            text,
            row,
        };
        Ok((event, fine))
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn number(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn text(&mut self) -> Result<Box<str>> {
        let mut bytes = vec![0; self.number()? as usize];
        self.input.read_exact(&mut bytes)?;
        let text = String::from_utf8(bytes).map_err(|_| Error::BadFile {
            path: self.path.clone(),
            reason: "was changed while it was sorted; run ingest again".into(),
        })?;
        Ok(text.into_boxed_str())
    }
}
