//! Strings and numbers of [`JsonAutomaton`](crate::JsonAutomaton), byte by byte.
//!
//! Strings are valid UTF-8 (The Unicode Standard, table 3-7) with any escape but those of surrogates,
//! which must come in pairs. Numbers are those of RFC 8259 without an exponent.

use crate::json_automaton::{Digits, Frame, JsonAutomaton, Move, Text};
use crate::json_schema::Kind;

/// Digits before and after the point: 18 fit an `i64`.
const MAX_DIGITS: u8 = 18;

impl JsonAutomaton {
    pub(crate) fn text(&self, node: u32, len: u32, at: Text, byte: u8) -> Move {
        let Kind::Text { max } = *self.kind(node) else {
            unreachable!("a text frame has a text node")
        };
        let to = |len, at| Move::To(Frame::Text { node, len, at });
        // Without a limit nothing is counted, so that all insides are one state.
        let more = if max.is_some() { len + 1 } else { 0 };
        let room = max.is_none_or(|max| len < max);
        let utf8 = |left, low, high| to(more, Text::Utf8 { left, low, high });
        match (at, byte) {
            (Text::Open, b'"') => to(0, Text::Inside),
            (Text::Inside, b'"') => Move::Close,
            (Text::Inside, _) if !room => Move::Dead,
            (Text::Inside, b'\\') => to(more, Text::Escape),
            (Text::Inside, 0x20..=0x7F) => to(more, Text::Inside),
            (Text::Inside, 0xC2..=0xDF) => utf8(1, 0x80, 0xBF),
            (Text::Inside, 0xE0) => utf8(2, 0xA0, 0xBF),
            (Text::Inside, 0xED) => utf8(2, 0x80, 0x9F),
            (Text::Inside, 0xE1..=0xEF) => utf8(2, 0x80, 0xBF),
            (Text::Inside, 0xF0) => utf8(3, 0x90, 0xBF),
            (Text::Inside, 0xF1..=0xF3) => utf8(3, 0x80, 0xBF),
            (Text::Inside, 0xF4) => utf8(3, 0x80, 0x8F),
            (Text::Utf8 { left, low, high }, _) if (low..=high).contains(&byte) => match left {
                1 => to(len, Text::Inside),
                _ => to(
                    len,
                    Text::Utf8 {
                        left: left - 1,
                        low: 0x80,
                        high: 0xBF,
                    },
                ),
            },
            (Text::Escape, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                to(len, Text::Inside)
            }
            (Text::Escape, b'u') => to(
                len,
                Text::Hex {
                    left: 4,
                    after_d: false,
                },
            ),
            (Text::Hex { left, after_d }, _)
                if byte.is_ascii_hexdigit() && (!after_d || (b'0'..=b'7').contains(&byte)) =>
            {
                match left {
                    1 => to(len, Text::Inside),
                    _ => to(
                        len,
                        Text::Hex {
                            left: left - 1,
                            after_d: left == 4 && byte.eq_ignore_ascii_case(&b'd'),
                        },
                    ),
                }
            }
            _ => Move::Dead,
        }
    }

    pub(crate) fn number(&self, node: u32, at: Digits, n: u8, byte: u8) -> Move {
        let fraction = matches!(self.kind(node), Kind::Number { fraction: true });
        let to = |at, n| Move::To(Frame::Number { node, at, n });
        match (at, byte) {
            (Digits::Start, b'-') => to(Digits::Minus, 0),
            // "-0" is no integer to every reader.
            (Digits::Start, b'0') => to(Digits::Zero, 1),
            (Digits::Minus, b'0') if fraction => to(Digits::Zero, 1),
            (Digits::Start | Digits::Minus, b'1'..=b'9') => to(Digits::Whole, 1),
            (Digits::Whole, b'0'..=b'9') if n < MAX_DIGITS => to(at, n + 1),
            (Digits::Zero | Digits::Whole, b'.') if fraction => to(Digits::Point, 0),
            (Digits::Point | Digits::Fraction, b'0'..=b'9') if n < MAX_DIGITS => {
                to(Digits::Fraction, n + 1)
            }
            (Digits::Zero | Digits::Whole | Digits::Fraction, _) => Move::Leave,
            _ => Move::Dead,
        }
    }
}
