//! What can go wrong between a history and a ranked list.

use std::path::PathBuf;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user's template is wrong: the message names the file, the line and the remedy.
    #[error(transparent)]
    Template(#[from] hkfr_fuse::Mistake),
    /// The user's instruction file is wrong.
    #[error("{path}:{line}: {reason}")]
    BadRow {
        path: PathBuf,
        line: usize,
        reason: String,
    },
    /// A label that training may not see: an internal error, and nothing is written.
    #[error(
        "LEAK: the instruction rows about {user} as of {as_of}: {reason}; make the split again (--force split), and if it stays, report it as a bug"
    )]
    Leak {
        user: String,
        as_of: i64,
        reason: String,
    },
    #[error("{0}")]
    Config(String),
    /// A ranker returned something that has no order: an internal error.
    #[error("case {case_id}: the score of entity {entity} is not a number")]
    NotANumber { case_id: String, entity: u32 },
    /// Somebody asked for it: what was done is kept where the caller said.
    #[error("interrupted")]
    Interrupted,
    #[error("tuning: {0}")]
    Tuning(String),
    /// The file is no sequence model, or a damaged one.
    #[error("{path}: {reason}")]
    BadModel { path: PathBuf, reason: String },
    #[error(
        "{path}: format version {found:?}, this program reads {supported:?}: train the model again"
    )]
    ModelVersion {
        path: PathBuf,
        found: String,
        supported: &'static str,
    },
    #[error("{path} holds a model of {found:?}, not of {expected:?}")]
    ModelSystem {
        path: PathBuf,
        found: String,
        expected: &'static str,
    },
    /// The file is no fitted ranker, or a damaged one.
    #[error("{path}: {reason}")]
    BadRanker { path: PathBuf, reason: String },
    #[error(
        "{path}: format version {found}, this program reads {supported}: fit the ranker again, or use the program that wrote it"
    )]
    RankerVersion {
        path: PathBuf,
        found: u32,
        supported: u32,
    },
    /// The ranker was fitted on another catalogue than that of the data set at hand.
    #[error(
        "{path}: of its {n} entities the data set lacks {missing}, such as {example:?}: give the data set it was fitted on, or fit the ranker again"
    )]
    OtherCatalogue {
        path: PathBuf,
        missing: usize,
        n: usize,
        example: String,
    },
    #[error(transparent)]
    Lm(#[from] hkfr_lm::Error),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// # Errors
/// [`Error::Config`] with the key, its value and the range.
pub(crate) fn at_least(key: &str, value: f32, least: f32) -> Result<()> {
    match value.is_finite() && value >= least {
        true => Ok(()),
        false => Err(Error::Config(format!(
            "{key} = {value}: must be at least {least}"
        ))),
    }
}

/// # Errors
/// [`Error::Config`] with the key, its value and the range.
pub(crate) fn at_most(key: &str, value: f32, most: f32) -> Result<()> {
    match value.is_finite() && value <= most {
        true => Ok(()),
        false => Err(Error::Config(format!(
            "{key} = {value}: must be at most {most}"
        ))),
    }
}
