//! Recorded answers: JSON lines `{"request": hash, "model": …, "answer": …}`.
//!
//! Recording asks a service for what is not on the cassette yet and adds its answers. Playing asks
//! nobody: a run with a service can be repeated without key, network or money, bit for bit.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::answer::{ChatAnswer, excerpt};
use super::chat::{ChatRequest, ChatService, ServiceError};
use super::error::GatewayError;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CassetteMode {
    Record,
    Replay,
}

/// One file, for all models of a run.
pub struct Cassette {
    path: PathBuf,
    tape: Mutex<Tape>,
}

struct Tape {
    answers: HashMap<String, ChatAnswer>,
    /// Where new answers go; `None`: it is played.
    end: Option<File>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    request: String,
    model: String,
    answer: ChatAnswer,
}

impl Cassette {
    /// A last line without its end is what a killed recording left: it is dropped.
    pub fn open(path: &Path, mode: CassetteMode) -> Result<Arc<Self>, GatewayError> {
        let error = |line: usize, reason: String| GatewayError::File {
            path: path.into(),
            line,
            reason,
        };
        let io = |e: std::io::Error| match (e.kind(), mode) {
            (std::io::ErrorKind::NotFound, CassetteMode::Replay) => error(
                0,
                "no such cassette; record it with cassette_mode = \"record\"".into(),
            ),
            _ => error(0, e.to_string()),
        };
        let file = File::options()
            .read(true)
            .append(mode == CassetteMode::Record)
            .create(mode == CassetteMode::Record)
            .open(path)
            .map_err(io)?;
        let mut answers = HashMap::new();
        let mut reader = BufReader::new(&file);
        let (mut bytes, mut whole) = (Vec::new(), 0);
        for line in 1.. {
            bytes.clear();
            let n = reader.read_until(b'\n', &mut bytes).map_err(io)?;
            if bytes.last() != Some(&b'\n') {
                break;
            }
            whole += n as u64;
            let parsed: Line = serde_json::from_slice(&bytes)
                .map_err(|e| error(line, format!("damaged ({e}); delete the line")))?;
            answers.insert(parsed.request, parsed.answer);
        }
        let end = match mode {
            CassetteMode::Replay => None,
            CassetteMode::Record => {
                file.set_len(whole).map_err(io)?;
                Some(file)
            }
        };
        Ok(Arc::new(Self {
            path: path.into(),
            tape: Mutex::new(Tape { answers, end }),
        }))
    }

    fn answer(&self, hash: &str) -> Option<ChatAnswer> {
        let tape = self.tape.lock().expect("no panic under the lock");
        tape.answers.get(hash).cloned()
    }

    fn add(&self, hash: String, model: &str, answer: &ChatAnswer) -> std::io::Result<()> {
        let line = Line {
            request: hash,
            model: model.to_owned(),
            answer: answer.clone(),
        };
        let mut text = serde_json::to_string(&line).expect("plain data");
        text.push('\n');
        let mut tape = self.tape.lock().expect("no panic under the lock");
        if let Some(end) = &mut tape.end {
            end.write_all(text.as_bytes())?;
        }
        tape.answers.insert(line.request, line.answer);
        Ok(())
    }
}

/// A model whose answers are on a cassette, or are put there.
pub struct Recorded {
    cassette: Arc<Cassette>,
    model: String,
    url: String,
    service: Option<Box<dyn ChatService>>,
}

impl Recorded {
    pub fn record(cassette: Arc<Cassette>, service: Box<dyn ChatService>) -> Self {
        Self {
            cassette,
            model: service.model().to_owned(),
            url: service.url().to_owned(),
            service: Some(service),
        }
    }

    pub fn replay(cassette: Arc<Cassette>, model: &str) -> Self {
        Self {
            url: cassette.path.display().to_string(),
            cassette,
            model: model.to_owned(),
            service: None,
        }
    }
}

impl Recorded {
    fn record_answer(&self, hash: String, answer: &ChatAnswer) {
        let added = self.cassette.add(hash, &self.model, answer);
        // The answer is paid: it counts, and the store keeps it.
        if let Err(e) = added {
            tracing::warn!("{}: not recorded: {e}", self.cassette.path.display());
        }
    }
}

impl ChatService for Recorded {
    fn model(&self) -> &str {
        &self.model
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn ask(&self, request: &ChatRequest, timeout: Duration) -> Result<ChatAnswer, ServiceError> {
        let hash = request.hash(&self.model);
        if let Some(answer) = self.cassette.answer(&hash) {
            return Ok(answer);
        }
        let Some(service) = &self.service else {
            // Recorded from a service that took no schema.
            let mut forms = request.forms().skip(1);
            let answer = forms.find_map(|(_, form)| self.cassette.answer(&form.hash(&self.model)));
            if let Some(answer) = answer {
                return Ok(answer);
            }
            let last = request.messages.last();
            let asked = excerpt(last.map_or("", |m| &m.content));
            return Err(ServiceError::User(format!(
                "request {hash} of model {:?} is not on the cassette; record it with cassette_mode = \"record\", or give the pseudonym key that it was recorded with. It asks: {asked}",
                self.model
            )));
        };
        let answer = service.ask(request, timeout)?;
        self.record_answer(hash, &answer);
        Ok(answer)
    }

    /// A cassette that lacks what was paid before could not repeat the run.
    fn recall(&self, request: &ChatRequest, answer: &ChatAnswer) {
        let hash = request.hash(&self.model);
        if self.service.is_some() && self.cassette.answer(&hash).is_none() {
            self.record_answer(hash, answer);
        }
    }
}
