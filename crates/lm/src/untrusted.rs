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
pub(crate) fn tokenizer_from_file<T: Default>(
    path: &Path,
    alter: impl FnOnce(&mut Json) -> T,
) -> Result<(tokenizers::Tokenizer, T)> {
    let bytes = fs_err::read(path)?;
    let mut altered = T::default();
    let parsed = serde_json::from_slice::<Json>(&bytes).map_err(|e| e.to_string());
    let parsed = parsed.and_then(|mut json| {
        if !json.is_object() || !json["model"].is_object() {
            return Err("it is no object with a model".to_owned());
        }
        drop(bytes);
        altered = alter(&mut json);
        Ok(json)
    });
    let parsed = parsed.map(|json| {
        let read = || serde_json::from_value::<tokenizers::Tokenizer>(json);
        quietly(|| catch_unwind(AssertUnwindSafe(read)))
    });
    let reason = match parsed {
        Ok(Ok(Ok(tokenizer))) => return Ok((tokenizer, altered)),
        Ok(Ok(Err(e))) => e.to_string(),
        Err(reason) => reason,
        Ok(Err(_)) => "a part of it has an unknown shape".into(),
    };
    Err(Error::BadFile {
        path: path.into(),
        reason: format!("{reason}; the file is damaged: fetch it again"),
    })
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
