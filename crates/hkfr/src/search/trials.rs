//! Trials that are done, a line each.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hkfr_rec::systems::{Accuracy, Settings};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Of the data, the split, the system, all its settings and the seed.
    pub key: String,
    pub task: String,
    pub system: String,
    /// From 0, the default of the space.
    pub number: usize,
    /// What was drawn; the other keys have their defaults, but `refit` is false.
    pub settings: Settings,
    #[serde(flatten)]
    pub accuracy: Accuracy,
    /// Fit and scoring.
    pub seconds: f64,
    /// 0 for systems that have none.
    pub epochs: usize,
    pub peak_mb: Option<f64>,
}

pub struct Trials {
    path: PathBuf,
    all: Vec<Trial>,
}

impl Trials {
    /// A last line that was cut short by a stop is dropped.
    ///
    /// # Errors
    /// A damaged line: the message names it.
    pub fn open(path: &Path) -> Result<Self> {
        let text = match fs_err::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(e.into()),
        };
        let whole = text.rfind('\n').map_or(0, |i| i + 1);
        if whole < text.len() {
            crate::atomic::write(path, &text.as_bytes()[..whole])?;
        }
        let parse = |(n, line): (usize, &str)| {
            serde_json::from_str(line).with_context(|| {
                format!("{}:{}: not a trial; delete the line", path.display(), n + 1)
            })
        };
        let all = text[..whole].lines().enumerate().map(parse);
        Ok(Self {
            path: path.into(),
            all: all.collect::<Result<_>>()?,
        })
    }

    pub fn find(&self, key: &str) -> Option<&Trial> {
        self.all.iter().find(|t| t.key == key)
    }

    pub fn push(&mut self, trial: &Trial) -> Result<()> {
        let mut file = fs_err::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)?;
        writeln!(file, "{}", serde_json::to_string(trial)?)?;
        file.sync_data()?;
        self.all.push(trial.clone());
        Ok(())
    }
}
