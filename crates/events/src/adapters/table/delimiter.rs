//! What separates the columns of a text file.

use super::options::one_byte;
use crate::error::{Error, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Delimiter {
    Byte(u8),
    /// Several characters, such as `::`.
    Text(String),
    /// Any run of white space.
    Whitespace,
}

impl Delimiter {
    /// # Errors
    /// An empty text.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "" => Err(Error::Config(
                "`delimiter` is empty: name a character, several, \"tab\" or \"whitespace\"".into(),
            )),
            "tab" | "\\t" => Ok(Self::Byte(b'\t')),
            "whitespace" => Ok(Self::Whitespace),
            "comma" => Ok(Self::Byte(b',')),
            "semicolon" => Ok(Self::Byte(b';')),
            "pipe" => Ok(Self::Byte(b'|')),
            "space" => Ok(Self::Byte(b' ')),
            _ => match one_byte("delimiter", text) {
                Ok(byte) => Ok(Self::Byte(byte)),
                Err(_) => Ok(Self::Text(text.into())),
            },
        }
    }

    /// As `delimiter` says it.
    pub fn name(&self) -> String {
        match self {
            Self::Byte(b'\t') => "tab".into(),
            Self::Byte(byte) if byte.is_ascii_control() => format!("\\u{byte:04x}"),
            Self::Byte(byte) => char::from(*byte).into(),
            Self::Text(text) => text.clone(),
            Self::Whitespace => "whitespace".into(),
        }
    }

    /// The cells of a line without quotes.
    pub fn split<'l>(&self, line: &'l str) -> Vec<&'l str> {
        match self {
            Self::Byte(byte) => line.split(char::from(*byte)).collect(),
            Self::Text(text) => line.split(text.as_str()).collect(),
            Self::Whitespace => line.split_whitespace().collect(),
        }
    }
}

/// Separators that are looked for where the columns are not found with the one that is read by default.
pub(super) fn others() -> [Delimiter; 7] {
    [
        // Before its parts.
        Delimiter::Text("::".into()),
        Delimiter::Byte(b';'),
        Delimiter::Byte(b'\t'),
        Delimiter::Byte(b'|'),
        Delimiter::Byte(b','),
        Delimiter::Byte(b'\x01'),
        Delimiter::Byte(b' '),
    ]
}
