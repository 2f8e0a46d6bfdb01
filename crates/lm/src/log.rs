//! Training logs: `metrics.jsonl`, one JSON object a step, and a TensorBoard event file beside it.
//!
//! Both are opened with the steps that are to stay: a run that stopped after step 130 and continues
//! from a checkpoint at 100 writes the steps from 101 once, not twice. The clock is the caller's.

mod tensorboard;

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use self::tensorboard::{file_version, record, scalars};
use crate::error::{Error, Result};

/// Name of the log with one JSON object a step.
pub const METRICS: &str = "metrics.jsonl";
/// Name of the event file; TensorBoard takes any file whose name holds `tfevents`.
pub const EVENTS: &str = "events.out.tfevents.hkfr";
/// When a step was made, seconds since 1970, in a line of [`METRICS`].
const WALL_TIME: &str = "wall_time";

/// A log that is open for its next step.
pub struct TrainingLog {
    metrics: BufWriter<fs_err::File>,
    events: BufWriter<fs_err::File>,
}

impl TrainingLog {
    /// Opens the log of a directory and drops what it holds beyond step `keep` (0: all of it).
    ///
    /// The event file is written anew from the lines that stay, so a crash in the middle of a record
    /// of either file costs that record alone.
    pub fn open(dir: &Path, keep: u64, wall_time: f64) -> Result<Self> {
        fs_err::create_dir_all(dir)?;
        let path = dir.join(METRICS);
        let kept: Vec<Map<String, Value>> = read_metrics(&path)?
            .into_iter()
            .filter(|line| step_of(line).is_some_and(|step| step <= keep))
            .collect();
        let began = kept.first().and_then(|l| l[WALL_TIME].as_f64());
        let mut metrics = Vec::new();
        let mut events = record(&file_version(began.unwrap_or(wall_time)));
        for line in &kept {
            metrics.extend(json_line(line));
            events.extend(event(line));
        }
        Ok(Self {
            metrics: replace(&path, &metrics)?,
            events: replace(&dir.join(EVENTS), &events)?,
        })
    }

    /// Appends a step. `metrics` are written to the JSON line as they are, and to the event file as
    /// scalars called `train/NAME`.
    pub fn step(&mut self, step: u64, wall_time: f64, metrics: &[(&str, f64)]) -> Result<()> {
        let mut line = Map::new();
        line.insert("step".into(), json!(step));
        line.insert(WALL_TIME.into(), json!(wall_time));
        // JSON has no NaN: it is written as null, and is no point of a curve.
        line.extend(metrics.iter().map(|(k, v)| ((*k).into(), json!(v))));
        self.metrics.write_all(&json_line(&line))?;
        self.metrics.flush()?;
        self.events.write_all(&event(&line))?;
        Ok(self.events.flush()?)
    }
}

/// The lines of a `metrics.jsonl`; none if there is no file. A last line that was cut by a crash is
/// left out; any other damage is an error.
pub fn read_metrics(path: &Path) -> Result<Vec<Map<String, Value>>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let mut lines = Vec::new();
    let mut reader = BufReader::new(fs_err::File::open(path)?);
    let mut text = Vec::new();
    while reader.read_until(b'\n', &mut text)? > 0 {
        match serde_json::from_slice(&text) {
            Ok(line) => lines.push(line),
            Err(_) if !text.ends_with(b"\n") => break,
            Err(e) => {
                return Err(Error::BadFile {
                    path: path.into(),
                    reason: format!(
                        "line {}: {e}; delete the file to begin a new log",
                        lines.len() + 1
                    ),
                });
            }
        }
        text.clear();
    }
    Ok(lines)
}

fn step_of(line: &Map<String, Value>) -> Option<u64> {
    line.get("step").and_then(Value::as_u64)
}

fn json_line(line: &Map<String, Value>) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(line).expect("plain JSON");
    bytes.push(b'\n');
    bytes
}

/// The record of a line.
fn event(line: &Map<String, Value>) -> Vec<u8> {
    let numbers = line
        .iter()
        .filter(|(k, _)| !["step", WALL_TIME].contains(&&k[..]));
    let values: Vec<(String, f32)> = numbers
        .filter_map(|(k, v)| Some((format!("train/{k}"), v.as_f64()? as f32)))
        .collect();
    let wall_time = line.get(WALL_TIME).and_then(Value::as_f64).unwrap_or(0.0);
    record(&scalars(wall_time, step_of(line).unwrap_or(0), &values))
}

/// Replaces a file at once, and leaves it open at its end.
fn replace(path: &Path, bytes: &[u8]) -> Result<BufWriter<fs_err::File>> {
    let mut temp: PathBuf = path.into();
    temp.as_mut_os_string().push(".partial");
    fs_err::write(&temp, bytes)?;
    fs_err::rename(&temp, path)?;
    let file = fs_err::OpenOptions::new().append(true).open(path)?;
    Ok(BufWriter::new(file))
}
