//! Why a request has no answer, by what is to be done: mend it, wait, pay more, or look at a file.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Wrong address, key or model: trying again cannot help.
    #[error("{url}: {reason}")]
    User { url: String, reason: String },
    /// The service reads this request and does not take it: it is too long, or its content is refused. Where no
    /// request was ever taken, it may as well be the model's name or a limit.
    #[error("{url}: {reason}")]
    Refused { url: String, reason: String },
    /// The service stayed away or overloaded through all attempts of this request.
    #[error(
        "{url}: {reason} (after {attempts} attempts); what was answered is kept: run again later"
    )]
    Transient {
        url: String,
        reason: String,
        attempts: u32,
    },
    /// Every service failed so often that it is left alone for a while: no request would fare better.
    #[error(
        "{url}: {reason}; no service answers, and none is tried again for {wait_seconds} s; what was answered is kept: run again later"
    )]
    Away {
        url: String,
        reason: String,
        wait_seconds: u64,
    },
    /// The next request might cost more than what is left.
    #[error(
        "the cap {key} = {cap} is reached: {spent}, and the next request may take {next}; what was answered is kept: raise [fusion] {key} and run again to go on"
    )]
    Cap {
        key: &'static str,
        cap: String,
        spent: String,
        next: String,
    },
    #[error("stopped; what was answered is kept")]
    Stopped,
    /// A cassette or a batch file: `line` is 0 where the file as a whole is meant.
    #[error("{path}{}: {reason}", at(*line))]
    File {
        path: PathBuf,
        line: usize,
        reason: String,
    },
    #[error(
        "{path}: {source}; the answers stored before are safe: free disk space or remove a stale lock, then run again"
    )]
    Answers {
        path: PathBuf,
        source: rusqlite::Error,
    },
    #[error(
        "{path}: an answer is not what was written (its checksum differs); put the file back from a backup, or delete it: what it held is then asked and paid for again"
    )]
    Damaged { path: PathBuf },
    #[error(
        "{path}: format version {found} is newer than {known}, the newest this build reads; upgrade hkfr"
    )]
    Version {
        path: PathBuf,
        found: i64,
        known: i64,
    },
}

impl GatewayError {
    /// Whether it is about this request alone, and others may still be answered.
    pub fn is_of_one_request(&self) -> bool {
        matches!(self, Self::Transient { .. })
    }

    /// Whether the service does not take this request: if it has answered another one, it is about this one alone.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}

fn at(line: usize) -> String {
    match line {
        0 => String::new(),
        n => format!(":{n}"),
    }
}
