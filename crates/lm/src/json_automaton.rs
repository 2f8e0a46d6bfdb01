//! JSON that a schema allows, as an automaton over bytes.
//!
//! The texts are compact, but for at most one space after each `:` and `,`, as models write them.
//! Strings are valid UTF-8 (The Unicode Standard, table 3-7) with any escape but those of surrogates;
//! numbers have at most 18 digits and no exponent, so that every reader parses them. A state is the
//! innermost unfinished value and, shared between states, those around it.

use std::sync::Arc;

use crate::constrain::Automaton;
use crate::json_schema::{JsonSchema, Kind, Property};
use crate::strings::Span;

/// Digits before and after the point: 18 fit an `i64`.
const MAX_DIGITS: u8 = 18;

/// A schema with the shortest text of each of its values.
///
/// ```
/// use hkfr_lm::{Automaton, JsonAutomaton, JsonSchema};
/// let schema = r#"{"type": "object", "properties": {"a": {"type": "integer"}, "b": {"const": 1}}, "required": ["b"]}"#;
/// let json = JsonAutomaton::new(JsonSchema::parse(schema).unwrap());
/// let mut state = json.start();
/// assert_eq!(json.shortest(&state), br#"{"b":1}"#);
/// for byte in *br#"{"a": 12"# {
///     state = json.step(&state, byte).unwrap();
/// }
/// assert_eq!(json.shortest(&state), br#","b":1}"#);
/// ```
pub struct JsonAutomaton {
    schema: JsonSchema,
    /// A shortest text by node.
    least: Vec<Vec<u8>>,
    /// Of an object by the next property that may come: the shortest text after a value.
    closing: Vec<Vec<Vec<u8>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JsonState {
    top: Frame,
    below: Option<Arc<Link>>,
}

/// A value around the current one; it waits for what follows that.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Link {
    frame: Frame,
    below: Option<Arc<Link>>,
    /// Bytes of the shortest ending of this and all below.
    distance: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Frame {
    Done,
    Literal { node: u32, span: Span },
    Text { node: u32, len: u32, at: Text },
    Number { node: u32, at: Digits, n: u8 },
    Array { node: u32, count: u32, at: List },
    Object { node: u32, next: u32, at: Keyed },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Text {
    Open,
    Inside,
    Escape,
    /// Hex digits to come; after a D, the next is at most 7: no surrogates.
    Hex {
        left: u8,
        after_d: bool,
    },
    /// Bytes of a character to come, and the range of the next.
    Utf8 {
        left: u8,
        low: u8,
        high: u8,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Digits {
    Start,
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum List {
    Open,
    First,
    Item { space: bool },
    After,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Keyed {
    Open,
    First,
    BeforeKey {
        space: bool,
    },
    /// `property` is the first whose key goes on as the bytes so far.
    Key {
        property: u32,
        depth: u32,
    },
    /// Of the property `next − 1`.
    Value {
        space: bool,
    },
    After,
}

enum Move {
    /// The byte is taken.
    To(Frame),
    /// The byte is taken and ends the value.
    Close,
    /// The value was complete; the byte belongs to what is around it.
    Leave,
    /// The byte begins a child; this is what waits for the child's end.
    Enter(Frame, usize),
    Dead,
}

impl JsonAutomaton {
    pub fn new(schema: JsonSchema) -> Self {
        let mut a = Self {
            least: Vec::new(),
            closing: Vec::new(),
            schema,
        };
        // A child precedes its parent, so that its shortest text is known.
        for node in 0..a.schema.kinds.len() {
            let closing = match &a.schema.kinds[node] {
                Kind::Object(properties) => a.closings(properties),
                _ => Vec::new(),
            };
            a.closing.push(closing);
            let mut least = Vec::new();
            a.finish(a.begin(node), &mut |bytes| least.extend_from_slice(bytes));
            a.least.push(least);
        }
        a
    }

    fn closings(&self, properties: &[Property]) -> Vec<Vec<u8>> {
        let mut closings = vec![b"}".to_vec()];
        for p in properties.iter().rev() {
            let rest = closings.last().expect("begins with one").clone();
            closings.push(if p.required {
                [b",", &p.key[..], &self.least[p.value], &rest].concat()
            } else {
                rest
            });
        }
        closings.reverse();
        closings
    }

    fn kind(&self, node: u32) -> &Kind {
        &self.schema.kinds[node as usize]
    }

    fn properties(&self, node: u32) -> &[Property] {
        match self.kind(node) {
            Kind::Object(properties) => properties,
            _ => unreachable!("only an object has properties"),
        }
    }

    /// What a value begins as.
    fn begin(&self, node: usize) -> Frame {
        let kind = &self.schema.kinds[node];
        let node = node as u32;
        match kind {
            Kind::Literal(set) => Frame::Literal {
                node,
                span: set.start(),
            },
            Kind::Text { .. } => Frame::Text {
                node,
                len: 0,
                at: Text::Open,
            },
            Kind::Number { .. } => Frame::Number {
                node,
                at: Digits::Start,
                n: 0,
            },
            Kind::Array { .. } => Frame::Array {
                node,
                count: 0,
                at: List::Open,
            },
            Kind::Object(_) => Frame::Object {
                node,
                next: 0,
                at: Keyed::Open,
            },
        }
    }

    /// The properties that may come next: up to the first that is required.
    fn window(&self, node: u32, next: u32) -> std::ops::Range<usize> {
        let properties = self.properties(node);
        let next = next as usize;
        let required = properties[next..].iter().position(|p| p.required);
        next..required.map_or(properties.len(), |r| next + r + 1)
    }

    fn make_move(&self, frame: Frame, byte: u8) -> Move {
        match frame {
            Frame::Done => Move::Dead,
            Frame::Literal { node, span } => {
                let Kind::Literal(set) = self.kind(node) else {
                    unreachable!("a literal frame has a literal node")
                };
                match set.step(&span, byte) {
                    Some(span) => Move::To(Frame::Literal { node, span }),
                    None if set.is_end(&span) => Move::Leave,
                    None => Move::Dead,
                }
            }
            Frame::Text { node, len, at } => self.text(node, len, at, byte),
            Frame::Number { node, at, n } => self.number(node, at, n, byte),
            Frame::Array { node, count, at } => self.array(node, count, at, byte),
            Frame::Object { node, next, at } => self.object(node, next, at, byte),
        }
    }

    fn text(&self, node: u32, len: u32, at: Text, byte: u8) -> Move {
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

    fn number(&self, node: u32, at: Digits, n: u8, byte: u8) -> Move {
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

    fn array(&self, node: u32, count: u32, at: List, byte: u8) -> Move {
        let Kind::Array { item, min, max } = *self.kind(node) else {
            unreachable!("an array frame has an array node")
        };
        let to = |at| Move::To(Frame::Array { node, count, at });
        let full = max.is_some_and(|max| count >= max);
        match (at, byte) {
            (List::Open, b'[') => to(List::First),
            (List::First | List::After, b']') if count >= min => Move::Close,
            (List::After, b',') if !full => to(List::Item { space: true }),
            (List::Item { space: true }, b' ') => to(List::Item { space: false }),
            (List::Item { .. }, _) | (List::First, _) if !full => {
                // Beyond all limits nothing is counted.
                let counted = max.unwrap_or(min);
                let waiting = Frame::Array {
                    node,
                    count: (count + 1).min(counted),
                    at: List::After,
                };
                Move::Enter(waiting, item)
            }
            _ => Move::Dead,
        }
    }

    fn object(&self, node: u32, next: u32, at: Keyed, byte: u8) -> Move {
        let to = |next, at| Move::To(Frame::Object { node, next, at });
        let properties = self.properties(node);
        let may_close = || self.closing[node as usize][next as usize] == b"}";
        let key = |from: u32, depth: u32| {
            let depth = depth as usize;
            let said = &properties.get(from as usize).map_or(&[][..], |p| &p.key)[..depth];
            let found = self.window(node, next).find(|&j| {
                let key = &properties[j].key;
                key.starts_with(said) && key.get(depth) == Some(&byte)
            });
            match found {
                None => Move::Dead,
                Some(j) if properties[j].key.len() == depth + 1 => {
                    to(j as u32 + 1, Keyed::Value { space: true })
                }
                Some(j) => to(
                    next,
                    Keyed::Key {
                        property: j as u32,
                        depth: depth as u32 + 1,
                    },
                ),
            }
        };
        match (at, byte) {
            (Keyed::Open, b'{') => to(0, Keyed::First),
            (Keyed::First | Keyed::After, b'}') if may_close() => Move::Close,
            (Keyed::After, b',') if !self.window(node, next).is_empty() => {
                to(next, Keyed::BeforeKey { space: true })
            }
            (Keyed::BeforeKey { space: true }, b' ') => to(next, Keyed::BeforeKey { space: false }),
            (Keyed::First | Keyed::BeforeKey { .. }, _) => key(next, 0),
            (Keyed::Key { property, depth }, _) => key(property, depth),
            (Keyed::Value { space: true }, b' ') => to(next, Keyed::Value { space: false }),
            (Keyed::Value { .. }, _) => Move::Enter(
                Frame::Object {
                    node,
                    next,
                    at: Keyed::After,
                },
                properties[next as usize - 1].value,
            ),
            _ => Move::Dead,
        }
    }

    /// Gives the shortest ending of a frame to `out`, in pieces.
    fn finish(&self, frame: Frame, out: &mut dyn FnMut(&[u8])) {
        match frame {
            Frame::Done => {}
            Frame::Literal { node, span } => {
                if let Kind::Literal(set) = self.kind(node) {
                    out(&set.shortest(&span));
                }
            }
            Frame::Text { at, .. } => {
                match at {
                    Text::Open => out(b"\""),
                    Text::Inside => {}
                    Text::Escape => out(b"n"),
                    Text::Hex { left, .. } => out(&b"0000"[..left as usize]),
                    Text::Utf8 { left, low, .. } => {
                        out(&[low]);
                        out(&[0x80; 2][..left as usize - 1]);
                    }
                }
                out(b"\"");
            }
            Frame::Number { at, .. } => match at {
                Digits::Start | Digits::Point => out(b"0"),
                Digits::Minus => out(b"1"),
                _ => {}
            },
            Frame::Array { node, count, at } => {
                let Kind::Array { item, min, .. } = *self.kind(node) else {
                    unreachable!("an array frame has an array node")
                };
                if at == List::Open {
                    out(b"[");
                }
                let mut comma = at == List::After;
                let n = match at {
                    List::Item { .. } => min.max(count + 1),
                    _ => min,
                };
                for _ in count..n {
                    if comma {
                        out(b",");
                    }
                    out(&self.least[item]);
                    comma = true;
                }
                out(b"]");
            }
            Frame::Object { node, next, at } => self.finish_object(node, next, at, out),
        }
    }

    fn finish_object(&self, node: u32, next: u32, at: Keyed, out: &mut dyn FnMut(&[u8])) {
        let properties = self.properties(node);
        let closing = &self.closing[node as usize];
        let rest = &closing[next as usize];
        let (property, depth) = match at {
            Keyed::After => return out(rest),
            Keyed::Value { .. } => {
                out(&self.least[properties[next as usize - 1].value]);
                return out(rest);
            }
            Keyed::Open | Keyed::First => {
                if at == Keyed::Open {
                    out(b"{");
                }
                return out(rest.strip_prefix(b",").unwrap_or(rest));
            }
            Keyed::BeforeKey { .. } => (next, 0),
            Keyed::Key { property, depth } => (property, depth as usize),
        };
        let said = &properties[property as usize].key[..depth];
        let best = self
            .window(node, next)
            .filter(|&j| properties[j].key.starts_with(said))
            .min_by_key(|&j| {
                properties[j].key.len()
                    + self.least[properties[j].value].len()
                    + closing[j + 1].len()
            })
            .expect("a key is begun only if there is one");
        out(&properties[best].key[depth..]);
        out(&self.least[properties[best].value]);
        out(&closing[best + 1]);
    }

    fn length(&self, frame: Frame) -> usize {
        let mut n = 0;
        self.finish(frame, &mut |bytes| n += bytes.len());
        n
    }
}

impl Automaton for JsonAutomaton {
    type State = JsonState;

    fn start(&self) -> JsonState {
        JsonState {
            top: self.begin(self.schema.root()),
            below: None,
        }
    }

    fn step(&self, state: &JsonState, byte: u8) -> Option<JsonState> {
        let (mut top, mut below) = (state.top, state.below.clone());
        loop {
            match self.make_move(top, byte) {
                Move::To(top) => return Some(JsonState { top, below }),
                Move::Dead => return None,
                Move::Close => {
                    return Some(match below {
                        None => JsonState {
                            top: Frame::Done,
                            below: None,
                        },
                        Some(link) => JsonState {
                            top: link.frame,
                            below: link.below.clone(),
                        },
                    });
                }
                Move::Leave => {
                    let link = below?;
                    top = link.frame;
                    below = link.below.clone();
                }
                Move::Enter(waiting, child) => {
                    let distance =
                        self.length(waiting) + below.as_ref().map_or(0, |link| link.distance);
                    below = Some(Arc::new(Link {
                        frame: waiting,
                        below,
                        distance,
                    }));
                    top = self.begin(child);
                }
            }
        }
    }

    fn is_end(&self, state: &JsonState) -> bool {
        state.below.is_none()
            && match state.top {
                Frame::Done => true,
                Frame::Literal { node, span } => {
                    matches!(self.kind(node), Kind::Literal(set) if set.is_end(&span))
                }
                Frame::Number { at, .. } => {
                    matches!(at, Digits::Zero | Digits::Whole | Digits::Fraction)
                }
                _ => false,
            }
    }

    fn shortest(&self, state: &JsonState) -> Vec<u8> {
        let mut text = Vec::new();
        self.finish(state.top, &mut |bytes| text.extend_from_slice(bytes));
        let mut at = &state.below;
        while let Some(link) = at {
            self.finish(link.frame, &mut |bytes| text.extend_from_slice(bytes));
            at = &link.below;
        }
        text
    }

    /// Any syntax and the rest of any character; else what the schema's literals and keys hold.
    fn in_endings(&self, byte: u8) -> bool {
        matches!(byte, 0x20..=0x7E | 0x80..=0xBF)
            || self.schema.kinds.iter().any(|kind| match kind {
                Kind::Literal(set) => set.in_endings(byte),
                Kind::Object(properties) => properties.iter().any(|p| p.key.contains(&byte)),
                _ => false,
            })
    }

    fn distance(&self, state: &JsonState) -> usize {
        self.length(state.top) + state.below.as_ref().map_or(0, |link| link.distance)
    }
}
