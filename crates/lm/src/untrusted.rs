//! A `tokenizer.json` that may be damaged, through the `tokenizers` crate.
//!
//! The crate panics on some damaged files (0.23: a `decoder` of an unknown shape) where it should
//! return an error; here that is an error as well, and the panic is not told: its message says nothing
//! that the error does not, and a backtrace of it takes ten times the memory of the file.

use std::cell::Cell;
use std::panic::{catch_unwind, set_hook, take_hook};
use std::path::Path;
use std::sync::Once;

use crate::error::{Error, Result};

/// Reads a `tokenizer.json`.
pub(crate) fn tokenizer_from_file(path: &Path) -> Result<tokenizers::Tokenizer> {
    let bytes = fs_err::read(path)?;
    let parsed = quietly(|| catch_unwind(|| tokenizers::Tokenizer::from_bytes(&bytes)));
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
