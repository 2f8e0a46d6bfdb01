//! The text of a growing output: bytes of tokens in, whole characters out, and stop strings.
//!
//! A token may end within a character, and the end of the text may be the beginning of a stop
//! string: such bytes are held back until they are certain.

/// The text so far and how much of it was given out.
#[derive(Debug, Clone, Default)]
pub(crate) struct TextStream {
    bytes: Vec<u8>,
    given: usize,
    stop_strings: Vec<String>,
    stopped: bool,
}

impl TextStream {
    pub fn new(mut stop_strings: Vec<String>) -> Self {
        stop_strings.retain(|s| !s.is_empty());
        Self {
            stop_strings,
            ..Self::default()
        }
    }

    /// Adds the bytes of a token and returns the text that became certain.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        // A stop string that is complete now may have begun in what was there.
        let longest = self.stop_strings.iter().map(String::len).max().unwrap_or(0);
        let from = (self.bytes.len() + 1).saturating_sub(longest.max(1));
        self.bytes.extend_from_slice(bytes);
        let tail = &self.bytes[from..];
        let found = self
            .stop_strings
            .iter()
            .filter_map(|stop| find(tail, stop.as_bytes()));
        if let Some(at) = found.min() {
            self.bytes.truncate(from + at);
            self.stopped = true;
            return self.rest();
        }
        let held = (1..longest.min(self.bytes.len() + 1))
            .rev()
            .find(|&n| {
                let end = &self.bytes[self.bytes.len() - n..];
                self.stop_strings
                    .iter()
                    .any(|s| s.as_bytes().starts_with(end))
            })
            .unwrap_or(0);
        let certain = (self.bytes.len() - held).max(self.given);
        let new = &self.bytes[self.given..certain];
        let end = new.utf8_chunks().last().map_or(&[][..], |c| c.invalid());
        let begun = std::str::from_utf8(end).is_err_and(|e| e.error_len().is_none());
        let whole = new.len() - if begun { end.len() } else { 0 };
        let text = String::from_utf8_lossy(&new[..whole]).into_owned();
        self.given += whole;
        text
    }

    /// Whether a stop string ended the text.
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// What was held back, when nothing follows.
    pub fn rest(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.bytes[self.given..]).into_owned();
        self.given = self.bytes.len();
        text
    }

    /// The whole text, without the stop string.
    pub fn finish(self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|w| w == part)
}
