//! A `tokenizer.json` that may be damaged, through the `tokenizers` crate.
//!
//! The crate panics on some damaged files (0.23: a `decoder` of an unknown shape) where it should
//! return an error; here that is an error as well, and the panic is not told: its message says nothing
//! that the error does not, and a backtrace of it takes ten times the memory of the file.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::Path;
use std::sync::Once;

use serde_json::Value as Json;

use crate::error::{Error, Result};

/// Reads a `tokenizer.json`, which `alter` may change between its text and its meaning.
///
/// # Errors
/// [`Error::BadFile`] for what is no JSON object with a model, and what the crate does not understand.
pub(crate) fn tokenizer_from_file<T>(
    path: &Path,
    alter: impl FnOnce(&mut Json) -> T,
) -> Result<(tokenizers::Tokenizer, T)> {
    let bytes = fs_err::read(path)?;
    parse(bytes, alter).map_err(|reason| Error::BadFile {
        path: path.into(),
        reason: format!("{reason}; the file is damaged: fetch it again"),
    })
}

fn parse<T>(
    bytes: Vec<u8>,
    alter: impl FnOnce(&mut Json) -> T,
) -> std::result::Result<(tokenizers::Tokenizer, T), String> {
    let mut json: Json = serde_json::from_slice(&bytes).map_err(|e| e.to_string())?;
    drop(bytes);
    if !json.is_object() || !json["model"].is_object() {
        return Err("it is no object with a model".into());
    }
    let altered = alter(&mut json);
    match quietly(|| catch_unwind(AssertUnwindSafe(|| serde_json::from_value(json)))) {
        Ok(Ok(tokenizer)) => Ok((tokenizer, altered)),
        Ok(Err(e)) => Err(e.to_string()),
        Err(_) => Err("a part of it has an unknown shape".into()),
    }
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f`, the panics of this thread untold meanwhile. Those of others go to the hook that there was.
fn quietly<T>(f: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let tell = take_hook();
        set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                tell(panic);
            }
        }));
    });
    QUIET.set(true);
    let result = f();
    QUIET.set(false);
    result
}
