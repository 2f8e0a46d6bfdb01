//! A `tokenizer.json` that may be damaged, through the `tokenizers` crate.
//!
//! The crate panics on some damaged files (0.23: a `decoder` of an unknown shape) where it should
//! return an error; here that is an error as well.

use std::panic::catch_unwind;
use std::path::Path;

use crate::error::{Error, Result};

/// Reads a `tokenizer.json`.
pub(crate) fn tokenizer_from_file(path: &Path) -> Result<tokenizers::Tokenizer> {
    let bytes = fs_err::read(path)?;
    let parsed = catch_unwind(|| tokenizers::Tokenizer::from_bytes(&bytes));
    let reason = match parsed {
        Ok(Ok(tokenizer)) => return Ok(tokenizer),
        Ok(Err(e)) => e.to_string(),
        Err(_) => "a part of it has an unknown shape".into(),
    };
    Err(Error::BadFile {
        path: path.into(),
        reason: format!("{reason}; the file is damaged: fetch it again"),
    })
}
