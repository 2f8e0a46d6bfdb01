//! Encodings of text files, by the names of the WHATWG standard (`latin-1`, `windows-1252`, `gbk`, `shift_jis`,
//! `utf-16le`, …): read as UTF-8.

use std::io::{BufReader, Read};

use encoding_rs_io::DecodeReaderBytesBuilder;
use serde::{Deserialize, Serialize};

use super::{BLOCK, Text};

/// An encoding that a config names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Encoding(&'static encoding_rs::Encoding);

impl TryFrom<String> for Encoding {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let plain = name.trim().to_lowercase().replace(['_', ' '], "-");
        // Names that databases and Python use, and the standard does not.
        let label = match plain.as_str() {
            "latin-1" | "iso-8859-1" | "iso8859-1" | "cp1252" | "ansi" => "windows-1252",
            "latin-2" => "iso-8859-2",
            "latin-9" => "iso-8859-15",
            "utf16" | "utf-16" | "utf16le" => "utf-16le",
            "utf16be" => "utf-16be",
            "utf-8-sig" => "utf-8",
            "cp936" | "gb2312" => "gbk",
            "cp932" => "shift_jis",
            "cp949" | "uhc" => "euc-kr",
            "cp950" => "big5",
            "cp1250" => "windows-1250",
            "cp1251" => "windows-1251",
            other => other,
        };
        let standard = [label.to_owned(), label.replace('-', "_")];
        let found = standard
            .iter()
            .find_map(|l| encoding_rs::Encoding::for_label(l.as_bytes()));
        found.map(Self).ok_or_else(|| {
            format!(
                "encoding = \"{name}\" is not known; use one such as utf-8, windows-1252, latin-1, utf-16le, gbk, \
                 big5, shift_jis, euc-kr or windows-1251"
            )
        })
    }
}

impl From<Encoding> for String {
    fn from(encoding: Encoding) -> Self {
        encoding.0.name().to_lowercase()
    }
}

/// The same bytes as UTF-8. A byte-order mark wins over `encoding`, and is left out. UTF-8 itself is passed through, so that a
/// row of it that is damaged is seen as such.
pub(super) fn decoded(mut bytes: Text, encoding: Option<Encoding>) -> Text {
    use std::io::BufRead;
    // An error shows again at the first read.
    let start = bytes.fill_buf().unwrap_or_default();
    let marked = encoding_rs::Encoding::for_bom(start).map(|(e, _)| e);
    let encoding = marked
        .or(encoding.map(|e| e.0))
        .or_else(|| without_mark(start))
        .unwrap_or(encoding_rs::UTF_8);
    if encoding == encoding_rs::UTF_8 {
        if marked.is_some() {
            bytes.consume(3);
        }
        return bytes;
    }
    let bytes: Box<dyn Read> = Box::new(
        DecodeReaderBytesBuilder::new()
            .encoding(Some(encoding))
            .bom_override(true)
            .strip_bom(true)
            .build(bytes),
    );
    BufReader::with_capacity(BLOCK, bytes)
}

/// UTF-16 without a mark: every other byte of its ASCII is zero.
fn without_mark(start: &[u8]) -> Option<&'static encoding_rs::Encoding> {
    let start = &start[..start.len().min(64) / 2 * 2];
    let zeros = |odd: usize| {
        let bytes = start.iter().skip(odd).step_by(2);
        2 * bytes.filter(|b| **b == 0).count()
    };
    match (zeros(0), zeros(1)) {
        (0, n) if n == start.len() && n > 0 => Some(encoding_rs::UTF_16LE),
        (n, 0) if n == start.len() && n > 0 => Some(encoding_rs::UTF_16BE),
        _ => None,
    }
}

/// What bytes that are no UTF-8 are most likely written in: a name for `encoding = "…"`.
pub(super) fn likely_encoding(bytes: &[u8]) -> String {
    let mut detector = chardetng::EncodingDetector::new(chardetng::Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    let guess = detector.guess(None, chardetng::Utf8Detection::Deny);
    guess.name().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_python_databases_and_the_standard_are_known() {
        for (name, expected) in [
            ("latin-1", "windows-1252"),
            ("ISO-8859-1", "windows-1252"),
            ("GBK", "gbk"),
            ("gb18030", "gb18030"),
            ("utf_16", "utf-16le"),
            ("Shift_JIS", "shift_jis"),
            ("cp1251", "windows-1251"),
            ("utf-8", "utf-8"),
        ] {
            let encoding = Encoding::try_from(name.to_owned());
            assert_eq!(encoding.map(String::from), Ok(expected.into()), "{name}");
        }
        assert!(Encoding::try_from("utf-9".to_owned()).is_err());
    }
}
