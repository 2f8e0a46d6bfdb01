//! In which format a service takes questions, learnt from what it refuses: from the schema to any JSON object to words.
//!
//! A refusal of a question is tentative: only when the next format is answered does the service stay with it. One that
//! fails with its own errors (5xx) and has never answered in a format is suspected of failing over it: after every third
//! error in a row, and at the last attempt of a request, the question is asked once in words.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

use super::chat::{ChatRequest, Format};

/// Errors of the server in a row, and the format is suspected.
const SUSPICIOUS: u32 = 3;

#[derive(Default)]
pub(super) struct Formats {
    /// The strictest one that is still asked for, as a number.
    first: AtomicU8,
    /// Those that were answered, by their numbers.
    taken: [AtomicBool; 3],
    errors: AtomicU32,
}

impl Formats {
    /// A request in every format that the service may take, the strictest first; there is at least one.
    pub fn of<'r>(&self, request: &'r ChatRequest) -> Vec<(Format, Cow<'r, ChatRequest>)> {
        let first = self.first.load(Ordering::Relaxed);
        let forms = request.forms();
        forms.filter(|(format, _)| *format as u8 >= first).collect()
    }

    pub fn takes(&self, format: Format) -> bool {
        self.taken[format as usize].load(Ordering::Relaxed)
    }

    pub fn take(&self, format: Format) {
        self.taken[format as usize].store(true, Ordering::Relaxed);
    }

    /// `refused`: why a stricter format was not taken.
    pub fn answered(&self, format: Format, refused: Option<&str>, url: &str) {
        self.take(format);
        self.errors.store(0, Ordering::Relaxed);
        let Some(reason) = refused else { return };
        let number = format as u8;
        if self.first.fetch_max(number, Ordering::Relaxed) < number {
            let how = match format {
                Format::Words => "without response_format",
                _ => "for a JSON object in place of the schema",
            };
            tracing::warn!("{url}: {reason}; asked {how} from now on");
        }
    }

    /// Whether an error of the server may be one over the format. `last`: it is the last attempt of its request.
    pub fn suspects(&self, format: Format, last: bool) -> bool {
        if format == Format::Words || self.takes(format) {
            return false;
        }
        let errors = self.errors.fetch_add(1, Ordering::Relaxed) + 1;
        let suspects = last || errors >= SUSPICIOUS;
        if suspects {
            self.errors.store(0, Ordering::Relaxed);
        }
        suspects
    }
}
