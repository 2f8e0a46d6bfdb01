//! What can go wrong when runs and truth are read, checked and compared.
//!
//! A [`Fault`] says what is wrong with a list or a case and how to mend it; [`Error`] says where:
//! file and line when it was read, system and case when it was handed over as a value.

use std::path::PathBuf;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The message names the path (it comes from `fs-err`).
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{}:{line}: {fault}", path.display())]
    Line {
        path: PathBuf,
        line: usize,
        fault: Fault,
    },
    #[error("run of `{system}` on task `{task}`, case `{case}`: {fault}")]
    List {
        system: String,
        task: String,
        case: String,
        fault: Fault,
    },
    #[error("truth of task `{task}`, case `{case}`: {fault}")]
    Case {
        task: String,
        case: String,
        fault: Fault,
    },
    #[error(
        "two runs are of system `{system}` on task `{task}` with the same seed; drop one, or give it its seed or another system name"
    )]
    DuplicateRun { system: String, task: String },
    #[error(
        "{a} and {b} cannot stand in one table: {what}; compare runs of the same data, split and repeat policy"
    )]
    Incomparable { a: String, b: String, what: String },
    #[error(
        "no case of task `{task}` was asked by all runs; compare runs of the same data and split"
    )]
    NothingInCommon { task: String },
    #[error(
        "{a} and {b} both hold lists of `{system}` for task `{task}` with the same seed, and the lists differ; give the runs names (NAME=RUN) to set them side by side, or other seeds to average them"
    )]
    OtherLists {
        system: String,
        task: String,
        a: String,
        b: String,
    },
    #[error("two truths are of task `{task}`; pass one truth a task")]
    DuplicateTruth { task: String },
    #[error("truth of task `{task}` has no cases; nothing can be measured")]
    NoCases { task: String },
    #[error(
        "run of `{system}` is of task `{task}`, for which no truth was given (there is: {known})"
    )]
    UnknownTask {
        system: String,
        task: String,
        known: String,
    },
    #[error("reference system `{reference}` is in no run (there are: {known})")]
    UnknownReference { reference: String, known: String },
    #[error(
        "every target of task `{task}` was consumed before, and repeats are excluded; nothing can be measured"
    )]
    AllConsumed { task: String },
    #[error("{}: no case, so nothing can be measured; give a row a target", path.display())]
    NoQrels { path: PathBuf },
    #[error("{}: {what}", path.display())]
    Parquet { path: PathBuf, what: String },
    #[error("`{name}` cannot stand in a TREC file: names hold no white space; write Parquet")]
    TrecName { name: String },
    #[error("row {row} of the scores: {fault}")]
    Row { row: usize, fault: Fault },
    #[error("evaluation config: {0}")]
    Config(String),
    /// A fault of the drawing code, not of the data.
    #[error("internal: a plot could not be drawn: {0}")]
    Plot(String),
}

/// What is wrong with one line, list or case.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("not valid JSON for this format: {0} (a bare NaN or Infinity is not JSON)")]
    Json(serde_json::Error),
    #[error("not valid UTF-8; convert the file to UTF-8")]
    Utf8,
    #[error("not valid UTF-8 but UTF-16; convert it (`iconv -f UTF-16 -t UTF-8 FILE`)")]
    Utf16,
    #[error("the gzip file is damaged ({0}); write it again")]
    Gzip(std::io::Error),
    #[error("compressed with {with}; unpack it first, or compress it with gzip")]
    Compressed { with: &'static str },
    #[error("no row, so no list; a run has {expected} for each item of a list")]
    NoRows { expected: &'static str },
    #[error("the file is empty; its first line must be the header")]
    NoHeader,
    #[error("the header says format `{found}`, expected `{expected}`")]
    Format {
        found: String,
        expected: &'static str,
    },
    #[error("format version {found}; this build reads version {supported}: use a newer hkfr")]
    Version { found: u32, supported: u32 },
    #[error(
        "the header announces {announced} lines of data, the file has {found}: it was cut short, write it again"
    )]
    CutShort { announced: usize, found: usize },
    #[error("{items} items but {scores} scores; give one score an item")]
    Lengths { items: usize, scores: usize },
    #[error("score {rank} (of `{item}`) is not a finite number; rank without it or drop the item")]
    NotFinite { rank: usize, item: String },
    #[error("scores rise from {before} to {after} at rank {rank}; sort the list by falling score")]
    Rising {
        rank: usize,
        before: f64,
        after: f64,
    },
    #[error("item `{item}` stands twice in the list (ranks {first} and {second}); keep the first")]
    DuplicateItem {
        item: String,
        first: usize,
        second: usize,
    },
    #[error("item `{item}` stands twice for its query, first on line {first}; keep one")]
    ItemTwice { item: String, first: usize },
    #[error("case `{case}` was already given{}; keep one", at_line(.first_line))]
    DuplicateCase {
        case: String,
        first_line: Option<usize>,
    },
    #[error("no targets; leave the case out, its metrics are undefined")]
    NoTargets,
    #[error("{targets} targets but {gains} gains; give one gain a target, or none")]
    Gains { targets: usize, gains: usize },
    #[error("gain of target `{target}` is not a number above 0; leave the target out")]
    Gain { target: String },
    #[error(
        "the gain {gain} of target `{target}` is below 1, which readers of qrels take for not relevant; multiply all gains until the least is 1, which changes no metric"
    )]
    QrelsGain { target: String, gain: f64 },
    #[error("not in_overall, which qrels cannot say; leave the case out")]
    QrelsOverall,
    #[error("target `{target}` is given twice; targets are distinct")]
    DuplicateTarget { target: String },
    #[error("segment `all` is reserved for the cases with in_overall; choose another label")]
    ReservedSegment,
    #[error("the catalogue is empty or absent; its line {{\"catalogue\": […]}} follows the header")]
    NoCatalogue,
    #[error("expected {expected}, found {found}")]
    TrecFields {
        expected: &'static str,
        found: usize,
    },
    #[error(
        "the score `{text}` ranks nothing; mend what computed it, or drop the line (what must not be listed has the score -inf)"
    )]
    NoRank { text: String },
    #[error("`{text}` is not a number (field {field}); write one there")]
    TrecNumber { field: &'static str, text: String },
    #[error("tag `{found}` differs from `{first}` on line 1; one TREC file holds one system")]
    TrecTag { found: String, first: String },
}

fn at_line(line: &Option<usize>) -> String {
    line.map(|l| format!(" on line {l}")).unwrap_or_default()
}
